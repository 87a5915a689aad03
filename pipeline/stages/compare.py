"""The stage `compare`: predictions of wells in, the locations that differ between conditions out."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from models.effects import Plan, compare, smallest_p, well_means
from models.stack_model import STACK
from pipeline.core.errors import PipelineError
from pipeline.core.files import replacing
from pipeline.core.names import counted, slug, unknown
from pipeline.core.stage import (
    Progress,
    Record,
    Stage,
    Summary,
    file_inputs,
    option_inputs,
    read_made,
)
from pipeline.core.workspace import Workspace, untrained
from pipeline.data.layouts import METADATA, PLATE
from pipeline.data.table_files import MISSING, load
from pipeline.data.tables import Note, read_table
from pipeline.stages.figures import INK, rule, save
from pipeline.stages.plate_options import CompareOptions

NOT_LOCATIONS = ("Id", "locations", "cells", "status", "reason")
"""Columns of a table of predictions beside those of `METADATA` and probabilities."""

ALL, NONE = "all", "none"

_BEGINNING = b"protein,condition,control,"
"""How tables of comparisons begin."""

SHOWN = 30
"""Rows of the figure."""

_CHANGED, _OTHER = "#b2442e", "#9aa5ad"


class Change(NamedTuple):
    """A location whose probability differs, with the interval of the difference."""

    protein: str
    condition: str
    location: str
    difference: float
    low: float
    high: float
    q: float


class CompareSummary(Summary):
    """What was compared and what differs.

    Attributes
    ----------
    pictures, wells, proteins, tests, untested : int
        Tests are of a location of a protein in a condition; untested ones have a reason in the table.
    control : str
    unit : str
        What is counted, in words.
    changes : list of Change
        The largest first.
    hint : str
        Why nothing could be found, if so.
    """

    pictures: int
    wells: int
    proteins: int
    tests: int
    untested: int
    control: str
    unit: str
    changes: list[Change]
    hint: str


class Predicted(NamedTuple):
    """Of pictures, by Id: probabilities of locations, whether these are named, and what samples.csv says."""

    probability: pd.DataFrame
    called: pd.DataFrame
    known: pd.DataFrame


class Compare(Stage[CompareOptions, CompareSummary]):
    """Write a row for every protein, condition and location, and draw the largest differences."""

    name = "compare"
    options = CompareOptions
    summary = CompareSummary

    def inputs(self, options: CompareOptions) -> dict[str, str]:
        """Return fingerprints of the predictions, of what the samples say, and of the options."""
        work = Workspace(options.work, options.name)
        files = {"predictions": options.predictions or work.out_of_fold}
        if options.predictions is None and not work.out_of_fold.is_file():
            raise PipelineError(f"{untrained(work)}; or give --predictions")
        if work.samples.is_file():
            files["samples"] = work.samples
        asked = set(CompareOptions.model_fields) - {"work", "name", "predictions", "output"}
        # beside the work folder: of two outputs of one name each is made anew
        where = {"option output": os.path.relpath(options.output, options.work)}
        return file_inputs(files) | option_inputs(options, *sorted(asked)) | where

    def outputs(self, options: CompareOptions) -> tuple[Path, ...]:
        """Return the table and its figure."""
        return options.output, options.output.with_suffix(".png")

    def record(self, options: CompareOptions) -> Path:
        """Return one record for each output."""
        return Workspace(options.work).record(f"{self.name}-{slug(options.output.name)}")

    def check_replaced(
        self,
        options: CompareOptions,
        record: Record | None,  # noqa: ARG002 - it may be of another output of this name
        now: Mapping[str, str],  # noqa: ARG002
    ) -> None:
        """Refuse to write over what no comparison wrote."""
        table, figure = self.outputs(options)
        other = table if table.exists() else figure
        if table.is_file():
            with table.open("rb") as stream:
                if stream.read(len(_BEGINNING)) == _BEGINNING:
                    return
        if other.exists():
            raise PipelineError(f"{other}: is there already; give another --output")

    def run(self, options: CompareOptions, progress: Progress) -> CompareSummary:
        """Average wells, compare them and correct for the number of tests.

        Raises
        ------
        PipelineError
            If a column is missing, there is one condition only, or a well has two.
        """
        if options.output.suffix != ".csv":
            raise PipelineError(f"--output {options.output}: give the name of a .csv file")
        predicted = read_predicted(options)
        keys, unit = _keys(predicted.known, options, progress.note)
        control = _control(keys, options)
        plan = Plan(control, options.test, options.minimum, options.least, options.rate, options.seed)
        means, wells = well_means(predicted.probability.loc[keys.index], keys)
        called, _ = well_means(predicted.called.loc[keys.index], keys)
        with progress.track("Comparing proteins", wells["protein"].nunique()) as advance:
            table = compare(means, called, wells, plan)
            advance(wells["protein"].nunique())
        table.insert(2, "control", control)
        tests = table["reason"].eq("")
        changed = table[table["changed"]].sort_values(
            "difference", key=np.abs, ascending=False, kind="stable"
        )
        with replacing(options.output) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n", float_format="%.6g")
        plot_changes(table, options.output.with_suffix(".png"), control, options.rate)
        return CompareSummary(
            pictures=len(keys),
            wells=len(wells),
            proteins=wells["protein"].nunique(),
            tests=int(tests.sum()),
            untested=int((~tests).sum()),
            control=control,
            unit=unit,
            changes=[Change(*row) for row in changed[list(Change._fields)].itertuples(index=False)],
            hint=_hint(table, wells, plan),
        )


def read_predicted(options: CompareOptions) -> Predicted:
    """Read what `predict` wrote, or the stack's out-of-fold predictions, and what the samples say."""
    work = Workspace(options.work, options.name)
    samples = pd.DataFrame(index=pd.Index([], name="Id"))
    if work.samples.is_file():
        samples = read_made(work.samples).set_index("Id")
        samples = samples.loc[:, samples.columns.str.startswith(METADATA) | (samples.columns == "group")]
    if options.predictions is not None:
        return _of_table(options.predictions, samples)
    table = read_made(work.out_of_fold)
    table = table[table["model"] == STACK]
    rows = table.assign(location=table["location"].astype(str), chosen=table["chosen"].astype(float))
    probability, called = (
        rows.pivot_table(index="Id", columns="location", values=name) for name in ("probability", "chosen")
    )
    groups = table.drop_duplicates("Id").set_index("Id")["group"].reindex(probability.index)
    known = samples.reindex(probability.index).assign(group=groups).fillna("")
    return Predicted(probability, called, known)


def _of_table(path: Path, samples: pd.DataFrame) -> Predicted:
    """Read a table that `predict` wrote; pictures without probabilities are left out."""
    names, _ = load(path, (), numbers=False)
    if "status" not in names:
        raise PipelineError(f"{path}: no column status; give a table that predict wrote with --format csv")
    table = read_table(path, names).set_index("Id")
    locations = [name for name in names if name not in NOT_LOCATIONS and not name.startswith(METADATA)]
    text = table[locations]
    probability = text.mask(text.isin(MISSING)).apply(pd.to_numeric, errors="coerce")
    outside = (probability < 0) | (probability > 1) | (probability.isna() & ~text.isin(MISSING))
    wrong = text.columns[outside.any()]
    if len(wrong):
        raise PipelineError(
            f"{path}: column '{wrong[0]}' holds no probabilities; remove it, or call it {METADATA}{wrong[0]}"
        )
    probability = probability.dropna()
    known = table[[name for name in table.columns if name.startswith(METADATA)]].loc[probability.index]
    if "group" in samples:
        known = known.join(samples["group"]).fillna("")
    said = [set(text.split("; ")) for text in table.loc[probability.index, "locations"]]
    called = pd.DataFrame(
        {name: [float(name in one) for one in said] for name in locations}, probability.index
    )
    return Predicted(probability, called, known)


def _keys(known: pd.DataFrame, options: CompareOptions, note: Note) -> tuple[pd.DataFrame, str]:
    """Return protein, condition, plate and well of every picture that has them all, and the unit in words."""
    plates = options.plates or (PLATE if PLATE in known.columns else NONE)
    columns = {"protein": options.proteins, "condition": options.by, "plate": plates, "well": options.wells}
    constant = {"protein": ALL, "plate": NONE}
    keys = pd.DataFrame(index=known.index)
    for key, column in columns.items():
        if constant.get(key) == column:
            keys[key] = column
        elif column in known.columns:
            keys[key] = known[column]
        else:
            option = "by" if key == "condition" else f"{key}s"
            raise PipelineError(f"--{option}: {unknown('column', column, known.columns)}")
    complete = (keys != "").all(axis=1)
    if not complete.all():
        lacking = ", ".join(column for key, column in columns.items() if keys[key].eq("").any())
        note(f"{counted(int((~complete).sum()), 'picture')} without {lacking} left out")
    keys = keys[complete]
    by_well = keys.groupby(["plate", "well"])["condition"]
    mixed = by_well.nunique().gt(1)
    if mixed.any():
        plate, well = mixed.index[mixed.to_numpy()][0]
        inside = keys["condition"][keys["plate"].eq(plate) & keys["well"].eq(well)]
        two = " and ".join(f"'{name}'" for name in sorted(set(inside))[:2])
        raise PipelineError(
            f"--wells {options.wells}: '{well}' has pictures of {two}; if several plates have one, name the "
            "column of plates as --plates"
        )
    return keys, options.wells if plates == NONE else f"{options.wells} of {plates}"


def _control(keys: pd.DataFrame, options: CompareOptions) -> str:
    """Return the condition that others are compared with."""
    conditions = sorted(set(keys["condition"]))
    if len(conditions) < 2:
        raise PipelineError(
            f"--by {options.by}: needs two conditions, there is {', '.join(conditions) or 'none'}"
        )
    if options.control is None and len(conditions) > 2:
        raise PipelineError(f"--control: say which condition is the control: {', '.join(conditions)}")
    if options.control is not None and options.control not in conditions:
        raise PipelineError(f"--control: {unknown('condition', options.control, conditions)}")
    return options.control or conditions[0]


def _hint(table: pd.DataFrame, wells: pd.DataFrame, plan: Plan) -> str:
    """Say why nothing could be found."""
    tests = int(table["reason"].eq("").sum())
    if not tests:
        return f"nothing was tested: {table['reason'].mode().iloc[0]}"
    least = smallest_p(wells, plan)
    if plan.test == "permutation" and not table["changed"].any() and least > plan.rate / tests:
        return (
            f"exchanges of so few wells give no p below {least:.2g}, and one of {tests:,} tests needs "
            f"{plan.rate / tests:.2g}; give --test welch, or more wells"
        )
    return ""


def plot_changes(table: pd.DataFrame, path: Path, control: str, rate: float) -> None:
    """Draw the largest differences with their intervals, those that changed in colour, as a PNG."""
    tested = table[table["reason"].eq("")]
    order = tested.assign(size=tested["difference"].abs()).sort_values(
        ["changed", "size"], ascending=False, kind="stable"
    )
    rows = order.head(SHOWN)
    figure = Figure(figsize=(8.5, 1.6 + 0.27 * max(len(rows), 3)), layout="constrained")
    axes = figure.subplots()
    for changed, colour in ((True, _CHANGED), (False, _OTHER)):
        here = np.flatnonzero(rows["changed"].eq(changed))
        some = rows.iloc[here]
        axes.hlines(here, some["low"], some["high"], color=colour, linewidth=2)
        axes.plot(some["difference"], here, "o", color=colour, markersize=6)
    several = len(set(table["condition"])) > 1
    names = [f"{r.protein}{f' ({r.condition})' if several else ''}: {r.location}" for r in rows.itertuples()]
    axes.set_yticks(range(len(rows)), names, fontsize=8.5, color=INK)
    axes.invert_yaxis()
    axes.axvline(0, color=INK, linewidth=0.8)
    against = "" if several else f"{table['condition'].iloc[0]} minus "
    axes.set_xlabel(
        f"difference of mean probability, {against}{control}, 95 % interval over wells", fontsize=9
    )
    found = int(table["changed"].sum())
    title = f"{counted(found, 'change')} of {counted(len(tested), 'test')} (false discovery rate {rate:.0%})"
    more = f"; the {SHOWN} largest differences" if len(order) > SHOWN else ""
    axes.set_title(title + more, loc="left", fontsize=11, color=INK)
    rule(axes)
    save(figure, path)
