"""What raw embeddings of networks that do not align are worth to a stack, against their log-odds.

Run from the project's folder: ``python benchmarks/embed_alignment.py [FOLDER]``; the folder holds the
real composites' ``labels.csv`` and ``bestfitting_densenet121.npz``. Prints a table; takes seconds.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from models.folds import stratified_group_folds

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "real" / "duloc"
FOLDS = 4
COMPONENTS = 64
SEEDS = 5


def read(folder: Path) -> tuple[np.ndarray, np.ndarray, pd.Series]:
    """Return embeddings, labels that at least 10 pictures of 4 mixtures have, and groups of one mixture."""
    labels = pd.read_csv(folder / "labels.csv", dtype=str)
    arrays = np.load(folder / "bestfitting_densenet121.npz")
    order = pd.Series(range(len(arrays["ids"])), index=arrays["ids"].astype(str))
    embedding = arrays["embedding"][order[labels["Id"]]]
    truth = np.zeros((len(labels), 28), bool)
    for row, text in enumerate(labels["Target"]):
        truth[row, [int(word) for word in text.split()]] = True
    groups = labels["combination"] + ": " + labels["fractions"] + " of " + labels["Target"]
    usable = [groups[column].nunique() >= FOLDS and column.sum() >= 10 for column in truth.T]
    return embedding, truth[:, usable], groups


def answer(rows: np.ndarray, truth: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return log-odds of new rows, one regression per location."""
    scale = StandardScaler().fit(rows)
    rows, new = scale.transform(rows), scale.transform(new)
    fitted = [LogisticRegression(C=0.02, max_iter=2000).fit(rows, column) for column in truth.T]
    return np.column_stack([one.decision_function(new) for one in fitted])


def out_of_fold(tables: list[np.ndarray], truth: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Answer each fold from the others; ``tables[k]`` is what fold k's rows look like to level 1."""
    seen = np.choose(fold[:, None], tables) if len(tables) > 1 else tables[0]
    logits = np.zeros(truth.shape)
    for held_out in range(FOLDS):
        inside = fold != held_out
        logits[~inside] = answer(seen[inside], truth[inside], seen[~inside])
    return logits


def scores(embedding: np.ndarray, truth: np.ndarray, groups: pd.Series, seed: int) -> dict[str, float]:
    """Return macro-F1 by what level 1 sees, for one dealing of folds and one set of rotations."""
    fold = stratified_group_folds(truth, groups, FOLDS, seed=seed)
    rng = np.random.default_rng(seed)
    turned = [embedding @ np.linalg.qr(rng.normal(size=(COMPONENTS, COMPONENTS)))[0] for _ in range(FOLDS)]
    logits = np.zeros(truth.shape)
    for held_out in range(FOLDS):  # a network of its own for each fold, in a space of its own
        inside = fold != held_out
        space = turned[held_out]
        logits[~inside] = answer(space[inside], truth[inside], space[~inside])
    found = {
        "the embedding of one network": out_of_fold([embedding], truth, fold),
        "raw columns of a network per fold": out_of_fold(turned, truth, fold),
        "out-of-fold log-odds of a network per fold": out_of_fold([logits], truth, fold),
    }
    return {
        name: f1_score(truth, values > 0, average="macro", zero_division=0) for name, values in found.items()
    }


def main(folder: Path) -> None:
    """Print the mean and the range of each score."""
    embedding, truth, groups = read(folder)
    embedding = PCA(COMPONENTS, random_state=0).fit_transform(embedding)
    table = pd.DataFrame([scores(embedding, truth, groups, seed) for seed in range(SEEDS)])
    print(
        f"{len(truth)} pictures, {truth.shape[1]} locations, {groups.nunique()} groups, {FOLDS} folds, "
        f"{SEEDS} dealings"
    )
    for name, column in table.items():
        print(f"{name:45} macro-F1 {column.mean():.3f} ({column.min():.3f} to {column.max():.3f})")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
