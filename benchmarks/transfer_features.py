"""Whether handcrafted features mean the same on simulated and on real pictures.

Boosters learn the 28 locations on features of simulated pictures that vary at random, and are asked about
real ones: with values as they are, or as ranks within each set of pictures, on all columns or on those that
tell simulated from real pictures least (Kolmogorov-Smirnov distance). Beside them the shipped network alone,
and the sum of both log-odds. Also printed: which columns tell simulated from real pictures most, by family.

Run from the project's folder: python benchmarks/transfer_features.py ../shared/real --work FOLDER
"""

import argparse
import sys
from pathlib import Path

import cv2
import lightgbm
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from real_pictures import labelled, ranking
from scipy.stats import ks_2samp, rankdata
from varied_pictures import varied_picture, varied_protein

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from features.naming import parse
from models.feature_selection import class_weights, columns_by_separation
from pipeline.commands.console import RichProgress
from pipeline.core.stage import execute
from pipeline.core.workspace import Workspace
from pipeline.data.dataset import read_features
from pipeline.data.layouts import COLOURS
from pipeline.data.locations import LOCATIONS
from pipeline.data.prediction_tables import log_odds_column
from pipeline.stages.embed import Embed
from pipeline.stages.extract import Extract
from pipeline.stages.options import EmbedOptions, ExtractOptions

SEED, SIDE = 555, 384

KEPT = 300
"""Columns that a location is learned from."""

ALIKE = 0.35
"""Kolmogorov-Smirnov distance up to which a column counts as alike in both."""

SETS = (("hpa2018", "Id"), ("hpa_dictionary", "file"))

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]


def simulated(folder: Path, pictures: int) -> Truth:
    """Write pictures that are not there yet; return where their proteins are."""
    folder.mkdir(parents=True, exist_ok=True)
    truth = np.zeros((pictures, len(LOCATIONS)), bool)
    with RichProgress().track("Simulating pictures", pictures) as advance:
        for number in range(pictures):
            described = varied_protein(SEED, number)
            truth[number, [LOCATIONS.index(name) for name in described.protein.locations]] = True
            paths = [folder / f"s{number:05d}_{colour}.png" for colour in COLOURS.values()]
            if not all(path.is_file() for path in paths):
                planes = np.rint(varied_picture(SEED, described, SIDE) * 255).astype(np.uint8)
                for path, plane in zip(paths, planes, strict=True):
                    cv2.imwrite(str(path), plane)
            advance(1)
    return truth


def measured(images: Path, work: Path) -> pd.DataFrame:
    """Return the features of a folder of pictures."""
    execute(Extract(), ExtractOptions(images=images, work=work), RichProgress())
    return read_features(Workspace(work))


def network(images: Path, work: Path, ids: pd.Index) -> Floats:
    """Return the shipped network's log-odds of pictures."""
    execute(Embed(), EmbedOptions(images=images, work=work, network="shipped"), RichProgress())
    table = pd.read_parquet(Workspace(work).embedding("shipped")).set_index("Id").loc[ids]
    return table[[log_odds_column("shipped", name) for name in LOCATIONS]].to_numpy(np.float64)


def ranks(table: Floats) -> Floats:
    """Return ranks within a set of pictures, in [0, 1]; NaN stays."""
    known = (~np.isnan(table)).sum(axis=0)
    return np.asarray(rankdata(table, axis=0, nan_policy="omit") / np.maximum(known, 1))


def boosted(known: Floats, truth: Truth, asked: Floats) -> Floats:
    """Return log-odds of the locations, learned on one table and asked of another.

    Each location is learned from the `KEPT` columns that tell it best.
    """
    found = np.empty((len(asked), truth.shape[1]))
    everything = np.ones(len(truth), bool)
    weights = np.stack([class_weights(y, everything) for y in truth.T])
    orders = columns_by_separation(known.astype(np.float32), [weights])[0][:, :KEPT]
    for location, y in enumerate(truth.T):
        model = lightgbm.LGBMClassifier(
            n_estimators=150, num_leaves=8, learning_rate=0.06, colsample_bytree=0.2, subsample=0.8,
            subsample_freq=1, min_child_samples=8, random_state=0, n_jobs=2, verbose=-1,
        )  # fmt: skip
        model.fit(known[:, orders[location]], y)
        found[:, location] = model.predict(asked[:, orders[location]], raw_score=True)
    return found


def distances(one: Floats, other: Floats) -> Floats:
    """Return the Kolmogorov-Smirnov distance of each column; 1 where a table has no value."""
    found = np.ones(one.shape[1])
    for column in range(one.shape[1]):
        a, b = (some[~np.isnan(some)] for some in (one[:, column], other[:, column]))
        if len(a) and len(b):
            found[column] = ks_2samp(a, b).statistic
    return found


def main() -> None:
    """Print a table for each set of real pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="Folder of hpa2018 and hpa_dictionary.")
    parser.add_argument("--work", type=Path, required=True, help="Folder of what is computed; used again.")
    parser.add_argument("--pictures", type=int, default=2500)
    given = parser.parse_args()
    truth = simulated(given.work / "images", given.pictures)
    features = measured(given.work / "images", given.work / "simulated")
    truth = truth[[int(one[1:]) for one in features.index]]
    for name, column in SETS:
        images = given.folder / name / "images"
        real = measured(images, given.work / name)
        _, targets = labelled(given.folder / name, column)  # in the order of the ids, as features are
        there = [one for one in features.columns if real[one].notna().any()]
        known, asked = (table[there].to_numpy(np.float64) for table in (features, real))
        apart = distances(known, asked)
        log_odds = network(images, given.work / name, real.index)
        scores = {"the network alone": ranking(log_odds, targets)}
        for about, some in (("all columns", apart <= 1), ("columns alike", apart <= ALIKE)):
            for what, change in (("values", np.asarray), ("ranks", ranks)):
                found = boosted(change(known[:, some]), truth, change(asked[:, some]))
                scores[f"{about}, {what}"] = ranking(found, targets)
                scores[f"{about}, {what}, and the network"] = ranking(found + log_odds, targets)
        print(f"\n{name}: {len(targets)} pictures, {len(there)} columns, {(apart <= ALIKE).sum()} alike")
        print(pd.DataFrame(scores).T.round(3).to_string(), flush=True)
        families = pd.Series(apart, there).groupby([parse(one).family for one in there]).median()
        print("median distance of a family's columns:", families.round(2).sort_values().to_dict())


if __name__ == "__main__":
    main()
