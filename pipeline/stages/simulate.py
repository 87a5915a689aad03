"""The stage `simulate`: a folder of simulated pictures with labels, groups and true label images."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from pydantic import BaseModel, ConfigDict

from pipeline.core.errors import PipelineError
from pipeline.core.files import replacing
from pipeline.core.progress import Progress, SilentProgress
from pipeline.core.stage import read_record, write_record
from pipeline.core.workers import map_chunks
from pipeline.data.locations import LOCATIONS, find_location
from pipeline.data.samples import CHANNELS, COLOURS
from pipeline.simulation.contact_sheet import contact_sheet
from pipeline.simulation.field import simulate_picture
from pipeline.simulation.proteins import DEFAULT_LOCATIONS, Protein, proteins

VERSION = "9"
"""Raise it when the same seed gives other pictures than before."""

SMALLEST_PICTURE = 128
"""Smallest side in pixels: a field must hold a few cells."""

MOST_CROWDED = 5.0
"""Above this, cells find no room."""


class Settings(BaseModel):
    """What all pictures of a folder share."""

    model_config = ConfigDict(frozen=True)

    version: str
    seed: int
    size: int
    locations: tuple[str, ...]
    crowding: float = 1.0


@dataclass(frozen=True)
class Shot:
    """One picture to be made: all that a worker needs to know."""

    out: Path
    seed: int
    protein: Protein
    index: int
    size: int

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
    def finished(self) -> bool:
        """Whether all files are there; each appears only when it is complete."""
        return self.truth.exists() and all(self.image(channel).exists() for channel in CHANNELS)


def simulate(
    out: Path,
    pictures: int,
    seed: int,
    size: int = 512,
    *,
    locations: Sequence[str] = DEFAULT_LOCATIONS,
    crowding: float = 1.0,
    jobs: int = 1,
    progress: Progress | None = None,
) -> None:
    """Write simulated pictures in the layout of the Kaggle competition.

    Killed and called again it goes on where it was, and a folder can be grown by asking for more
    pictures: each depends only on the seed, its protein and its number.

    Parameters
    ----------
    out : Path
        Folder for ``images/<Id>_<colour>.png`` (8 bit), ``truth/<Id>.tif`` (page 1 cells, page 2 nuclei),
        ``labels.csv`` (Id, Target), ``groups.csv`` (Id, group) and ``samples.csv`` (Id, one file in
        ``images`` per channel, pixel_size_um, group).
    pictures : int
        Number of pictures.
    seed : int
        Another seed gives other proteins and other cells.
    size : int
        Side of the square pictures in pixels.
    locations : sequence of str
        Locations that occur.
    crowding : float
        See `crowd`; 1 leaves the cell lines as they are.
    jobs : int
        Number of processes; the pictures do not depend on it.
    progress : Progress, optional
        Told of every finished picture.

    Raises
    ------
    PipelineError
        If a number is out of range or the folder holds pictures of other settings.
    """
    progress = progress or SilentProgress()
    _check(pictures, seed, size, crowding)
    settings = Settings(version=VERSION, seed=seed, size=size, locations=tuple(locations), crowding=crowding)
    _claim(out, settings)
    shots = list(_shots(out, pictures, settings))
    missing = [shot for shot in shots if not shot.finished]
    with progress.track("simulating", len(shots)) as advance:
        advance(len(shots) - len(missing))
        for _ in map_chunks(take, missing, jobs):
            advance(1)
    _write_tables(out, shots)


def parse_locations(text: str) -> tuple[str, ...]:
    """Read the locations that a user asks for: ``default``, ``all`` or names separated by commas.

    Raises
    ------
    PipelineError
        If a name is unknown, or fewer than two are given.
    """
    known = {"default": DEFAULT_LOCATIONS, "all": LOCATIONS}
    if text.casefold() in known:
        return known[text.casefold()]
    chosen = {find_location(name.strip()) for name in text.split(",")}
    if len(chosen) < 2:
        raise PipelineError(f"locations '{text}': give at least two, or 'default' or 'all'")
    return tuple(name for name in LOCATIONS if name in chosen)


def write_contact_sheet(path: Path, locations: Sequence[str], seed: int) -> None:
    """Write one example per location, side by side, as a PNG."""
    with replacing(path) as temporary:
        temporary.write_bytes(imagecodecs.png_encode(contact_sheet(locations, seed), level=9))


def take(shot: Shot) -> None:
    """Simulate one picture and write its files."""
    made = simulate_picture(shot.seed, shot.protein, shot.index, size=shot.size)
    for channel in CHANNELS:
        grey = np.rint(made.picture.plane(channel) * 255).astype(np.uint8)
        with replacing(shot.image(channel)) as temporary:
            temporary.write_bytes(imagecodecs.png_encode(grey))
    with replacing(shot.truth) as temporary:
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


def _check(pictures: int, seed: int, size: int, crowding: float) -> None:
    if pictures < 1:
        raise PipelineError(f"pictures {pictures}: give at least 1")
    if seed < 0:
        raise PipelineError(f"seed {seed}: give 0 or more")
    if size < SMALLEST_PICTURE:
        raise PipelineError(f"size {size}: give at least {SMALLEST_PICTURE} pixels")
    if not 1 <= crowding <= MOST_CROWDED:
        raise PipelineError(f"crowding {crowding:g}: give 1 to {MOST_CROWDED:g}")


def _claim(out: Path, settings: Settings) -> None:
    """Say in the folder what is simulated there; refuse a folder in which something else is."""
    path = out / "simulation.json"
    record = read_record(path)
    if record is None:
        write_record(path, "simulate", settings, {})
        return
    wanted = settings.model_dump(mode="json")
    # folders from before there was a crowding have that of the cell lines
    held = {"crowding": 1.0, **record.options}
    if different := [name for name, value in wanted.items() if held.get(name) != value]:
        raise PipelineError(f"{out}: holds pictures of another {', '.join(different)}; give a new folder")


def _shots(out: Path, pictures: int, settings: Settings) -> Iterator[Shot]:
    """List the pictures: all those of the first protein, then of the second, until there are enough."""
    left = pictures
    for protein in proteins(settings.seed, settings.locations):
        crowded = crowd(protein, settings.seed, settings.crowding)
        for index in range(min(protein.pictures, left)):
            yield Shot(out, settings.seed, crowded, index, settings.size)
        left -= protein.pictures
        if left <= 0:
            return


def _write_tables(out: Path, shots: Sequence[Shot]) -> None:
    def target(shot: Shot) -> str:
        return " ".join(
            str(index) for index in sorted(LOCATIONS.index(name) for name in shot.protein.locations)
        )

    def files(shot: Shot) -> list[str]:
        return [shot.image(channel).name for channel in CHANNELS]

    _write(out / "labels.csv", ("Id", "Target"), ((shot.id, target(shot)) for shot in shots))
    _write(out / "groups.csv", ("Id", "group"), ((shot.id, shot.protein.name) for shot in shots))
    rows = ((shot.id, *files(shot), shot.protein.pixel_um, shot.protein.name) for shot in shots)
    _write(out / "samples.csv", ("Id", *CHANNELS, "pixel_size_um", "group"), rows)


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
