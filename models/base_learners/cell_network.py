"""Multiple-instance learning: small networks that look at cells, and learn from the labels of pictures.

A picture's labels are weak labels of its cells: some show the location, or none does. Every cell gets
log-odds of every location; a picture's are their log-mean-exp, which lies between the mean and the maximum of
the cells as the location's own sharpness says. A location that shows in one cell of a field is found by that
cell, and one that all cells show by all of them. Networks see the columns of cells whose means tell the
labels of pictures apart best, among the rows that they learn from: with all columns they overfit. Torch is
imported only where the networks are trained.

Source: Ilse, Tomczak & Welling (2018), Attention-based deep multiple instance learning, ICML; Kraus, Ba &
Frey (2016), Classifying and segmenting microscopy images with deep multiple instance learning,
Bioinformatics 32 (pooling functions).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf, logsumexp, softmax

from models.bags import scale_of, scaled, unpacked
from models.base_learners.label_powerset import explained, one_torch_thread, pack_networks, unpack_networks
from models.feature_selection import centred_ranks, class_weights
from models.hyperparameters import NetworkHyperparameters

if TYPE_CHECKING:
    import torch
    from torch import nn

Floats = NDArray[np.float64]
Table = NDArray[np.float32]

_EXPLAINED = 1024
"""Rows, at most, whose mean log-odds are the bias."""

_SHARPEST = 4.0

SEEN = 240
"""Columns of cells that networks see, at most."""


@dataclass(frozen=True)
class CellNetwork:
    """Trained networks; serialised as safetensors.

    `seen` are the positions of the columns that networks see, of all of a cell; `middle` and `spread` scale
    them; networks are parameters by name; `bias` are the mean log-odds of pictures by location, which
    contributions are measured from and pictures without cells get.
    """

    seen: NDArray[np.int32]
    middle: Table
    spread: Table
    networks: tuple[Mapping[str, Table], ...]
    bias: Floats

    @classmethod
    def fit(
        cls,
        X: Table,
        Y: NDArray[Any],
        hyperparameters: NetworkHyperparameters,
        seed: int,
        among: NDArray[np.bool_] | None = None,
    ) -> Self:
        """Train networks from as many seeds on bags; see `models.bags` for the columns of X.

        They see nothing of a cell but columns `among` these, shape (columns,).
        """
        import torch

        cells, there = unpacked(X)
        kept, labels, networks = there.any(axis=1), Y.astype(np.float32), []
        pool = np.arange(cells.shape[2]) if among is None else np.flatnonzero(among)
        known = cells[np.ix_(np.flatnonzero(kept), np.arange(cells.shape[1]), pool)]
        seen = pool[most_telling(known, labels[kept])].astype(np.int32)
        cells = cells[:, :, seen]
        middle, spread = scale_of(cells[there])
        inputs = scaled(cells, middle, spread)
        with one_torch_thread(), torch.random.fork_rng(devices=[]):
            for number in range(hyperparameters.networks):
                torch.manual_seed(seed + number)
                network = _network(inputs.shape[2], labels, hyperparameters)
                _train(network, inputs[kept], there[kept], labels[kept], hyperparameters)
                networks.append({name: value.numpy() for name, value in network.state_dict().items()})
        bare = cls(seen, middle, spread, tuple(networks), np.zeros(Y.shape[1]))
        some = X[kept]
        some = some[:: max(1, -(-len(some) // _EXPLAINED))]
        return replace(bare, bias=bare.log_odds(some).mean(axis=0))

    def log_odds(self, X: Table) -> Floats:
        """Return log-odds of pictures, shape (rows, locations)."""
        cells, there = unpacked(X)
        result = np.broadcast_to(self.bias, (len(X), len(self.bias))).copy()
        for row in np.flatnonzero(there.any(axis=1)):
            result[row] = self.pooled(self.of_cells(cells[row][there[row]]))
        return result

    def of_cells(self, cells: Table) -> Floats:
        """Return log-odds of cells by every network, shape (networks, cells, locations)."""
        inputs = scaled(cells[:, self.seen], self.middle, self.spread)
        return np.stack([_forward(parameters, inputs) for parameters in self.networks])

    def pooled(self, of_cells: Floats) -> Floats:
        """Return the log-odds of the picture that has these cells, given those of `of_cells`."""
        each = [
            (logsumexp(sharpness * z, axis=0) - np.log(len(z))) / sharpness
            for z, sharpness in zip(of_cells, self._sharpness(), strict=True)
        ]
        return np.asarray(np.mean(each, axis=0), np.float64)

    def shares(self, of_cells: Floats) -> Floats:
        """Return how much each cell counts in its picture's log-odds, shape (cells, locations); sum 1."""
        pairs = zip(of_cells, self._sharpness(), strict=True)
        return np.asarray(np.mean([softmax(sharpness * z, axis=0) for z, sharpness in pairs], axis=0))

    def _sharpness(self) -> list[Floats]:
        return [_SHARPEST / (1 + np.exp(-one["sharpness"].astype(np.float64))) for one in self.networks]

    def contributions(self, X: Table) -> Floats:
        """Return, by location, how far the log-odds are from the bias, and the bias."""
        return explained(self.log_odds(X), self.bias)

    def to_bytes(self) -> bytes:
        """Return all arrays as safetensors."""
        arrays = {"seen": self.seen, "middle": self.middle, "spread": self.spread, "bias": self.bias}
        return pack_networks(arrays, self.networks)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` wrote."""
        arrays, networks = unpack_networks(content)
        seen, middle, spread, bias = (arrays[name] for name in ("seen", "middle", "spread", "bias"))
        return cls(seen, middle, spread, networks, bias)


def most_telling(cells: Table, labels: Table) -> NDArray[np.int32]:
    """Choose columns of cells by how well their means tell pictures' labels apart, ascending positions.

    Parameters
    ----------
    cells : ndarray, shape (pictures, places, columns)
        NaN where a picture has no more cells, or a number is missing.
    labels : ndarray of float, shape (pictures, locations)
        NaN where nothing may be learned.

    Returns
    -------
    ndarray of int32, shape (at most `SEEN`,)
        Those with the largest sum over locations of the squared correlation of rank and label.
    """
    finite = np.isfinite(cells)
    sums, number = np.where(finite, cells, 0).sum(axis=1, dtype=np.float64), finite.sum(axis=1)
    ranks = centred_ranks((sums / np.maximum(number, 1)).astype(np.float32))
    told = np.zeros(ranks.shape[1])
    for column in labels.T:
        known = ~np.isnan(column)
        share = column[known].mean() if known.any() else 0.0
        apart = class_weights(column == 1, known) @ ranks
        told += share * (1 - share) * apart**2
    return np.sort(np.argsort(-told, kind="stable")[:SEEN]).astype(np.int32)


def _forward(parameters: Mapping[str, Table], inputs: Table) -> Floats:
    """Run one network forward, without torch."""
    inner = inputs @ parameters["hidden.weight"].T + parameters["hidden.bias"]
    inner *= 0.5 * (1 + erf(inner / np.sqrt(2, dtype=np.float32)))
    both = inner @ parameters["output.weight"].T + inputs @ parameters["past.weight"].T
    return np.asarray(both + parameters["output.bias"], np.float64)


def _train(
    network: "nn.Module",
    inputs: Table,
    there: NDArray[np.bool_],
    labels: Table,
    hyperparameters: NetworkHyperparameters,
) -> None:
    """Train on the labels of pictures, those that may be learned from (NaN elsewhere)."""
    import torch
    from torch.nn import functional

    cells, mask = torch.from_numpy(inputs), torch.from_numpy(there)
    known, truth = torch.from_numpy(~np.isnan(labels)), torch.from_numpy(np.nan_to_num(labels))
    rate, batch = hyperparameters.learning_rate, hyperparameters.batch
    optimiser: Any = torch.optim.AdamW(
        network.parameters(), lr=rate, weight_decay=hyperparameters.weight_decay
    )
    steps = hyperparameters.epochs * -(-len(cells) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    for _ in range(hyperparameters.epochs):
        order = torch.randperm(len(cells))
        for start in range(0, len(cells), batch):
            some = order[start : start + batch]
            optimiser.zero_grad()
            losses = functional.binary_cross_entropy_with_logits(
                network(cells[some], mask[some]), truth[some], reduction="none"
            )
            loss: Any = losses[known[some]].sum() / len(some)
            loss.backward()
            optimiser.step()
            schedule.step()
    network.eval()


def _network(columns: int, labels: Table, hyperparameters: NetworkHyperparameters) -> "nn.Module":
    import torch
    from torch import nn
    from torch.nn import functional

    share = np.clip(np.nanmean(labels, axis=0), 0.5 / len(labels), 0.99)

    class OfCells(nn.Module):
        """Turns the numbers of cells into log-odds of every location, and those into the pictures'."""

        def __init__(self) -> None:
            super().__init__()
            self.hidden = nn.Linear(columns, hyperparameters.hidden)
            self.output = nn.Linear(hyperparameters.hidden, len(share))
            self.past = nn.Linear(columns, len(share), bias=False)
            self.sharpness = nn.Parameter(torch.full((len(share),), -1.0))
            with torch.no_grad():
                self.output.bias.copy_(torch.from_numpy(np.log(share / (1 - share))))
                self.past.weight.mul_(0.1)

        def forward(self, x: "torch.Tensor", there: "torch.Tensor") -> "torch.Tensor":
            x = functional.dropout(x, hyperparameters.input_dropout, self.training)
            inner = functional.dropout(
                functional.gelu(self.hidden(x)), hyperparameters.dropout, self.training
            )
            of_cells = self.output(inner) + self.past(x)
            sharpness = _SHARPEST * torch.sigmoid(self.sharpness)
            seen = (sharpness * of_cells).masked_fill(~there[..., None], -torch.inf)
            number = there.sum(dim=1, keepdim=True).clamp(min=1)
            pooled: torch.Tensor = (seen.logsumexp(dim=1) - number.log()) / sharpness
            return pooled

    return OfCells()
