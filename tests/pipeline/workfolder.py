"""A small work folder as `extract` leaves it, with labels that its features predict."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

import features
from pipeline.commands.command_line import options_of
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.workspace import Workspace
from pipeline.stages.extract import Extract, ExtractSummary
from pipeline.stages.options import ExtractOptions, SimulateOptions
from pipeline.stages.simulate import Simulate, SimulateSummary

FAMILIES = ("intensity", "morphology")
"""Families that are quick to measure."""

CLASSES = (0, 25, 2, 15)
"""Nucleoplasm, Cytosol, Nucleoli, and Microtubule ends, which is too rare to be trained."""


def make_workfolder(root: Path, pictures: int = 60) -> Workspace:
    """Write features, samples in pairs of one group, and ``labels.csv`` beside the work folder."""
    rng = np.random.default_rng(0)
    columns = features.picture_columns(("intensity", "radial"))[::50][:40]
    latent = rng.normal(size=(pictures // 2, 4)).repeat(2, axis=0)
    values = latent @ rng.normal(size=(4, len(columns))) + rng.normal(size=(pictures, len(columns)))
    ids = [f"p{number:03}" for number in range(pictures)]
    work = Workspace(root / "work")
    work.root.mkdir(parents=True)
    table = pd.DataFrame(values.astype(np.float32), columns=columns)
    table.insert(0, "Id", ids)
    table.to_parquet(work.features, index=False)
    groups = [f"antibody {number // 2}" for number in range(pictures)]
    samples = {"Id": ids, "pixel_size_um": np.nan, "group": groups, "height": 512, "width": 512}
    pd.DataFrame(samples).to_parquet(work.samples, index=False)
    work.extraction.write_text(json.dumps({"segmenter": "watershed", "families": {"intensity": 1}}))
    here = latent > [0.0, 0.3, 0.7, 1.7]
    here[~here.any(axis=1), 0] = True
    targets = [" ".join(str(CLASSES[k]) for k in np.flatnonzero(row)) for row in here]
    pd.DataFrame({"Id": ids, "Target": targets}).to_csv(root / "labels.csv", index=False)
    return work


def simulate(out: Path, pictures: int, seed: int, size: int = 512, **options: object) -> SimulateSummary:
    """Simulate pictures as the command does, in one process unless told otherwise."""
    asked = {"out": out, "pictures": pictures, "seed": seed, "size": size, "jobs": 1} | options
    return execute(Simulate(), options_of(SimulateOptions, asked), SilentProgress())


def write_embedding(path: Path, pictures: int = 60) -> None:
    """Write a table of four numbers per picture."""
    values = np.random.default_rng(1).normal(size=(pictures, 4))
    ids = pd.Series([f"p{number:03}" for number in range(pictures)], name="Id")
    pd.concat([ids, pd.DataFrame(values, columns=list("abcd"))], axis=1).to_csv(path, index=False)


def extract(pictures: Path, work: Path, **options: object) -> ExtractSummary:
    """Extract `FAMILIES` of the folder ``images`` by the watershed, in one process, unless told otherwise."""
    asked = {"images": pictures / "images", "segmenter": "watershed", "families": FAMILIES, "jobs": 1}
    return execute(Extract(), ExtractOptions(work=work, **asked | options), SilentProgress())


def tables(work: Path) -> dict[str, bytes]:
    """Return the bytes of everything that a later stage reads of `extract`."""
    space = Workspace(work)
    files = [space.features, space.cells, space.samples, space.problems, *sorted(space.masks.iterdir())]
    return {file.name: file.read_bytes() for file in files}
