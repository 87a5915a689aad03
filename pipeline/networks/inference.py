"""One network over all pictures of a folder: in chunks that survive a kill, in several processes."""

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core.errors import PipelineError, Problem, SampleError
from pipeline.core.files import text_digest
from pipeline.core.names import counted, slug
from pipeline.core.stage import Progress
from pipeline.core.store import Parts
from pipeline.core.workers import map_chunks, share_out, torch_threads
from pipeline.core.workspace import Workspace
from pipeline.data.layouts import CHANNELS
from pipeline.data.masks import mask_origins, read_mask
from pipeline.data.pictures import read_picture
from pipeline.data.samples import Sample, fingerprints
from pipeline.networks.checkpoints import open_network, weights_path
from pipeline.networks.onnx import Forward
from pipeline.networks.preprocessing import Embedder, Per, Planes, prepare, turned

Labels = NDArray[np.integer[Any]]

TOP = 3
"""Cells whose mean stands for a picture's strongest ones."""

MARGIN = 1.1
"""Side of a cell's crop relative to the longer side of its bounding box."""

STATISTICS = ("__mean", "__max", "_top3")
"""Endings of the columns of an embedding per cell."""

_WHY = ("file", "reason", "remedy")
VERSION = 1
"""Raise it when the same network and picture give other numbers than before."""


def embed_pictures(
    embedder: Embedder,
    samples: Sequence[Sample],
    work: Workspace,
    jobs: int,
    progress: Progress,
    device: str = "cpu",
) -> tuple[pd.DataFrame, list[Problem]]:
    """Return the embedding of every sample that can be read, index ``Id``, and those that were skipped.

    Weights that cannot be used are refused, as are samples whose cells are needed and not segmented, or of
    which none can be read.
    """
    weights_path(embedder)
    keys = picture_keys(embedder.per, samples, work)
    parts = _parts(work, embedder)
    known = parts.known(keys)
    missing = [(sample, keys[sample.id]) for sample in samples if sample.id not in known]
    passing: list[Problem] = []
    if missing:
        embed = partial(_embed_chunk, embedder, work, device)
        with progress.track(f"Embedding pictures by {embedder.network}", len(missing)) as advance:
            for chunk, problems in map_chunks(embed, share_out(missing, jobs), jobs):
                passing += problems
                advance(len(chunk))
    for problem in passing:
        del keys[problem.sample]
    rows = parts.read(keys, parts.located(keys)) if keys else pd.DataFrame(columns=["Id", "key", *_WHY])
    table, problems = _usable(rows.set_index("Id"), passing)
    return _with_numbers(table, embedder, progress), problems


def _usable(rows: pd.DataFrame, passing: list[Problem]) -> tuple[pd.DataFrame, list[Problem]]:
    """Part the pictures that could be read from those that could not."""
    bad = rows[rows["reason"] != ""]
    problems = [Problem(*row) for row in bad.reset_index()[["Id", *_WHY]].to_numpy().tolist()] + passing
    good = rows[rows["reason"] == ""].drop(columns=["key", *_WHY])
    if not len(good):
        raise PipelineError(f"no picture could be read; the first: {problems[0].file}: {problems[0].reason}")
    return good.dropna(axis=1, how="all"), problems


def _with_numbers(table: pd.DataFrame, embedder: Embedder, progress: Progress) -> pd.DataFrame:
    """Leave out, and say, which pictures lack a channel that the network cannot do without."""
    lacking = table.isna().all(axis=1)
    number = int(lacking.sum())
    if embedder.per != "picture" or not number:  # cells may be absent for another reason
        return table
    pictures, needed = counted(number, "picture"), ", ".join(embedder.needed)
    progress.note(f"{embedder.name}: no embedding of {pictures}: the network needs {needed}")
    return table.loc[~lacking]


def _parts(work: Workspace, embedder: Embedder) -> Parts:
    """Return where finished rows lie, by everything that changes a number; where the weights lie does not."""
    unsaid = {"weights"} if embedder.sides else {"weights", "sides"}
    digest = text_digest([VERSION, embedder.model_dump(mode="json", exclude=unsaid)])
    return Parts(work.parts / "embeddings" / f"{embedder.name}-{digest[:12]}")


def picture_keys(per: Per, samples: Sequence[Sample], work: Workspace) -> dict[str, str]:
    """Return the key under which each sample's embedding is valid: its pictures, and its segmented cells.

    Cells count by the content of their label image, so that a copied work folder stays valid.
    """
    keys = {sample: [digest] for sample, digest in fingerprints(samples, work).items()}
    if per == "cell":
        for sample, origin in mask_origins(work, keys).items():
            if not origin.digest:
                raise PipelineError(
                    f"{work.mask(sample)}: no cells there; run extract with --work {work.root} first"
                )
            keys[sample].append(origin.digest)
    return {sample: text_digest(key)[:24] for sample, key in keys.items()}


def _embed_chunk(
    embedder: Embedder, work: Workspace, device: str, chunk: Sequence[tuple[Sample, str]]
) -> list[Problem]:
    """Embed samples, each with its key, and write them as one part; return passing troubles, not in it."""
    rows, passing = [], []
    with torch_threads(1) if embedder.kind == "torch" else nullcontext():
        for sample, key in chunk:
            try:
                rows.append({"Id": sample.id, "key": key, **_row(sample, embedder, work, device)})
            except SampleError as error:
                passing.append(error.problem)
    if not rows:
        return passing
    table = pd.DataFrame(rows)
    text = ["Id", "key", *_WHY]
    numbers = [name for name in table.columns if name not in text]
    _parts(work, embedder).write(table.astype(dict.fromkeys(numbers, np.float32)))
    return passing


def _row(sample: Sample, embedder: Embedder, work: Workspace, device: str) -> dict[str, object]:
    try:
        picture = read_picture(sample)
    except SampleError as error:
        if error.problem.is_passing:
            raise
        return {name: getattr(error.problem, name) for name in _WHY}
    mask = read_mask(work.mask(sample.id)) if embedder.per == "cell" else None
    cells = None if mask is None else mask.with_small_labels()[0].cells
    said: dict[str, object] = dict.fromkeys(_WHY, "")
    if lacks(embedder, picture.channels):
        return said  # no number: the whole row is empty
    return said | embedding_row(
        picture.pixels, embedder, open_network(embedder, device), cells, picture.channels
    )


def lacks(embedder: Embedder, channels: Sequence[str]) -> bool:
    """Say whether a picture of these channels lacks one that the network cannot do without."""
    return embedder.needs(name for name in CHANNELS if name not in channels)


def embedding_row(
    pixels: Planes,
    embedder: Embedder,
    network: Forward,
    cells: Labels | None = None,
    channels: Sequence[str] = CHANNELS,
) -> dict[str, np.float32]:
    """Return the numbers of one picture, shape (channels, height, width), by column.

    With a label image of its cells: the mean, the maximum and the mean of the three largest over cells; NaN
    without any.
    """
    crops = [pixels] if cells is None else cell_crops(pixels, cells)
    inputs = [view for crop in crops or [pixels] for view in _views(crop, embedder, channels)]
    values, names = _embed(inputs, embedder, network)
    if embedder.sides:
        values = values.reshape(len(crops or [pixels]), -1, values.shape[1]).mean(axis=1)
    if cells is not None:
        names = [f"{name}{ending}" for ending in STATISTICS for name in names]
        values = summarised(values) if crops else np.full((len(STATISTICS), values.shape[1]), np.nan)
    return dict(zip(names, values.ravel().astype(np.float32), strict=True))


def _views(pixels: Planes, embedder: Embedder, channels: Sequence[str]) -> list[Planes]:
    """Return a picture as the network sees it: once, or at several sides and in all turns and flips."""
    once = embedder.preprocessing
    if not embedder.sides:
        return [prepare(pixels, once, channels)]
    scales = [once.model_copy(update={"side": side}) for side in embedder.sides]
    return [view for scale in scales for view in turned(prepare(pixels, scale, channels))]


def block_name(text: str) -> str:
    """Return the token that names a network's columns, table and record; refuse an empty one."""
    if not slug(text):
        raise PipelineError(f"name '{text}': give letters or digits")
    return slug(text)


def _embed(inputs: list[Planes], embedder: Embedder, network: Forward) -> tuple[Planes, list[str]]:
    """Embed inputs one by one: the bits of a row must not depend on which others share its batch.

    Returns a row per picture and the columns: ``cnn__<name>__e0000`` … and ``cnn__<name>__logit_<location>``.
    """
    found = [network(planes[None]) for planes in inputs]
    width = found[0][0].shape[1] if embedder.keep == "all" else 0
    rows = [
        np.concatenate([embedding[:, :width], *([] if logits is None else [logits])], axis=1)[0]
        for embedding, logits in found
    ]
    ends = [f"e{number:04}" for number in range(width)]
    ends += [f"logit_{slug(location)}" for location in embedder.outputs]
    return np.stack(rows), [f"cnn__{embedder.name}__{end}" for end in ends]


def summarised(values: Planes) -> Planes:
    """Summarise cells, shape (cells, numbers), by mean, maximum and mean of the `TOP` largest."""
    top = np.sort(values, axis=0)[-TOP:].mean(axis=0)
    return np.stack([values.mean(axis=0), values.max(axis=0), top])


def cell_crops(pixels: Planes, cells: Labels) -> list[Planes]:
    """Cut a square around every cell of a label image, black beyond the picture; neighbours stay in it."""
    from scipy.ndimage import find_objects

    crops = []
    for box in find_objects(cells):
        if box is None:
            continue
        sides = [axis.stop - axis.start for axis in box]
        half = max(1, round(max(sides) * MARGIN / 2))
        crop = np.zeros((len(pixels), 2 * half, 2 * half), pixels.dtype)
        here, there = [], []
        for axis, length in zip(box, cells.shape, strict=True):
            start = (axis.start + axis.stop) // 2 - half
            inside = slice(max(0, start), min(length, start + 2 * half))
            there.append(inside)
            here.append(slice(inside.start - start, inside.stop - start))
        crop[:, *here] = pixels[:, *there]
        crops.append(crop)
    return crops
