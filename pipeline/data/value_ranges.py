"""Which value is white in the files of a data set: measured once, remembered, the same for all commands."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, islice, repeat
from pathlib import Path
from typing import NamedTuple

from pipeline.core.names import counted
from pipeline.core.seen import see
from pipeline.core.workspace import Workspace
from pipeline.formats.ranges import KINDS, STEPS, is_settled, kind_of, largest_value, white
from pipeline.formats.sources import Kind, Reading

_BITS = {255: "8 bit", 4095: "12 bit", 65535: "16 bit", 1: "shares of 1"}
_LOOKED_AT = 16
"""Files of which it is looked whether they need as many bits as those of training."""
_FEW = 0.1
"""Share of files that a faulty pixel may be in."""
_NAMES: dict[Kind, str] = {"whole": "16-bit values", "real": "floating-point values"}


class Ranges(NamedTuple):
    """What is white, by kind, and how it is known.

    Attributes
    ----------
    kinds : mapping of str to str
        Kind of every file by name, or "stated".
    white : mapping of str to int
        What is white in files of a kind that does not state it.
    largest : mapping of str to float
        The largest value of all files of a kind, where that was measured.
    few : mapping of str to str
        By kind, in words, the few files that alone decide what is white, as a faulty pixel may; or what
        training says where these files would say less.
    """

    kinds: Mapping[str, str]
    white: Mapping[Kind, int]
    largest: Mapping[Kind, float]
    few: Mapping[Kind, str]

    def of(self, reading: Reading, files: Sequence[str]) -> Reading:
        """Return how the files of a sample are read."""
        kinds = {self.kinds[name] for name in files}
        whole = self.white["whole"] if "whole" in kinds else reading.whole
        real = self.white["real"] if "real" in kinds else reading.real
        return replace(reading, whole=whole, real=real)

    @property
    def told(self) -> list[str]:
        """What a person has to know: a line for each kind whose largest value was measured."""
        wrong = "state range = [black, white] in the layout if that is wrong"
        return [
            f"{_NAMES[kind]} up to {value:,.6g}{self.few[kind]}: read as {_bits(self.white[kind])}; {wrong}"
            for kind, value in self.largest.items()
            if self.white[kind] < 65535 or self.few[kind]
        ]


def measured_ranges(files: Mapping[str, Path], given: Mapping[Kind, int], work: Workspace | None) -> Ranges:
    """Look which value is white in the files of a data set.

    Parameters
    ----------
    files : mapping of str to Path
        All files by their paths below the folder of pictures.
    given : mapping of str to int
        What is white by kind, where a model knows it.
    work : Workspace or None
        Where it is remembered what was seen.
    """
    kinds = see(files, work.kinds_seen if work else None, kind_of)
    found, largest, few = dict(given), {}, {}
    for kind in KINDS:
        of_kind = {name: path for name, path in files.items() if kinds[name] == kind}
        if of_kind and kind in given:
            some = dict(islice(sorted(of_kind.items()), _LOOKED_AT))
            values = _values(kind, some, work)
            if values and white(kind, values.values()) < given[kind]:
                largest[kind] = max(values.values())
                few[kind] = f" in {counted(len(values), 'file')}, but {_bits(given[kind])} in training"
        elif of_kind:
            values = _values(kind, of_kind, work)
            found[kind] = white(kind, values.values())
            largest[kind] = max(values.values(), default=0.0)
            few[kind] = _few(kind, values, found[kind])
    return Ranges(kinds, found, largest, few)


def _bits(white: int) -> str:
    return _BITS.get(white, f"up to {white:,}")


def _few(kind: Kind, values: Mapping[str, float], top: int) -> str:
    """Name the files without which less would be white, if they are few; else nothing."""
    below = max((step for step in STEPS[kind] if step < top), default=math.inf)
    above = [name for name, value in values.items() if value > below]
    if not 0 < len(above) <= _FEW * len(values):
        return ""
    return f" ({len(above)} of {counted(len(values), 'file')}, such as {above[0]}, beyond {below:,})"


def _values(kind: Kind, files: Mapping[str, Path], work: Workspace | None) -> dict[str, float]:
    """Return the largest values of files, of more and more until no other can change what is white."""
    values: dict[str, float] = {}
    names = sorted(files)
    ends = accumulate(repeat(16), lambda end, step: 4 * end + step)
    start = 0
    while start < len(names) and not is_settled(kind, values.values()):
        end = next(ends)
        block = {name: files[name] for name in names[start:end]}
        seen = see(block, work.values_seen if work else None, largest_value)
        values |= {name: float(text) for name, text in seen.items() if text}
        start = end
    return values
