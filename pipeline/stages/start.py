"""A model that starts at the shipped network: its log-odds as a table, and what it answers by itself."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from models.stacking import Prediction
from pipeline.core.errors import PipelineError
from pipeline.core.stage import Progress, execute, read_record
from pipeline.core.workspace import Workspace
from pipeline.data.dataset import Dataset
from pipeline.data.dataset_options import PictureOptions
from pipeline.data.prediction_tables import log_odds_column
from pipeline.networks.checkpoints import Deciding
from pipeline.networks.shipped import decided, shipped_card
from pipeline.stages.embed import Embed
from pipeline.stages.options import EmbedOptions, TrainOptions


def make_start(options: TrainOptions, progress: Progress) -> None:
    """Let the shipped network see the pictures of the work folder, unless it has.

    Raises
    ------
    PipelineError
        If it is not known which pictures these are.
    """
    work = Workspace(options.work)
    known = [read_record(work.record(name)) for name in ("extract", f"embed-{options.start}")]
    record = next((one for one in known if one is not None), None)
    if record is None:
        raise PipelineError(
            f"{work.root}: --start {options.start} needs the pictures; run embed --network {options.start} "
            f"--images FOLDER --work {work.root} first"
        )
    pictures = {name: record.options.get(name) for name in PictureOptions.model_fields}
    given = pictures | {"work": options.work, "network": options.start, "jobs": options.jobs}
    execute(Embed(), EmbedOptions.model_validate(given), progress)


def started(network: str, data: Dataset) -> dict[str, Any]:
    """Say, for the model's card, how the network answers the locations that have no model, and why these."""
    card, deciding = shipped_card()
    alone = {name: why for name, why in data.left_out.items() if name in card.outputs}
    return {"network": network, "locations": alone, "deciding": deciding.model_dump(), "outputs": card.outputs}


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
        The pictures' columns, among them the network's log-odds of all its locations.

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
    columns = [log_odds_column(start["network"], name) for name in outputs]
    log_odds = table[columns].to_numpy(np.float32)
    alone = decided(log_odds, table.index, outputs, Deciding.model_validate(start["deciding"]))
    probability = prediction.probability.join(alone.probability[names])
    chosen = prediction.chosen.join(alone.chosen[names])
    told = {
        str(sample): f"{', '.join(some)}: by the shipped network alone"
        for sample, row in chosen[names].iterrows()
        if (some := [name for name in names if row[name]])
    }
    return Prediction(probability, chosen), told
