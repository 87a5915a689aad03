"""Answers of pictures as a table: locations, what became of each picture and why, probabilities."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from pipeline.core.errors import Problem
from pipeline.core.files import replacing
from pipeline.data.samples import Sample
from pipeline.stages.options import PredictOptions
from pipeline.stages.reliance import NOTHING_REACHES

ANSWERED, NOT_SURE, UNLIKE, NO_ANSWER, SKIPPED = STATUSES = (
    *("answered", "not_sure", "unlike_training", "no_answer", "skipped"),
)
"""What becomes of a picture: named; no probability high enough; named, but so unlike the training pictures
that the names are not to be trusted; nothing to answer; could not be read."""

HPA2021_FORMAT = "kaggle2021"
"""Name of the format of the competition of 2021, which is of cells."""


def is_per_cell(options: PredictOptions) -> bool:
    """Say whether cells are answered: asked for, or needed by the format."""
    return options.per == "cell" or options.format == HPA2021_FORMAT


def beside(output: Path, what: str) -> Path:
    """Return where a table lies that goes with an output: OUTPUT_shares.csv."""
    return output.with_name(f"{output.stem}_{what}.csv")


def file_of_pictures(options: PredictOptions) -> Path:
    """Return where the answers of pictures go: the output, unless that is of cells or groups."""
    other = is_per_cell(options) or options.per == "group"
    return beside(options.output, "pictures") if other else options.output


def outputs_of(options: PredictOptions) -> tuple[Path, ...]:
    """Return what `predict` writes: the table asked for, that of pictures and, per cell, that of shares."""
    shares = [beside(options.output, "shares")] if is_per_cell(options) else []
    return tuple(dict.fromkeys([options.output, file_of_pictures(options), *shares]))


def metadata_of(samples: Iterable[Sample]) -> pd.DataFrame:
    """Return what is known of every picture, by Id; no columns where nothing is."""
    known = {one.id: dict(one.metadata) for one in samples}
    return pd.DataFrame.from_dict(known, orient="index", dtype="str").sort_index(axis=1)


def answers_of(
    samples: Iterable[Sample],
    chosen: pd.DataFrame,
    seen: pd.DataFrame,
    problems: list[Problem],
    unnamed: str = NOTHING_REACHES,
) -> pd.DataFrame:
    """Say of every picture, by Id, its locations, cells, status and reason; skipped ones have a row too."""
    reasons = {one.sample: f"{one.file}: {one.reason}; {one.remedy}" for one in reversed(problems)}
    names, doubts = dict(zip(chosen.index, names_of(chosen), strict=True)), seen["doubt"].to_dict()
    ids = pd.Index(sorted({*names, *reasons}), name="Id")
    rows = [answer_of(names.get(one), doubts.get(one, ""), reasons.get(one, ""), unnamed) for one in ids]
    answers = pd.DataFrame(rows, ids, ["locations", "status", "reason"])
    answers.insert(1, "cells", seen["cells"].reindex(ids).astype("Int64"))
    return answers.join(metadata_of(samples))


def with_unlike(answers: pd.DataFrame, reasons: Mapping[str, str]) -> pd.DataFrame:
    """Say of pictures that have an answer that they are unlike those of the training, and why."""
    far = answers["status"].isin((ANSWERED, NOT_SURE)) & answers.index.isin(list(reasons))
    said = [
        "; ".join(filter(None, [reasons[sample], why])) if yes else why
        for sample, why, yes in zip(answers.index, answers["reason"], far, strict=True)
    ]
    return answers.assign(status=answers["status"].mask(far, UNLIKE), reason=said)


def answer_of(
    names: list[str] | None, why_not: str, problem: str, unnamed: str
) -> tuple[list[str], str, str]:
    """Return a picture's locations, status and reason; it has no names where it could not be read."""
    if names is None:
        return [], SKIPPED, problem
    if why_not:
        return [], NO_ANSWER, why_not
    return (names, ANSWERED, "") if names else ([], NOT_SURE, unnamed)


def names_of(chosen: pd.DataFrame) -> list[list[str]]:
    """Return the names of the chosen locations, row by row."""
    return [[name for name, yes in zip(chosen.columns, row, strict=True) if yes] for row in chosen.to_numpy()]


def write_answers(
    options: PredictOptions, answers: pd.DataFrame, probability: pd.DataFrame, indices: Mapping[str, int]
) -> None:
    """Write the output in its format."""
    with replacing(file_of_pictures(options)) as temporary:
        if options.format == "kaggle":
            _write_kaggle(temporary, answers, probability, indices)
        else:
            _write_csv(temporary, answers, probability)


def _write_csv(path: Path, answers: pd.DataFrame, probability: pd.DataFrame) -> None:
    """Write Id, the chosen locations by name, what there is to say, and the probability of every location."""
    told = answers["status"].isin((ANSWERED, NOT_SURE, UNLIKE))
    table = answers.assign(locations=answers["locations"].map("; ".join))
    table = table.join(probability.round(6).where(told))
    table.to_csv(path, index_label="Id", lineterminator="\n")


def _write_kaggle(
    path: Path, answers: pd.DataFrame, probability: pd.DataFrame, indices: Mapping[str, int]
) -> None:
    """Write what the competition accepts: Id and class indices separated by spaces, a row for every Id.

    It has no "not sure": where nothing is chosen, the most probable location is written. Where there is
    nothing to answer, the prediction is empty.
    """
    most_probable = probability.idxmax(axis=1)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["Id", "Predicted"])
        for sample, names, status in zip(answers.index, answers["locations"], answers["status"], strict=True):
            told = status in (NOT_SURE, UNLIKE)
            named = [str(most_probable[sample])] if told and not names else names
            writer.writerow([sample, " ".join(map(str, sorted(indices[name] for name in named)))])
