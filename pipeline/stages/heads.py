"""The models of one training that answer by themselves: the stack, that of two locations, the binary ones."""

import numpy as np
import pandas as pd
from scipy.special import expit

from models.bundle import Model
from models.risk import Level
from models.stack_model import TOP_TWO, Prediction
from pipeline.core.errors import PipelineError
from pipeline.data.locations import PAIR
from pipeline.data.tables import Note
from pipeline.stages.answered_pictures import is_per_cell
from pipeline.stages.options import PredictOptions
from pipeline.stages.reliance import level_in_use
from pipeline.stages.trained_models import with_start

NEITHER = f"neither {' nor '.join(PAIR)} reaches its threshold"
"""Why the two-location model names nothing, which is an answer."""


def check_head(options: PredictOptions, model: Model, note: Note) -> None:
    """Refuse what only the stack can do, or a model that is not there, and say what it leaves out.

    Raises
    ------
    PipelineError
        Naming the options that exclude each other, or the folder of the model.
    """
    if options.head == "stack":
        return
    needs = {
        f"--risk {options.risk}": options.risk is not None,
        f"--per {options.per}": options.per != "picture",
        f"--format {options.format}": is_per_cell(options)
        or (options.format == "kaggle" and options.head == "two-locations"),
    }
    if wrong := next((name for name, is_given in needs.items() if is_given), ""):
        raise PipelineError(f"--head {options.head}: {wrong} needs the stack; leave one of them out")
    if options.head == "two-locations" and TOP_TWO not in model.stack.meta_learners:
        raise PipelineError(
            f"{options.model}: has no two-location model: was trained on {', '.join(model.locations)}, and "
            f"not on both {' and '.join(PAIR)}; leave --head {options.head} out"
        )
    if level_in_use(model.card, None, options.model) is not None:
        note("The risk of the training is that of the stack: these answers are named by thresholds alone")
    if (start := model.card.get("start")) is not None and start["locations"]:
        note(f"Of the stack alone, by the shipped network, are: {', '.join(start['locations'])}")


def answered_by(
    options: PredictOptions, model: Model, table: pd.DataFrame, started: pd.DataFrame
) -> tuple[Prediction, dict[str, str], Level | None]:
    """Predict by the model that is asked for, given its columns; see `with_start` for the first two results.

    The last is the level of risk at which locations are named.
    """
    if options.head == "stack":
        level = level_in_use(model.card, options.risk, options.model)
        return *with_start(model.predict(table), model.card, started), level
    names = (TOP_TWO,) if options.head == "two-locations" else model.locations
    fitted = [model.stack.meta_learners[name] for name in names]
    base = model.stack.base_log_odds(table)
    parts = [expit(one.log_odds(base)) for one in fitted]
    chosen = [one.chosen(part) for one, part in zip(fitted, parts, strict=True)]
    columns = [model.locations[position] for one in fitted for position in one.meta.locations]
    probability, yes = (pd.DataFrame(np.column_stack(some), table.index, columns) for some in (parts, chosen))
    return Prediction(probability, yes), {}, None
