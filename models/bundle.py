"""A trained model as a folder without pickle, checked on load.

``model.json`` (locations, blocks, heads), ``weights.npz`` (linear models, thresholds, kept columns),
``boosters/`` in the libraries' own text formats, ``card.json`` (what it was trained on) and
``manifest.json`` with the format's version and the sha256 of every file.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.base_learners.boosters import BinaryBooster
from models.base_learners.multilabel import MultilabelBooster, MultilabelTrees
from models.base_learners.trees import READ
from models.linear import Linear
from models.meta_learner import FittedHead, Head
from models.nested import Member
from models.stack import Prediction, StackModel

FORMAT = 3
_MANIFEST = "manifest.json"
_SUFFIX = {"lightgbm": "txt", "xgboost": "json", "linear": "json", "multilabel": "json"}


@dataclass(frozen=True)
class Model:
    """A loaded model and its card.

    Attributes
    ----------
    stack : StackModel
    card : dict
        What the model was trained on, as JSON.
    """

    stack: StackModel
    card: Mapping[str, Any]

    @property
    def locations(self) -> tuple[str, ...]:
        """Locations that it answers."""
        return self.stack.locations

    @property
    def columns(self) -> list[str]:
        """Columns that a table must have."""
        return self.stack.columns

    def predict(self, X: pd.DataFrame) -> Prediction:
        """Answer every row; ValueError where columns are missing."""
        return self.stack.predict(X)

    def contributions(self, X: pd.DataFrame, location: str) -> pd.DataFrame:
        """Split a location's log-odds into contributions of columns and a bias."""
        return self.stack.contributions(X, location)


def save_model(model: StackModel, folder: Path, card: Mapping[str, Any]) -> None:
    """Write a model into an empty or new folder; `card` is anything that JSON can hold."""
    (folder / "boosters").mkdir(parents=True, exist_ok=True)
    for member in model.members:
        path = folder / _booster_path(model, member.source, member.locations)
        path.write_bytes(member.booster.trees_.to_bytes())
    np.savez(folder / "weights.npz", **_arrays(model))
    described = {
        "locations": list(model.locations),
        "blocks": [{"name": name, "columns": list(columns)} for name, columns in model.blocks.items()],
        "kinds": list(model.kinds),
        "members": [{"source": m.source, "locations": list(m.locations)} for m in model.members],
        "heads": [asdict(fitted.head) for fitted in model.heads.values()],
    }
    (folder / "model.json").write_text(json.dumps(described, indent=1))
    (folder / "card.json").write_text(json.dumps(card, indent=1))
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _MANIFEST)
    digests = {path.relative_to(folder).as_posix(): _sha256(path) for path in files}
    (folder / _MANIFEST).write_text(json.dumps({"format": FORMAT, "sha256": digests}, indent=1))


def load_model(folder: Path) -> Model:
    """Read a model.

    Raises
    ------
    ValueError
        If the folder holds no model, one of an unknown version, or one that was changed.
    """
    _check(folder)
    described = json.loads((folder / "model.json").read_text())
    blocks = {block["name"]: tuple(block["columns"]) for block in described["blocks"]}
    with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
        heads = {head["name"]: _head(head, number, arrays) for number, head in enumerate(described["heads"])}
        kept = [arrays[f"kept_{number}"] for number in range(len(described["members"]))]
    bare = StackModel(tuple(described["locations"]), blocks, tuple(described["kinds"]), [], heads)
    members = [
        _member(folder, bare, member["source"], tuple(member["locations"]), some)
        for member, some in zip(described["members"], kept, strict=True)
    ]
    return Model(replace(bare, members=members), json.loads((folder / "card.json").read_text()))


def _member(
    folder: Path, model: StackModel, source: int, locations: tuple[int, ...], kept: NDArray[np.int64]
) -> Member:
    block, kind = model.sources[source]
    content = (folder / _booster_path(model, source, locations)).read_bytes()
    columns = len(list(model.blocks.values())[block])
    if kind == "multilabel":
        several = MultilabelBooster().restore(MultilabelTrees.from_bytes(content), kept, columns)
        return Member(source, locations, several)
    return Member(source, locations, BinaryBooster(kind).restore(READ[kind](content), kept, columns))


def _check(folder: Path) -> None:
    path = folder / _MANIFEST
    if not path.is_file():
        raise ValueError(
            f"{folder}: no trained model here ({_MANIFEST} is missing); train one or name its folder"
        )
    try:
        manifest = json.loads(path.read_text())
        version, digests = manifest["format"], dict(manifest["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a model's manifest; train the model again") from error
    if version != FORMAT:
        raise ValueError(
            f"{folder}: model format {version} is not known (this version reads {FORMAT}); train it again"
        )
    for name, digest in digests.items():
        file = folder / name
        if not file.is_file():
            raise ValueError(f"{file}: missing from the model; copy the whole folder or train it again")
        if _sha256(file) != digest:
            raise ValueError(f"{file}: changed since it was saved; copy the folder again or train it again")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _booster_path(model: StackModel, source: int, locations: tuple[int, ...]) -> str:
    """Name a booster's file, e.g. ``boosters/03_block0_lightgbm.txt``; ``all`` for one of all locations."""
    block, kind = model.sources[source]
    place = "all" if kind == "multilabel" else f"{locations[0]:02}"
    return f"boosters/{place}_block{block}_{kind}.{_SUFFIX[kind]}"


def _arrays(model: StackModel) -> dict[str, Any]:
    arrays: dict[str, Any] = {f"kept_{number}": m.booster.kept_ for number, m in enumerate(model.members)}
    for number, fitted in enumerate(model.heads.values()):
        arrays[f"bias_{number}"] = np.array([linear.bias for linear in fitted.linear])
        arrays[f"weights_{number}"] = np.stack([linear.weights for linear in fitted.linear])
        arrays[f"thresholds_{number}"] = fitted.thresholds
    return arrays


def _head(described: Mapping[str, Any], number: int, arrays: Mapping[str, Any]) -> FittedHead:
    head = Head(**{**described, "locations": tuple(described["locations"])})
    pairs = zip(arrays[f"bias_{number}"], arrays[f"weights_{number}"], strict=True)
    linear = [Linear(float(bias), weights) for bias, weights in pairs]
    return FittedHead(head, linear, arrays[f"thresholds_{number}"])
