"""Everything that a report says, gathered from the work folder: numbers and texts, no HTML."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from models.bundle import Model
from models.stack_model import STACK
from pipeline.core.errors import PipelineError, read_problems
from pipeline.core.stage import Progress
from pipeline.core.workspace import Workspace
from pipeline.data.locations import of_card
from pipeline.data.quality_flags import read_flags
from pipeline.pages import evidence, plots, verdicts
from pipeline.pages.evidence import Ends, Reason
from pipeline.pages.history import Step, command_of, history
from pipeline.pages.verdicts import Suspect, Verdict
from pipeline.stages.baseline import Baseline, baseline
from pipeline.stages.comparisons import OutOfFold
from pipeline.stages.evaluate import Scores, read_predictions
from pipeline.stages.explain_options import ImportancesOptions
from pipeline.stages.importances import (
    Cause,
    causes,
    grouped,
    model_table,
    of_location,
    read_directions,
    read_shares,
)
from pipeline.stages.options import BaselineOptions
from pipeline.stages.report_options import ReportOptions
from pipeline.stages.trained_models import open_model

CAUSES, SUSPECTS, FLAGGED, PROBLEMS = 8, 24, 24, 200
"""Rows that are shown of causes per location, suspected labels, flagged pictures, and problems."""


@dataclass(frozen=True)
class Decided:
    """What decides one location, and pictures at both ends of a feature."""

    location: str
    causes: list[Cause]
    ends: Ends | None


@dataclass(frozen=True)
class Found:
    """What the page shows; see the template."""

    folder: Path
    card: Mapping[str, Any]
    scores: Scores
    headline: str
    verdicts: list[Verdict]
    verdict_counts: Mapping[str, int]
    errors: list[Verdict]
    reasons: Mapping[str, Mapping[str, Reason]]
    unseen: Mapping[str, Mapping[str, list[tuple[str, float]]]]
    alike: Mapping[str, list[tuple[str, float]]]
    cells: Mapping[str, pd.DataFrame]
    labels: Mapping[str, tuple[str, ...]]
    failing: Mapping[str, list[str]]
    thresholds: Mapping[str, float]
    suspects: list[Suspect]
    suspect_count: int
    decided: list[Decided]
    plots: Mapping[str, Markup]
    experts: Baseline | None
    flags: list[tuple[str, str]]
    flag_total: int
    flag_counts: list[tuple[str, int]]
    selection: list[dict[str, Any]]
    problems: list[tuple[str, Any]]
    problem_count: int
    steps: list[Step]
    commands: list[str]
    versions: Mapping[str, str]

    def errors_of(self, location: str) -> list[str]:
        """Return Ids of the pictures in which a location is wrong or missed, the worst first."""
        return [one.id for one in self.verdicts if location in (*one.wrong, *one.missed)]

    @property
    def pictures(self) -> list[str]:
        """Ids of the pictures to draw."""
        shown = [one.id for one in self.errors]
        shown += [other for one in self.errors for other, _ in self.alike.get(one.id, [])]
        for one in self.decided:
            if one.ends is not None:
                shown += [name for name, _ in (*one.ends.least, *one.ends.most)]
        return [*shown, *(one.id for one in self.suspects), *(name for name, _ in self.flags)]


def find(
    work: Workspace,
    options: ReportOptions,
    scores: Scores,
    explaining: ImportancesOptions,
    progress: Progress,
) -> Found:
    """Gather what the page shows of a trained work folder.

    Raises
    ------
    PipelineError
        If a table is damaged, or the experts' answers cannot be used.
    """
    model = open_model(work.model)
    predicted = read_predictions(work)[STACK]
    every = verdicts.verdicts(predicted)
    listed = every[: options.pictures]
    errors = [one for one in listed if one.badness > 0][: options.errors]
    table = model_table(work, model, work.model, explaining.embeddings, explaining.outputs)
    asked = {one.id: one.concerned for one in listed if one.id in table.index}
    with progress.track("Explaining answers", len(asked)) as advance:
        reasons = evidence.reasons(work.model, model, table, asked, advance)
    suspected = verdicts.suspects(predicted)
    flags = read_flags(work) if work.quality.is_file() else {}
    problems, steps = read_problems(work.problems), history(work)
    return Found(
        folder=work.model.parent,
        card=model.card,
        scores=scores,
        headline=_headline(scores),
        verdicts=listed,
        verdict_counts={"all": len(every), "right": sum(one.badness == 0 for one in every)},
        errors=errors,
        reasons=reasons,
        unseen=evidence.out_of_fold(work, predicted, asked),
        alike=_alike(errors, reasons, table, predicted),
        cells=evidence.cells_of(work, predicted, [one.id for one in errors]),
        labels=_labels(predicted),
        failing=verdicts.reasons_to_fail(predicted, scores.locations),
        thresholds=dict(zip(model.locations, map(float, _thresholds(model)), strict=True)),
        suspects=suspected[:SUSPECTS],
        suspect_count=len(suspected),
        decided=_decided(work, table, predicted, model),
        plots=_plots(work, predicted, scores),
        experts=_experts(work, options, steps),
        flags=list(flags.items())[:FLAGGED],
        flag_total=len(flags),
        flag_counts=_counts(flags),
        selection=_selection(work.selection),
        problems=problems[:PROBLEMS],
        problem_count=len(problems),
        steps=steps,
        commands=[command_of("importances", explaining), command_of("report", options)],
        versions=model.card.get("versions", {}),
    )


def _headline(scores: Scores) -> str:
    """Return the name of the total that comes first: macro-F1 over trained locations."""
    return next(iter(scores.totals))


def _thresholds(model: Model) -> Any:
    return model.stack.meta_learners[STACK].thresholds


def _labels(predicted: OutOfFold) -> dict[str, tuple[str, ...]]:
    names = predicted.truth.columns
    rows = zip(predicted.truth.index, predicted.truth.to_numpy(bool), strict=True)
    return {str(one): tuple(map(str, names[row])) for one, row in rows}


def _alike(
    errors: list[Verdict],
    reasons: Mapping[str, Mapping[str, Reason]],
    table: pd.DataFrame,
    predicted: OutOfFold,
) -> dict[str, list[tuple[str, float]]]:
    found = {}
    for one in errors:
        if one.id in reasons:
            worst = (*one.wrong, *one.missed)[0]
            found[one.id] = evidence.alike(table, predicted.groups, one.id, reasons[one.id][worst])
    return found


def _decided(work: Workspace, table: pd.DataFrame, predicted: OutOfFold, model: Model) -> list[Decided]:
    shares, directions = read_shares(work), read_directions(work)
    here = table.loc[table.index.intersection(predicted.groups.index)]
    made = []
    for name in shares.columns:
        values = of_location(shares, str(name), "meaning", CAUSES, locations=of_card(model.card))
        listed = causes(shares, directions, values, "meaning")
        made.append(Decided(str(name), listed, evidence.ends(here, listed, predicted.groups)))
    return made


def _plots(work: Workspace, predicted: OutOfFold, scores: Scores) -> dict[str, Markup]:
    families = plots.families(grouped(read_shares(work), "family").head(24))
    drawn = {
        "scores": plots.location_scores(scores.locations),
        "precision_recall": plots.precision_recall(predicted, scores.locations),
        "reliability": plots.reliability(predicted),
        "confusion": plots.table_of_colour(
            verdicts.confusion(predicted),
            "Confusion of locations, in per cent",
            across="named",
            down="labelled",
            shares=True,
        ),
        "together": plots.table_of_colour(
            verdicts.together(predicted), "Locations that occur together", across="", down="", shares=False
        ),
        "families": families,
    }
    return drawn | ({"ablation": plots.ablation(scores.ablation)} if scores.ablation else {})


def _experts(work: Workspace, options: ReportOptions, steps: list[Step]) -> Baseline | None:
    """Score the experts whose answers are given, or that labels were selected by."""
    trained = next((step.options for step in steps if step.stage == "train"), {})
    given = options.answers or trained.get("select_agreement")
    if given is None:
        return None
    if not trained.get("labels"):
        raise PipelineError(f"{work.root}: it is not recorded which labels it was trained with; train again")
    asked = {
        "labels": trained["labels"],
        "answers": given,
        "work": work.root,
        "labels_as": trained["labels_as"],
    }
    return baseline(BaselineOptions.model_validate(asked))


def _counts(flags: Mapping[str, str]) -> list[tuple[str, int]]:
    """Count pictures by flag, without the channels that it names."""
    names = [flag.split(" (")[0] for text in flags.values() for flag in text.split("; ")]
    return Counter(names).most_common()


def _selection(path: Path) -> list[dict[str, Any]]:
    """Return what filters of doubtful labels left out of training, by location."""
    if not path.is_file():
        return []
    table = pd.read_csv(path)
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
