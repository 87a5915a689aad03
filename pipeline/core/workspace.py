"""Where every artefact of a work folder lies. The only module that spells these paths."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """A work folder: everything computed from one set of pictures.

    Parameters
    ----------
    root : Path
        The folder given as ``--work``; made on first use.
    """

    root: Path

    @property
    def samples(self) -> Path:
        """Samples that `extract` accepted: Id, pixel size, group and size of the picture."""
        return self.root / "samples.parquet"

    @property
    def problems(self) -> Path:
        """Samples that a stage skipped, with file, reason and remedy."""
        return self.root / "problems.csv"

    @property
    def extraction(self) -> Path:
        """How the pictures were measured (segmenter, families): a model repeats it on new pictures."""
        return self.root / "extraction.json"

    @property
    def diameters(self) -> Path:
        """Diameters of nuclei and cells, estimated once for networks that need them."""
        return self.root / "diameters.json"

    @property
    def parts(self) -> Path:
        """Finished chunks of `extract`, one folder per family: what a killed run does not lose."""
        return self.root / "parts"

    @property
    def masks(self) -> Path:
        """Folder of label images, ``<Id>.tif``: page 1 cells, page 2 nuclei, uint16."""
        return self.root / "masks"

    def mask(self, sample_id: str) -> Path:
        """Label image of one sample."""
        return self.masks / f"{sample_id}.tif"

    @property
    def cells(self) -> Path:
        """One row per cell: Id, label, touches_border and the features of cells."""
        return self.root / "cells.parquet"

    @property
    def features(self) -> Path:
        """One row per picture: Id and its features."""
        return self.root / "features.parquet"

    @property
    def embeddings(self) -> Path:
        """Folder of embedding tables, ``<name>.parquet``."""
        return self.root / "embeddings"

    def embedding(self, name: str) -> Path:
        """Table of embeddings of one network; its card lies beside it."""
        return self.embeddings / f"{name}.parquet"

    def network(self, name: str) -> Path:
        """Folder of the networks of one `train-cnn`: weights, and what a killed run does not lose."""
        return self.root / "networks" / name

    @property
    def folds(self) -> Path:
        """Group and fold of every labelled sample; made once, reused by every model."""
        return self.root / "folds.parquet"

    @property
    def tuning(self) -> Path:
        """Optuna's studies (sqlite)."""
        return self.root / "tuning.db"

    @property
    def learners(self) -> Path:
        """Finished base learners of an unfinished training: what a killed run does not lose."""
        return self.root / "learners"

    @property
    def model(self) -> Path:
        """The trained model, a folder without pickle."""
        return self.root / "model"

    @property
    def out_of_fold(self) -> Path:
        """Outer out-of-fold probabilities and choices of every model."""
        return self.root / "out_of_fold.parquet"

    @property
    def base_log_odds(self) -> Path:
        """Out-of-fold log-odds of base learners (npz), on which `evaluate` fits again for its ablations."""
        return self.root / "base_log_odds.npz"

    @property
    def selection(self) -> Path:
        """What filters took from every location's training (csv)."""
        return self.root / "selection.csv"

    @property
    def metrics(self) -> Path:
        """Scores written by `evaluate`."""
        return self.root / "metrics.json"

    @property
    def importances(self) -> Path:
        """Mean absolute share of every feature in every location's log-odds."""
        return self.root / "importances.parquet"

    @property
    def overlays(self) -> Path:
        """Folder of pictures with the outlines of cells and nuclei."""
        return self.root / "overlays"

    def record(self, stage: str) -> Path:
        """Name the record of what a stage was made from, for `status` and for skipping finished work."""
        return self.root / "records" / f"{stage}.json"
