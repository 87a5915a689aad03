"""Answers of groups as tables, and how well they do: pictures of one protein, antibody or well together."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from models.bundle import Model
from models.group_answers import mean_probability
from models.metrics import Labels, count
from models.stack_model import STACK
from models.stacking import StackedLocations
from models.thresholds import decide
from pipeline.core.errors import PipelineError
from pipeline.core.files import replacing
from pipeline.core.names import counted
from pipeline.core.stage import read_made
from pipeline.core.workspace import Workspace
from pipeline.data.dataset import Dataset
from pipeline.data.groups import groups_in
from pipeline.data.samples import Sample
from pipeline.data.tables import Note
from pipeline.stages.answered_pictures import ANSWERED, NO_ANSWER, NOT_SURE, SKIPPED, UNLIKE, names_of
from pipeline.stages.comparisons import OutOfFold, Score, paired
from pipeline.stages.options import EvaluateOptions, PredictOptions
from pipeline.stages.reliance import level_in_use
from pipeline.stages.trained_models import start_thresholds

Floats = NDArray[np.float64]

THRESHOLDS = "group_thresholds"
"""Where a model's card has the thresholds of groups, by location."""


GIVEN = "given its group's answer (predict --per group)"
"""What a score is called of pictures that are answered so."""


class GroupScores(BaseModel):
    """How well pictures are answered if each is given its group's answer.

    Attributes
    ----------
    groups, of_several : int
        Groups, and how many of them have several pictures.
    macro_f1, gain : Score
        Of pictures, over the trained locations; and over that of their own answers, paired.
    locations : dict of str to float
        F1 of each.
    """

    model_config = ConfigDict(frozen=True)

    groups: int
    of_several: int
    macro_f1: Score
    gain: Score
    locations: dict[str, float]


def card_of_groups(stack: StackedLocations, data: Dataset) -> dict[str, Any]:
    """Return what a model's card says of groups: their thresholds."""
    return {THRESHOLDS: dict(zip(data.trained, stack.group_answers_.thresholds.tolist(), strict=True))}


def score_groups(work: Workspace, stack: OutOfFold, options: EvaluateOptions) -> GroupScores | None:
    """Score pictures that are given their group's answer; None where no group has several pictures."""
    sizes = stack.groups.value_counts()
    if not work.groups_out_of_fold.is_file() or not sizes.gt(1).any():
        return None
    table = read_made(work.groups_out_of_fold)
    names = list(stack.truth.columns)
    chosen = table.pivot_table("chosen", "group", "location", aggfunc="first", observed=True)
    rows = chosen.loc[stack.groups, names].astype(bool)
    given = replace(stack, chosen=rows.set_axis(stack.chosen.index))
    score, _, gain = paired(given, stack, options.draws, options.seed)
    f1 = count(stack.truth.to_numpy(bool), rows.to_numpy()).f1()
    return GroupScores(
        groups=len(sizes),
        of_several=int(sizes.gt(1).sum()),
        macro_f1=score,
        gain=gain,
        locations=dict(zip(names, map(float, f1), strict=True)),
    )


def groups_of(options: PredictOptions, samples: Iterable[Sample]) -> "pd.Series[str]":
    """Return the group of pictures that have one, by Id: as a table says, or the samples."""
    if options.groups is not None:
        return groups_in(options.groups)
    return pd.Series({one.id: one.group for one in samples if one.group}, dtype=object)


def check_groups(options: PredictOptions, model: Model, groups: "pd.Series[str]", note: Note) -> None:
    """Refuse to answer groups where none are known or the model cannot, and say what does not hold of them.

    Raises
    ------
    PipelineError
        Naming the option, or the folder of the model.
    """
    if options.per != "group":
        return
    if options.format != "csv":
        raise PipelineError(f"--per group: --format {options.format} is of pictures; leave one of them out")
    if options.risk is not None:
        raise PipelineError(
            f"--per group: --risk {options.risk:g} is that of pictures; leave one of them out"
        )
    if groups.empty:
        raise PipelineError(
            "--per group: no picture has a group; give --groups, a csv table Id,group, or --samples with a "
            "column group"
        )
    if THRESHOLDS not in model.card:
        raise PipelineError(f"{options.model}: is of an older version, which answers no groups; train again")
    if level_in_use(model.card, None, options.model) is not None:
        note("The risk of the training is that of pictures: groups are named by thresholds alone")
    if model.card["groups"] == model.card["pictures"]:
        note("The model was trained on groups of one picture: its thresholds suit larger ones less")


def write_groups(
    options: PredictOptions,
    model: Model,
    probability: pd.DataFrame,
    status: "pd.Series[str]",
    groups: "pd.Series[str]",
) -> None:
    """Write the answer of every group: ``group, pictures, locations, status, reason`` and probabilities.

    Parameters
    ----------
    probability : DataFrame
        Of the pictures, by Id, with a column per location.
    status : Series of str
        Of every picture, by Id; those without an answer do not count.
    groups : Series of str
        By Id; pictures without one are groups of their own.
    """
    table = group_table(model, probability, status, groups)
    with replacing(options.output) as temporary:
        table.to_csv(temporary, lineterminator="\n")


def group_table(
    model: Model, probability: pd.DataFrame, status: "pd.Series[str]", groups: "pd.Series[str]"
) -> pd.DataFrame:
    """Return the answers of groups: see `write_groups`."""
    ids = status.index.astype(str)
    named = groups.reindex(ids).fillna(pd.Series("picture " + ids, ids)).to_numpy(dtype=str)
    told, unlike = ~status.isin((NO_ANSWER, SKIPPED)).to_numpy(), status.eq(UNLIKE).to_numpy()
    answered, number = np.unique(named[told], return_inverse=True)
    means = mean_probability(probability.loc[status.index[told]].to_numpy(), number, len(answered))
    names = list(probability.columns)
    chosen = pd.DataFrame(_decided(model, means, names), answered, names)
    locations = dict(zip(answered, names_of(chosen), strict=True))
    counts = pd.DataFrame({"all": 1, "told": told, "unlike": unlike}).groupby(named).sum()
    rows = [(row.all, *_became(locations.get(row.Index, []), row)) for row in counts.itertuples()]
    answers = pd.DataFrame(rows, counts.index, ["pictures", "locations", "status", "reason"])
    return answers.join(pd.DataFrame(means.round(6), answered, names)).rename_axis("group")


def _became(names: list[str], counts: Any) -> tuple[str, str, str]:
    """Return the locations and the status of a group, and what there is to say of its pictures."""
    pictures = counted(counts.all, "picture")
    said = {
        f"{counts.all - counts.told:,} of {pictures} without an answer": counts.told < counts.all,
        f"{counts.unlike:,} of {pictures} unlike the training pictures": counts.unlike > 0,
    }
    status = ANSWERED if names else NOT_SURE if counts.told else NO_ANSWER
    if counts.told and counts.unlike == counts.told:
        status = UNLIKE
    return "; ".join(names), status, "; ".join(text for text, holds in said.items() if holds)


def _decided(model: Model, probability: Floats, names: list[str]) -> Labels:
    """Choose locations by the thresholds of groups, or of the network that alone answers them."""
    limits = start_thresholds(model.card) | model.card[THRESHOLDS]
    thresholds = np.array([limits[name] for name in names])
    return decide(probability, thresholds, always=model.stack.meta_learners[STACK].meta.always)
