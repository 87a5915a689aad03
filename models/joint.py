"""One small network for all locations at once, on the outputs of other networks.

Boosters per location see a rare location's few positives and nothing else. A hidden layer that
all locations share learns from the common ones how networks err together, which is what the rare
ones need. A linear way past it does what a linear model does. Torch is imported only where the network runs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

if TYPE_CHECKING:
    from torch import nn

Floats = NDArray[np.float64]


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
    """A multilabel perceptron with one hidden layer beside a linear one; the mean of `members` trainings.

    Parameters
    ----------
    hidden, epochs, batch, members : int
    dropout, input_dropout : float
        Shares of hidden units, and of inputs, that a training step does not see.
    learning_rate : float
        The highest of a one-cycle schedule.
    weight_decay : float
    seed : int
    """

    def __init__(
        self,
        hidden: int = 384,
        epochs: int = 10,
        batch: int = 1024,
        members: int = 1,
        dropout: float = 0.4,
        input_dropout: float = 0.15,
        learning_rate: float = 4e-3,
        weight_decay: float = 1e-4,
        seed: int = 0,
    ) -> None:
        self.hidden = hidden
        self.epochs = epochs
        self.batch = batch
        self.members = members
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.seed = seed

    def fit(self, X: NDArray[np.float32], Y: NDArray[np.bool_], weight: NDArray[np.float32]) -> Self:
        """Train the members.

        Parameters
        ----------
        X : ndarray, shape (rows, columns)
            Without missing values.
        Y : ndarray of bool, shape (rows, locations)
        weight : ndarray, shape (rows,)
            What each row counts in the loss.
        """
        import torch

        with _one_thread(), torch.random.fork_rng(devices=[]):
            self.members_ = []
            for member in range(self.members):
                torch.manual_seed(self.seed * 1000 + member)
                self.members_.append(self._train(X, Y, weight))
        return self

    def decision_function(self, X: NDArray[np.float32]) -> Floats:
        """Return log-odds, shape (rows, locations)."""
        import torch

        with _one_thread(), torch.no_grad():
            rows = torch.from_numpy(np.ascontiguousarray(X))
            answers = [member(rows).numpy().astype(np.float64) for member in self.members_]
        return np.asarray(np.mean(answers, axis=0))

    def _train(
        self, X: NDArray[np.float32], Y: NDArray[np.bool_], weight: NDArray[np.float32]
    ) -> "nn.Module":
        import torch
        from torch import nn

        rows, known = torch.from_numpy(np.ascontiguousarray(X)), torch.from_numpy(Y.astype(np.float32))
        counts = torch.from_numpy(np.ascontiguousarray(weight))[:, None]
        network = self._network(X.shape[1], Y.shape[1])
        optimiser: Any = torch.optim.AdamW(
            network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
        )
        steps = self.epochs * -(-len(X) // self.batch)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, self.learning_rate, total_steps=steps)
        for _ in range(self.epochs):
            order = torch.randperm(len(X))
            for start in range(0, len(X), self.batch):
                some = order[start : start + self.batch]
                optimiser.zero_grad()
                losses: Any = nn.functional.binary_cross_entropy_with_logits(
                    network(rows[some]), known[some], counts[some], reduction="sum"
                )
                (losses / len(some)).backward()
                optimiser.step()
                schedule.step()
        return network.eval()

    def _network(self, columns: int, locations: int) -> "nn.Module":
        from torch import nn

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
            nn.Linear(self.hidden, locations),
        )
        return nn.Sequential(nn.Dropout(self.input_dropout), Beside(hidden, nn.Linear(columns, locations)))
