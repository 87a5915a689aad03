"""What tables say of one picture, read alone: why it got its answer, and what was measured in its cells."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from models.bags import bags_of, cell_columns
from models.bundle import Model
from models.cell_answers import cell_network
from models.hyperparameters import CELLS
from pipeline.core.errors import PipelineError
from pipeline.core.made_tables import names_in
from pipeline.core.names import unknown
from pipeline.core.workspace import Workspace
from pipeline.data.cell_tables import read_cells
from pipeline.data.plates import normalisation_of
from pipeline.explorer.picture_index import Sources
from pipeline.networks.leak_guard import read_given
from pipeline.stages.answered_cells import answer_cells, shown_of
from pipeline.stages.explain import Explanation, explained
from pipeline.stages.importances import model_table
from pipeline.stages.trained_models import open_model

KEPT = 32
"""Pictures whose columns are kept for the next question about them."""

MEASURED = {
    "cell__morphology__area": "area of the cell",
    "nucleus__morphology__area": "area of the nucleus",
    "cell__intensity__mean__protein": "protein, mean in the cell",
    "cell__intensity__maximum__protein": "protein, largest value",
    "cell__intensity__nucleus_share__protein": "share of the protein in the nucleus",
    "cell__intensity__variation__protein": "protein, variation in the cell",
}
"""Columns of the table of cells, with what they are, as far as they were measured."""


class Reasons:
    """Explains answers of the model of a work folder.

    Parameters
    ----------
    work : Workspace
    sources : Sources
        Tables that the model was trained with.
    """

    def __init__(self, work: Workspace, sources: Sources) -> None:
        self._work, self._sources, self._lock = work, sources, threading.Lock()
        self._kept_row = lru_cache(KEPT)(self._row)

    @property
    def there(self) -> bool:
        """Whether there is a model."""
        return (self._work.model / "manifest.json").is_file()

    def of(self, sample: str, location: str) -> Explanation:
        """Explain the final model's probability of one location for one picture.

        Raises
        ------
        PipelineError
            If there is no model of the location, or no row of the picture.
        """
        with self._lock:
            if location not in self._model.locations:
                raise PipelineError(f"no model for {unknown('location', location, self._model.locations)}")
            return explained(self._model, self._kept_row(sample), location)

    def cells(self, sample: str) -> pd.DataFrame | None:
        """Return the final model's probability of every location for every cell, index ``label``.

        None where there is no model, or one that knows nothing of single cells.
        """
        if not self.there:
            return None
        with self._lock:
            network = cell_network(self._model.stack)
            if network is None:
                return None
            names, said = list(self._model.locations), self._model.predict(self._kept_row(sample))
            columns = cell_columns(self._model.stack.blocks[CELLS])
            if (how := normalisation_of(self._model.card)) is not None:
                cells = read_cells(self._work, columns, how).loc[[sample]]
            else:
                cells = rows_of(self._work.cells, sample, ["Id", "label", *columns])
            picture = said.probability[names].to_numpy()[0], said.chosen[names].to_numpy(bool)[0]
            found = answer_cells(network, shown_of(self._model), cells[columns].to_numpy(np.float32), picture)
            return pd.DataFrame(found.probability, pd.Index(cells["label"]), names)

    def load(self) -> None:
        """Load the model and its tables, so that the first question about it is answered at once."""
        with self._lock, suppress(PipelineError):  # which is told when it is asked for
            _ = self._given

    @cached_property
    def _model(self) -> Model:
        if not self.there:
            raise PipelineError(f"{self._work.model}: no model there; run train")
        return open_model(self._work.model)

    @cached_property
    def _given(self) -> list[pd.DataFrame]:
        tables = self._sources.embeddings, self._sources.outputs
        return list(read_given(self._work.model, self._model, *tables).values())

    @cached_property
    def _whole(self) -> pd.DataFrame:
        """All pictures, where an answer depends on the others of a plate."""
        tables = self._sources.embeddings, self._sources.outputs
        return model_table(self._work, self._model, self._work.model, *tables)

    def _row(self, sample: str) -> pd.DataFrame:
        if self._model.card.get("normalisation") is not None:
            table = self._whole
        else:
            known = {column for one in self._given for column in one.columns}
            known |= set(self._model.stack.blocks.get(CELLS, ()))
            measured = [column for column in self._model.columns if column not in known]
            table = pd.DataFrame(index=pd.Index([sample], name="Id"))
            if measured:
                table = rows_of(self._work.features, sample, ["Id", *measured]).set_index("Id")
            for one in self._given:
                table = table.join(one)
            if CELLS in self._model.stack.blocks:
                wanted = cell_columns(self._model.stack.blocks[CELLS])
                cells = rows_of(self._work.cells, sample, ["Id", *wanted]).set_index("Id")
                table = table.join(bags_of(cells, wanted, table.index))
        if sample not in table.index or not set(self._model.columns) <= set(table.columns):
            raise PipelineError(
                f"{self._work.features}: lacks columns of the model for {sample}; run extract and train again"
            )
        return table.loc[[sample], self._model.columns]


def rows_of(path: Path, sample: str, columns: Sequence[str]) -> pd.DataFrame:
    """Read what a table of the work folder holds of one picture, of those columns that it has.

    Raises
    ------
    PipelineError
        If it cannot be read.
    """
    try:
        there = set(names_in(path))
        kept = [name for name in columns if name in there]
        return pd.read_parquet(path, columns=kept, filters=[("Id", "==", sample)])
    except (pa.ArrowException, OSError) as error:
        raise PipelineError(f"{path}: cannot be read; run extract again") from error
