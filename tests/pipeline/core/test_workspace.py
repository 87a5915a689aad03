"""Which trainings a work folder has, and what is said of one that it has not."""

import pytest

from pipeline.core.workspace import Workspace, untrained


def finish(work: Workspace) -> None:
    work.model.mkdir(parents=True)
    work.out_of_fold.touch()


@pytest.mark.parametrize(
    ("finished", "name", "said"),
    [
        ([], "", "no trained model there; run train with --work {} first"),
        (
            [],
            "nope",
            "no training called 'nope' has finished there; there are: none; run train with --work {} --name",
        ),
        (["", "lin"], "nope", "there are: one without --name, lin; give one of these, or run train with"),
        (["lin", "b"], "", "run train with --work {} first, or give --name; there are: b, lin"),
    ],
)
def test_a_training_that_is_not_there_is_told_with_those_that_are(tmp_path, finished, name, said):
    for one in finished:
        finish(Workspace(tmp_path, one))
    Workspace(tmp_path, "killed").learners.mkdir(parents=True)
    assert said.format(tmp_path) in str(untrained(Workspace(tmp_path, name)))


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate"],
        ["report"],
        ["importances"],
        ["compare", "--by", "Plate", "--output", "out.csv"],
        ["explain", "--id", "a", "--location", "Cytosol"],
    ],
    ids=lambda words: words[0],
)
def test_commands_say_it(tmp_path, command_line, command):
    finish(Workspace(tmp_path, "lin"))
    ended = command_line(*command, "--work", tmp_path, "--name", "nope")
    assert ended.status == 2
    assert ended.errors.startswith(
        f"error: {tmp_path}: no training called 'nope' has finished there; there are: lin; give one of these"
    )
    assert ended.errors.count("\n") == 1
