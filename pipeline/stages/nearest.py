"""The stage `nearest`: the labelled pictures whose embeddings are closest to one picture's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.errors import PipelineError, SampleError
from pipeline.core.stage import read_made
from pipeline.core.weights import read_card
from pipeline.core.workspace import Workspace
from pipeline.data.labels import read_labels
from pipeline.data.locations import open_lists
from pipeline.data.pictures import read_picture
from pipeline.data.samples import Sample, find_samples, samples_of
from pipeline.data.tables import match, unsaid
from pipeline.networks.leak_guard import TableCard, read_named
from pipeline.stages.options import NearestOptions
from pipeline.stages.overlay import RGB, composite, contact_sheet, fit, write_png

COLUMNS, TILE = 3, 320
"""Pictures in a row of a sheet, and the side of each in pixels."""


@dataclass(frozen=True)
class Nearest:
    """The closest labelled pictures.

    Attributes
    ----------
    table : DataFrame
        Columns ``Id, similarity, locations, group``; the most similar first. The similarity is the cosine
        between embeddings whose columns were brought to mean 0 and variance 1 over the labelled pictures:
        1 is the same direction, 0 no more alike than two pictures by chance.
    votes : Series
        Share of the similarity that speaks for each location, largest first.
    said : list of str
        How the labels were read.
    """

    table: pd.DataFrame
    votes: pd.Series
    said: list[str]


def nearest(options: NearestOptions) -> Nearest:
    """Find the labelled pictures that a network sees as most alike.

    A picture without a row is refused, and so are tables that are not by one network.
    """
    known = _comparable(options.embeddings)
    asked = known if options.query is None else _comparable(options.query)
    _check(options, known, asked)
    said: list[str] = []
    targets = read_labels(options.labels, *open_lists(options), said.append).targets
    match(options.labels, targets.index, known.index, unsaid)
    rows = known.loc[known.index.intersection(targets.index).difference([options.id])]
    groups = _groups(options.work)
    own = groups.get(options.id)
    if own is not None and not options.same_group:
        rows = rows[[groups.get(sample) != own for sample in rows.index]]
    if rows.empty:
        raise PipelineError(
            f"{options.embeddings}: only pictures of {options.id}'s own group are labelled; give --same-group"
        )
    similarity = similarities(rows, pd.Series(asked.loc[options.id]))
    best = similarity.sort_values(ascending=False, kind="stable").head(options.top)
    here = targets.loc[best.index]
    table = pd.DataFrame(
        {
            "Id": best.index,
            "similarity": best.to_numpy(),
            "locations": ["; ".join(here.columns[row]) for row in here.to_numpy()],
            "group": [groups.get(sample, "") for sample in best.index],
        }
    )
    found = Nearest(table, _votes(here, best), said)
    if options.sheet is not None:
        _draw(options, found, options.sheet)
    return found


def _draw(options: NearestOptions, found: Nearest, path: Path) -> None:
    """Write the picture and those found side by side, each with its similarity and locations."""
    if options.images is None:
        raise PipelineError(f"{path}: give the folder of the labelled pictures as --images to draw them")
    known, _ = samples_of(options)
    asked = known if options.query_images is None else find_samples(options.query_images, None)[0]
    rows = found.table[["similarity", "locations", "Id"]].itertuples(index=False)
    alike = [(f"{similarity:.2f} {names}", _tile(known, sample)) for similarity, names, sample in rows]
    write_png(path, contact_sheet([(options.id, _tile(asked, options.id)), *alike], COLUMNS))


def _tile(samples: Sequence[Sample], name: str) -> RGB:
    sample = next((one for one in samples if one.id == name), None)
    if sample is None:
        raise PipelineError(f"no picture '{name}' to draw; give its folder as --images or --query-images")
    try:
        return fit(composite(read_picture(sample)), TILE)
    except SampleError as error:
        raise PipelineError(str(error)) from error


def similarities(rows: pd.DataFrame, picture: pd.Series) -> pd.Series:
    """Return the cosine similarity of each row to one picture of the same columns, which are standardised."""
    mean, spread = rows.mean(), rows.std(ddof=0)
    spread = spread.where(spread > 0, 1.0)
    around = ((rows - mean) / spread).to_numpy(float)
    here = ((picture - mean) / spread).to_numpy(float)
    lengths = np.linalg.norm(around, axis=1) * np.linalg.norm(here)
    cosines = np.divide(around @ here, lengths, out=np.zeros(len(rows)), where=lengths > 0)
    return pd.Series(cosines, index=rows.index)


def _votes(here: pd.DataFrame, best: pd.Series) -> pd.Series:
    weights = np.maximum(best.to_numpy(), 0)
    total = weights.sum()
    votes = pd.Series(weights @ here.to_numpy(float), index=here.columns) / (total or 1.0)
    return votes[votes > 0].sort_values(ascending=False, kind="stable")


def _comparable(path: Path) -> pd.DataFrame:
    card = read_card(path, TableCard)
    if card is not None and not card.aligned:
        raise PipelineError(
            f"{path}: its rows come from networks whose numbers do not compare; "
            "give the table of the network trained on all pictures (_whole)"
        )
    table = read_named(path).dropna(axis=0)
    return table.rename(columns=str.casefold).sort_index(axis=1)


def _check(options: NearestOptions, known: pd.DataFrame, asked: pd.DataFrame) -> None:
    where = options.query or options.embeddings
    if options.id not in asked.index:
        some = ", ".join(asked.index[:3])
        raise PipelineError(f"{where}: no picture '{options.id}'; it holds {len(asked)}, such as {some}")
    if list(known.columns) != list(asked.columns):
        raise PipelineError(f"{where}: other columns than {options.embeddings}; embed both by one network")


def _groups(work: Path | None) -> dict[str, str]:
    if work is None:
        return {}
    samples = Workspace(work).samples
    if not samples.is_file():
        raise PipelineError(f"{samples}: missing; run extract with --work {work} first, or leave --work out")
    table = read_made(samples, ["Id", "group"]).dropna()
    return dict(zip(table["Id"], table["group"], strict=True))
