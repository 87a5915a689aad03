"""A folder that is filled: only complete pictures, each once, across restarts."""

import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from models.drift import StreamDrift
from pipeline.commands.watch_table import WatchTable
from pipeline.core.errors import PipelineError
from pipeline.data.layouts import Layout
from pipeline.data.samples import Sample
from pipeline.data.tables import unsaid
from pipeline.serving import Answer, Predictor
from pipeline.serving.streams import Stream
from pipeline.serving.watching import Watch, keep_watching

COLOURS = ("red", "green", "blue", "yellow")


@pytest.fixture
def names(trained) -> list[str]:
    return sorted({path.name.rsplit("_", 1)[0] for path in trained.images.glob("*_green.png")})[:3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "filled"
    made.mkdir()
    return made


def put(images: Path, folder: Path, name: str, colours: tuple[str, ...] = COLOURS) -> None:
    for colour in colours:
        shutil.copy(images / f"{name}_{colour}.png", folder)


def watch_of(
    predictor: Predictor, folder: Path, output: Path, *, settled: float = 0, queue: int = 16
) -> Watch:
    return Watch(predictor, folder, output, None, settled=settled, jobs=1, queue=queue)


def looked(watch: Watch) -> list[str]:
    """Look twice: files have to be the same in two looks."""
    return [answer.id for _ in range(2) for answer in watch.look()]


def test_only_complete_pictures_are_answered_each_once(trained, folder, names, tmp_path):
    watch = watch_of(trained.predictor, folder, tmp_path / "out.jsonl")
    assert looked(watch) == []
    put(trained.images, folder, names[0])
    put(trained.images, folder, names[1], COLOURS[:3])
    assert list(watch.look()) == []
    assert watch.waiting == {names[0]: "is being written", names[1]: "no picture of er, which others have"}
    assert looked(watch) == [names[0]]
    put(trained.images, folder, names[1], COLOURS[3:])
    assert looked(watch) == [names[1]]
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    told = {
        one.name: one.probability
        for one in trained.predictor.predict_folder(_alone(folder, names[0])).locations
    }
    assert {one["name"]: one["probability"] for one in lines[0]["locations"]} == told
    assert lines[0]["lag"] >= 0


def _alone(folder: Path, name: str) -> Path:
    made = folder.parent / "alone"
    made.mkdir()
    for path in folder.glob(f"{name}_*"):
        shutil.copy(path, made)
    return made


def test_a_restart_goes_on_and_half_a_line_is_written_again(trained, folder, names, tmp_path):
    output = tmp_path / "out.jsonl"
    for name in names[:2]:
        put(trained.images, folder, name)
    assert looked(watch_of(trained.predictor, folder, output)) == names[:2]
    assert looked(watch_of(trained.predictor, folder, output)) == []
    whole = output.read_bytes()
    output.write_bytes(whole[:-30])
    assert looked(watch_of(trained.predictor, folder, output)) == [names[1]]
    assert [json.loads(line)["id"] for line in output.read_text().splitlines()] == names[:2]


def test_a_half_written_file_is_told_and_answered_when_it_is_whole(trained, folder, names, tmp_path):
    watch = watch_of(trained.predictor, folder, tmp_path / "out.jsonl")
    put(trained.images, folder, names[0])
    whole = folder / f"{names[0]}_blue.png"
    content = whole.read_bytes()
    whole.write_bytes(content[:200])
    answers = [answer.status for _ in range(2) for answer in watch.look()]
    assert answers == ["bad_input"]
    whole.write_bytes(content)
    os.utime(whole, (1, 1))
    answers = [answer.status for _ in range(2) for answer in watch.look()]
    assert len(answers) == 1
    assert answers != ["bad_input"]


def test_where_pictures_come_faster_the_newest_come_first_and_none_is_lost(trained, folder, names, tmp_path):
    for age, name in enumerate(names):
        put(trained.images, folder, name)
        for path in folder.glob(f"{name}_*"):
            os.utime(path, (1000 + age, 1000 + age))
    watch = watch_of(trained.predictor, folder, tmp_path / "out.jsonl", queue=2)
    assert list(watch.look()) == []
    first, second = list(watch.look()), list(watch.look())
    assert [(one.id, one.behind) for one in first] == [(names[1], 2), (names[2], 1)]
    assert [(one.id, one.behind) for one in second] == [(names[0], 0)]
    assert watch.waiting == {}


class Defocused:
    """A predictor whose objective loses its focus after some pictures, more and more."""

    def __init__(self, predictor: Predictor, good: int) -> None:
        self._predictor, self._good, self.layout, self.info = (
            *(predictor, good),
            *(predictor.layout, predictor.info),
        )

    def stream(self) -> Stream:
        return Stream(StreamDrift(np.linspace(0, 1, 60)))

    def answer_sample(self, sample: Sample) -> Answer:
        self._good -= 1
        score = 0.5 if self._good >= 0 else 9.0 - self._good
        return Answer(id=sample.id, status="answered", model=self.info.digest, unlikeness=score)


def test_a_drift_is_told_and_remembered_by_a_restart(trained, folder, names, tmp_path):
    output, told = tmp_path / "out.jsonl", []
    name = names[0]
    put(trained.images, folder, name)
    watch = watch_of(Defocused(trained.predictor, 3), folder, output)
    for number in range(20):
        os.utime(folder / f"{name}_red.png", (number, number))
        told += [answer.drift for _ in range(2) for answer in watch.look()]
    after = next(number for number, text in enumerate(told) if text)
    assert 3 + 3 <= after <= 3 + 8
    assert all(told[after:])
    assert "drift: the last" in told[-1]
    again = watch_of(Defocused(trained.predictor, 0), folder, output)
    assert again.stream.told == watch.stream.told


def test_the_table_shows_what_waits_and_how_late_it_is(trained, folder, names, tmp_path):
    put(trained.images, folder, names[0])
    put(trained.images, folder, names[1], COLOURS[:2])
    watch, page = watch_of(trained.predictor, folder, tmp_path / "out.jsonl"), io.StringIO()
    table = WatchTable(watch, Console(file=page, force_terminal=True, width=120, color_system=None))
    with table.shown():
        for _ in range(2):
            for answer in watch.look():
                table.tell(answer.model_copy(update={"drift": "drift: look at focus"}))
    shown = page.getvalue()
    assert names[0] in shown
    assert "1 answer (" in shown
    assert "0 wait · 1 incomplete or being written · lag" in shown
    assert "drift: look at focus" in shown


def test_elsewhere_than_on_a_terminal_each_answer_is_a_line(trained, folder, names, tmp_path, capsys):
    put(trained.images, folder, names[0])
    watch = watch_of(trained.predictor, folder, tmp_path / "out.jsonl")
    table = WatchTable(watch, Console(file=io.StringIO()))
    assert not table.is_live
    answers = [answer for _ in range(2) for answer in watch.look()]
    table.tell(answers[0].model_copy(update={"behind": 7, "drift": "drift: look at focus"}))
    table.tell(answers[0])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(names[0])
    assert lines[0].endswith("after it was taken, 7 wait)")
    assert lines[1] == "drift: look at focus"
    assert lines[3] == "the drift is over"


def test_files_that_still_grow_are_left_alone(trained, folder, names, tmp_path):
    watch = watch_of(trained.predictor, folder, tmp_path / "out.jsonl", settled=60)
    put(trained.images, folder, names[0])
    assert looked(watch) == []
    assert watch.waiting == {names[0]: "is being written"}


def test_what_is_no_file_of_answers_is_not_touched(trained, folder, tmp_path):
    output = tmp_path / "mine.txt"
    for text in ("my notes\n", "my notes", '{"id": 1}\n'):
        output.write_text(text)
        with pytest.raises(PipelineError, match=r"mine\.txt: .*give another --output"):
            watch_of(trained.predictor, folder, output)
        assert output.read_text() == text


def test_the_command_ends_when_nothing_comes(trained, folder, names, tmp_path, command_line):
    put(trained.images, folder, names[0])
    output = tmp_path / "out.jsonl"
    words = ["--images", folder, "--model", trained.model, "--output", output, "--settled", 0, "--every", 0.1]
    ended = command_line("watch", *words, "--until", 1, "--jobs", 1)
    assert ended.status == 0, ended.errors
    assert f"{names[0]} " in ended.output
    assert "1 answers more, 1 pictures in all" in ended.output
    assert command_line("watch", *words[:-4], "--images", tmp_path / "no").status == 2


def test_it_ends_after_some_seconds_of_nothing(trained, folder, tmp_path):
    watch = watch_of(trained.predictor, folder, tmp_path / "out.jsonl")
    assert keep_watching(watch, every=0.01, until=0.05, tell=lambda _: None, warn=unsaid) == 0


@pytest.mark.parametrize("others", [0, 1])
def test_a_name_that_can_be_no_id_is_answered_once(trained, folder, names, tmp_path, others):
    for colour in COLOURS[1:]:
        shutil.copy(trained.images / f"{names[0]}_{colour}.png", folder / f"feld 04_{colour}.png")
    for name in names[:others]:
        put(trained.images, folder, name)
    watch = watch_of(trained.predictor, folder, tmp_path / "out.jsonl")
    answers = [answer for _ in range(2) for answer in watch.look() if answer.id == "feld 04"]
    assert [answer.status for answer in answers] == ["bad_input"]
    assert "feld 04_blue.png: the Id 'feld 04' cannot be used: Ids are" in answers[0].reason
    assert (watch.waiting, watch.trouble) == ({}, "")
    shutil.copy(trained.images / f"{names[0]}_red.png", folder / "feld 04_red.png")
    assert looked(watch) == []
    assert looked(watch_of(trained.predictor, folder, tmp_path / "out.jsonl")) == []


@pytest.mark.parametrize("files", [None, "(?P<Id>.+)_(?P<channel>GFP|DAPI)[.]tif"])
def test_where_no_file_makes_a_sample_it_is_said_once(trained, folder, names, tmp_path, files):
    layout = Layout(files=files, channels={"protein": "GFP", "nucleus": "DAPI"} if files else {})
    predictor = Predictor.load(trained.model, layout=layout, warm=False)
    watch, said = watch_of(predictor, folder, tmp_path / "out.jsonl"), []
    keep_watching(watch, every=0.01, until=0.1, tell=lambda _: None, warn=said.append)
    assert said == []
    shutil.copy(trained.images / f"{names[0]}_green.png", folder / "x_FITC.png")
    keep_watching(watch, every=0.01, until=0.1, tell=lambda _: None, warn=said.append)
    assert len(said) == 1
    assert ("run inspect" if files else "give --channel protein=0") in said[0]
    shutil.copy(folder / "x_FITC.png", folder / "a_FITC.png")
    assert looked(watch) == []
    assert watch.trouble == said[0]
    put(trained.images, folder, names[0])
    assert looked(watch) == ([] if files else [names[0]])
    assert bool(watch.trouble) == bool(files)


def test_why_no_picture_can_be_answered_is_printed(trained, folder, tmp_path, capsys):
    watch = watch_of(trained.predictor, folder, tmp_path / "out.jsonl")
    for terminal in (False, True):
        page = io.StringIO()
        table = WatchTable(watch, Console(file=page, force_terminal=terminal, width=120, color_system=None))
        with table.shown():
            table.warn("no usable sample")
            table.warn("" if not terminal else "no usable sample")
        shown = page.getvalue() if terminal else capsys.readouterr().out
        assert shown.count("no picture can be answered yet: no usable sample") >= 1
