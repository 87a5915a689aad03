"""One network over all pictures of a folder: in chunks that survive a kill, in several processes."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.errors import PipelineError
from pipeline.core.files import text_digest
from pipeline.core.problems import Problem, SampleError
from pipeline.core.progress import Progress
from pipeline.core.store import Parts
from pipeline.core.workers import map_chunks, share_out, torch_threads
from pipeline.core.workspace import Workspace
from pipeline.data.masks import read_mask
from pipeline.data.pictures import read_picture
from pipeline.data.samples import Sample
from pipeline.networks.card import Embedder, Per
from pipeline.networks.columns import embedding_row
from pipeline.networks.weights import open_network, weights_path

_WHY = ("file", "reason", "remedy")
_VERSION = 1
"""Raise it when the same network and picture give other numbers than before."""


@dataclass(frozen=True)
class Chunk:
    """Samples that lack an embedding, and the network."""

    samples: tuple[Sample, ...]
    keys: tuple[str, ...]
    embedder: Embedder
    root: Path
    device: str


def embed_pictures(
    embedder: Embedder,
    samples: Sequence[Sample],
    work: Workspace,
    jobs: int,
    progress: Progress,
    device: str = "cpu",
) -> tuple[pd.DataFrame, list[Problem]]:
    """Return the embedding of every sample that can be read.

    Returns
    -------
    table : DataFrame of float32
        Index ``Id``, in the order of the samples.
    problems : list of Problem
        Samples that were skipped.

    Raises
    ------
    PipelineError
        If the weights cannot be used, cells are needed and not segmented, or no picture can be read.
    """
    weights_path(embedder)
    keys = picture_keys(embedder.per, samples, work)
    parts = _parts(work, embedder)
    index = parts.index()
    missing = [sample for sample in samples if (sample.id, keys[sample.id]) not in index]
    if missing:
        chunks = [
            Chunk(tuple(some), tuple(keys[sample.id] for sample in some), embedder, work.root, device)
            for some in share_out(missing, jobs)
        ]
        with progress.track(f"Embedding pictures by {embedder.network}", len(missing)) as advance:
            for chunk, _ in map_chunks(embed_chunk, chunks, jobs):
                advance(len(chunk.samples))
    return _usable(parts.read(keys, parts.index()).set_index("Id"))


def _usable(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[Problem]]:
    """Part the pictures that could be read from those that could not."""
    bad = rows[rows["reason"] != ""]
    problems = [Problem(*row) for row in bad.reset_index()[["Id", *_WHY]].to_numpy().tolist()]
    good = rows[rows["reason"] == ""].drop(columns=["key", *_WHY])
    if good.empty:
        raise PipelineError(f"no picture could be read; the first: {problems[0].file}: {problems[0].reason}")
    return good.dropna(axis=1, how="all"), problems


def _parts(work: Workspace, embedder: Embedder) -> Parts:
    return Parts(work.parts / "embeddings" / f"{embedder.name}-{_digest(embedder)[:12]}")


def _digest(embedder: Embedder) -> str:
    """Digest everything that changes a number; where the weights lie does not."""
    return text_digest([_VERSION, embedder.model_dump(mode="json", exclude={"weights"})])


def picture_keys(per: Per, samples: Sequence[Sample], work: Workspace) -> dict[str, str]:
    """Return the key under which each sample's embedding is valid: its pictures, and its cells.

    Raises
    ------
    PipelineError
        If cells are needed and not segmented.
    """
    keys = {sample.id: [sample.fingerprint()] for sample in samples}
    if per == "cell":
        for sample, key in keys.items():
            if not work.mask(sample).is_file():
                raise PipelineError(
                    f"{work.mask(sample)}: no cells there; run extract with --work {work.root} first"
                )
            key.append(str(work.mask(sample).stat().st_mtime_ns))
    return {sample: text_digest(key)[:24] for sample, key in keys.items()}


def embed_chunk(chunk: Chunk) -> int:
    """Embed the samples of a chunk and write them as one part; return their number."""
    work = Workspace(chunk.root)
    with torch_threads(1) if chunk.embedder.kind == "torch" else nullcontext():
        rows = [_row(sample, key, chunk, work) for sample, key in zip(chunk.samples, chunk.keys, strict=True)]
    table = pd.DataFrame(rows)
    text = ["Id", "key", *_WHY]
    numbers = [name for name in table.columns if name not in text]
    _parts(work, chunk.embedder).write(table.astype(dict.fromkeys(numbers, np.float32)))
    return len(chunk.samples)


def _row(sample: Sample, key: str, chunk: Chunk, work: Workspace) -> dict[str, object]:
    about: dict[str, object] = {"Id": sample.id, "key": key, **dict.fromkeys(_WHY, "")}
    try:
        picture = read_picture(sample)
    except SampleError as error:
        _, file, reason, remedy = astuple(error.problem)
        return about | {"file": file, "reason": reason, "remedy": remedy}
    cells = read_mask(work.mask(sample.id)).cells if chunk.embedder.per == "cell" else None
    numbers = embedding_row(picture, chunk.embedder, open_network(chunk.embedder, chunk.device), cells)
    return about | {str(name): value for name, value in numbers.items()}
