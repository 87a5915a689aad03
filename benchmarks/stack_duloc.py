"""Stacks on 345 real composites of two known patterns: handcrafted features, the winner's DenseNet121, both.

Run from the project's folder: ``python benchmarks/stack_duloc.py --work FOLDER [--jobs N]``. Protocol: the
pictures of one mixture (combination of two patterns, and their fractions) are a group; groups never straddle
the four folds. What is predicted of a mixture was therefore learnt from other fractions of its patterns and
from other combinations. Locations of fewer than four groups cannot be cross-validated and are left out.

The network was trained on the competition's pictures, from which these cells may come: its part may be
flattered, that of the handcrafted features is not.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from embed_stack import compare, report

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from pipeline.console import RichProgress
from pipeline.extract import ExtractOptions, extract
from pipeline.layout import Workspace
from pipeline.locations import LOCATIONS

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "real" / "duloc"
FOLDS = 4


def read_network(folder: Path) -> pd.DataFrame:
    """Return the winner's embedding and the log-odds of its 28 outputs."""
    arrays = np.load(folder / "bestfitting_densenet121.npz")
    likely = np.clip(arrays["probability"].astype(np.float64), 1e-6, 1 - 1e-6)
    values = np.hstack([arrays["embedding"], np.log(likely / (1 - likely))]).astype(np.float32)
    names = [f"cnn__densenet__e{place:04}" for place in range(values.shape[1])]
    return pd.DataFrame(values, index=arrays["ids"].astype(str), columns=names)


def correlations(probability: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Return the rank correlation of a pattern's probability with its true fraction, by combination.

    Only the pictures of a combination are compared, for each of the patterns that it mixes.
    """
    rows = []
    for combination, part in labels.groupby("combination"):
        patterns = sorted({int(word) for target in part["Target"] for word in target.split()})
        for pattern in patterns:
            name = LOCATIONS[pattern]
            if name not in probability:
                continue
            true = [_fraction(row, pattern) for row in part.itertuples()]
            found = probability.loc[part.index, name]
            value = pd.Series(true, index=part.index).corr(found, method="spearman")
            rows.append({"combination": combination, "pattern": name, "n": len(part), "spearman": value})
    return pd.DataFrame(rows)


def _fraction(row: object, pattern: int) -> float:
    """Return a pattern's share: fractions are in the order of the labels; pure pictures have one label."""
    target = [int(word) for word in str(row.Target).split()]  # type: ignore[attr-defined]
    shares = [float(word) for word in str(row.fractions).split()]  # type: ignore[attr-defined]
    if pattern not in target:
        return 0.0
    return 1.0 if len(target) == 1 else shares[target.index(pattern)]


def main() -> None:
    """Extract what is missing, train the three stacks, print scores and correlations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--images", type=Path, default=FOLDER / "images")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    extract(ExtractOptions(images=given.images, work=given.work, jobs=given.jobs), RichProgress())
    features = pd.read_parquet(Workspace(given.work).features).set_index("Id")
    network = read_network(FOLDER)
    labels = pd.read_csv(FOLDER / "labels.csv", dtype=str).set_index("Id")
    ids = features.index.intersection(network.index).intersection(labels.index)
    labels = labels.loc[ids]
    truth = pd.DataFrame(
        [[str(place) in target.split() for place in range(len(LOCATIONS))] for target in labels["Target"]],
        index=ids,
        columns=list(LOCATIONS),
    )
    groups = labels["combination"] + ": " + labels["fractions"] + " of " + labels["Target"]
    found = compare(features.loc[ids], network.loc[ids], truth, groups, folds=FOLDS, jobs=given.jobs)
    report(found)
    for name, probability in found.probability.items():
        print(f"\nprobability against true fraction, {name}")
        print(correlations(probability, labels).to_string(index=False, float_format="%.2f"))


if __name__ == "__main__":
    main()
