"""Training networks per fold: what they learn, what they must not see, what a kill leaves."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.training_loop import TrainingLoop
from pipeline.core.workspace import Workspace
from pipeline.data.tables import unsaid
from pipeline.networks.architectures import CnnHyperparameters
from pipeline.networks.leak_guard import UNALIGNED, card_of, check_leaks
from pipeline.networks.training import (
    cnn_training,
    log_loss,
    loss_of,
    positive_weights,
    schedule_of,
    split,
    unweighted,
)
from pipeline.networks.training_pictures import augmented
from pipeline.stages.options import TrainCnnOptions
from pipeline.stages.train_cnn import WHOLE, TrainCnn, TrainCnnSummary
from tests.pipeline.workfolder import make_workfolder

OWN = {"network", "side", "crop", "epochs", "patience", "batch"}
SMALL = CnnHyperparameters(network="compact", side=64, crop=48, epochs=2, patience=2, batch=8)


def bright_or_dark(pictures: int, side: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Return noise, half of it with a bright protein plane, and which half."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 60, (pictures, 4, side, side)).astype(np.uint8)
    truth = np.arange(pictures) % 2 == 0
    pixels[truth, 1] += 120
    return pixels, truth[:, None]


def training(**changes: object) -> TrainingLoop:
    pixels, truth = bright_or_dark(24)
    chosen = SMALL.model_copy(update=changes)
    return cnn_training(pixels, truth, np.arange(16), np.arange(16, 24), chosen)


def test_a_network_learns_what_its_pictures_show() -> None:
    trained = training(epochs=20, patience=20, batch=4, averaging=0.5)
    trained.run(SilentProgress(), "train")
    assert trained.best < 0.4 < np.log(2)


def test_killed_after_an_epoch_and_resumed_it_ends_with_the_same_weights(tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.pt"
    whole = training().run(SilentProgress(), "train", tmp_path / "whole.pt")

    class Killed(SilentProgress):
        def note(self, text: str) -> None:
            if checkpoint.exists():
                raise KeyboardInterrupt(text)

    with pytest.raises(KeyboardInterrupt, match="step 2: loss"):
        training().run(SilentProgress(), "train", checkpoint, Killed().note)
    second = training()
    second.resume(checkpoint)
    assert second.step == second.schedule.round == 2
    resumed = second.run(SilentProgress(), "train", checkpoint)
    for name, value in whole.items():
        assert value.equal(resumed[name]), name


def test_a_checkpoint_of_other_hyperparameters_is_refused(tmp_path: Path) -> None:
    training().save(tmp_path / "c.pt")
    with pytest.raises(PipelineError, match="made with other learning_rate; remove it"):
        training(learning_rate=1e-3).resume(tmp_path / "c.pt")


def test_it_stops_when_the_validation_no_longer_improves() -> None:
    stuck = training(epochs=9, patience=2, learning_rate=1e-12)
    rounds: list[str] = []
    stuck.run(SilentProgress(), "train", report=rounds.append)
    assert len(rounds) < 9
    assert stuck.step == stuck.best_step + 2 * stuck.schedule.round


def test_the_learning_rate_rises_and_falls_to_nothing() -> None:
    schedule = schedule_of(SMALL.model_copy(update={"epochs": 10}), 80)
    rates = [schedule.factor(step) for step in range(100)]
    assert np.argmax(rates) == 5
    assert rates[0] < 0.2
    assert rates[-1] < 0.001


def test_views_come_from_the_seed_alone_and_keep_the_channels() -> None:
    pixels = np.zeros((4, 64, 64), np.uint8)
    pixels[2] = 200
    first, again = (augmented(pixels, 48, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (4, 48, 48)
    assert first[2].min() > 0.3
    assert first[[0, 1, 3]].max() == 0
    other = augmented(pixels, 48, np.random.default_rng(4))
    assert not np.array_equal(first, other)


def test_channels_that_are_dropped_are_black_in_so_many_views_and_change_no_other() -> None:
    pixels = np.full((4, 64, 64), 200, np.uint8)
    black = np.zeros(4)
    for seed in range(200):
        view = augmented(pixels, 32, np.random.default_rng(seed), 0.3)
        whole = augmented(pixels, 32, np.random.default_rng(seed))
        is_black = ~view.any(axis=(1, 2))
        np.testing.assert_array_equal(view[~is_black], whole[~is_black])
        black += is_black
    assert np.flatnonzero(black).tolist() == [0, 3]  # microtubules and er
    assert (abs(black[[0, 3]] / 200 - 0.3) < 0.08).all()


def test_dropout_that_is_not_asked_for_leaves_networks_as_they_were() -> None:
    plain, dropping = CnnHyperparameters(), CnnHyperparameters(channel_dropout=0.2)
    assert "channel_dropout" not in plain.identity
    assert dropping.identity == {**plain.identity, "channel_dropout": 0.2}


def test_some_views_are_noisy_and_all_stay_in_range() -> None:
    flat = np.full((4, 32, 32), 100, np.uint8)
    views = [augmented(flat, 32, np.random.default_rng(seed)) for seed in range(100)]
    noisy = [view[0].std() > 1e-3 for view in views]
    assert 0.15 < np.mean(noisy) < 0.45
    assert all(view.min() >= 0 and view.max() <= 1 for view in views)


def test_some_views_are_out_of_focus() -> None:
    stripes = np.zeros((4, 32, 32), np.uint8)
    stripes[:, ::2] = 200
    views = [augmented(stripes, 32, np.random.default_rng(seed)) for seed in range(100)]
    contrasts = [np.ptp(view[0][8:-8, 8:-8]) / view[0].max() for view in views]
    assert min(contrasts) < 0.3
    assert max(contrasts) > 0.9


def test_rare_positives_weigh_more_up_to_a_limit() -> None:
    targets = np.zeros((1000, 3), bool)
    targets[:500, 0] = targets[:100, 1] = targets[:1, 2] = True
    np.testing.assert_allclose(positive_weights(targets), [1.0, 3.0, 8.0])


def test_what_weighing_positives_did_to_log_odds_is_taken_out_again() -> None:
    truth = np.arange(100) < 10
    weight = positive_weights(truth[:, None])
    learnt = np.log(weight * 10 / 90) * np.ones((100, 1))  # what makes the weighted loss least
    told = unweighted(learnt.astype(np.float32), weight)
    np.testing.assert_allclose(1 / (1 + np.exp(-told)), 0.1, rtol=1e-5)
    assert log_loss(told, truth[:, None]) < log_loss(learnt.astype(np.float32), truth[:, None])


def test_the_focal_loss_forgives_what_is_already_answered_well() -> None:
    torch = pytest.importorskip("torch")
    truth, one = torch.ones(1, 1), torch.ones(1)
    sure, unsure = torch.full((1, 1), 3.0), torch.zeros(1, 1)
    for kind, ratio in (("bce", 14.3), ("focal", 1500.0)):
        losses = [float(loss_of(logits, truth, one, kind)) for logits in (unsure, sure)]
        assert losses[0] / losses[1] == pytest.approx(ratio, rel=0.1)
    assert log_loss(np.zeros((2, 2), np.float32), np.eye(2, dtype=bool)) == pytest.approx(np.log(2))


def test_the_fold_left_out_has_no_part_in_training_or_in_choosing_the_epoch() -> None:
    fold = np.array([0, 1, 2, 0, 1, 2], np.int16)
    for left_out in range(3):
        rows, choosing = split(fold, left_out)
        assert not (set(rows) | set(choosing)) & set(np.flatnonzero(fold == left_out))
        assert set(fold[choosing]) == {(left_out + 1) % 3}
    rows, choosing = split(fold, None)
    assert len(rows) == 6
    assert not len(choosing)


def test_a_network_trained_with_dropout_embeds_pictures_without_the_channels(
    options: TrainCnnOptions, tmp_path: Path
) -> None:
    dropping = options.model_copy(
        update={"work": make_workfolder(tmp_path / "w", 24).root, "channel_dropout": 0.3, "name": "dropping"}
    )
    execute(TrainCnn(), dropping, SilentProgress())
    embedder = card_of(Workspace(dropping.work).embedding(f"dropping{WHOLE}")).embedder
    assert embedder is not None
    assert embedder.preprocessing.dropped == ("microtubules", "er")
    assert not embedder.needs(("er",))
    assert embedder.needs(("nucleus",))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_workfolder(tmp_path_factory.mktemp("cnn"), 24)


@pytest.fixture
def options(work: Workspace, write_sample) -> TrainCnnOptions:
    root = work.root.parent
    if not (root / "images").exists():
        for number in range(24):
            write_sample(root / "images", f"p{number:03}", size=(48, 64), seed=number)
    given = {"images": root / "images", "labels": root / "labels.csv", "name": "Tiny Net"}
    return TrainCnnOptions(work=work.root, folds=3, jobs=1, **SMALL.model_dump(include=OWN), **given)


def table_of(options: TrainCnnOptions, done: TrainCnnSummary, ending: str = "") -> Path:
    return Workspace(options.work).embedding(done.name + ending)


def test_every_picture_is_answered_by_a_network_that_did_not_see_it(
    work: Workspace, options: TrainCnnOptions
) -> None:
    done = execute(TrainCnn(), options, SilentProgress())
    table = pd.read_parquet(table_of(options, done)).set_index("Id")
    assert done.folds == len(done.losses) == 3
    assert list(table.columns) == [f"cnn__tiny_net__logit_{name.lower()}" for name in done.locations]
    card = card_of(table_of(options, done))
    assert card is not None
    assert card.folds is not None
    fold = pd.Series(card.folds)
    assert check_leaks({table_of(options, done): card}, fold, unsaid, accept=False) == []
    assert pd.read_parquet(table_of(options, done, WHOLE)).shape == (24, 1 + 128 + len(done.locations))
    files = sorted(path.name.split("-")[0] for path in work.network("tiny_net").glob("*.safetensors"))
    assert files == ["everything", "fold_0", "fold_1", "fold_2"]
    assert not list(work.network("tiny_net").glob("*.checkpoint"))


def test_run_again_it_trains_nothing_and_writes_the_same(
    options: TrainCnnOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = execute(TrainCnn(), options, SilentProgress())
    kept = table_of(options, first).read_bytes()
    monkeypatch.setattr(TrainingLoop, "update", lambda _self: pytest.fail("trained again"))
    again = execute(TrainCnn(), options, SilentProgress())
    assert not again.fresh
    assert again == first.again()
    table_of(options, first).unlink()
    restored = execute(TrainCnn(), options, SilentProgress())
    assert restored.fresh
    assert table_of(options, restored).read_bytes() == kept


def test_embeddings_that_do_not_compare_are_never_stacked(options: TrainCnnOptions) -> None:
    done = execute(TrainCnn(), options, SilentProgress())
    path = table_of(options, done, UNALIGNED)
    card = card_of(path)
    assert card is not None
    with pytest.raises(PipelineError, match=r"do not compare; stack the log-odds in tiny_net.parquet"):
        check_leaks({path: card}, pd.Series(card.folds), unsaid, accept=True)


def test_the_network_of_everything_is_no_input_of_a_stack(options: TrainCnnOptions) -> None:
    done = execute(TrainCnn(), options, SilentProgress())
    card = card_of(table_of(options, done, WHOLE))
    assert card is not None
    fold = pd.Series(dict.fromkeys(card.trained_on, 0))
    with pytest.raises(PipelineError, match="trained on 24 of these 24 pictures"):
        check_leaks({table_of(options, done, WHOLE): card}, fold, unsaid, accept=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": "vgg"}, "unknown network 'vgg'; known: compact"),
        ({"crop": 96}, "crop 96 is larger than side 64"),
        ({"name": "--"}, "name '--': give letters or digits"),
    ],
)
def test_what_cannot_be_trained_is_told_at_once(options: TrainCnnOptions, change, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        execute(TrainCnn(), options.model_copy(update=change), SilentProgress())


def test_pictures_that_are_gone_are_named(options: TrainCnnOptions, tmp_path: Path, write_sample) -> None:
    write_sample(tmp_path, "p000")
    with pytest.raises(PipelineError, match="no picture of p001 and 22 others that were extracted"):
        execute(TrainCnn(), options.model_copy(update={"images": tmp_path}), SilentProgress())


def test_the_record_of_a_network_says_which_epoch_it_is(work: Workspace, options: TrainCnnOptions) -> None:
    execute(TrainCnn(), options, SilentProgress())
    for path in work.network("tiny_net").glob("fold_*.json"):
        assert 1 <= json.loads(path.read_text())["best_epoch"] <= SMALL.epochs
