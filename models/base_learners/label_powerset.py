"""Label powerset: small networks that learn which *set* of locations a row has, from networks' predictions.

Learners of one location see a rare location's few positives and nothing else. A hidden layer that
all locations share learns from the common ones how networks err together, which is what the rare
ones need. A linear skip connection does what a linear model does. Locations come in combinations, and a set
that never came is unlikely however likely its parts. Rare locations come out differently from each training,
so that log-odds are means over several networks. Torch is imported only where the networks are trained.

Source: Tsoumakas & Katakis (2007), Multi-label classification: an overview, Int. J. Data Warehousing and
Mining 3 (label powerset).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf, logit, softmax

from models.base_learners.votes import Votes, certain, means
from models.hyperparameters import NetworkHyperparameters

if TYPE_CHECKING:
    import torch
    from torch import nn

Floats = NDArray[np.float64]
Table = NDArray[np.float32]

BEYOND = 1e-6
"""Least probability of a location, and of its absence."""

ROWS = 4096
"""Rows predicted at a time."""

_EXPLAINED = 1024
"""Rows, at most, whose mean log-odds are the bias."""


@dataclass(frozen=True)
class LabelPowerset:
    """Trained networks; serialised as safetensors.

    The log-odds of a set, up to a constant, are the sum of its locations' own, a bias, and the dot product of
    `directions` hidden numbers of the row with an embedding of the set.

    `sets`, shape (sets, locations), are those that were seen; networks are parameters by name. By location,
    `unknown` is imputed in a row without any network's prediction, and `bias` are the mean log-odds, which
    contributions are measured from.
    """

    sets: Table
    networks: tuple[Mapping[str, Table], ...]
    unknown: Table
    bias: Floats

    @classmethod
    def fit(cls, X: Table, Y: NDArray[Any], hyperparameters: NetworkHyperparameters, seed: int) -> Self:
        """Train networks from as many seeds; see `models.base_learners.votes` for the columns of X."""
        import torch

        learned = ~np.isnan(Y.astype(np.float32))
        sets, of_row, counts = np.unique(
            np.where(learned, Y, 0).astype(bool), axis=0, return_inverse=True, return_counts=True
        )
        unknown = means(certain(X), Y.shape[1])
        columns, networks = Votes.of(X, unknown).columns(), []
        consistent = None if learned.all() else _consistent(sets, Y, learned)
        with one_torch_thread(), torch.random.fork_rng(devices=[]):
            for number in range(hyperparameters.networks):
                torch.manual_seed(seed + number)
                network = _network(columns.shape[1], sets, counts / len(Y), hyperparameters)
                _train(network, columns, of_row.ravel(), consistent, hyperparameters)
                networks.append({name: value.numpy() for name, value in network.state_dict().items()})
        bare = cls(sets.astype(np.float32), tuple(networks), unknown, np.zeros(Y.shape[1]))
        some = X[:: -(-len(X) // _EXPLAINED)]
        return cls(bare.sets, bare.networks, unknown, bare.log_odds(some).mean(axis=0))

    def log_odds(self, X: Table) -> Floats:
        """Return log-odds, shape (rows, locations)."""
        result = np.empty((len(X), self.sets.shape[1]))
        for start in range(0, len(X), ROWS):
            columns = Votes.of(X[start : start + ROWS], self.unknown).columns()
            each = [self._of_network(parameters, columns) for parameters in self.networks]
            result[start : start + ROWS] = np.mean(each, axis=0)
        return result

    def contributions(self, X: Table) -> Floats:
        """Return, by location, how far the log-odds are from the bias, and the bias."""
        return explained(self.log_odds(X), self.bias)

    def to_bytes(self) -> bytes:
        """Return all arrays as safetensors."""
        return pack_networks({"sets": self.sets, "unknown": self.unknown, "bias": self.bias}, self.networks)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` wrote."""
        arrays, networks = unpack_networks(content)
        sets, unknown, bias = (arrays[name] for name in ("sets", "unknown", "bias"))
        return cls(sets, networks, unknown, bias)

    def _of_network(self, parameters: Mapping[str, Table], columns: Table) -> Floats:
        """Run one network forward, without torch."""
        inner = columns @ parameters["hidden.weight"].T + parameters["hidden.bias"]
        inner *= 0.5 * (1 + erf(inner / np.sqrt(2, dtype=np.float32)))
        row = inner @ parameters["output.weight"].T + parameters["output.bias"]
        row += columns @ parameters["past.weight"].T + parameters["past.bias"]
        own, along = np.split(row, [self.sets.shape[1]], axis=1)
        of_sets = own @ self.sets.T + along @ parameters["directions"].T + parameters["bias"]
        probability = softmax(of_sets, axis=1).astype(np.float64) @ self.sets
        return np.asarray(logit(np.clip(probability, BEYOND, 1 - BEYOND)))


def explained(log_odds: Floats, bias: Floats) -> Floats:
    """Split log-odds, shape (rows, locations), into one pseudo-column and the bias: (locations, rows, 2)."""
    return np.stack([(log_odds - bias).T, np.broadcast_to(bias[:, None], log_odds.T.shape)], axis=2)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Keep torch to one thread, so that the same bits come out whatever the machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _consistent(sets: NDArray[np.bool_], Y: NDArray[Any], learned: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Say which sets agree with those labels of a row that may be learned from, shape (rows, sets)."""
    positive = np.where(learned, Y, 0).astype(np.float32)
    both = positive @ sets.T.astype(np.float32)
    beyond = (learned - positive) @ sets.T.astype(np.float32)
    return np.asarray((both == positive.sum(axis=1, keepdims=True)) & (beyond == 0))


def _train(
    network: "nn.Module",
    columns: Table,
    of_row: NDArray[np.intp],
    consistent: NDArray[np.bool_] | None,
    hyperparameters: NetworkHyperparameters,
) -> None:
    """Train on each row's set or, where labels are unknown, on all sets that agree with the known ones."""
    import torch
    from torch.nn import functional

    rows, truth = torch.from_numpy(columns), torch.from_numpy(of_row)
    agree = None if consistent is None else torch.from_numpy(consistent)
    rate = hyperparameters.learning_rate
    optimiser: Any = torch.optim.AdamW(
        network.parameters(), lr=rate, weight_decay=hyperparameters.weight_decay
    )
    batch = hyperparameters.batch
    steps = hyperparameters.epochs * -(-len(rows) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    for _ in range(hyperparameters.epochs):
        order = torch.randperm(len(rows))
        for start in range(0, len(rows), batch):
            some = order[start : start + batch]
            optimiser.zero_grad()
            of_sets = network(rows[some])
            if agree is None:
                loss: Any = functional.cross_entropy(of_sets, truth[some])
            else:
                likely = functional.log_softmax(of_sets, dim=1).masked_fill(~agree[some], -torch.inf)
                loss = -likely.logsumexp(dim=1).mean()
            loss.backward()
            optimiser.step()
            schedule.step()
    network.eval()


def _network(
    columns: int, sets: NDArray[np.bool_], shares: Floats, hyperparameters: NetworkHyperparameters
) -> "nn.Module":
    import torch
    from torch import nn
    from torch.nn import functional

    seen = torch.from_numpy(sets.astype(np.float32))
    numbers = sets.shape[1] + hyperparameters.directions

    class OverSets(nn.Module):
        """Turns the numbers of a row into log-odds of every set, up to a constant."""

        def __init__(self) -> None:
            super().__init__()
            self.hidden = nn.Linear(columns, hyperparameters.hidden)
            self.output = nn.Linear(hyperparameters.hidden, numbers)
            self.past = nn.Linear(columns, numbers)
            self.directions = nn.Parameter(0.02 * torch.randn(len(seen), hyperparameters.directions))
            self.bias = nn.Parameter(0.5 * torch.log(torch.from_numpy(shares.astype(np.float32))))

        def forward(self, x: "torch.Tensor") -> "torch.Tensor":
            x = functional.dropout(x, hyperparameters.input_dropout, self.training)
            inner = functional.dropout(
                functional.gelu(self.hidden(x)), hyperparameters.dropout, self.training
            )
            row = self.output(inner) + self.past(x)
            own, along = row.split([seen.shape[1], hyperparameters.directions], dim=1)
            of_sets: torch.Tensor = own @ seen.T + along @ self.directions.T + self.bias
            return of_sets

    return OverSets()


def pack_networks(arrays: Mapping[str, Any], networks: Sequence[Mapping[str, Any]]) -> bytes:
    """Return arrays, and the parameters of networks by number and name, as safetensors."""
    from safetensors.numpy import save

    packed = dict(arrays)
    for number, parameters in enumerate(networks):
        packed |= {f"{number}.{name}": np.ascontiguousarray(v) for name, v in parameters.items()}
    return bytes(save(packed))


def unpack_networks(content: bytes) -> tuple[dict[str, Any], tuple[dict[str, Any], ...]]:
    """Read what `pack_networks` wrote."""
    from safetensors.numpy import load

    arrays: dict[str, Any] = {}
    networks: dict[int, dict[str, Any]] = {}
    for name, values in load(content).items():
        number, is_of_network, parameter = name.partition(".")
        if is_of_network:
            networks.setdefault(int(number), {})[parameter] = values
        else:
            arrays[name] = values
    return arrays, tuple(networks[number] for number in sorted(networks))
