"""How often 95 % intervals over groups hold the score that they are about.

    python benchmarks/interval_coverage.py                  # four sizes of sample, a minute
    python benchmarks/interval_coverage.py --samples 2000

The antibodies of HPA v18 and what a published ensemble predicted for their pictures are the population, whose
macro-F1 is known. Samples of few antibodies are drawn from it; scored are the locations that `SUPPORT`
antibodies of the sample show at least, as `train` leaves out those that not every fold shows, and the
population's macro-F1 over the same locations is what an interval has to hold.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from models.metrics import Counts, interval, sum_by
from pipeline.data.locations import LOCATIONS

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"
SIZES = (43, 70, 148, 1000)
SUPPORT = 5
DRAWS = 1000
Floats = NDArray[np.float64]


def population(real: Path) -> Floats:
    """Return hits, false alarms and misses of every antibody, shape (3, antibodies, locations)."""
    table = pd.read_parquet(real / "cnn_oof" / "out_of_fold_labels.parquet")
    kaggle = table["Id"].isin(pd.read_csv(real / "labels" / "kaggle2018_train.csv")["Id"])
    table = table[~kaggle]
    truth, chosen = (
        (table[name].to_numpy()[:, None] >> np.arange(len(LOCATIONS), dtype=np.uint32) & 1).astype(bool)
        for name in ("target_bits", "published_ensemble_bits")
    )
    codes, names = pd.factorize(table["Id"].str.split("_").str[0])
    parts = (truth & chosen, ~truth & chosen, truth & ~chosen)
    return np.stack([sum_by(part, codes, len(names)) for part in parts])


def macro(parts: Floats) -> Floats:
    """Return macro-F1 of counts, shape (3, …, locations)."""
    return np.asarray(Counts(*parts).macro_f1())


def intervals(sample: Floats, rng: np.random.Generator) -> dict[str, tuple[float, float]]:
    """Return the interval of one sample, shape (3, groups, locations), by every method."""
    groups = sample.shape[1]
    times = rng.multinomial(groups, np.full(groups, 1 / groups), DRAWS).astype(np.float64)
    values, estimate = macro(times @ sample), float(macro(sample.sum(axis=1)))
    left_out = macro(sample.sum(axis=1, keepdims=True) - sample)
    skew = left_out.mean() - left_out
    pull = (skew**3).sum() / (6 * max((skew**2).sum(), 1e-300) ** 1.5)
    below = ((values < estimate).mean() + (values <= estimate).mean()) / 2
    bias = norm.ppf(np.clip(below, 0.5 / DRAWS, 1 - 0.5 / DRAWS))
    ends = np.array([0.025, 0.975])
    corrected = bias + norm.ppf(ends)
    found = {
        "percentile": np.quantile(values, ends),
        "BC": np.quantile(values, norm.cdf(bias + corrected)),
        "BCa": np.quantile(values, norm.cdf(bias + corrected / (1 - pull * corrected))),
        "basic": 2 * estimate - np.quantile(values, ends[::-1]),
    }
    pairs = {name: (float(low), float(high)) for name, (low, high) in found.items()}
    return pairs | {"interval": interval(values, estimate)}


def coverage(whole: Floats, size: int, samples: int) -> pd.DataFrame:
    """Return how often each method's interval holds the population's score, and how wide it is."""
    rng = np.random.default_rng(size)
    rows = []
    for _ in range(samples):
        sample = whole[:, rng.choice(whole.shape[1], size, replace=False)]
        scored = (sample[0] + sample[2] > 0).sum(axis=0) >= SUPPORT
        truth = float(macro(whole[..., scored].sum(axis=1)))
        for name, (low, high) in intervals(sample[..., scored], rng).items():
            rows.append((name, low <= truth <= high, high - low, scored.sum()))
    table = pd.DataFrame(rows, columns=["method", "coverage", "width", "locations"])
    return table.groupby("method", sort=False).mean()


def main() -> None:
    """Draw samples of every size, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real", type=Path, default=REAL, help="folder of real data")
    parser.add_argument("--samples", type=int, default=400, help="samples of every size")
    given = parser.parse_args()
    if not (given.real / "cnn_oof").is_dir():
        parser.error(f"{given.real}: no cnn_oof in it; give the folder of real data as --real")
    whole = population(given.real)
    for size in SIZES:
        table = coverage(whole, size, given.samples)
        locations = table.pop("locations").iloc[0]
        print(f"{size} groups, {locations:.1f} locations on average, {given.samples} samples")
        print(table.T.round(3).to_string(), flush=True)


if __name__ == "__main__":
    main()
