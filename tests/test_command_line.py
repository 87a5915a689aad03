"""Errors on the command line: one line, exit status 2, nothing written."""

import pytest


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["extract", "--images", "absent", "--work", "w"], "absent: no such folder"),
        (["extract", "--images", ".", "--work", "w"], "holds no file of a known type; export the"),
        (["train", "--labels", "absent.csv", "--work", "w"], "no such file"),
        (["evaluate", "--work", "w"], "run train"),
        (
            ["evaluate", "--work", "w", "--name", "Exp1"],
            "Exp1: cannot be used; give: Name, in lower-case letters,",
        ),
        (["importances", "--work", "w"], "run train"),
        (["predict", "--images", ".", "--model", "m", "--output", "o.csv"], "m: no model there"),
        (["status", "--work", "w"], "w: no such folder"),
        (["features", "--family", "shape"], "unknown feature family 'shape'; known: "),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_status_2(command_line, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    ended = command_line(*words)
    assert ended.status == 2
    assert message in ended.errors
    assert ended.errors.startswith("error: ")
    assert ended.errors.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_line_and_status_2(command_line, tmp_path, write_sample):
    write_sample(tmp_path / "images", "a", size=(40, 40))
    (tmp_path / "file").write_text("in the way")
    options = ["--images", tmp_path / "images", "--families", "intensity", "--jobs", 1]
    ended = command_line("extract", *options, "--work", tmp_path / "file" / "work")
    assert ended.status == 2
    assert "Not a directory" in ended.errors


def test_a_defect_keeps_its_traceback(monkeypatch):
    import run

    def broken(*_words: object, **_options: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(run, "app", broken)
    with pytest.raises(ZeroDivisionError, match="a defect"):
        run.main()
