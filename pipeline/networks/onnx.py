"""Networks in ONNX files, and the TOML beside each that says how pictures go in and what comes out."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, ValidationError

from pipeline.core.errors import PipelineError
from pipeline.core.files import file_digest, text_digest
from pipeline.data.locations import LOCATIONS
from pipeline.networks.preprocessing import Embedder, Planes, Preprocessing

Channel = Literal["microtubules", "protein", "nucleus", "er"]
Forward = Callable[[Planes], tuple[Planes, Planes | None]]
"""A batch of inputs to embeddings and, where there are any, class outputs as log-odds."""

_SMALLEST = 1e-6
"""Probabilities are kept this far from 0 and 1 before their log-odds are taken."""


class OnnxDescription(Preprocessing):
    """The TOML beside an ONNX file: ``network.toml`` for ``network.onnx``.

    Attributes
    ----------
    mean, std : tuple of float
        Of each plane, in the order of channels.
    embedding, outputs : str, optional
        Names of the output that is the embedding, and of the output with one number per location.
    locations : tuple of str
        Names of the class outputs; the 28 of the Kaggle competition unless given.
    """

    channels: tuple[Channel, ...] = ("microtubules", "protein", "nucleus", "er")
    mean: tuple[float, ...] = Field()
    std: tuple[float, ...] = Field()
    embedding: str | None = None
    outputs: str | None = None
    outputs_are: Literal["logits", "probabilities"] = "logits"
    locations: tuple[str, ...] = LOCATIONS


def describe_onnx(path: Path, name: str) -> Embedder:
    """Read the TOML beside an ONNX file; refuse one that says too little or too much, naming the field."""
    if not path.is_file():
        raise PipelineError(f"{path}: no such file; give the path of an ONNX network")
    beside = path.with_suffix(".toml")
    if not beside.is_file():
        raise PipelineError(
            f"{beside}: missing; write beside the network: channels, side, mean, std, and the names of its "
            "outputs as embedding and outputs"
        )
    try:
        said = OnnxDescription.model_validate(tomllib.loads(beside.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise PipelineError(f"{beside}: {field}: {first['msg']}; correct it") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PipelineError(f"{beside}: not TOML ({error}); correct it") from error
    _check(beside, said)
    return Embedder(
        name=name,
        kind="onnx",
        network=path.name,
        weights=path.resolve(),
        sha256=onnx_digest(path),
        preprocessing=Preprocessing.model_validate(said.model_dump(include=set(Preprocessing.model_fields))),
        outputs=said.locations if said.outputs else (),
        embedding=said.embedding,
        logits=said.outputs,
        probabilities=said.outputs_are == "probabilities",
    )


def onnx_digest(path: Path) -> str:
    """Return the digest of an ONNX file and of the files beside it that hold its weights, if there are any.

    Raises
    ------
    PipelineError
        If one of these is missing, or lies elsewhere.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        tensors = onnx.load(path, load_external_data=False).graph.initializer
    except DecodeError:  # `open_onnx` says so
        return file_digest(path)
    entries = [entry for tensor in tensors for entry in tensor.external_data]
    names = sorted({entry.value for entry in entries if entry.key == "location"})
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts or not (path.parent / name).is_file():
            raise PipelineError(f"{path}: its weights '{name}' are not beside it; copy them there")
    if not names:
        return file_digest(path)
    return text_digest([file_digest(path), {name: file_digest(path.parent / name) for name in names}])


def _check(path: Path, said: OnnxDescription) -> None:
    planes = len(said.channels)
    for field in ("mean", "std"):
        values = getattr(said, field)
        if len(values) != planes:
            raise PipelineError(
                f"{path}: {field} has {len(values)} numbers, channels has {planes}; give one each"
            )
    if min(said.std) <= 0:
        raise PipelineError(f"{path}: std {min(said.std)} is not positive; correct it")
    if said.embedding is None and said.outputs is None:
        raise PipelineError(f"{path}: names no output; give embedding, outputs or both")


def open_onnx(embedder: Embedder) -> Forward:
    """Open an ONNX network with ONNX Runtime, one thread, on the CPU; refuse one that is not as described."""
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, InvalidProtobuf

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    path = embedder.weights
    try:
        session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except (Fail, InvalidGraph, InvalidProtobuf) as error:
        reason = str(error).splitlines()[0][:150]
        raise PipelineError(f"{path}: not a network that can run ({reason}); export it again") from error
    known = [output.name for output in session.get_outputs()]
    wanted = [name for name in (embedder.embedding, embedder.logits) if name is not None]
    absent = [name for name in wanted if name not in known]
    if absent:
        raise PipelineError(f"{path}: no output '{absent[0]}'; it has: {', '.join(known)}; correct its TOML")
    entry = session.get_inputs()[0].name

    def forward(batch: Planes) -> tuple[Planes, Planes | None]:
        found = dict(zip(wanted, session.run(wanted, {entry: batch}), strict=True))
        logits = found.get(embedder.logits or "")
        if logits is not None and embedder.probabilities:
            likely = np.clip(logits.astype(np.float64), _SMALLEST, 1 - _SMALLEST)
            logits = np.log(likely / (1 - likely)).astype(np.float32)
        embedding = found.get(embedder.embedding or "", np.zeros((len(batch), 0), np.float32))
        return embedding.reshape(len(batch), -1), logits

    return forward
