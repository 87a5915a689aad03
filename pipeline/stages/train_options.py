"""What `train` is asked to do."""

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from models.hyperparameters import KINDS, Kind
from models.stacking import MINIMUM_FOLDS, Always
from models.tuning import Metric

Rule = Literal["f1", "f1_shrunk", "half_f1", "proportion", "nested"]
Reliability = Literal["Enhanced", "Supported", "Approved", "Uncertain"]


class TrainOptions(BaseModel):
    """What `train` is asked to do.

    Attributes
    ----------
    work : Path
        Folder with the features; the model goes there.
    labels : Path
        csv ``Id,Target``.
    groups : Path, optional
        csv ``Id,group``; None for the groups of the samples. Pictures without one are grouped with
        their near-duplicates.
    embeddings : tuple of Path
        Tables keyed by Id; each is one more block of the stack.
    outputs : tuple of Path
        Tables of other networks' predictions; together they are one more block.
    boosters : tuple of str
        Kinds of base learners, one per location, on every block but the outputs.
    rule : str
        How thresholds are chosen, see `models.thresholds`.
    always : str
        Whether every picture gets its likeliest location, see `models.stacking`.
    trials : int
        Settings tried per kind, block and stratum of locations, beside the defaults.
    tune_by : str
        What settings are chosen by, out of fold.
    timeout : float, optional
        Seconds for trying settings.
    folds : int
        Fewer are made where there are too few groups.
    seed : int
    random_split : bool
        Cross-validate a second time, in folds that ignore groups.
    select_agreement : Path, optional
        csv of expert answers: boosters learn only labels on which experts agree …
    agree_with : str
        … with the label, or among themselves.
    select_reliability : Path, optional
        HPA's table of locations per gene: boosters learn only labels at least as reliable as …
    reliability : str
        … this.
    genes : Path, optional
        csv ``Id,Gene``, which `select_reliability` needs.
    select_confident : bool
        Boosters learn only labels that confident learning does not doubt.
    accept_leak : bool
        Stack embeddings of networks that were trained on these pictures; scores are then marked.
    jobs : int
        Boosters fitted at the same time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    work: Path
    labels: Path
    groups: Path | None = None
    embeddings: tuple[Path, ...] = ()
    outputs: tuple[Path, ...] = ()
    boosters: tuple[Kind, ...] = KINDS
    rule: Rule = "half_f1"
    always: Always = "auto"
    trials: int = Field(default=8, ge=0)
    tune_by: Metric = "log_loss"
    timeout: float | None = Field(default=None, gt=0)
    folds: int = Field(default=5, ge=MINIMUM_FOLDS)
    seed: int = Field(default=0, ge=0)
    random_split: bool = False
    select_agreement: Path | None = None
    agree_with: Literal["label", "annotators"] = "label"
    select_reliability: Path | None = None
    reliability: Reliability = "Approved"
    genes: Path | None = None
    select_confident: bool = False
    accept_leak: bool = False
    jobs: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)

    @property
    def tables(self) -> dict[str, Path]:
        """Tables that are read beside the features and groups, by what they are."""
        named = {
            f"labels {self.labels.name}": self.labels,
            **{f"embeddings {path.name}": path for path in self.embeddings},
            **{f"outputs {path.name}": path for path in self.outputs},
            "expert answers": self.select_agreement,
            "reliability of genes": self.select_reliability,
            "genes of pictures": self.genes,
        }
        return {name: path for name, path in named.items() if path is not None}

    @property
    def settings(self) -> dict[str, object]:
        """Everything that changes the model and is not a path."""
        paths = {"work", "labels", "groups", "embeddings", "outputs", "genes", "jobs"}
        return self.model_dump(exclude=paths | {"select_agreement", "select_reliability"})
