"""One small network for all locations at once, on the outputs of other networks.

Boosters per location see a rare location's few positives and nothing else. A hidden layer that
all locations share learns from the common ones how networks err together, which is what the rare
ones need. A linear way past it does what a linear model does.

What it learns is which *set* of locations a row has, among all sets that it has seen: locations come in
combinations, and one that never came is unlikely however likely its parts. Torch is imported only where
the network runs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.base import BaseEstimator

if TYPE_CHECKING:
    import torch
    from torch import nn

Floats = NDArray[np.float64]

BEYOND = 1e-6
"""Least probability of a location, and of its absence."""

_ROWS = 4096
"""Rows answered at a time."""


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread, so that the same bits come out whatever the machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class JointNetwork(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A perceptron with one hidden layer beside a linear one, over sets of locations.

    The log-odds of a set are the sum of its locations' own, a bias, and what `directions` numbers of the row
    say along the set's own direction.

    Parameters
    ----------
    hidden, directions, epochs, batch : int
    dropout, input_dropout : float
        Shares of hidden units, and of inputs, that a training step does not see.
    learning_rate : float
        The highest of a one-cycle schedule.
    weight_decay : float
    seed : int
    """

    def __init__(
        self,
        hidden: int = 1024,
        directions: int = 64,
        epochs: int = 10,
        batch: int = 1024,
        dropout: float = 0.4,
        input_dropout: float = 0.15,
        learning_rate: float = 4e-3,
        weight_decay: float = 1e-4,
        seed: int = 0,
    ) -> None:
        self.hidden = hidden
        self.directions = directions
        self.epochs = epochs
        self.batch = batch
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.seed = seed

    def fit(self, X: NDArray[np.float32], Y: NDArray[np.bool_]) -> Self:
        """Train the network.

        Parameters
        ----------
        X : ndarray, shape (rows, columns)
            Without missing values.
        Y : ndarray of bool, shape (rows, locations)
        """
        import torch

        sets, known, counts = np.unique(Y, axis=0, return_inverse=True, return_counts=True)
        self.sets_ = sets.astype(np.float32)
        with _one_thread(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.network_ = self._network(X.shape[1], counts / len(Y))
            self._train(X, known.ravel())
        return self

    def decision_function(self, X: NDArray[np.float32]) -> Floats:
        """Return log-odds, shape (rows, locations)."""
        import torch

        probability = np.empty((len(X), self.sets_.shape[1]))
        with _one_thread(), torch.no_grad():
            for start in range(0, len(X), _ROWS):
                rows = torch.from_numpy(np.ascontiguousarray(X[start : start + _ROWS]))
                likely = torch.softmax(self.network_(rows), dim=1).numpy().astype(np.float64)
                probability[start : start + len(rows)] = likely @ self.sets_
        return np.asarray(logit(np.clip(probability, BEYOND, 1 - BEYOND)))

    def _train(self, X: NDArray[np.float32], known: NDArray[np.intp]) -> None:
        import torch
        from torch import nn

        rows, truth = torch.from_numpy(np.ascontiguousarray(X)), torch.from_numpy(known)
        optimiser: Any = torch.optim.AdamW(
            self.network_.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
        )
        steps = self.epochs * -(-len(X) // self.batch)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, self.learning_rate, total_steps=steps)
        for _ in range(self.epochs):
            order = torch.randperm(len(X))
            for start in range(0, len(X), self.batch):
                some = order[start : start + self.batch]
                optimiser.zero_grad()
                loss: Any = nn.functional.cross_entropy(self.network_(rows[some]), truth[some])
                loss.backward()
                optimiser.step()
                schedule.step()
        self.network_.eval()

    def _network(self, columns: int, shares: Floats) -> "nn.Module":
        import torch
        from torch import nn

        sets = torch.from_numpy(self.sets_)
        numbers = sets.shape[1] + self.directions

        class OverSets(nn.Module):
            """Turns numbers of a row into log-odds of every set, up to a constant."""

            def __init__(self, row: nn.Module, directions: int) -> None:
                super().__init__()
                self.row = row
                self.directions = nn.Parameter(0.02 * torch.randn(len(sets), directions))
                self.bias = nn.Parameter(0.5 * torch.log(torch.from_numpy(shares.astype(np.float32))))

            def forward(self, x: "torch.Tensor") -> "torch.Tensor":
                own, along = self.row(x).split([sets.shape[1], self.directions.shape[1]], dim=1)
                answer: torch.Tensor = own @ sets.T + along @ self.directions.T + self.bias
                return answer

        class Beside(nn.Module):
            """The sum of what two networks answer."""

            def __init__(self, one: nn.Module, other: nn.Module) -> None:
                super().__init__()
                self.one, self.other = one, other

            def forward(self, x: Any) -> Any:
                return self.one(x) + self.other(x)

        hidden = nn.Sequential(
            nn.Linear(columns, self.hidden),
            nn.GELU(),
            nn.Dropout(self.dropout),
            nn.Linear(self.hidden, numbers),
        )
        row = nn.Sequential(nn.Dropout(self.input_dropout), Beside(hidden, nn.Linear(columns, numbers)))
        return OverSets(row, self.directions)
