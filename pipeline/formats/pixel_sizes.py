"""The side of a pixel in micrometres: what files and users state, in any unit, and what is believed."""

import math
import re
import unicodedata
from collections.abc import Mapping

from pipeline.core.files import UnreadableError

_PLAUSIBLE = (0.01, 20.0)
"""Micrometres per pixel of light microscopes: super-resolution to a magnifying glass."""

_ALIKE = 1.01
"""Factor up to which two sizes are the same, differently rounded."""

_MICROMETRES = {
    "pm": 1e-6,
    **dict.fromkeys(("å", "angstrom", "ångström"), 1e-4),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 1e-3),
    **dict.fromkeys(("μm", "um", "μ", "micron", "micrometer", "micrometre"), 1.0),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e3),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e4),
    **dict.fromkeys(("m", "meter", "metre"), 1e6),
    **dict.fromkeys(("in", "inch", "inche", '"'), 25_400.0),
}
"""Units in lower case, without the s of a plural; NFKC makes one letter of the two for µ, and for Å."""

_REMEDY = "state pixel_size_um of this sample in samples.csv"

Sides = tuple[float | None, float | None]
"""Width and height of a pixel in micrometres, None where unknown."""


def micrometres(text: object, unit: str = "µm") -> float | None:
    """Return a length in micrometres; None where it is no positive number or the unit is not known.

    A decimal comma counts as a point. A size in inches that no microscope has is a resolution for printing,
    and as good as none.
    """
    plain = unicodedata.normalize("NFKC", re.sub(r"\\u([0-9a-fA-F]{4})", _letter, unit)).strip().lower()
    name = re.split(r"\s*(?:/|\bper\b)", plain)[0]
    factor = _MICROMETRES.get(name) or _MICROMETRES.get(name.removesuffix("s"))
    try:
        length = float(str(text).replace(",", ".")) * (factor or math.nan)
    except ValueError:
        return None
    if not 0 < length < math.inf or (factor == _MICROMETRES["in"] and not _is_plausible(length)):
        return None
    return length


def _letter(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16))


def _is_plausible(size: float) -> bool:
    return _PLAUSIBLE[0] <= size <= _PLAUSIBLE[1]


def check_plausible(size: float) -> float:
    """Return a size that a light microscope can have.

    Raises
    ------
    UnreadableError
        If it is another one, nanometres taken for micrometres for example.
    """
    if not _is_plausible(size):
        low, high = _PLAUSIBLE
        reason = f"pixel size {size:g} µm, which no light microscope has ({low:g} to {high:g} µm)"
        raise UnreadableError(reason, f"correct it, or {_REMEDY}, in micrometres")
    return size


def agreed_size(stated: float | None, found: Mapping[str, Sides]) -> float | None:
    """Return the pixel size of a sample: the user's, else that on which its files agree, else None.

    Raises
    ------
    UnreadableError
        If the files disagree, a pixel is not square, or the size is implausible.
    """
    if stated is not None:
        return check_plausible(stated)
    known = {name: side for name, (width, height) in found.items() if (side := width or height)}
    for name, (width, height) in found.items():
        if width and height and not _alike(width, height):
            reason = f"pixels of {name} are {width:g} µm wide and {height:g} µm high"
            raise UnreadableError(reason, f"export it with square pixels, or {_REMEDY}")
    first = next(iter(known), "")
    for name, size in known.items():
        if not _alike(size, known[first]):
            reason = f"pixel sizes disagree: {known[first]:g} µm in {first}, {size:g} µm in {name}"
            raise UnreadableError(reason, _REMEDY)
    return check_plausible(known[first]) if known else None


def _alike(one: float, other: float) -> bool:
    return max(one, other) <= _ALIKE * min(one, other)
