"""What a loaded model makes of the single cells of a picture that was measured in memory."""

import numpy as np
import pandas as pd

from models.bags import bags_of, cell_columns
from models.bundle import Model
from models.cell_answers import cell_network
from models.hyperparameters import CELLS
from models.stack_model import Prediction
from pipeline.data.masks import Segmentation
from pipeline.serving.answers import CellSays
from pipeline.stages.answered_cells import answer_cells, shown_of
from pipeline.stages.explain import Explanation
from pipeline.stages.measuring import Measured
from pipeline.stages.speaking_cells import places_of, speaking_cells


class SingleCells:
    """Cells of one model's pictures; falsy where the model was not trained on them."""

    def __init__(self, model: Model) -> None:
        self._model, self._network = model, cell_network(model.stack)
        self._columns = cell_columns(model.stack.blocks[CELLS]) if CELLS in model.stack.blocks else []

    def __bool__(self) -> bool:
        return self._network is not None

    @property
    def columns(self) -> list[str]:
        """Columns of cells that are needed."""
        return self._columns

    def values(self, measured: Measured) -> pd.DataFrame:
        """Return the columns that are needed of every cell, index ``label``."""
        return pd.concat(measured.cells.values(), axis=1).reindex(columns=self._columns)

    def bag(self, measured: Measured) -> dict[str, np.float32]:
        """Return the picture's bag by column; nothing where the model needs none."""
        if not self:
            return {}
        values = self.values(measured)
        row = bags_of(values.set_axis(["picture"] * len(values)), self._columns, pd.Index(["picture"]))
        return dict(zip(row.columns, row.to_numpy(np.float32)[0], strict=True))

    def says(self, measured: Measured, found: Segmentation, prediction: Prediction) -> tuple[CellSays, ...]:
        """Say what every cell shows, given what is answered of the picture."""
        if self._network is None or not found.count:
            return ()
        values, names = self.values(measured), list(self._model.locations)
        probability = prediction.probability[names].to_numpy(np.float64)[0]
        chosen = prediction.chosen[names].to_numpy(bool)[0]
        numbers = values.to_numpy(np.float32)
        answers = answer_cells(self._network, shown_of(self._model), numbers, (probability, chosen))
        places = places_of(found.cells, values.index.to_numpy(np.int64))
        rows = zip(values.index, places, answers.probability, answers.chosen, strict=True)
        return tuple(
            CellSays(
                label=int(label),
                **place,
                locations=tuple(np.array(names)[shown].tolist()),
                probabilities=dict(zip(names, row.tolist(), strict=True)),
            )
            for label, place, row, shown in rows
        )

    def speaking(
        self, made: Explanation, table: pd.DataFrame, measured: Measured, found: Segmentation
    ) -> Explanation:
        """Add to an explanation the cells that speak for the location."""
        labels = self.values(measured).index.to_numpy(np.int64)
        cells = speaking_cells(self._model, table, made.location, labels, found.cells)
        return made.model_copy(update={"cells": cells})
