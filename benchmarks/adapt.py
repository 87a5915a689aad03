"""Whether unlabelled pictures of the user's can adapt the shipped network to them.

Prints, for each set of real pictures, the scores of `benchmarks/real_pictures.py` of the shipped network as
it is and, beside it, what each way to adapt it changes, with 95 % intervals of the paired difference over
pictures. No way sees a label, but for "true shares", which is what shares known without error would give.

- ``batch norm A``: means and variances of batch normalisation, A of the way from those of training to those
  of these pictures (Li et al. 2018, AdaBN; Schneider et al. 2020).
- ``of ten``: the same all the way, from ten pictures at a time: drawn at random or, sorted by their
  locations, ``alike``, as the pictures of one experiment are.
- ``entropy``: scale and shift of batch normalisation by gradient descent on the entropy of the answers, with
  these pictures' statistics (Wang et al. 2021, Tent).
- ``shares``: shares of the locations by expectation maximisation (Saerens et al. 2002), as if locations were
  independent; ``shares, shrunk``: with the shares of training counted as `COUNTED` pictures more.
- ``last layer``: fitted again to the network's own answers where these are sure, shrunk to its weights.
- ``centred``: each location's mean log-odds over these pictures as those of all locations together.
- ``neighbours``: log-odds averaged with those of the pictures that look most alike to the network.

Run from the project's folder: python benchmarks/adapt.py ../shared/real
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from real_pictures import labelled, scores
from scipy.special import expit, logit
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from models.base_learners.logistic import fit_logistic
from pipeline.data.pictures import Picture
from pipeline.networks.checkpoints import load_network
from pipeline.networks.preprocessing import Embedder, prepare, turned
from pipeline.networks.shipped import decided, shipped_card, shipped_embedder

SHARES = 0.5, 1.0
"""Of the way from the statistics of training to those of the pictures."""

EVERY = 8
"""One of so many turns and flips is seen, for speed: all ways alike."""

STEPS, RATE = 4, 2e-3
"""Of the descent on the entropy."""

COUNTED = 50.0
"""Pictures that the shares of training count as."""

SURE = 0.1
"""Answers within this of 0 or 1 are sure: the last layer learns from them."""

SHRUNK = 5.0
"""Penalty, in pictures, on how far the last layer's weights move."""

NEIGHBOURS = 5

FEW = 10
"""Pictures that a user may have."""

Truth = NDArray[np.bool_]
Floats = NDArray[np.float64]
Norm = nn.BatchNorm1d | nn.BatchNorm2d


def views(pictures: list[Picture], embedder: Embedder) -> list[Tensor]:
    """Return the pictures at each of the network's sides, in some turns and flips."""
    found = []
    for side in embedder.sides:
        once = embedder.preprocessing.model_copy(update={"side": side})
        seen = [turned(prepare(one.pixels, once, one.channels))[::EVERY] for one in pictures]
        found += [torch.from_numpy(np.stack(same)) for same in zip(*seen, strict=True)]
    return found


def parts(network: nn.ModuleDict) -> tuple[nn.Sequential, nn.Linear]:
    """Return all layers but the last, and the last."""
    head = network["head"]
    *before, last = head if isinstance(head, nn.Sequential) else (head,)
    assert isinstance(last, nn.Linear)
    return nn.Sequential(network["trunk"], *before), last


def norms(network: nn.Module) -> list[Norm]:
    """Return the layers of batch normalisation."""
    return [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]


def seen_by(network: nn.ModuleDict, shown: list[Tensor]) -> Floats:
    """Return what the last layer sees of every picture, the mean over views; shape (pictures, width)."""
    trunk, _ = parts(network.eval())
    with torch.inference_mode():
        return np.mean([[trunk(one[None])[0].numpy() for one in view] for view in shown], axis=0)


def log_odds(network: nn.ModuleDict, seen: Floats) -> Floats:
    """Apply the last layer; shape (pictures, 28)."""
    _, last = parts(network)
    return seen @ last.weight.detach().numpy().T.astype(np.float64) + last.bias.detach().numpy()


def with_statistics(embedder: Embedder, shown: list[Tensor], share: float) -> nn.ModuleDict:
    """Return the network with batch normalisation by a mixture of old statistics and the pictures' own."""
    network = load_network(embedder).eval()
    layers = norms(network)
    old = [(layer.running_mean.clone(), layer.running_var.clone()) for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean over all batches
        layer.train()
    with torch.inference_mode():
        for view in shown:
            parts(network)[0](view)
    for layer, (mean, variance) in zip(layers, old, strict=True):
        layer.running_mean.lerp_(mean, 1 - share)
        layer.running_var.lerp_(variance, 1 - share)
    return network.eval()


def by_few(embedder: Embedder, shown: list[Tensor], order: NDArray[np.int64]) -> Floats:
    """Return log-odds where `FEW` pictures at a time, in an order, adapt the batch normalisation."""
    found = np.empty((len(order), len(embedder.outputs)))
    for rows in np.array_split(order, len(order) // FEW):
        some = [view[rows] for view in shown]
        network = with_statistics(embedder, some, 1.0)
        found[rows] = log_odds(network, seen_by(network, some))
    return found


def with_entropy(embedder: Embedder, shown: list[Tensor], prior: Floats) -> nn.ModuleDict:
    """Return the network after some steps that make its answers surer."""
    network = with_statistics(embedder, shown, 1.0)
    trunk, last = parts(network)
    weights = [weight for layer in norms(network) for weight in (layer.weight, layer.bias)]
    descent, shift = torch.optim.Adam(weights, RATE), torch.from_numpy(prior).float()
    for step in range(STEPS):
        chance = torch.sigmoid(last(trunk(shown[step % len(shown)])) + shift)
        entropy = nn.functional.binary_cross_entropy(chance, chance, reduction="mean")
        descent.zero_grad()
        entropy.backward()
        descent.step()
    return network


def matched(shifted: Floats, source: Floats, counted: float) -> Floats:
    """Return log-odds for the shares of locations that the pictures themselves suggest."""
    shares = source
    for _ in range(200):
        chance = expit(shifted + logit(shares) - logit(source))
        shares = (chance.sum(axis=0) + counted * source) / (len(shifted) + counted)
        shares = np.clip(shares, 1e-4, 1 - 1e-4)
    return shifted + logit(shares) - logit(source)


def last_layer(shifted: Floats, seen: Floats) -> Floats:
    """Return log-odds of a last layer that was fitted to the sure answers, location by location."""
    found = shifted.copy()
    sure = np.abs(expit(shifted) - 0.5) > 0.5 - SURE
    for location, column in enumerate(shifted.T):
        rows, chosen = sure[:, location], column > 0
        if chosen[rows].any() and not chosen[rows].all():
            # Fitted to what the old layer leaves over: its log-odds are an input whose weight stays near 1.
            inputs = np.column_stack([column, seen])
            first = np.eye(1, inputs.shape[1])[0]
            line = fit_logistic(inputs[rows], chosen[rows], first, np.full(len(first), SHRUNK))
            found[:, location] = line(inputs)
    return found


def neighbours(shifted: Floats, seen: Floats) -> Floats:
    """Return log-odds, half of them the mean of the most similar pictures'."""
    unit = (seen - seen.mean(axis=0)) / (seen.std(axis=0) + 1e-9)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    alike = unit @ unit.T
    np.fill_diagonal(alike, -np.inf)
    nearest = np.argsort(-alike, axis=1, kind="stable")[:, :NEIGHBOURS]
    return (shifted + shifted[nearest].mean(axis=1)) / 2


def ways(pictures: list[Picture], truth: Truth) -> dict[str, Floats]:
    """Return log-odds that the card's prior is to be added to, by way."""
    card, deciding = shipped_card()
    assert card.deciding is not None
    embedder, prior = shipped_embedder(), np.array(deciding.prior)
    shown, source = views(pictures, embedder), expit(2 * prior)  # half of it corrects the training's weights
    network = load_network(embedder)
    seen = seen_by(network, shown)
    plain = log_odds(network, seen)
    shifted = plain + prior
    true = np.clip(truth.mean(axis=0), 0.5 / len(truth), 1 - 0.5 / len(truth))
    found = {
        "as shipped": plain,
        "shares": matched(shifted, source, 0.0) - prior,
        "shares, shrunk": matched(shifted, source, COUNTED) - prior,
        "true shares": shifted + logit(true) - logit(source) - prior,
        "last layer": last_layer(shifted, seen) - prior,
        "centred": shifted - shifted.mean(axis=0) + shifted.mean() - prior,
        "neighbours": neighbours(shifted, seen) - prior,
    }
    rng, locations = np.random.default_rng(0), truth.argmax(axis=1)
    found["of ten"] = by_few(embedder, shown, rng.permutation(len(truth)))
    found["of ten alike"] = by_few(embedder, shown, np.argsort(locations, kind="stable"))
    changed: dict[str, Callable[[], nn.ModuleDict]] = {
        f"batch norm {share:g}": lambda share=share: with_statistics(embedder, shown, share)
        for share in SHARES
    }
    changed["entropy"] = lambda: with_entropy(embedder, shown, prior)
    for name, made in changed.items():
        other = made()
        found[name] = log_odds(other, seen_by(other, shown))
    return found


def compared(found: dict[str, Floats], truth: Truth, draws: int) -> pd.DataFrame:
    """Return scores as shipped, and the differences of all other ways with their intervals, as text."""
    card, deciding = shipped_card()
    answers = {}
    for name, each in found.items():
        one = decided(each.astype(np.float32), pd.RangeIndex(len(truth)), card.outputs, deciding)
        answers[name] = one.probability.to_numpy(), one.chosen.to_numpy()
    rng = np.random.default_rng(0)
    rows = [np.arange(len(truth)), *(rng.integers(0, len(truth), len(truth)) for _ in range(draws))]
    drawn = {
        name: pd.DataFrame([scores(each[some], chosen[some], truth[some]) for some in rows])
        for name, (each, chosen) in answers.items()
    }
    base = drawn.pop("as shipped")
    lines = {"as shipped": base.iloc[0].map("{:.3f}".format)}
    for name, table in drawn.items():
        change = table - base
        low, high = change.iloc[1:].quantile(0.025), change.iloc[1:].quantile(0.975)
        lines[name] = pd.Series(
            {key: f"{change[key].iloc[0]:+.3f} ({low[key]:+.2f} to {high[key]:+.2f})" for key in change}
        )
    return pd.DataFrame(lines).T


def main() -> None:
    """Print a table for each set of pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="Folder of hpa2018 and hpa_dictionary.")
    parser.add_argument("--draws", type=int, default=100, help="Bootstrap samples of pictures.")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name, column in (("hpa2018", "Id"), ("hpa_dictionary", "file")):
        pictures, truth = labelled(given.folder / name, column)
        found = ways(pictures, truth)
        print(f"\n{name}: {len(truth)} pictures", flush=True)
        print(compared(found, truth, given.draws).to_string(), flush=True)


if __name__ == "__main__":
    main()
