"""Training CNNs to predict a protein's locations: one without each fold, and one on all pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.clusters import client_in_use
from pipeline.core.files import text_digest
from pipeline.core.stage import Progress, SilentProgress
from pipeline.core.training_loop import Schedule, TrainingLoop
from pipeline.core.weights import read_card, save_state, write_card
from pipeline.core.workers import autocast, map_chunks, precision, precision_kept, torch_threads
from pipeline.networks.architectures import CnnHyperparameters, Loss, build_network, forward
from pipeline.networks.checkpoints import CnnCard
from pipeline.networks.preprocessing import Preprocessing
from pipeline.networks.training_pictures import Bytes, augmented, plain

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import ModuleDict

Rows = NDArray[np.intp]

VERSION = 2
"""Raise it when the same pictures and hyperparameters give other weights than before."""

WARM_UP = 0.05
"""Share of the steps over which the learning rate rises from 0."""

HEAVIEST = 8.0
"""Largest weight of a rare location's positives: heavier ones are learned by heart."""

FOCUS = 2.0
"""Exponent of the focal loss."""


@dataclass(frozen=True)
class TrainingRun:
    """What all networks of a run share.

    Pixels have shape (pictures, 4, side, side), targets (pictures, locations). `fingerprints` are the ids of
    the pictures and what their pixels are known by, `fold` is the stack's; weights and checkpoints lie in the
    folder, and jobs are threads.
    """

    pixels: Bytes
    preprocessing: Preprocessing
    targets: NDArray[np.bool_]
    locations: tuple[str, ...]
    fingerprints: dict[str, str]
    fold: NDArray[np.int16]
    hyperparameters: CnnHyperparameters
    folder: Path
    device: str
    jobs: int

    def shortened(self, epochs: int) -> "TrainingRun":
        """Return the same with a fixed number of epochs."""
        fewer = {"epochs": epochs, "patience": epochs}
        return replace(self, hyperparameters=self.hyperparameters.model_copy(update=fewer))

    def digest(self, left_out: int | None) -> str:
        """Return a digest of everything that decides a network's weights."""
        parts = [VERSION, self.hyperparameters.identity, list(self.fingerprints.values())]
        folds = self.fold.tolist() if left_out is not None else []
        return text_digest([*parts, np.packbits(self.targets).tolist(), folds, left_out])


def fit_network(run: TrainingRun, left_out: int | None, progress: Progress) -> tuple[Path, CnnCard]:
    """Train the network that does not see one fold, or, with None, the one that sees everything.

    The fold after the one left out chooses the epoch, so that the predictions for the fold left out, which
    are scored later, had no part in it. A finished network is not trained again; an unfinished one goes on at
    its checkpoint. Returns the path of the weights, and the card that lies beside them.
    """
    label = "everything" if left_out is None else f"fold_{left_out}"
    recipe = run.digest(left_out)
    path = run.folder / f"{label}-{recipe[:12]}.safetensors"
    card = read_card(path, CnnCard) if path.is_file() else None
    if card is None:
        card = _train(run, left_out, path, progress).model_copy(update={"recipe": recipe})
        write_card(path, card)
        path.with_suffix(".checkpoint").unlink(missing_ok=True)
    if left_out is not None:
        loss = card.scores.get("log_loss", np.nan)
        progress.note(f"{label}: validation log-loss {loss:.4f} at epoch {card.best_epoch}")
    return path, card


def fit_networks(
    run: TrainingRun, left_out: Sequence[int | None], progress: Progress
) -> list[tuple[Path, CnnCard]]:
    """Train several networks, see `fit_network`: one after the other or, with a cluster, each on a worker.

    A worker that dies costs the epoch that it was at: another one goes on at the checkpoint.
    """
    if client_in_use() is not None:
        pixels: Any = run.pixels  # on disk, where workers read them
        pixels.flush()
        train = partial(_fit_there, replace(run, pixels=np.empty(0, np.uint8)), Path(pixels.filename))
        with (
            progress.track("Training networks", len(left_out)) as advance,
            precision_kept(precision(run.device)),
        ):
            for _ in map_chunks(train, left_out, run.jobs):
                advance(1)
    return [fit_network(run, one, progress) for one in left_out]


def _fit_there(run: TrainingRun, pixels: Path, left_out: int | None) -> None:
    """Train a network on a worker; what it leaves in the folder is what counts."""
    fit_network(replace(run, pixels=np.load(pixels, mmap_mode="r")), left_out, SilentProgress())


def _train(run: TrainingRun, left_out: int | None, path: Path, progress: Progress) -> CnnCard:
    """Train one network and write its weights; return what its card says."""
    rows, validation = split(run.fold, left_out)
    title = "Training on all pictures" if left_out is None else f"Training without fold {left_out}"
    with torch_threads(run.jobs):
        training = cnn_training(run.pixels, run.targets, rows, validation, run.hyperparameters, run.device)
        state = training.run(progress, title, path.with_suffix(".checkpoint"))
    ids = list(run.fingerprints)
    seen = tuple(ids[row] for row in np.sort(np.concatenate([rows, validation])))
    chosen = training.chosen is not None
    return CnnCard(
        network=run.hyperparameters.network,
        sha256=save_state(path, state),
        data=f"{len(seen)} of these {len(ids)} pictures",
        licence="that of the pictures and labels",
        command="train-cnn",
        steps=training.best_step if chosen else training.step,
        scores={"log_loss": training.best} if chosen else {},
        precision=precision(run.device),
        preprocessing=run.preprocessing,
        outputs=run.locations,
        trained_on=seen,
        best_epoch=training.best_step // training.schedule.round if chosen else None,
    )


def split(fold: NDArray[np.int16], left_out: int | None) -> tuple[Rows, Rows]:
    """Return the pictures to train on and those to choose the epoch by."""
    if left_out is None:
        return np.arange(len(fold)), np.arange(0)
    choosing = (left_out + 1) % (int(fold.max()) + 1)
    return np.flatnonzero((fold != left_out) & (fold != choosing)), np.flatnonzero(fold == choosing)


def schedule_of(hyperparameters: CnnHyperparameters, pictures: int) -> Schedule:
    """Return the schedule of a training on so many pictures; a round is an epoch."""
    epoch = max(1, pictures // hyperparameters.batch)
    steps = epoch * hyperparameters.epochs
    warm_up = max(1.0, WARM_UP * steps)
    return Schedule(
        steps=steps,
        round=epoch,
        learning_rate=hyperparameters.learning_rate,
        warm_up=warm_up,
        decay_from=warm_up,
        weight_decay=hyperparameters.weight_decay,
        averaging=hyperparameters.averaging,
        patience=hyperparameters.patience,
        seed=hyperparameters.seed,
        identity=hyperparameters.identity,
    )


def cnn_training(
    pixels: Bytes,
    targets: NDArray[np.bool_],
    rows: Rows,
    validation: Rows,
    hyperparameters: CnnHyperparameters,
    device: str = "cpu",
) -> TrainingLoop:
    """Return the training of a network.

    Pixels, shape (pictures, channels, side, side), may lie on disk; targets have shape (pictures, locations).
    `rows` are the pictures to train on and `validation` those to choose the epoch by; without any, the last
    one is kept.
    """
    import torch

    torch.backends.cudnn.deterministic = True
    torch.manual_seed(hyperparameters.seed)
    network = build_network(hyperparameters.network, targets.shape[1])
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    weights = positive_weights(targets[rows])
    on_device = torch.from_numpy(weights).to(device)
    schedule = schedule_of(hyperparameters, len(rows))
    size = min(hyperparameters.batch, len(rows))
    crop, dropout = hyperparameters.crop, hyperparameters.channel_dropout

    def batch_loss(network: Any, rng: np.random.Generator, step: int) -> "Tensor":
        epoch, position = divmod(step, schedule.round)
        order = np.random.default_rng((hyperparameters.seed, epoch, 1)).permutation(rows)
        batch = order[position * size : (position + 1) * size]
        views = np.stack([augmented(pixels[row], crop, rng, dropout) for row in batch])
        pictures = torch.from_numpy(views).to(device, memory_format=torch.channels_last)
        truth = torch.from_numpy(targets[batch].astype(np.float32)).to(device)
        with autocast(device):
            logits = forward(network, pictures)[1]
        return loss_of(logits.float(), truth, on_device, hyperparameters.loss)

    def validation_loss(network: Any) -> float:
        logits = log_odds(network, pixels, validation, device)
        return log_loss(unweighted(logits, weights), targets[validation])

    return TrainingLoop(network, batch_loss, schedule, validation_loss if len(validation) else None)


def log_odds(network: "ModuleDict", pixels: Bytes, rows: Rows, device: str = "cpu") -> NDArray[np.float32]:
    """Return a network's log-odds of whole pictures, shape (rows, locations)."""
    import torch

    found = []
    with torch.inference_mode(), autocast(device):
        for row in rows:
            picture = torch.from_numpy(plain(pixels[row])[None])
            picture = picture.to(device, memory_format=torch.channels_last)
            found.append(forward(network, picture)[1].float().cpu().numpy())
    return np.concatenate(found)


def positive_weights(targets: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Weigh each location's positives by the square root of how rare they are, at most `HEAVIEST`."""
    share = np.maximum(targets.mean(axis=0), 1e-6)
    return np.asarray(np.clip(np.sqrt((1 - share) / share), 1, HEAVIEST), np.float32)


def loss_of(logits: "Tensor", targets: "Tensor", weights: "Tensor", kind: Loss) -> "Tensor":
    """Return the mean loss of log-odds, shape (batch, locations), with weights of each location's positives.

    "bce": weighted binary cross-entropy; "focal": the same, times (1 - p)² where p is the probability given
    to the truth (Lin et al. 2017, doi 10.1109/ICCV.2017.324).
    """
    import torch

    if kind == "bce":
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=weights)
    from monai.losses.focal_loss import FocalLoss

    each: Tensor = FocalLoss(gamma=FOCUS, reduction="none")(logits, targets)
    return (each * torch.where(targets > 0.5, weights, torch.ones_like(weights))).mean()


def log_loss(logits: NDArray[np.float32], targets: NDArray[np.bool_]) -> float:
    """Return the mean log-loss of log-odds over pictures and locations."""
    signed = np.where(targets, -logits, logits).astype(np.float64)
    return float(np.logaddexp(0, signed).mean())


def unweighted(logits: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take out of log-odds what weighing positives put in: a weight of w multiplies the odds by w.

    Without it, log-loss would prefer epochs that are unsure to epochs that tell locations apart.
    """
    return np.asarray(logits - np.log(weights))
