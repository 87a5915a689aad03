"""Seconds per 512 × 512 picture: this project's two networks against stock Cellpose, with equal weights.

Run from the project's folder, on an idle machine: python benchmarks/segmentation_speed.py
"""

import logging
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cellpose.models import CellposeModel

from pipeline.segmentation import make_segmenter, measure_scale
from pipeline.segmentation.cellpose import CellposeSegmenter
from pipeline.segmentation.fields import average_precision, network_planes
from pipeline.segmentation.inference import find_objects
from pipeline.segmentation.network import load_network
from pipeline.simulation.field import simulate_picture

SEED = 990_002
SLOW = 7
"""Fields, the first warming up, that stock segments at its defaults, at which it takes many seconds each."""

FIELDS = 25
"""The first warms up; 24 are timed and compared."""


def stock_model(folder: Path, name: str, weights) -> CellposeModel:
    """Return a stock model with the same weights, in Cellpose's own format and precision."""
    path = folder / name
    torch.save(load_network(weights).state_dict(), path)
    return CellposeModel(gpu=False, pretrained_model=str(path))


def timed(run, pictures):
    """Return what `run` gives for all pictures but the first (warming up), and the median seconds."""
    run(pictures[0])
    results, seconds = [], []
    for picture in pictures[1:]:
        start = time.perf_counter()
        results.append(run(picture))
        seconds.append(time.perf_counter() - start)
    return results, float(np.median(seconds))


def precision(truth, found):
    """Return the mean average precision, shape (2, 2): nuclei and cells, by IoU 0.5 and 0.75."""
    pairs = zip(truth, found, strict=False)
    return np.mean([[average_precision(a, b) for a, b in zip(t, f, strict=True)] for t, f in pairs], axis=0)


def by_stock(weights, diameters, pictures):
    """Return masks and seconds of stock `eval` called twice: at given diameters, and at its defaults."""
    with tempfile.TemporaryDirectory() as folder:
        stock = {name: stock_model(Path(folder), name, one) for name, one in weights.items()}

        def evaluate(picture, given):
            planes = {name: network_planes(name, picture) for name in stock}
            return [
                stock[name].eval(planes[name], channels=[1, 2], channel_axis=0, diameter=given[name])[0]
                for name in stock
            ]

        at_given = timed(lambda one: evaluate(one, diameters), pictures)
        at_own = timed(lambda one: evaluate(one, dict.fromkeys(stock)), pictures[:SLOW])
    return at_given, at_own


def main() -> None:
    """Print seconds and average precision of both, and the bars."""
    logging.getLogger("cellpose").setLevel(logging.ERROR)
    fields = [simulate_picture(SEED, protein) for protein in range(FIELDS)]
    pictures = [field.picture for field in fields]
    bare = make_segmenter("cellpose")
    assert isinstance(bare, CellposeSegmenter)
    ours = bare.at(measure_scale(bare, pictures[:4], cells=True))
    diameters = {"nuclei": ours.nuclei_diameter, "cells": ours.cell_diameter}
    weights = {"nuclei": ours.nuclei, "cells": ours.cells}
    print(f"{torch.get_num_threads()} threads; diameters {diameters}", flush=True)
    _, seconds = timed(ours.segment, pictures)
    found, seconds_raw = timed(
        lambda one: [find_objects(weights[n], network_planes(n, one), diameters[n], "cpu") for n in weights],
        pictures,
    )
    (at_given, seconds_given), (at_own, seconds_own) = by_stock(weights, diameters, pictures)
    truth = [(field.nuclei, field.cells) for field in fields[1:]]
    score, stock, own = (precision(truth, one) for one in (found, at_given, at_own))
    print(f"ours: {seconds:.3f} s per picture with matching, {seconds_raw:.3f} s without")
    print(f"stock eval twice: own scale {seconds_own:.3f} s, same diameters {seconds_given:.3f} s")
    for row, name in enumerate(("nuclei", "cells")):
        print(
            f"{name}, {len(found)} fields: AP ours {score[row].round(3)}, stock at the same diameters "
            f"{stock[row].round(3)}; stock at its defaults, {len(at_own)} fields: {own[row].round(3)}"
        )
    print(f"{seconds:.3f} s per picture (bar: at most 0.6 s):", verdict(seconds <= 0.6))
    times = seconds_own / seconds
    print(f"{times:.1f} times faster than stock (bar: 3 times):", verdict(times >= 3))
    worst = float((stock - score).max())
    print(f"AP {worst:+.3f} below stock at most (bar: 0.01):", verdict(worst <= 0.01))


def verdict(met: bool) -> str:
    """Return a bar's verdict in words."""
    return "met" if met else "MISSED"


if __name__ == "__main__":
    main()
