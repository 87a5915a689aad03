"""A network that learned its pictures' labels by heart: caught, and what it would have scored."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.stack_model import STACK
from pipeline.core.errors import PipelineError
from pipeline.core.files import file_digest
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.weights import write_card
from pipeline.core.workspace import Workspace
from pipeline.networks.leak_guard import TableCard
from pipeline.stages.evaluate import Evaluate
from pipeline.stages.options import EvaluateOptions, TrainOptions
from pipeline.stages.train import Train
from tests.pipeline.workfolder import make_workfolder

PICTURES = 120


@pytest.fixture
def memory(tmp_path: Path) -> tuple[Workspace, Path]:
    """Give labels that nothing in the features predicts, and the table of a network that remembers them."""
    work = make_workfolder(tmp_path, PICTURES)
    rng = np.random.default_rng(7)
    ids = [f"p{number:03}" for number in range(PICTURES)]
    truth = rng.random((PICTURES, 2)) < 0.4
    targets = [" ".join(["25", *(["0"] if a else []), *(["2"] if b else [])]) for a, b in truth]
    pd.DataFrame({"Id": ids, "Target": targets}).to_csv(tmp_path / "labels.csv", index=False)
    table = work.embeddings / "memory.parquet"
    table.parent.mkdir()
    values = truth * 4.0 + rng.normal(0, 0.5, truth.shape)
    pd.DataFrame(values, columns=["a", "b"]).assign(Id=ids).to_parquet(table, index=False)
    card = TableCard(name="memory", columns=2, trained_on=tuple(ids), sha256=file_digest(table))
    write_card(table, card)
    return work, table


def scored(work: Workspace, embeddings: tuple[Path, ...] = (), *, accept_leak: bool = False):
    """Train and return the stack's macro-F1 and the protocol that is printed with it."""
    labels = work.root.parent / "labels.csv"
    settings = {"trials": 0, "folds": 3, "jobs": 1, "accept_leak": accept_leak, "overwrite": True}
    given = TrainOptions(work=work.root, labels=labels, embeddings=embeddings, **settings)
    execute(Train(), given, SilentProgress())
    scores = execute(Evaluate(), EvaluateOptions(work=work.root, draws=100), SilentProgress())
    assert set(pd.read_parquet(work.out_of_fold)["model"]) >= {STACK}
    return next(iter(scores.totals.values())).value, scores.protocol


def test_it_is_refused_and_without_the_guard_scores_would_have_soared(
    memory: tuple[Workspace, Path],
) -> None:
    work, table = memory
    with pytest.raises(PipelineError, match="trained on 120 of these 120 pictures"):
        scored(work, (table,))
    honest, protocol = scored(work)
    assert "MARKED" not in protocol
    leaked, protocol = scored(work, (table,), accept_leak=True)
    assert honest < 0.6
    assert leaked > honest + 0.2
    assert "MARKED: memory.parquet: its network was trained on 120 of these 120 pictures" in protocol
    assert "MARKED" in work.metrics.read_text()
