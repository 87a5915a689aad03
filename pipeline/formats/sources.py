"""Where one plane of a picture lies in files, and how the values of a data set are read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Projection = Literal["max", "mean", "focus"]
"""What becomes of a z-stack: its brightest or mean values, or its sharpest plane."""

Kind = Literal["whole", "real"]
"""Files that do not state which value is white: of whole numbers of 16 bits and more, or of others."""


@dataclass(frozen=True)
class Source:
    """Where one channel of one sample lies.

    Attributes
    ----------
    files : tuple of Path
        The file or, for OME-Zarr, the folder; several where every z-plane is a file of its own, in order.
    channel : str, int or None
        Which channel of the file, by the name that its header gives (or a colour of a picture in colours) or
        by its index, from 0; None where it holds one.
    scene : str, int or None
        Which picture of a file of several fields or wells; None where it holds one.
    time : int or None
        Which time point, from 0; None where there is one.
    """

    files: tuple[Path, ...]
    channel: str | int | None = None
    scene: str | int | None = None
    time: int | None = None

    @property
    def path(self) -> Path:
        """The file, the first of several."""
        return self.files[0]

    @property
    def selected(self) -> tuple[str | int | None, ...]:
        """What is taken out of the files: all None where they hold one plane."""
        return self.channel, self.scene, self.time


@dataclass(frozen=True)
class Reading:
    """How the values of all pictures of a data set are read.

    Attributes
    ----------
    projection : str or None
        What becomes of z-stacks; None where they are refused.
    range : tuple of float or None
        Values that are black and white, as the user states them; None where files decide.
    whole : int
        The value that is white in files of 16 bits, or of 32-bit whole numbers, that do not state how many
        of their bits are used.
    real : int or None
        The value that is white in files of floating-point numbers; None where it is not known.
    is_given : bool
        Whether `whole` and `real` are those of other pictures, which a model was trained on.
    pixel_size_um : float or None
        Side of a pixel in micrometres, of pictures that state none.
    """

    projection: Projection | None = None
    range: tuple[float, float] | None = None
    whole: int = 65535
    real: int | None = None
    is_given: bool = False
    pixel_size_um: float | None = None


AS_STORED = Reading()
"""Values over the largest that the file's type can hold; no z-stacks."""
