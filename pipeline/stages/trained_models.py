"""A trained model's folder: opening it, reading new pictures as those of its training were, its start."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from models.bundle import Model, load_model
from models.stack_model import Prediction
from pipeline.core.errors import PipelineError
from pipeline.core.workspace import Workspace
from pipeline.data.cell_tables import with_bags
from pipeline.data.dataset import read_features
from pipeline.data.layouts import Layout
from pipeline.data.prediction_tables import log_odds_column
from pipeline.data.samples import samples_of
from pipeline.data.tables import all_ids
from pipeline.networks.checkpoints import Deciding
from pipeline.networks.shipped import decided
from pipeline.stages.extraction import Extraction
from pipeline.stages.mask_options import MaskOptions
from pipeline.stages.options import ExtractOptions, PredictOptions


def open_model(folder: Path) -> Model:
    """Load a trained model.

    Raises
    ------
    PipelineError
        If the folder is missing or damaged.
    """
    _check(folder)
    try:
        return load_model(folder)
    except ValueError as error:
        raise PipelineError(str(error)) from error


def read_card(folder: Path) -> Mapping[str, Any]:
    """Read what a model was trained on, without loading it.

    Raises
    ------
    PipelineError
        If there is no model, or its card is damaged.
    """
    _check(folder)
    path = folder / "card.json"
    try:
        card: Mapping[str, Any] = dict(json.loads(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise PipelineError(f"{path}: {error}; copy the model again, or train it again") from error
    return card


def columns_of(model: Model, folder: Path, work: Workspace, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Bring together the features, where the model measures any, its bags of cells, and the given tables.

    A row per picture: of the features or, without them, of any table.

    Raises
    ------
    PipelineError
        If a column of the model is missing.
    """
    if model.card["extraction"] is not None:
        table = read_features(work)
    else:
        table = pd.DataFrame(index=all_ids(tables))
    for one in tables:
        table = table.join(one)
    table = with_bags(table, model, work)
    missing = [column for column in model.columns if column not in table.columns]
    if missing:
        shown = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
        raise PipelineError(
            f"{folder}: {len(missing)} of its {len(model.columns)} columns are not here ({shown}); "
            "run extract and train again"
        )
    return table


def not_a_card(path: Path, error: Exception) -> PipelineError:
    """Return what is said of a card that does not describe a model that this program trained."""
    what = " ".join(str(error).split())[:200]
    return PipelineError(f"{path}: not the card of a model ({what}); copy the model again, or train it again")


def _check(folder: Path) -> None:
    if not (folder / "manifest.json").is_file():
        inside = folder / "model"
        meant = f"; did you mean {inside}?" if inside.is_dir() else ""
        raise PipelineError(
            f"{folder}: no model there; run train, or give the folder it wrote as --model{meant}"
        )


def trained_extraction(folder: Path, card: Mapping[str, Any]) -> Extraction:
    """Return how the training pictures of a model were measured.

    Raises
    ------
    PipelineError
        If the card is damaged.
    """
    try:
        return Extraction.model_validate(card["extraction"])
    except (ValidationError, TypeError) as error:
        raise not_a_card(folder / "card.json", error) from error


def read_as_trained(options: PredictOptions, card: Mapping[str, Any]) -> PredictOptions:
    """Return the options with the layout by which pictures compare with those of training."""
    if card.get("extraction") is None:
        return options
    layout = trained_extraction(options.model, card).fitting_layout(options.layout_in_use)
    return _with_layout(options, layout)


def _with_layout(options: PredictOptions, layout: Layout) -> PredictOptions:
    return options.model_copy(
        update={"layout": layout, "channels": {}, "projection": None, "pixel_size": None}
    )


def told_unused(options: PredictOptions, card: Mapping[str, Any]) -> list[str]:
    """Say which channels of the pictures are not used, as the model was trained without them."""
    if card.get("extraction") is None or options.images is None:
        return []
    trained = trained_extraction(options.model, card)
    whole = _with_layout(options, trained.layout_in_place(options.layout_in_use))
    there = {channel for sample in samples_of(whole)[0] for channel in sample.channels}
    unused = sorted(there - {*trained.channels})
    return [f"{channel} is not used: the model was trained without it" for channel in unused]


def extract_options(options: PredictOptions, card: Mapping[str, Any]) -> ExtractOptions | None:
    """Repeat what was done to the training pictures; None for a model of tables alone."""
    if card.get("extraction") is None:
        if options.masks is not None:
            raise PipelineError(f"{options.model}: measures no cells; leave --masks away")
        return None
    if options.images is None:
        raise PipelineError(f"{options.model}: was trained on pictures; give the new ones as --images")
    trained = trained_extraction(options.model, card)
    try:
        trained.check_families()
        if trained.segmenter:
            trained.repeat_segmenter(options.segmenter_options)
        if trained.masks is not None and options.masks is None:
            of = " or ".join(trained.masks.show)
            raise PipelineError(
                f"{options.model}: was trained on masks of {of} that were given; give those of these "
                "pictures as --masks"
            )
        return ExtractOptions.model_validate(
            {
                **trained.segmenting(options.segmenter_options),
                "images": options.images,
                "samples": options.samples,
                "layout": options.layout_in_use,
                "work": options.work,
                "segmenter": trained.segmenter or ExtractOptions.model_fields["segmenter"].default,
                **options.model_dump(include={*MaskOptions.model_fields}),
                "masks_lack": trained.masks.lack if trained.masks else "segment",
                "trained_masks": trained.masks,
                "families": tuple(trained.families),
                "jobs": options.jobs,
                "trained": trained.scale,
                "flat_field": trained.flat_field,
            }
        )
    except (ValidationError, TypeError) as error:
        raise not_a_card(options.model / "card.json", error) from error


def start_columns(card: Mapping[str, Any]) -> list[str]:
    """Return the columns of the network's log-odds that a model started at; none if it started at nothing."""
    start = card.get("start")
    return [] if start is None else [log_odds_column(start["network"], name) for name in start["outputs"]]


def start_thresholds(card: Mapping[str, Any]) -> dict[str, float]:
    """Return the thresholds of locations that the network alone answers, where a model started at one."""
    start = card.get("start")
    return {} if start is None else dict.fromkeys(start["locations"], start["deciding"]["threshold"])


def with_start(
    prediction: Prediction, card: Mapping[str, Any], table: pd.DataFrame
) -> tuple[Prediction, dict[str, str]]:
    """Add what the shipped network alone says of locations without a model.

    Parameters
    ----------
    prediction : Prediction
        Of the model.
    card : mapping
        The model's.
    table : DataFrame
        The pictures' columns, among them the `start_columns`.

    Returns
    -------
    prediction : Prediction
    told : dict of str to str
        What is to be said of pictures with such a location, by Id.
    """
    start = card.get("start")
    if start is None or not start["locations"]:
        return prediction, {}
    names, outputs = list(start["locations"]), tuple(start["outputs"])
    log_odds = table[start_columns(card)].to_numpy(np.float32)
    alone = decided(log_odds, table.index, outputs, Deciding.model_validate(start["deciding"]))
    probability = prediction.probability.join(alone.probability[names])
    chosen = prediction.chosen.join(alone.chosen[names])
    told = {
        str(sample): f"{', '.join(some)}: by the shipped network alone"
        for sample, row in chosen[names].iterrows()
        if (some := [name for name in names if row[name]])
    }
    return Prediction(probability, chosen), told
