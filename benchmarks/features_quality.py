"""Features against their peers: how well they tell locations of the protein apart, cell by cell.

Reads composites of nine isolated Human Protein Atlas cells of one known pattern (`duloc`), measures every
cell with each tool that is installed, and classifies cells with LightGBM, the same settings for all,
in folds that keep the cells of a picture together:

    python benchmarks/features_quality.py ../shared/real/duloc --work quality

Twice: with all four channels, cells and nuclei; and with the protein alone and one mask per cell, as in
ordinary immunofluorescence. Peers may need an environment of their own (cp_measure's centrosome
refuses this project's pillow): run the script there first, with ``--tools cp_measure nyxus``; what is
measured is kept in the folder of `--work` and found by the next run.
"""

# ruff: noqa: E402 - the number of threads must be set before numpy is imported
import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_variable] = "1"

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import ceil
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
DRAWS = 1000
SETTINGS = {
    "n_estimators": 100,
    "learning_rate": 0.1,
    "num_leaves": 15,
    "min_child_samples": 10,
    "max_bin": 63,
}
SETTINGS |= {"colsample_bytree": 0.3, "subsample": 0.8, "subsample_freq": 1}
SETTINGS |= {"n_jobs": 1, "verbosity": -1, "deterministic": True, "force_row_wise": True}


@dataclass(frozen=True)
class Composite:
    """Nine isolated cells of one pattern."""

    pixels: np.ndarray
    cells: np.ndarray
    nuclei: np.ndarray
    channels: tuple[str, ...] = CHANNELS

    def alone(self) -> "Composite":
        """Return the protein without markers, in cells without nuclei."""
        return Composite(self.pixels[1:2], self.cells, np.zeros_like(self.nuclei), ("protein",))


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
    return pd.concat(measure(one.pixels, one.cells, one.nuclei, channels=one.channels).values(), axis=1)


def cp_measure(one: Composite) -> pd.DataFrame:
    """Measure everything cp_measure has, in cells and, as CellProfiler's users do, in nuclei."""
    importlib.import_module("cp_measure").set_accelerator("numba")
    bulk = importlib.import_module("cp_measure.bulk")
    core, pairs = bulk.get_core_measurements(), bulk.get_correlation_measurements()
    planes = dict(zip(one.channels, one.pixels.astype(np.float64), strict=True))
    regions = []
    for region, labels in (("cell", one.cells), ("nucleus", one.nuclei)):
        if not labels.any():
            continue
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
    return pd.concat(regions, axis=1).sort_index()


def nyxus(one: Composite) -> pd.DataFrame:
    """Measure everything nyxus has (64 grey levels) in every channel, in cells."""
    engine = importlib.import_module("nyxus").Nyxus(["*ALL*"], n_feature_calc_threads=1, coarse_gray_depth=64)
    tables = []
    for channel, plane in zip(one.channels, (one.pixels * 255).astype(np.uint32), strict=True):
        table = engine.featurize(plane, one.cells.astype(np.uint32))
        numbers = table.select_dtypes("number").drop(columns=["ROI_label", "t_index"], errors="ignore")
        tables.append(numbers.add_prefix(f"{channel}_"))
    return pd.concat(tables, axis=1)


TOOLS: dict[str, Callable[[Composite], pd.DataFrame]] = {
    "ours": ours,
    "cp_measure": cp_measure,
    "nyxus": nyxus,
}


VIEWS: dict[str, Callable[[Composite], Composite]] = {"four": lambda one: one, "single": Composite.alone}
WORDS = {"four": "four channels, cells and nuclei", "single": "the protein alone, cells"}


def measured(tool: str, view: str, folder: Path, names: pd.Series, work: Path) -> pd.DataFrame | None:
    """Measure all composites with one tool; kept in `work`, one file per composite; None if it is missing.

    Returns the table with the columns "picture" and "pattern".
    """
    paths = {name: work / view / tool / f"{name}.parquet" for name in names.index}
    missing = [name for name, path in paths.items() if not path.exists()]
    if missing and tool != "ours" and importlib.util.find_spec(tool) is None:
        print(f"{tool}: not installed, and {len(missing)} composites not measured yet; left out")
        return None
    for name in missing:
        paths[name].parent.mkdir(parents=True, exist_ok=True)
        table = TOOLS[tool](VIEWS[view](read(folder, name))).astype(np.float32)
        part = paths[name].with_suffix(".part")
        table.reset_index(drop=True).to_parquet(part)
        part.replace(paths[name])
    tables = [pd.read_parquet(path).assign(picture=name, pattern=names[name]) for name, path in paths.items()]
    return pd.concat(tables, ignore_index=True)


def pure(folder: Path, most: int) -> pd.Series:
    """Return the pattern of composites of one pattern each, at most so many of each, evenly spread."""
    table = pd.read_csv(folder / "labels.csv", dtype=str)
    table = table[table["Target"].str.split().str.len() == 1]
    parts = [part.iloc[:: ceil(len(part) / most)] for _, part in table.groupby("Target")]
    chosen = pd.concat(parts)
    return pd.Series(chosen["Target"].to_numpy(), index=chosen["Id"])


def answered(table: pd.DataFrame, repeats: int) -> np.ndarray:
    """Classify every cell out of folds that keep pictures together, shape (repeats, cells)."""
    from lightgbm import LGBMClassifier
    from sklearn.model_selection import StratifiedGroupKFold

    inputs = table.drop(columns=["picture", "pattern"]).replace([np.inf, -np.inf], np.nan)
    inputs = inputs.to_numpy(np.float32)
    answers = np.empty((repeats, len(table)), dtype=object)
    for repeat in range(repeats):
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=repeat)
        for train, test in folds.split(inputs, table["pattern"], table["picture"]):
            model = LGBMClassifier(**SETTINGS, random_state=repeat)
            model.fit(inputs[train], table["pattern"].iloc[train])
            answers[repeat, test] = model.predict(inputs[test])
    return answers


def macro_f1(truth: np.ndarray, answers: np.ndarray) -> float:
    """Return macro-F1 over the patterns that occur, averaged over repeats."""
    scores = []
    for pattern in np.unique(truth):
        hits = ((answers == pattern) & (truth == pattern)).sum(axis=1)
        scores.append(2 * hits / ((answers == pattern).sum(axis=1) + (truth == pattern).sum()))
    return float(np.mean(scores))


def interval(truth: np.ndarray, pictures: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the 95 % interval of a difference of macro-F1, bootstrapped over pictures within patterns."""
    generator = np.random.default_rng(0)
    members = {picture: np.flatnonzero(pictures == picture) for picture in np.unique(pictures)}
    strata = [np.unique(pictures[truth == pattern]) for pattern in np.unique(truth)]
    differences = []
    for _ in range(DRAWS):
        drawn = np.concatenate([generator.choice(stratum, len(stratum)) for stratum in strata])
        cells = np.concatenate([members[picture] for picture in drawn])
        scores = [macro_f1(truth[cells], answers[:, cells]) for answers in (one, other)]
        differences.append(scores[0] - scores[1])
    return np.quantile(differences, [0.025, 0.975])


def compare(view: str, tables: dict[str, pd.DataFrame], repeats: int) -> None:
    """Print every tool's scores, and how far ours is ahead."""
    print(f"{WORDS[view]}:")
    answers = {tool: answered(table, repeats) for tool, table in tables.items()}
    for tool, table in tables.items():
        truth, pictures = table["pattern"].to_numpy(), table["picture"].to_numpy()
        accuracy = np.mean(answers[tool] == truth)
        words = (
            f"  {tool}: {table.dropna(axis=1, how='all').shape[1] - 2} features, accuracy {accuracy:.3f}, "
        )
        words += f"macro-F1 {macro_f1(truth, answers[tool]):.3f}"
        if tool != "ours" and "ours" in tables:
            low, high = interval(truth, pictures, answers["ours"], answers[tool])
            words += f"; ours is ahead by {low:+.3f} to {high:+.3f}"
        print(words, flush=True)


def main() -> None:
    """Measure with every tool and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of composites, with labels.csv and images/")
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for measurements, used when run again"
    )
    parser.add_argument("--most", type=int, default=10, help="composites of a pattern, at most")
    parser.add_argument("--repeats", type=int, default=5, help="of the folds, with other seeds")
    parser.add_argument("--tools", nargs="*", default=list(TOOLS), choices=list(TOOLS))
    parser.add_argument("--views", nargs="*", default=list(VIEWS), choices=list(VIEWS))
    parser.add_argument("--measure-only", action="store_true", help="leave classifying to a later run")
    arguments = parser.parse_args()
    names = pure(arguments.folder, arguments.most)
    print(f"{len(names)} composites of {names.nunique()} patterns; {FOLDS} folds, {arguments.repeats} times")
    for view in arguments.views:
        found = {
            tool: measured(tool, view, arguments.folder, names, arguments.work) for tool in arguments.tools
        }
        tables = {tool: table for tool, table in found.items() if table is not None}
        if not arguments.measure_only:
            compare(view, tables, arguments.repeats)


if __name__ == "__main__":
    main()
