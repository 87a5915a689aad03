"""Fit base learners on the workers of a cluster, which read what they learn from in the work folder.

Tables are written once, under the digest of their content, and opened by each worker without being read
whole: a task holds no more than the fits to do.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from threadpoolctl import threadpool_limits

from models.blocks import Block, View
from models.cross_fitting import CrossFitter, Fit, Run
from pipeline.core.clusters import ClusterWorkers, Losses, client_in_use
from pipeline.core.errors import PipelineError
from pipeline.core.files import replacing, text_digest, write_text
from pipeline.core.workers import share_out

Keyed = tuple[str, Fit]


def fitting(jobs: int, folder: Path) -> int | Run:
    """Return what runs the fits of a training: so many at a time here or, with a cluster, its workers.

    Parameters
    ----------
    folder : Path
        Where the tables are put for workers; all of them see it.
    """
    client = client_in_use()
    if client is None:
        return jobs
    pool, written = ClusterWorkers(client), lru_cache(4)(partial(_write, folder))
    losses = Losses[Sequence[Keyed], list[tuple[str, bytes]]](_divided, _given_up)

    def run(fitter: CrossFitter, fits: Sequence[Keyed]) -> Iterator[tuple[str, bytes]]:
        path = written(fitter) if fits else folder
        for _, made in pool.map(partial(fit_bundle, path), _bundles(fits, pool.number), losses):
            yield from made

    return run


def _bundles(fits: Sequence[Keyed], number: int) -> list[Sequence[Keyed]]:
    """Cut fits into bundles of one table and the same folds, about four for each of so many workers."""
    alike: dict[tuple[int, tuple[int, ...]], list[Keyed]] = defaultdict(list)
    for key, fit in fits:
        alike[fit.block, fit.without].append((key, fit))
    number = -(-number // max(1, len(alike)))
    return [bundle for some in alike.values() for bundle in share_out(some, number)]


def _divided(bundle: Sequence[Keyed]) -> list[Sequence[Keyed]]:
    return [[one] for one in bundle] if len(bundle) > 1 else []


def _given_up(bundle: Sequence[Keyed]) -> NoReturn:
    raise PipelineError(
        f"a base learner ({bundle[0][1].kind}) kills the workers that fit it; "
        "run again with more memory for workers"
    )


def fit_bundle(path: Path, bundle: Sequence[Keyed]) -> list[tuple[str, bytes]]:
    """Fit some base learners on what `fitting` wrote; return each key with what is kept of its fit."""
    fitter = _read(path)
    with threadpool_limits(1):  # as on one machine: the order of sums
        return [fitter.fitted(key, fit) for key, fit in bundle]


def _write(folder: Path, fitter: CrossFitter) -> Path:
    """Write all that fits are made from; return the file (JSON) that describes it."""
    keep = partial(_keep, folder)
    blocks = [{field.name: getattr(block, field.name) for field in fields(block)} for block in fitter.blocks]
    whole = {
        "blocks": [{name: keep(value) for name, value in block.items()} for block in blocks],
        "views": [
            [view.name, {name: keep(some) for name, some in view.missing.items()}] for view in fitter.views
        ],
        "learn": [[without, keep(some)] for without, some in fitter.learn.items()],
        **{name: keep(getattr(fitter, name)) for name in ("targets", "fold", "seed", "dropout")},
    }
    path = folder / f"{text_digest(whole)[:24]}.json"
    write_text(path, json.dumps(whole))
    return path.absolute()


def _keep(folder: Path, value: Any) -> Any:
    """Write an array under the digest of its content, unless it is there; return its name."""
    if not isinstance(value, np.ndarray):
        return value
    whole = np.ascontiguousarray(value)
    digest = hashlib.sha256(f"{whole.dtype} {whole.shape}".encode())
    digest.update(whole.data.cast("B") if whole.size else b"")
    name = f"{digest.hexdigest()[:24]}.npy"
    if not (folder / name).is_file():
        with replacing(folder / name) as temporary, temporary.open("wb") as stream:
            np.save(stream, whole, allow_pickle=False)
    return {"array": name}


@lru_cache(2)
def _read(path: Path) -> CrossFitter:
    """Read what `_write` described; tables stay on the disk."""

    def opened(found: dict[str, Any]) -> Any:
        if set(found) != {"array"}:
            return found
        return np.asarray(np.load(path.with_name(found["array"]), mmap_mode="r"))

    whole = json.loads(path.read_bytes(), object_hook=opened)
    blocks: list[dict[str, Any]] = [
        {name: tuple(v) if isinstance(v, list) else v for name, v in one.items()} for one in whole["blocks"]
    ]
    return CrossFitter(
        [Block(**one) for one in blocks],
        whole["targets"],
        whole["fold"],
        learn={tuple(without): some for without, some in whole["learn"]},
        seed=whole["seed"],
        views=[View(name, missing) for name, missing in whole["views"]],
        dropout=whole["dropout"],
    )
