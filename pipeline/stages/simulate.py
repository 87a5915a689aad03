"""The stage `simulate`: a folder of simulated pictures with labels, groups and true label images."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
import tifffile
from pydantic import BaseModel, ConfigDict

from pipeline.core.errors import PipelineError
from pipeline.core.files import replacing, write_text
from pipeline.core.stage import Progress, Stage, Summary, option_inputs
from pipeline.core.workers import map_chunks
from pipeline.data.layouts import CHANNELS, COLOURS
from pipeline.data.locations import KAGGLE2018, LOCATIONS
from pipeline.simulation.field import contact_sheet, simulate_picture
from pipeline.simulation.proteins import DEFAULT_LOCATIONS, Protein, proteins
from pipeline.stages.options import SimulateOptions

VERSION = "9"
"""Raise it when the same seed gives other pictures than before."""

CELLS = ["Id", "label", "Target"]
"""Columns of the table of what each cell shows."""

SETTINGS = "simulation.json"
"""Says in a folder what is simulated there."""


class Settings(BaseModel):
    """What all pictures of a folder share."""

    model_config = ConfigDict(frozen=True)

    version: str
    seed: int
    size: int
    locations: tuple[str, ...]
    crowding: float = 1.0
    variation: float = 0.0


@dataclass(frozen=True)
class Shot:
    """One picture to be made: all that a worker needs to know."""

    out: Path
    seed: int
    protein: Protein
    index: int
    size: int
    variation: float

    @property
    def id(self) -> str:
        """Name of the picture."""
        return f"{self.protein.name}_{self.index + 1}"

    def image(self, channel: str) -> Path:
        """File of one channel."""
        return self.out / "images" / f"{self.id}_{COLOURS[channel]}.png"

    @property
    def truth(self) -> Path:
        """File of the true label images."""
        return self.out / "truth" / f"{self.id}.tif"

    @property
    def cells(self) -> Path:
        """File of what each cell shows."""
        return self.out / "cells" / f"{self.id}.csv"

    @property
    def files(self) -> tuple[Path, ...]:
        """All files; each appears only when it is complete."""
        return (self.truth, self.cells, *(self.image(channel) for channel in CHANNELS))


class SimulateSummary(Summary):
    """How many pictures the folder holds."""

    pictures: int


class Simulate(Stage[SimulateOptions, SimulateSummary]):
    """Write simulated pictures in the layout of the Kaggle competition.

    The folder gets ``images/<Id>_<colour>.png`` (8 bit), ``truth/<Id>.tif`` (page 1 cells, page 2 nuclei),
    ``cells.csv`` (Id, label, Target: what each cell shows), ``labels.csv`` (Id, Target), ``groups.csv``
    (Id, group) and ``samples.csv`` (Id, one file in ``images`` per channel, pixel_size_um, group). It can be
    grown by asking for more pictures: each depends only on the seed, its protein and its number.
    """

    name = "simulate"
    options = SimulateOptions
    summary = SimulateSummary

    def inputs(self, options: SimulateOptions) -> dict[str, str]:
        """Return everything that decides the pictures; refuse a folder that holds those of other settings."""
        settings = _settings(options)
        _check(options.out, settings)
        sheet = option_inputs(options, "pictures", "contact_sheet")
        return {name: str(value) for name, value in settings.model_dump(mode="json").items()} | sheet

    def outputs(self, options: SimulateOptions) -> tuple[Path, ...]:
        """Return every picture, the tables and the contact sheet."""
        shots = _shots(options.out, options.pictures, _settings(options))
        tables = [options.out / f"{name}.csv" for name in ("labels", "groups", "samples", "cells")]
        sheet = [] if options.contact_sheet is None else [options.contact_sheet]
        return (*(path for shot in shots for path in shot.files), *tables, *sheet)

    def record(self, options: SimulateOptions) -> Path:
        """Return the record, which the folder of pictures keeps."""
        return options.out / "record.json"

    def run(self, options: SimulateOptions, progress: Progress) -> SimulateSummary:
        """Make the pictures that are missing, and the tables."""
        settings = _settings(options)
        write_text(options.out / SETTINGS, settings.model_dump_json(indent=1))
        shots = list(_shots(options.out, options.pictures, settings))
        missing = [shot for shot in shots if not all(path.exists() for path in shot.files)]
        with progress.track("Simulating pictures", len(shots)) as advance:
            advance(len(shots) - len(missing))
            for _ in map_chunks(take, missing, options.jobs):
                advance(1)
        _write_tables(options.out, shots)
        if options.contact_sheet is not None:
            write_contact_sheet(options.contact_sheet, settings.locations, options.seed)
        return SimulateSummary(pictures=len(shots))


def chosen_locations(words: Sequence[str]) -> tuple[str, ...]:
    """Return the locations that a user asks for: ``default``, ``all`` or two known names or more."""
    known = {"default": DEFAULT_LOCATIONS, "all": LOCATIONS}
    if len(words) == 1 and words[0].casefold() in known:
        return known[words[0].casefold()]
    chosen = {KAGGLE2018.find(name) for name in words}
    if len(chosen) < 2:
        raise PipelineError(f"locations '{', '.join(words)}': give at least two, or 'default' or 'all'")
    return tuple(name for name in LOCATIONS if name in chosen)


def write_contact_sheet(path: Path, locations: Sequence[str], seed: int) -> None:
    """Write one example per location, side by side, as a PNG."""
    with replacing(path) as temporary:
        temporary.write_bytes(imagecodecs.png_encode(contact_sheet(locations, seed), level=9))


def take(shot: Shot) -> None:
    """Simulate one picture and write its files."""
    made = simulate_picture(shot.seed, shot.protein, shot.index, size=shot.size, variation=shot.variation)
    for channel in CHANNELS:
        grey = np.rint(made.picture.plane(channel) * 255).astype(np.uint8)
        with replacing(shot.image(channel), synced=False) as temporary:
            temporary.write_bytes(imagecodecs.png_encode(grey))
    with replacing(shot.cells, synced=False) as temporary:
        rows = [(shot.id, label, _target(names)) for label, names in enumerate(made.of_cells, start=1)]
        pd.DataFrame(rows, columns=CELLS).to_csv(temporary, index=False, lineterminator="\n")
    with replacing(shot.truth, synced=False) as temporary:
        pages = np.stack([made.cells, made.nuclei])
        tifffile.imwrite(temporary, pages, photometric="minisblack", compression="zlib")


def crowd(protein: Protein, seed: int, crowding: float) -> Protein:
    """Return a protein whose fields hold one to `crowding` times as many cells, a number of its own.

    Fields of the cell lines as they are show glass between the cells; from about 3 on cells fill them.
    """
    if crowding == 1:
        return protein
    times = float(np.random.default_rng((seed, 3, protein.number)).uniform(1, crowding))
    return replace(protein, line=replace(protein.line, cells=protein.line.cells * times))


def _settings(options: SimulateOptions) -> Settings:
    chosen = chosen_locations(options.locations)
    asked = options.model_dump(include={"seed", "size", "crowding", "variation"})
    return Settings(version=VERSION, locations=chosen, **asked)


def _check(out: Path, settings: Settings) -> None:
    """Refuse a folder in which something else is simulated."""
    path = out / SETTINGS
    if not path.is_file():
        return
    held = json.loads(path.read_bytes())
    held = {
        "crowding": 1.0,
        "variation": 0.0,
        **held.get("options", held),
    }  # older versions kept a record, at first without it
    wanted = settings.model_dump(mode="json")
    if different := [name for name, value in wanted.items() if held.get(name) != value]:
        raise PipelineError(f"{out}: holds pictures of another {', '.join(different)}; give a new folder")


def _shots(out: Path, pictures: int, settings: Settings) -> Iterator[Shot]:
    """List the pictures: all those of the first protein, then of the second, until there are enough."""
    left = pictures
    for protein in proteins(settings.seed, settings.locations):
        crowded = crowd(protein, settings.seed, settings.crowding)
        for index in range(min(protein.pictures, left)):
            yield Shot(out, settings.seed, crowded, index, settings.size, settings.variation)
        left -= protein.pictures
        if left <= 0:
            return


def _write_tables(out: Path, shots: Sequence[Shot]) -> None:
    rows = [
        {
            "Id": shot.id,
            "Target": _target(shot.protein.locations),
            **{channel: shot.image(channel).name for channel in CHANNELS},
            "pixel_size_um": shot.protein.pixel_um,
            "group": shot.protein.name,
        }
        for shot in shots
    ]
    tables = {
        "labels": ["Id", "Target"],
        "groups": ["Id", "group"],
        "samples": ["Id", *CHANNELS, "pixel_size_um", "group"],
    }
    for name, columns in tables.items():
        with replacing(out / f"{name}.csv") as temporary:
            pd.DataFrame(rows, columns=columns).to_csv(temporary, index=False, lineterminator="\n")
    with replacing(out / "cells.csv") as temporary, temporary.open("wb") as stream:
        stream.write(f"{','.join(CELLS)}\n".encode())
        for shot in shots:
            stream.write(shot.cells.read_bytes().partition(b"\n")[2])


def _target(names: Iterable[str]) -> str:
    return " ".join(map(str, sorted(map(LOCATIONS.index, names))))
