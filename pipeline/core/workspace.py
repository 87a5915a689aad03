"""Where every artefact of a work folder lies. The only module that spells these paths."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import PipelineError


class _Below:
    """A path below the root of a work folder."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, work: "Workspace", _kind: object) -> Path:
        return work.root / self._name


class _OfModel(_Below):
    """A path of what belongs to one training: a named one has a folder of its own."""

    def __get__(self, work: "Workspace", _kind: object) -> Path:
        return (work.models / work.name if work.name else work.root) / self._name


@dataclass(frozen=True)
class Workspace:
    """A work folder: everything computed from one set of pictures.

    Parameters
    ----------
    root : Path
        The folder given as ``--work``; made on first use.
    name : str
        Of one of several trainings; empty for the one that was given none.
    """

    root: Path
    name: str = ""

    samples = _Below("samples.parquet")
    """Samples that `extract` accepted: Id, pixel size, group and size of the picture."""
    quality = _Below("quality.parquet")
    """One row per picture: its quality in numbers, and the flags of those that a person should look at."""
    problems = _Below("problems.csv")
    """Samples that a stage skipped, with file, reason and remedy."""
    extraction = _Below("extraction.json")
    """How the pictures were measured (segmenter, families): a model repeats it on new pictures."""
    diameters = _Below("diameters.json")
    """Diameters of nuclei and cells, estimated once for networks that need them."""
    flat_field = _Below("flat_field.json")
    """Illumination of each plate and channel, where `extract` removes it."""
    parts = _Below("parts")
    """Finished chunks of `extract`, one folder per family: what a killed run does not lose."""
    pictures_seen = _Below("seen/pictures.json")
    """Digests of pictures, with the sizes and times of the files that had them."""
    kinds_seen = _Below("seen/kinds.json")
    """Whether the files of pictures state which value is white, likewise."""
    values_seen = _Below("seen/values.json")
    """The largest values of those that do not, likewise."""
    masks_seen = _Below("seen/masks.json")
    """Where label images come from, likewise."""
    given_seen = _Below("seen/given_masks.json")
    """Digests of masks that were given, and how many label images each file holds, likewise."""
    masks = _Below("masks")
    """Folder of label images, ``<Id>.tif``: page 1 cells, page 2 nuclei."""
    cells = _Below("cells.parquet")
    """One row per cell: Id, label, touches_border and the features of cells."""
    features = _Below("features.parquet")
    """One row per picture: Id and its features."""
    features_normalised = _Below("features_normalised.parquet")
    """The same in units of the plates, for the user."""
    embeddings = _Below("embeddings")
    """Folder of embedding tables, ``<name>.parquet``."""
    models = _Below("models")
    """Folder of named trainings: each has a folder with what follows."""
    folds = _OfModel("folds.parquet")
    """Group and fold of every labelled sample; made once, reused by every model."""
    tuning = _OfModel("tuning.db")
    """Optuna's studies (sqlite)."""
    tuning_digest = _OfModel("tuning.sha256")
    """Digest of the studies that a finished training left."""
    learners = _OfModel("learners")
    """Finished base learners of an unfinished training: what a killed run does not lose."""
    model = _OfModel("model")
    """The trained model, a folder without pickle."""
    out_of_fold = _OfModel("out_of_fold.parquet")
    """Outer out-of-fold probabilities and choices of every model."""
    out_of_fold_csv = _OfModel("out_of_fold.csv")
    """Those of the stack as `predict` writes them (csv), to look at."""
    thresholds = _OfModel("thresholds.csv")
    """Every model's thresholds: the final one and that of each fold (csv), to look at."""
    settings = _OfModel("settings.json")
    """All options of the training and the hyperparameters that were chosen, to look at."""
    cells_out_of_fold = _OfModel("cells_out_of_fold.parquet")
    """Out-of-fold probabilities of cells, where single cells were learned from."""
    groups_out_of_fold = _OfModel("groups_out_of_fold.parquet")
    """Out-of-fold probabilities and choices of groups of pictures."""
    base_log_odds = _OfModel("base_log_odds.npz")
    """Out-of-fold log-odds of base learners (npz), on which `evaluate` fits again for its ablations."""
    selection = _OfModel("selection.csv")
    """What filters took from every location's training (csv)."""
    metrics = _OfModel("metrics.json")
    """Scores written by `evaluate`."""
    importances = _OfModel("importances.parquet")
    """Mean absolute share of every feature in every location's log-odds."""
    directions = _OfModel("importance_directions.parquet")
    """Whether more of a feature speaks for or against every location."""
    report = _OfModel("report.html")
    """The page written by `report`."""
    thumbnails = _Below("thumbnails")
    """Folder of small pictures that `explore` drew; may be removed at any time."""
    corrections = _OfModel("corrections")
    """Folder of labels that were corrected in `explore`: labels.csv for `train`, changes.csv."""
    overlays = _Below("overlays")
    """Folder of pictures with the outlines of cells and nuclei."""

    def mask(self, sample_id: str) -> Path:
        """Label image of one sample."""
        return self.masks / f"{sample_id}.tif"

    def embedding(self, name: str) -> Path:
        """Table of embeddings of one network; its card lies beside it."""
        return self.embeddings / f"{name}.parquet"

    def network(self, name: str) -> Path:
        """Folder of the networks of one `train-cnn`: weights, and what a killed run does not lose."""
        return self.root / "networks" / name

    @property
    def has_model(self) -> bool:
        """Whether anything was trained on the features."""
        return self.model.is_dir() or self.models.is_dir()

    @property
    def trainings(self) -> list[str]:
        """Names of the trainings that have finished; that of the one that was given none is empty."""
        names = ["", *sorted(path.name for path in self.models.glob("*"))]
        works = [Workspace(self.root, name) for name in names]
        return [one.name for one in works if one.out_of_fold.is_file() and one.model.is_dir()]

    def record(self, stage: str) -> Path:
        """Name the record of what a stage was made from, for `status` and for skipping finished work."""
        return self.root / "records" / f"{stage}.json"

    def own_record(self, stage: str) -> Path:
        """Name the record of a stage of one training."""
        return self.record(f"{stage}-{self.name}" if self.name else stage)


def untrained(work: Workspace) -> PipelineError:
    """Return what is said where there is no such training: which ones there are, and how it is made."""
    there = ", ".join(name or "one without --name" for name in work.trainings)
    remedy = f"run train with --work {work.root}{f' --name {work.name}' if work.name else ''} first"
    if work.name:
        what = f"no training called '{work.name}' has finished there; there are: {there or 'none'}"
        return PipelineError(f"{work.root}: {what}; {f'give one of these, or {remedy}' if there else remedy}")
    named = f", or give --name; there are: {there}" if there else ""
    return PipelineError(f"{work.root}: no trained model there; {remedy}{named}")
