"""Print every number of the README's section on the stack.

    python benchmarks/stack.py --real ../shared/real --work work/stack

Folds, copies and experts take a minute. `--published` adds the stack of published networks on both sets of
rows (half an hour the first time), `--scale` the training at full size (an hour); both go on where
they were. What needs data that are not there is left out, and said.
"""

import argparse
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from models.folds import stratified_group_folds
from pipeline.data.groups import DIFFERENT, duplicate_groups, perceptual_hash
from pipeline.data.labels import read_labels
from pipeline.data.locations import LOCATIONS
from pipeline.data.pictures import read_picture
from pipeline.data.samples import find_samples

HERE = Path(__file__).resolve().parent
Pixels = NDArray[np.float32]


def unevenness(targets: NDArray[np.bool_], fold: NDArray[np.int16]) -> float:
    """Tell how far folds are from an even deal: chi-square over locations and folds, and fold sizes.

    0 is perfectly even. It is what `stratified_group_folds` makes small.
    """
    load = np.column_stack([targets, np.ones(len(targets), dtype=bool)]).astype(np.float64)
    counts = np.stack([load[fold == number].sum(axis=0) for number in np.unique(fold)])
    wanted = counts.mean(axis=0)
    return float((((counts - wanted) ** 2) / np.maximum(wanted, 1e-12)).sum())


def folds(real: Path) -> None:
    """Deal real label sets to five folds: single pictures, and antibodies."""
    kaggle = read_labels(real / "labels" / "kaggle2018_train.csv").targets.to_numpy()
    alone = pd.Series(np.arange(len(kaggle)))
    stratified_group_folds(kaggle[:500], alone[:500], 5)  # compiles
    start = time.process_time()
    ours = stratified_group_folds(kaggle, alone, 5)
    seconds = time.process_time() - start
    start = time.process_time()
    theirs = np.zeros(len(kaggle), dtype=np.int16)
    splitter = MultilabelStratifiedKFold(5, shuffle=True, random_state=0)
    for number, (_, test) in enumerate(splitter.split(kaggle, kaggle)):
        theirs[test] = number
    print(
        f"folds, {len(kaggle)} pictures alone: unevenness {unevenness(kaggle, ours):.3f} in {seconds:.1f} s; "
        f"iterative-stratification {unevenness(kaggle, theirs):.3f} in {time.process_time() - start:.1f} s"
    )
    table = pd.read_parquet(real / "cnn_oof" / "out_of_fold_labels.parquet")
    truth = (table["target_bits"].to_numpy()[:, None] >> np.arange(28, dtype=np.uint32) & 1).astype(bool)
    # An antibody is the first part of a name; Kaggle's names have none, and go to as many groups at random.
    antibody = table["Id"].str.split("_").str[0]
    known = table["Id"].str.contains("_")
    names = antibody[known].unique()
    antibody[~known] = np.random.default_rng(0).choice(names, int((~known).sum()))
    start = time.process_time()
    fold = stratified_group_folds(truth, antibody, 5)
    seconds = time.process_time() - start
    counts = np.stack([truth[fold == number].sum(axis=0) for number in range(5)])
    off = (counts.max(axis=0) - counts.min(axis=0)) / counts.sum(axis=0)
    worst = int(off.argmax())
    print(
        f"folds, {len(truth)} rows in {len(names)} groups: {seconds:.1f} s; share of positives in a fold "
        f"differs by {np.median(off):.2%} (median), by {off[worst]:.2%} at worst ({LOCATIONS[worst]})"
    )


def compressed(pixels: Pixels, quality: int) -> Pixels:
    """Save as JPEG and read back."""
    planes = [imagecodecs.jpeg_encode((plane * 255).astype(np.uint8), level=quality) for plane in pixels]
    return (np.stack([imagecodecs.jpeg_decode(plane) for plane in planes]) / 255).astype(np.float32)


def moved(pixels: Pixels) -> Pixels:
    """Move by a thirty-second of the side down and half of that to the right."""
    height, width = pixels.shape[1:]
    step = height // 32
    return np.pad(pixels, ((0, 0), (step, 0), (step // 2, 0)), mode="edge")[:, :height, :width]


def bits(text: str) -> NDArray[np.uint8]:
    """Return a hash's bits."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), dtype=np.uint8))


def copies(real: Path) -> None:
    """Compare hashes of different pictures and of copies, and time the search."""
    samples, _ = find_samples(real / "hpa2018" / "images")
    pictures = [read_picture(sample).pixels for sample in samples]
    hashes = np.stack([bits(perceptual_hash(pixels)) for pixels in pictures])
    differing = (hashes[:, None] != hashes[None]).sum(axis=2)[np.triu_indices(len(hashes), 1)] / 480
    print(
        f"copies, {len(hashes)} real pictures: no two differ in less than {differing.min():.2f} of the bits"
    )
    changes = {
        "JPEG of quality 50": partial(compressed, quality=50),
        "JPEG of quality 20": partial(compressed, quality=20),
        "moved by 1/32": moved,
        "1.5 times as bright": brighter,
    }
    for name, change in changes.items():
        changed = np.stack([bits(perceptual_hash(change(pixels))) for pixels in pictures])
        off = (changed != hashes).sum(axis=1) / 480
        print(f"copies, {name}: at most {off.max():.2f}; {(off < DIFFERENT).sum()} of {len(off)} recognised")
    rng = np.random.default_rng(0)
    many = [rng.bytes(64).hex() for _ in range(31_072)]
    duplicate_groups(many[:10])  # compiles
    start = time.process_time()
    duplicate_groups(many)
    print(f"copies among 31,072 pictures: {time.process_time() - start:.1f} s of one core")


def brighter(pixels: Pixels) -> Pixels:
    """Brighten, and cut what is too bright."""
    return np.minimum(pixels * 1.5, 1)


def script(*words: object) -> None:
    """Run a script of the project."""
    subprocess.run([sys.executable, *map(str, words)], check=True, cwd=HERE.parent)


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real", type=Path, default=HERE.parents[1] / "shared" / "real")
    parser.add_argument("--work", type=Path, required=True, help="Folder for what goes on after a stop.")
    parser.add_argument("--published", action="store_true")
    parser.add_argument("--scale", action="store_true")
    given = parser.parse_args()
    real, work = given.real.resolve(), given.work.resolve()
    if real.is_dir():
        folds(real)
        copies(real)
        labels = real / "labels"
        answers = ["--labels", labels / "kaggle2018_train.csv", "--answers", labels / "expert_guesses.csv"]
        script("run.py", "baseline", *answers)
    else:
        print(f"left out without {real}: folds, copies, experts, published networks")
    if given.published and real.is_dir():
        for rows in ("kaggle", "hpa_v18"):
            options = ["--real", real, "--rows", rows, "--store", work / rows]
            script(HERE / "stack_on_published_cnns.py", *options)
    if given.scale:
        known = ["--labels", real / "labels" / "kaggle2018_train.csv"] if real.is_dir() else []
        script(HERE / "stack_scale.py", "--work", work / "scale", *known)


if __name__ == "__main__":
    main()
