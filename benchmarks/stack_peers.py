"""The stack beside tabular learners of other projects, on its own tables and folds.

    python benchmarks/stack_peers.py --work WORK --labels labels.csv --kept work/peers
    python benchmarks/stack_peers.py --work EMPTY --labels L.csv --outputs A.csv --outputs B.csv --kept DIR
    python benchmarks/stack_peers.py … --embeddings E.npz --peers extra_trees catboost

Tables, labels, groups and folds are those of `python run.py train` with the same options. Peers see the
columns that separate some location best on the rows that they learn from. Every row is predicted by what was
fitted without its fold; thresholds (`half_f1`) and, for the log-loss, a calibration of each location are
then fitted without the fold, alike for the stack and its peers. The stack has its defaults, without tuning.
Seconds are the processor's: of the stack all of its nested cross-fitting, of a peer one fit per fold.
Intervals (95 %) are bootstrapped over groups, those of differences paired. A peer that is not installed is
left out, and said. Killed and run again, it goes on where it was.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.peer_learners import PEERS, Task
from models.base_learners.logistic import fit_calibration
from models.feature_selection import class_weights, columns_by_separation
from models.learner_store import key_of
from models.meta_learner import OuterFold, decide_folds, mean_group_size
from models.metrics import count, interval, interval_of_difference, resampled_counts
from models.stack_model import STACK
from models.stacking import VERSION, StackedLocations
from pipeline.core.errors import PipelineError
from pipeline.core.store import Store
from pipeline.data.dataset import Dataset, read_dataset
from pipeline.data.prediction_tables import OUTPUTS
from pipeline.stages.options import TrainOptions

RULE = "half_f1"
SHIPPED = "shipped"
DOUBT = 5.0
"""Independent rows by which the calibration of log-losses is shrunk."""

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]


@dataclass(frozen=True)
class Answers:
    """Out-of-fold probabilities, shape (rows, locations), and the processor seconds that they took."""

    probability: Floats
    seconds: float


def processor_seconds() -> float:
    """Return what this process and those that it waited for have used."""
    return sum(os.times()[:4])


def of_stack(data: Dataset, store: Store) -> Answers:
    """Train the stack as `train` does, nested cross-fitting and all, or go on with it."""
    joint = {name: tuple(one for one in data.blocks if one == name) for name in (OUTPUTS, SHIPPED)}
    stack = StackedLocations(of_networks=joint[OUTPUTS], starts=joint[SHIPPED], alone=data.alone, rule=RULE)
    targets, groups = data.targets[data.trained], data.groups.to_numpy(dtype=str)
    shapes = [[name, *table.shape] for name, table in data.blocks.items()]
    key, started = (
        key_of("stack", VERSION, shapes, targets.to_numpy().tobytes(), data.fold.tobytes()),
        processor_seconds(),
    )
    stack.fit(data.blocks, targets, data.fold, groups=groups, store=store)
    before = float((store.get(key) or b"0").decode())
    seconds = before + processor_seconds() - started
    store.put(key, str(seconds).encode())
    return Answers(stack.out_of_fold_[STACK].probability, seconds)


def tasks(
    data: Dataset, asked: list[str], columns: int, seconds: float, python: Path | None
) -> Iterator[tuple[int, Task]]:
    """Yield every fold's number and task; columns are chosen for the locations that peers learn."""
    whole = pd.concat(list(data.blocks.values()), axis=1).to_numpy(np.float32)
    labels = data.targets[asked].to_numpy()
    outside = [data.fold != number for number in range(data.folds)]
    weights = [np.stack([class_weights(y, rest) for y in labels.T]) for rest in outside]
    orders = columns_by_separation(whole, weights)
    for number, (rest, order) in enumerate(zip(outside, orders, strict=True)):
        # The first of each location, then the second of each, until there are enough.
        table = whole[:, np.sort(pd.unique(order.T.ravel())[:columns])]
        yield number, Task(table[rest], labels[rest], table[~rest], 0, seconds, python)


def of_peer(name: str, data: Dataset, asked: list[str], given: argparse.Namespace, store: Store) -> Answers:
    """Predict the asked locations of every fold by a peer."""
    probability, seconds = np.empty((len(data.fold), len(asked))), 0.0
    for number, task in tasks(data, asked, given.columns, given.limit, given.autogluon_python):
        parts = (task.known.tobytes(), task.asked.tobytes(), task.labels.tobytes(), task.seconds)
        key, started = key_of("peer", name, number, *parts), processor_seconds()
        if (content := store.get(key)) is None:
            found = PEERS[name][1](task)
            content = np.append(found.ravel(), processor_seconds() - started).astype(np.float64).tobytes()
            store.put(key, content)
        values = np.frombuffer(content)
        probability[data.fold == number] = values[:-1].reshape(len(task.asked), -1)
        seconds += float(values[-1])
    return Answers(probability, seconds)


def every(targets: pd.DataFrame, step: int) -> list[str]:
    """Return every `step`-th location, counted from the rarest to the most frequent, in the table's order."""
    chosen = targets.sum().sort_values(kind="stable").index[::step]
    return [name for name in targets if name in chosen]


def decided(probability: Floats, truth: Labels, fold: NDArray[np.int16]) -> Labels:
    """Choose locations by thresholds that were fitted without the row's fold."""
    outside = [fold != number for number in np.unique(fold)]
    parts = [OuterFold(rest, probability[rest], probability[~rest]) for rest in outside]
    return decide_folds(parts, truth, fold, RULE, always=False).chosen


def log_loss(probability: Floats, truth: Labels, fold: NDArray[np.int16], doubt: float) -> float:
    """Return the mean log-loss, calibrated without the row's fold, over that of knowing the prevalence.

    The calibration (Platt scaling) is shrunk by `doubt` rows towards none.
    """
    log_odds, calibrated = logit(np.clip(probability, 1e-6, 1 - 1e-6)), np.empty(truth.shape)
    for number in np.unique(fold):
        rest = fold != number
        for column, y in enumerate(truth.T):
            change = fit_calibration(log_odds[rest, column], y[rest], doubt)
            calibrated[~rest, column] = change(log_odds[~rest][:, [column]])
    share = truth.mean(axis=0)
    entropy = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    return float(((np.logaddexp(0, calibrated) - truth * calibrated).mean(axis=0) / entropy).mean())


def report(data: Dataset, asked: list[str], answers: dict[str, Answers]) -> None:
    """Print the stack beside its peers, and beside the means of both, for the asked locations."""
    truth, fold, groups = data.targets[asked].to_numpy(), data.fold, data.groups
    choose = partial(decided, truth=truth, fold=fold)
    loss = partial(
        log_loss, truth=truth, fold=fold, doubt=DOUBT * mean_group_size(groups.to_numpy(dtype=str))
    )
    chosen = {name: choose(one.probability) for name, one in answers.items()}
    values = {name: resampled_counts(truth, some, groups).macro_f1() for name, some in chosen.items()}
    scores = {name: float(count(truth, some).macro_f1()) for name, some in chosen.items()}
    print(
        f"{len(truth)} pictures, {groups.nunique()} groups, {data.folds} folds, "
        f"{len(asked)} of {len(data.trained)} locations: {', '.join(asked)}"
    )
    for name, one in answers.items():
        low, high = interval(values[name], scores[name])
        line = f"{name:12} macro-F1 {scores[name]:.3f} ({low:.3f} to {high:.3f})"
        line += f", log-loss {loss(one.probability):.3f}, {one.seconds:.0f} s"
        if name != STACK:
            gain = scores[STACK] - scores[name]
            low, high = interval_of_difference(values[STACK] - values[name], gain)
            both = expit(
                np.mean(
                    [logit(np.clip(a.probability, 1e-6, 1 - 1e-6)) for a in (one, answers[STACK])], axis=0
                )
            )
            mean = float(count(truth, choose(both)).macro_f1())
            line += f"; stack {gain:+.3f} ({low:+.3f} to {high:+.3f}); mean with it {mean:.3f}"
            line += f", log-loss {loss(both):.3f}"
        print(line, flush=True)


def available(names: list[str], python: Path | None) -> Iterator[str]:
    """Yield the peers that can run here, and say of the others what they need."""
    for name in names:
        package = PEERS[name][0]
        if name == "autogluon" and python is None:
            print("autogluon: left out; give --autogluon-python, the python of an environment that has it")
        elif package and find_spec(package) is None:
            print(f"{name}: left out; it is not installed: pip install {package}")
        else:
            yield name


def main() -> None:
    """Read, fit, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--work", type=Path, required=True, help="work folder with features, if there are any"
    )
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--groups", type=Path)
    parser.add_argument("--embeddings", type=Path, action="append", default=[])
    parser.add_argument("--outputs", type=Path, action="append", default=[])
    parser.add_argument("--start", choices=[SHIPPED], help="as of train")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="peers learn every N-th location, by frequency"
    )
    parser.add_argument("--columns", type=int, default=512, help="columns that peers see")
    parser.add_argument(
        "--limit", type=float, default=300, help="seconds of a fold, where a peer knows limits"
    )
    parser.add_argument("--autogluon-python", type=Path, help="python of an environment with AutoGluon")
    parser.add_argument(
        "--kept", type=Path, required=True, help="folder of finished fits, to go on after a stop"
    )
    given = parser.parse_args()
    same = {name: getattr(given, name) for name in ("work", "labels", "groups", "start", "folds")}
    tables = {"embeddings": tuple(given.embeddings), "outputs": tuple(given.outputs)}
    options = TrainOptions.model_validate(same | tables | {"trials": 0})
    store = Store(given.kept)
    try:
        data = read_dataset(options, print)
        with threadpool_limits(1):
            asked = every(data.targets[data.trained], given.every)
            stack = of_stack(data, store)
            answers = {STACK: Answers(stack.probability[:, np.isin(data.trained, asked)], stack.seconds)}
            for name in available(given.peers, given.autogluon_python):
                answers[name] = of_peer(name, data, asked, given, store)
                print(f"{name}: done", file=sys.stderr, flush=True)
    except PipelineError as error:
        parser.error(str(error))
    report(data, asked, answers)


if __name__ == "__main__":
    main()
