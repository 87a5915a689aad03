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

from pipeline.segmentation.cellpose import CellposeSegmenter, find_objects
from pipeline.segmentation.diameter import estimate_both, with_diameters
from pipeline.segmentation.factory import make_segmenter
from pipeline.segmentation.fields import network_planes
from pipeline.segmentation.scores import average_precision
from pipeline.segmentation.weights import load_network
from pipeline.simulation.field import simulate_picture

SEED = 990_002
FIELDS = 8


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


def main() -> None:
    """Print seconds and average precision of both, and the bars."""
    logging.getLogger("cellpose").setLevel(logging.ERROR)
    fields = [simulate_picture(SEED, protein) for protein in range(FIELDS)]
    pictures = [field.picture for field in fields]
    bare = make_segmenter("cellpose")
    assert isinstance(bare, CellposeSegmenter)
    ours = with_diameters(bare, *estimate_both(bare, pictures[:4]))
    diameters = {"nuclei": ours.nuclei_diameter, "cells": ours.cell_diameter}
    weights = {"nuclei": ours.nuclei, "cells": ours.cells}
    print(f"{torch.get_num_threads()} threads; diameters {diameters}")
    with tempfile.TemporaryDirectory() as folder:
        stock = {name: stock_model(Path(folder), name, one) for name, one in weights.items()}

        def evaluate(picture, given):
            return [
                stock[name].eval(
                    network_planes(name, picture), channels=[1, 2], channel_axis=0, diameter=given[name]
                )[0]
                for name in stock
            ]

        _, seconds_own = timed(lambda one: evaluate(one, dict.fromkeys(stock)), pictures)
        theirs, seconds_given = timed(lambda one: evaluate(one, diameters), pictures)
    _, seconds = timed(ours.segment, pictures)
    raw, seconds_raw = timed(
        lambda one: [find_objects(weights[n], network_planes(n, one), diameters[n], "cpu") for n in weights],
        pictures,
    )
    truth = [(field.nuclei, field.cells) for field in fields[1:]]
    score = {
        name: np.mean(
            [
                [average_precision(a, b) for a, b in zip(t, f, strict=True)]
                for t, f in zip(truth, found, strict=True)
            ],
            axis=0,
        )
        for name, found in (("ours", raw), ("stock", theirs))
    }
    print(f"ours: {seconds:.3f} s per picture with matching, {seconds_raw:.3f} s without")
    print(f"stock eval twice: own scale {seconds_own:.3f} s, same diameters {seconds_given:.3f} s")
    for row, name in enumerate(("nuclei", "cells")):
        print(f"{name}: AP ours {score['ours'][row].round(3)}, stock {score['stock'][row].round(3)}")
    print("at most 0.6 s:", "met" if seconds <= 0.6 else "MISSED")
    print(
        f"3 times faster than stock: {seconds_own / seconds:.1f} x:",
        "met" if seconds_own >= 3 * seconds else "MISSED",
    )
    worst = float((score["stock"] - score["ours"])[:, 0].max())
    print(f"AP within 0.01 of stock: {worst:+.3f} worse at most:", "met" if worst <= 0.01 else "MISSED")


if __name__ == "__main__":
    main()
