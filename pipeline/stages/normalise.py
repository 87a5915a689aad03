"""The stage `normalise`: features in, the same in units of their plates out, to look at and to export."""

from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from models.normalisation import Sphering
from pipeline.core.errors import PipelineError, write_problems
from pipeline.core.files import write_table
from pipeline.core.stage import Progress, Stage, Summary, file_inputs, option_inputs, read_made
from pipeline.core.workspace import Workspace
from pipeline.data.dataset import LEAST_SPHERED, read_features
from pipeline.data.layouts import METADATA
from pipeline.data.plates import normalised
from pipeline.stages.plate_options import NormaliseOptions


class NormaliseSummary(Summary):
    """How many pictures were normalised by how many, how many were left out, and how much correlation was."""

    pictures: int
    reference: int
    left_out: int
    shrinkage: float | None


class Normalise(Stage[NormaliseOptions, NormaliseSummary]):
    """Write features_normalised.parquet."""

    name = "normalise"
    options = NormaliseOptions
    summary = NormaliseSummary

    def inputs(self, options: NormaliseOptions) -> dict[str, str]:
        """Return fingerprints of the features, the samples and the options."""
        work = Workspace(options.work)
        if not work.features.is_file():
            raise PipelineError(f"{work.features}: no such file; run extract first")
        files = file_inputs({"features": work.features, "samples": work.samples})
        return files | option_inputs(options, "by", "method", "controls", "minimum")

    def outputs(self, options: NormaliseOptions) -> tuple[Path, ...]:
        """Return the table."""
        return (Workspace(options.work).features_normalised,)

    def run(self, options: NormaliseOptions, progress: Progress) -> NormaliseSummary:
        """Normalise all pictures.

        Raises
        ------
        PipelineError
            If a column or the controls are unknown, or there are too few pictures.
        """
        work = Workspace(options.work)
        found = normalised(read_features(work), work, options.normalisation, progress.note)
        table, number, shrinkage = found.table, int(found.reference.sum()), None
        if options.method == "sphering":
            if number < LEAST_SPHERED:
                raise PipelineError(
                    f"{work.features}: sphering needs {LEAST_SPHERED} pictures of the reference, there are "
                    f"{number}; give more of them, or --method robust-z"
                )
            # one thread: sums split over threads differ in their last bits
            with progress.track("Sphering", 1) as advance, threadpool_limits(1, user_api="blas"):
                sphering = Sphering().fit(table[found.reference].to_numpy())
                values = sphering.transform(table.to_numpy()).astype(np.float32)
                table = pd.DataFrame(values, table.index, table.columns)
                advance(1)
            shrinkage = sphering.shrinkage_
        samples = read_made(work.samples).set_index("Id")
        said = samples.loc[:, samples.columns.str.startswith(METADATA)]
        write_table(work.features_normalised, said.join(table, how="right").rename_axis("Id").reset_index())
        write_problems(work.problems, self.name, found.problems)
        left_out = len(found.problems)
        return NormaliseSummary(pictures=len(table), reference=number, left_out=left_out, shrinkage=shrinkage)
