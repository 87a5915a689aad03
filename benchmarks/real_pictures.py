"""What the shipped network knows about real pictures, none of which it was trained on.

Prints, for each set of pictures and of channels, with 95 % intervals over pictures: the mean area under the
ROC curve (AUC) of the locations with two pictures or more; how often the likeliest location, and one of the
three likeliest, is right; macro-F1 of the chosen locations, over those that occur and over all 28
(undefined = 0), beside what fixed answers give.

Run from the project's folder: python benchmarks/real_pictures.py ../shared/real
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import f1_score, roc_auc_score

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from pipeline.core.weights import write_card
from pipeline.data.locations import LOCATIONS
from pipeline.data.pictures import Picture, read_picture
from pipeline.data.samples import find_samples
from pipeline.networks.checkpoints import open_network
from pipeline.networks.inference import embedding_row
from pipeline.networks.shipped import WEIGHTS, decided, shipped_card, shipped_embedder
from pipeline.stages.shipped_model import REAL

LACKING = {
    "all": (),
    "without er": ("er",),
    "without microtubules": ("microtubules",),
    "without both": ("er", "microtubules"),
}
"""Sets of channels, by name: what is taken away."""

RESAMPLED = 1000
"""Bootstrap samples of pictures."""

SEED = 0

Truth = NDArray[np.bool_]
Floats = NDArray[np.float64]


def labelled(folder: Path, column: str) -> tuple[list[Picture], Truth]:
    """Return the pictures of a folder and where their proteins are, shape (pictures, 28)."""
    samples, _ = find_samples(folder / "images")
    table = pd.read_csv(folder / "labels.csv", dtype=str)
    targets = dict(zip(table[column].str.removesuffix(".jpg"), table["Target"].str.split(), strict=True))
    truth = np.zeros((len(samples), len(LOCATIONS)), bool)
    for row, sample in enumerate(samples):
        truth[row, [int(index) for index in targets[sample.id]]] = True
    return [read_picture(sample) for sample in samples], truth


def ranking(probability: Floats, truth: Truth) -> dict[str, float]:
    """Return the mean AUC, and how often the likeliest and one of the three likeliest is right."""
    twice = truth.sum(axis=0) >= 2
    twice &= ~truth.all(axis=0)
    areas = [roc_auc_score(truth[:, k], probability[:, k]) for k in np.flatnonzero(twice)]
    order = np.argsort(-probability, axis=1, kind="stable")
    hits = np.take_along_axis(truth, order[:, :3], axis=1)
    return {"AUC": float(np.mean(areas)), "top 1": hits[:, 0].mean(), "top 3": hits.any(axis=1).mean()}


def macro_f1(chosen: Truth, truth: Truth) -> dict[str, float]:
    """Return macro-F1 over the locations that occur, and over all."""
    each = f1_score(truth, chosen, average=None, zero_division=0)
    return {"F1 occurring": float(each[truth.any(axis=0)].mean()), "F1 of 28": float(each.mean())}


def scores(probability: Floats, chosen: Truth, truth: Truth) -> dict[str, float]:
    """Return all scores of one set."""
    return ranking(probability, truth) | macro_f1(chosen, truth)


def with_intervals(probability: Floats, chosen: Truth, truth: Truth) -> dict[str, str]:
    """Return all scores as text, each with its bootstrap interval over pictures."""
    rng = np.random.default_rng(SEED)
    found = scores(probability, chosen, truth)
    drawn = []
    for _ in range(RESAMPLED):
        rows = rng.integers(0, len(truth), len(truth))
        drawn.append(scores(probability[rows], chosen[rows], truth[rows]))
    table = pd.DataFrame(drawn)
    low, high = table.quantile(0.025), table.quantile(0.975)
    return {name: f"{value:.3f} ({low[name]:.2f}–{high[name]:.2f})" for name, value in found.items()}


def fixed(truth: Truth) -> dict[str, dict[str, float]]:
    """Return macro-F1 of answers that look at no picture."""
    commonest = np.zeros_like(truth)
    commonest[:, [LOCATIONS.index("Nucleoplasm"), LOCATIONS.index("Cytosol")]] = True
    return {
        "the two commonest always": macro_f1(commonest, truth),
        "all always": macro_f1(np.ones_like(truth), truth),
    }


def log_odds(pictures: list[Picture], lacking: tuple[str, ...]) -> Floats:
    """Return the network's log-odds, shape (pictures, 28), of pictures without some channels."""
    embedder = shipped_embedder()
    network = open_network(embedder)
    rows = []
    for picture in pictures:
        seen = [name for name in picture.channels if name not in lacking]
        planes = np.stack([picture.plane(name) for name in seen])
        rows.append(list(embedding_row(planes, embedder, network, channels=seen).values()))
    return np.array(rows, np.float64)


def main() -> None:
    """Print a table for each set of pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="Folder of hpa2018 and hpa_dictionary.")
    parser.add_argument(
        "--record", action="store_true", help="Also write AUC and hits into the network's card."
    )
    given = parser.parse_args()
    folder, record = given.folder, {}
    card, deciding = shipped_card()
    for name, column in (("hpa2018", "Id"), ("hpa_dictionary", "file")):
        pictures, truth = labelled(folder / name, column)
        there = set().union(*(picture.channels for picture in pictures))
        found = {}
        for channels, lacking in LACKING.items():
            if not there.issuperset(lacking):
                continue
            one = decided(log_odds(pictures, lacking), pd.RangeIndex(len(truth)), card.outputs, deciding)
            found[channels] = with_intervals(one.probability.to_numpy(), one.chosen.to_numpy(), truth)
            record |= recorded(name, channels, ranking(one.probability.to_numpy(), truth))
        occurring = int((truth.sum(axis=0) >= 2).sum())
        print(f"\n{name}: {len(truth)} pictures; AUC over {occurring} locations", flush=True)
        print(pd.DataFrame(found).T.to_string())
        print(pd.DataFrame(fixed(truth)).T.round(3).to_string())
    if given.record:
        kept = {name: value for name, value in card.scores.items() if not name.startswith(REAL)}
        write_card(WEIGHTS, card.model_copy(update={"scores": kept | record}))


def recorded(pictures: str, channels: str, found: dict[str, float]) -> dict[str, float]:
    """Name the scores that the card keeps, and that `predict` tells."""
    what = f"{REAL}{pictures} {channels}:"
    return {f"{what} {name}": round(float(value), 3) for name, value in found.items()}


if __name__ == "__main__":
    main()
