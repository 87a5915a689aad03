"""A microscope that looks twice only where the first answer is not sure.

A sequence (`useq-schema`) visits fields with a low dose; pymmcore-plus runs it and asks for one event after
the other, so that the answer to a field's first pictures decides whether its next event is a second look, at
a higher dose, or the next field. The microscope is simulated: a camera, a filter wheel and a stage in Python,
which see pictures of a folder with the noise of as many photons as the exposure lets in. With a real one,
`simulated_core` is replaced by ``CMMCorePlus()`` and its configuration, and nothing else.

Run from the project's folder, after ``make demo`` and ``pip install pymmcore-plus==0.17.0``:
PYTHONPATH=. python docs/examples/in_the_loop.py --model demo/work/model --images demo/new/images
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
import useq
from numpy.typing import DTypeLike, NDArray
from pymmcore_plus import configure_logging
from pymmcore_plus.experimental.unicore import (
    CameraDevice,
    ShutterDevice,
    StateDevice,
    UniMMCore,
    XYStageDevice,
)

from pipeline.data.layouts import CHANNELS, Layout
from pipeline.data.pictures import read_picture
from pipeline.data.samples import find_samples
from pipeline.serving import Answer, Predictor

Planes = NDArray[np.float32]

AGAIN = ("not_sure", "unlike_training")
"""Answers after which a field is imaged again."""

STEP_UM = 200.0
"""From one field to the next."""

PHOTONS_PER_MS, WHITE = 20.0, 4095


@dataclass
class Specimen:
    """What lies under the objective: fields in a row, shares of white, shape (channels, height, width)."""

    fields: Sequence[Planes]
    at: tuple[float, float] = (0.0, 0.0)
    channel: int = 0

    def seen(self, exposure: float, rng: np.random.Generator) -> NDArray[np.uint16]:
        """Return what a camera of 12 bits sees: its gain makes up for a short exposure, not for the noise."""
        plane = self.fields[round(self.at[0] / STEP_UM)][self.channel]
        photons = PHOTONS_PER_MS * exposure
        return np.minimum(rng.poisson(plane * photons) / photons * WHITE, WHITE).astype(np.uint16)


class Camera(CameraDevice):
    """A camera that looks at a specimen."""

    def __init__(self, specimen: Specimen) -> None:
        super().__init__()
        self._specimen, self._exposure, self._rng = specimen, 10.0, np.random.default_rng(0)

    def get_exposure(self) -> float:
        """Return milliseconds."""
        return self._exposure

    def set_exposure(self, exposure: float) -> None:
        """Set milliseconds."""
        self._exposure = exposure

    def shape(self) -> tuple[int, ...]:
        """Return height and width of its pictures."""
        return self._specimen.fields[0].shape[1:]

    def dtype(self) -> DTypeLike:
        """Return the type of its values."""
        return np.uint16

    def start_sequence(
        self, n: int | None, get_buffer: Callable[[Sequence[int], DTypeLike], NDArray[Any]]
    ) -> Iterator[Mapping[str, Any]]:
        """Take pictures."""
        for _ in range(n or 1):
            get_buffer(self.shape(), self.dtype())[:] = self._specimen.seen(self._exposure, self._rng)
            yield {}


class Wheel(StateDevice):
    """A filter wheel: one position per channel."""

    def __init__(self, specimen: Specimen) -> None:
        self._specimen = specimen
        super().__init__(dict(enumerate(CHANNELS)))

    def get_state(self) -> int:
        """Return the position."""
        return self._specimen.channel

    def set_state(self, position: int) -> None:
        """Turn to a position."""
        self._specimen.channel = position


class Stage(XYStageDevice):
    """A stage that moves at once."""

    def __init__(self, specimen: Specimen) -> None:
        super().__init__()
        self._specimen = specimen

    def set_position_um(self, x: float, y: float) -> None:
        """Move."""
        self._specimen.at = (x, y)

    def get_position_um(self) -> tuple[float, float]:
        """Return where it is."""
        return self._specimen.at

    def home(self) -> None:
        """Move to the first field."""
        self._specimen.at = (0.0, 0.0)

    def stop(self) -> None:
        """Stay: it never moves for long."""

    def set_origin_x(self) -> None:
        """Keep the origin."""

    def set_origin_y(self) -> None:
        """Keep the origin."""


class Shutter(ShutterDevice):
    """What keeps the light away between pictures."""

    def __init__(self) -> None:
        super().__init__()
        self._is_open = False

    def get_open(self) -> bool:
        """Say whether light comes through."""
        return self._is_open

    def set_open(self, open: bool) -> None:  # noqa: A002 - the device's own word
        """Let light through, or not."""
        self._is_open = open


class Core(UniMMCore):
    """Devices in Python, with what this version leaves out for their cameras."""

    def getNumberOfCameraChannels(self) -> int:  # noqa: N802 - Micro-Manager's name
        """Return the number of pictures of one snap."""
        return 1

    def getPhysicalCameraDevice(self, channel: int = 0) -> str:  # noqa: ARG002, N802 - Micro-Manager's names
        """Return the camera of a picture of one snap."""
        return str(self.getCameraDevice())


def simulated_core(fields: Sequence[Planes]) -> Core:
    """Return a microscope that sees these fields."""
    core, specimen = Core(), Specimen(fields)
    seeing = {"Camera": Camera(specimen), "Wheel": Wheel(specimen), "Stage": Stage(specimen)}
    devices = {**seeing, "Shutter": Shutter()}
    for label, device in devices.items():
        core.loadPyDevice(label, device)
        core.initializeDevice(label)
    core.setCameraDevice("Camera")
    core.setXYStageDevice("Stage")
    core.setShutterDevice("Shutter")
    for channel in CHANNELS:
        core.defineConfig("Channel", channel, "Wheel", "Label", channel)
    core.setChannelGroup("Channel")
    core.mda.engine.restore_initial_state = False  # there is no focus to be restored
    return core


@dataclass
class Visit:
    """What was done at a field: its answers, of the first look and of the second if there was one."""

    name: str
    answers: list[Answer] = field(default_factory=list)
    exposure_ms: float = 0.0

    @property
    def is_again(self) -> bool:
        """Whether it was imaged again."""
        return len(self.answers) > 1


class Loop:
    """Runs a sequence of fields, and decides after each whether to look again."""

    def __init__(
        self,
        core: UniMMCore,
        predictor: Predictor,
        low_ms: float,
        high_ms: float,
        pixel_size_um: float | None,
    ) -> None:
        self._core, self._predictor, self._pixel = core, predictor, pixel_size_um
        self._exposures = (low_ms, high_ms)
        self._frames: list[NDArray[Any]] = []
        self.visits: list[Visit] = []

    def run(self, names: Sequence[str]) -> list[Visit]:
        """Visit fields that lie in a row; return what was answered."""
        places = [useq.AbsolutePosition(name=one, x=k * STEP_UM, y=0.0) for k, one in enumerate(names)]
        sequence = useq.MDASequence(axis_order="pc", stage_positions=places, channels=list(CHANNELS))
        self._core.mda.events.frameReady.connect(self._frames.append)
        self._core.mda.run(self._events(sequence))
        self._core.mda.events.frameReady.disconnect()
        return self.visits

    def _events(self, sequence: useq.MDASequence) -> Iterator[useq.MDAEvent]:
        """Yield events; each is asked for when the pictures of those before it are there."""
        for place in sequence.stage_positions:
            looks = [one for one in sequence if one.pos_name == place.name]
            visit = Visit(place.name or "")
            self.visits.append(visit)
            for exposure in self._exposures:
                self._frames.clear()
                yield from (one.model_copy(update={"exposure": exposure}) for one in looks)
                visit.exposure_ms += exposure * len(looks)
                pixels = np.stack(self._frames)
                visit.answers.append(self._predictor.predict(pixels, CHANNELS, self._pixel, name=visit.name))
                if visit.answers[-1].status not in AGAIN:
                    break


def main(
    model: Annotated[Path, typer.Option(help="Folder of a trained model.")],
    images: Annotated[Path, typer.Option(help="Pictures of all channels that the specimen is made of.")],
    fields: Annotated[int, typer.Option(help="Fields that are visited, at most.")] = 8,
    low_ms: Annotated[float, typer.Option(help="Exposure of the first look.")] = 10.0,
    high_ms: Annotated[float, typer.Option(help="Exposure of the second look.")] = 100.0,
) -> None:
    """Visit the fields and tell what was answered, and how much light was saved."""
    configure_logging(stderr_level="CRITICAL")  # it would miss Micro-Manager, which is not needed
    samples, _ = find_samples(images, None, Layout())
    pictures = [read_picture(one) for one in samples[:fields]]
    loop = Loop(
        simulated_core([one.pixels for one in pictures]),
        Predictor.load(model),
        *(low_ms, high_ms),
        pictures[0].pixel_size_um,
    )
    for visit in loop.run([one.id for one in samples[:fields]]):
        looks = [f"{one.status} {', '.join(one.chosen)}".strip() for one in visit.answers]
        print(f"{visit.name}: {' -> again, with more light: '.join(looks)}")
    again = sum(one.is_again for one in loop.visits)
    light = sum(one.exposure_ms for one in loop.visits)
    always = high_ms * len(CHANNELS) * len(loop.visits)
    print(f"{again} of {len(loop.visits)} fields were imaged again; {light / always:.0%} of the light of")
    print(f"imaging every field for {high_ms:g} ms")


if __name__ == "__main__":
    typer.run(main)
