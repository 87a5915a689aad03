"""Features against their peers: how well they tell locations of the protein apart, cell by cell.

Reads composites of nine isolated Human Protein Atlas cells of one known pattern (`duloc`), measures every
cell with each tool that is installed, and classifies cells with LightGBM, the same settings for all,
in folds that keep the cells of a picture together:

    python benchmarks/features_quality.py ../shared/real/duloc --work quality --pictures 90
"""

# ruff: noqa: E402 - the number of threads must be set before numpy is imported
import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_variable] = "1"

import argparse
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage
from skimage.filters import gaussian, threshold_otsu
from skimage.io import imread

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from features import CHANNELS, measure

COLOURS = ("red", "green", "blue", "yellow")
FOLDS = 5
SETTINGS = {"n_estimators": 200, "learning_rate": 0.05, "num_leaves": 15, "min_child_samples": 10}
SETTINGS |= {"colsample_bytree": 0.3, "subsample": 0.8, "subsample_freq": 1, "random_state": 0}
SETTINGS |= {"n_jobs": 1, "verbosity": -1, "deterministic": True, "force_row_wise": True}


@dataclass(frozen=True)
class Composite:
    """Nine isolated cells of one pattern."""

    pixels: np.ndarray
    cells: np.ndarray
    nuclei: np.ndarray


def read(folder: Path, name: str) -> Composite:
    """Read a composite; cells are the pieces on black, nuclei what is bright in their DNA channel."""
    planes = [imread(folder / "images" / f"{name}_{colour}.jpg") for colour in COLOURS]
    pixels = np.array(planes).astype(np.float32) / np.float32(255)
    seen = ndimage.binary_fill_holes(ndimage.binary_opening(pixels.max(axis=0) > 0.04, iterations=3))
    labels, _ = ndimage.label(seen)
    sizes = np.bincount(labels.ravel())
    kept = np.flatnonzero(sizes > 2000)[1:]
    cells = np.zeros(labels.shape, np.int32)
    nuclei = np.zeros(labels.shape, np.int32)
    dna = gaussian(pixels[2], 2)
    for number, label in enumerate(kept, 1):
        inside = labels == label
        cells[inside] = number
        nuclei[inside & (dna > threshold_otsu(dna[inside]))] = number
    return Composite(pixels, cells, nuclei)


def ours(one: Composite) -> pd.DataFrame:
    """Measure with this project's features."""
    return measure(one.pixels, one.cells, one.nuclei).reset_index(drop=True)


def cp_measure(one: Composite) -> pd.DataFrame:
    """Measure everything cp_measure has, in cells and, as CellProfiler's users do, in nuclei."""
    importlib.import_module("cp_measure").set_accelerator("numba")
    bulk = importlib.import_module("cp_measure.bulk")
    core, pairs = bulk.get_core_measurements(), bulk.get_correlation_measurements()
    planes = dict(zip(CHANNELS, one.pixels.astype(np.float64), strict=True))
    regions = []
    for region, labels in (("cell", one.cells), ("nucleus", one.nuclei)):
        table: dict[str, np.ndarray] = {}
        for name, function in core.items():
            for channel, plane in planes.items():
                found = function(labels, plane)
                table |= {f"{region}_{name}_{channel}_{key}": values for key, values in found.items()}
        for name, function in pairs.items():
            options = {"scale_max": 255} if name == "costes" else {}
            for first, second in combinations(planes, 2):
                found = function(planes[first], planes[second], labels, **options)
                table |= {f"{region}_{name}_{first}_{second}_{key}": value for key, value in found.items()}
        # a cell may lack a nucleus
        regions.append(pd.DataFrame(table, index=np.unique(labels[labels > 0])))
    return pd.concat(regions, axis=1).sort_index().reset_index(drop=True)


def nyxus(one: Composite) -> pd.DataFrame:
    """Measure everything nyxus has (64 grey levels) in every channel, in cells."""
    engine = importlib.import_module("nyxus").Nyxus(["*ALL*"], n_feature_calc_threads=1, coarse_gray_depth=64)
    tables = []
    for channel, plane in zip(CHANNELS, (one.pixels * 255).astype(np.uint32), strict=True):
        table = engine.featurize(plane, one.cells.astype(np.uint32))
        numbers = table.select_dtypes("number").drop(columns=["ROI_label", "t_index"], errors="ignore")
        tables.append(numbers.add_prefix(f"{channel}_"))
    return pd.concat(tables, axis=1)


TOOLS: dict[str, Callable[[Composite], pd.DataFrame]] = {
    "ours": ours,
    "cp_measure": cp_measure,
    "nyxus": nyxus,
}


def measured(tool: str, folder: Path, names: pd.Series, work: Path) -> pd.DataFrame:
    """Measure all composites with one tool; kept in `work`, one file per composite."""
    tables = []
    for name, pattern in names.items():
        path = work / tool / f"{name}.parquet"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            TOOLS[tool](read(folder, str(name))).astype(np.float32).to_parquet(path)
        tables.append(pd.read_parquet(path).assign(picture=name, pattern=pattern))
    return pd.concat(tables, ignore_index=True)


def pure(folder: Path, count: int) -> pd.Series:
    """Return the pattern of `count` composites of one pattern each, spread over the table."""
    table = pd.read_csv(folder / "labels.csv", dtype=str)
    targets = table["Target"].str.split()
    patterns = [target[0] if len(target) == 1 else None for target in targets]
    series = pd.Series(patterns, index=table["Id"]).dropna().sort_values(kind="stable")
    return series.iloc[np.unique(np.linspace(0, len(series) - 1, count).astype(int))]


def scores(table: pd.DataFrame) -> tuple[float, float]:
    """Return accuracy and macro-F1 of cells, out of folds that keep pictures together."""
    from lightgbm import LGBMClassifier
    from sklearn.metrics import accuracy_score, f1_score
    from sklearn.model_selection import StratifiedGroupKFold

    inputs = (
        table.drop(columns=["picture", "pattern"]).replace([np.inf, -np.inf], np.nan).to_numpy(np.float32)
    )
    answers = np.empty(len(table), dtype=object)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    for train, test in folds.split(inputs, table["pattern"], table["picture"]):
        model = LGBMClassifier(**SETTINGS).fit(inputs[train], table["pattern"].iloc[train])
        answers[test] = model.predict(inputs[test])
    truth = table["pattern"].to_numpy()
    return accuracy_score(truth, answers), f1_score(truth, answers, average="macro")


def main() -> None:
    """Measure with every tool and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of composites, with labels.csv and images/")
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for measurements, reused when run again"
    )
    parser.add_argument("--pictures", type=int, default=90)
    parser.add_argument("--tools", nargs="*", default=list(TOOLS), choices=list(TOOLS))
    arguments = parser.parse_args()
    names = pure(arguments.folder, arguments.pictures)
    print(f"{len(names)} composites of {names.nunique()} patterns")
    for tool in arguments.tools:
        try:
            what = "this checkout" if tool == "ours" else version(tool)
        except PackageNotFoundError:
            print(f"{tool}: not installed, left out")
            continue
        table = measured(tool, arguments.folder, names, arguments.work)
        accuracy, macro = scores(table)
        print(
            f"{tool} ({what}): {len(table)} cells, {table.shape[1] - 2} features, "
            f"accuracy {accuracy:.3f}, macro-F1 {macro:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
