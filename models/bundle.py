"""A trained model as a folder without pickle, checked on load.

``model.json`` (locations, blocks, base learners, meta-learners), ``weights.npz`` (linear models, thresholds,
kept columns), ``unlikeness.npz`` (where the training pictures lie), ``learners/`` in the libraries' own
formats, ``card.json`` (what it was trained on) and ``manifest.json`` with the format's version and the sha256
of every file.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from lightgbm.basic import LightGBMError
from safetensors import SafetensorError

from models.base_learners import LEARNERS
from models.base_learners.cell_network import CellNetwork
from models.base_learners.label_powerset import LabelPowerset
from models.base_learners.logistic import Linear
from models.base_learners.trees import LightGBMTrees
from models.cross_fitting import FittedLearner
from models.hyperparameters import JOINT_KINDS
from models.meta_learner import FittedMetaLearner, MetaLearner
from models.normalisation import Sphering
from models.stack_model import Prediction, StackModel
from models.unlikeness import Unlikeness

FORMAT = 8
_READ = (4, 5, 6, 7, FORMAT)
"""Formats that are read; 4 knows no sphering, 5 no learners of one family of columns, 6 of no region's, 7
no weights of networks."""

_MANIFEST, _UNLIKENESS = "manifest.json", "unlikeness.npz"
_SUFFIX = {LightGBMTrees: "txt", LabelPowerset: "safetensors", CellNetwork: "safetensors"}
"""Of base learners, by what they are; the others are JSON."""
_JUNK = (
    *(ValueError, KeyError, TypeError, IndexError, AttributeError, StopIteration, EOFError),
    *(BadZipFile, LightGBMError, SafetensorError),
)
"""What libraries raise where files that carry the right digests hold no model."""


@dataclass(frozen=True)
class Model:
    """A loaded model and its card.

    Attributes
    ----------
    stack : StackModel
    card : dict
        What the model was trained on, as JSON.
    unlikeness : Unlikeness or None
        Where its training pictures lie; None for older models, and those of networks' predictions.
    """

    stack: StackModel
    card: Mapping[str, Any]
    unlikeness: Unlikeness | None = None

    @property
    def locations(self) -> tuple[str, ...]:
        """Locations that it predicts."""
        return self.stack.locations

    @property
    def columns(self) -> list[str]:
        """Columns that a table must have."""
        return self.stack.columns

    def predict(self, X: pd.DataFrame) -> Prediction:
        """Predict every row; ValueError where columns are missing."""
        return self.stack.predict(X)


def save_model(
    model: StackModel, folder: Path, card: Mapping[str, Any], unlikeness: Unlikeness | None = None
) -> None:
    """Write a model into an empty or new folder; `card` is anything that JSON can hold."""
    (folder / "learners").mkdir(parents=True, exist_ok=True)
    for fitted in model.learners:
        path = folder / _learner_path(model, fitted.source, fitted.locations)
        path.write_bytes(fitted.learner.to_bytes())
    np.savez(folder / "weights.npz", **_arrays(model))
    if unlikeness is not None:
        np.savez_compressed(folder / _UNLIKENESS, **unlikeness.arrays())
    described = {
        "locations": list(model.locations),
        "blocks": [{"name": name, "columns": list(columns)} for name, columns in model.blocks.items()],
        "sources": list(model.sources),
        "learners": [{"source": m.source, "locations": list(m.locations)} for m in model.learners],
        "meta_learners": [asdict(fitted.meta) for fitted in model.meta_learners.values()],
        "sphered": list(model.spherings),
    }
    (folder / "model.json").write_text(json.dumps(described, indent=1), encoding="utf-8")
    (folder / "card.json").write_text(json.dumps(card, indent=1), encoding="utf-8")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _MANIFEST)
    digests = {path.relative_to(folder).as_posix(): _sha256(path) for path in files}
    (folder / _MANIFEST).write_text(
        json.dumps({"format": FORMAT, "sha256": digests}, indent=1), encoding="utf-8"
    )


def load_model(folder: Path) -> Model:
    """Read a model.

    Raises
    ------
    ValueError
        If the folder holds no model, one of an unknown version, or one that was changed.
    """
    digests = _check(folder)
    try:
        return _loaded({name: folder / name for name in digests})
    except _JUNK as error:
        what = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise ValueError(f"{folder}: not a model ({what}); copy it again or train it again") from error


def _loaded(files: Mapping[str, Path]) -> Model:
    """Read the files that the manifest lists, by name; KeyError where a needed one is not among them."""
    described = json.loads(files["model.json"].read_bytes())
    blocks = {block["name"]: tuple(block["columns"]) for block in described["blocks"]}
    sources = tuple((block, kind) for block, kind in described["sources"])
    with np.load(files["weights.npz"], allow_pickle=False) as arrays:
        metas = {
            meta["name"]: _meta_learner(meta, number, arrays)
            for number, meta in enumerate(described["meta_learners"])
        }
        kept = [arrays[f"kept_{number}"] for number in range(len(described["learners"]))]
        spherings = {
            name: Sphering.of({one: arrays[f"{one}{number}"] for one in Sphering.FITTED})
            for number, name in enumerate(described.get("sphered", ()))
        }
    bare = StackModel(tuple(described["locations"]), blocks, sources, [], metas, spherings)
    learners = []
    for fitted, some in zip(described["learners"], kept, strict=True):
        source, locations = fitted["source"], tuple(fitted["locations"])
        content = files[_learner_path(bare, source, locations)].read_bytes()
        learner = LEARNERS[sources[source][1]].from_bytes(content)
        learners.append(FittedLearner(source, locations, learner, some))
    unlikeness = None
    if _UNLIKENESS in files:
        with np.load(files[_UNLIKENESS], allow_pickle=False) as arrays:
            unlikeness = Unlikeness.of(arrays)
    return Model(replace(bare, learners=learners), json.loads(files["card.json"].read_bytes()), unlikeness)


def _check(folder: Path) -> dict[str, str]:
    """Return the digests of a manifest whose files are all as they were saved."""
    path = folder / _MANIFEST
    if not path.is_file():
        raise ValueError(
            f"{folder}: no trained model here ({_MANIFEST} is missing); train one or name its folder"
        )
    try:
        manifest = json.loads(path.read_bytes())
        version, digests = manifest["format"], dict(manifest["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a model's manifest; train the model again") from error
    if version not in _READ:
        known = f"{_READ[0]} to {FORMAT}"
        raise ValueError(
            f"{folder}: model format {version} is not known (this version reads {known}); train it again"
        )
    for name, digest in digests.items():
        file = folder / name
        if not file.is_file():
            raise ValueError(f"{file}: missing from the model; copy the whole folder or train it again")
        if _sha256(file) != digest:
            raise ValueError(f"{file}: changed since it was saved; copy the folder again or train it again")
    return digests


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _learner_path(model: StackModel, source: int, locations: tuple[int, ...]) -> str:
    """Name a learner's file, e.g. ``learners/03_block0_lightgbm.txt``; ``all`` for one of all locations."""
    block, kind = model.sources[source]
    of = "all" if kind in JOINT_KINDS else f"{locations[0]:02}"
    return f"learners/{of}_block{block}_{kind}.{_SUFFIX.get(LEARNERS[kind], 'json')}"


def _arrays(model: StackModel) -> dict[str, Any]:
    arrays: dict[str, Any] = {f"kept_{number}": m.selected for number, m in enumerate(model.learners)}
    for number, fitted in enumerate(model.meta_learners.values()):
        arrays[f"bias_{number}"] = np.array([linear.bias for linear in fitted.linear])
        arrays[f"weights_{number}"] = np.stack([linear.weights for linear in fitted.linear])
        arrays[f"thresholds_{number}"] = fitted.thresholds
    for number, sphering in enumerate(model.spherings.values()):
        arrays |= {f"{one}{number}": getattr(sphering, one) for one in Sphering.FITTED}
    return arrays


def _meta_learner(described: Mapping[str, Any], number: int, arrays: Mapping[str, Any]) -> FittedMetaLearner:
    meta = MetaLearner(**{**described, "locations": tuple(described["locations"])})
    pairs = zip(arrays[f"bias_{number}"], arrays[f"weights_{number}"], strict=True)
    linear = [Linear(float(bias), weights) for bias, weights in pairs]
    return FittedMetaLearner(meta, linear, arrays[f"thresholds_{number}"])
