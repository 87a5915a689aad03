"""The example of an acquisition that looks again only where it is not sure, on a simulated microscope."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.serving import Answer

EXAMPLE = Path(__file__).resolve().parents[3] / "docs" / "examples" / "in_the_loop.py"


@pytest.fixture(scope="module")
def example():
    pytest.importorskip("pymmcore_plus", reason="pip install -r requirements_dev.txt")
    found = importlib.util.spec_from_file_location("in_the_loop", EXAMPLE)
    module = importlib.util.module_from_spec(found)
    sys.modules["in_the_loop"] = module
    found.loader.exec_module(module)
    yield module
    del sys.modules["in_the_loop"]


class Unsure:
    """A predictor that is sure of fields whose pictures are bright, or sharp after a second look."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, float]] = []

    def predict(self, pixels, channels, pixel_size_um, *, name):
        assert pixels.shape == (len(channels), 64, 64)
        assert pixel_size_um in {0.16, None}
        noise = float(np.std(pixels[1] / 4095))
        self.seen.append((name, noise))
        status = {"dark": "bad_input", "hard": "not_sure", "odd": "unlike_training"}.get(name, "answered")
        again = [one for one, _ in self.seen].count(name) > 1
        return Answer(id=name, status="answered" if again else status, model="none")


def test_only_fields_that_are_not_sure_are_imaged_again_with_more_light(example):
    names = ["easy", "hard", "dark", "odd", "clear"]
    core = example.simulated_core([np.full((4, 64, 64), 0.5, np.float32)] * len(names))
    predictor = Unsure()
    visits = example.Loop(core, predictor, 2.0, 100.0, 0.16).run(names)
    assert [one.name for one in visits] == names
    assert [one.name for one in visits if one.is_again] == ["hard", "odd"]
    assert [one.exposure_ms for one in visits] == [8.0, 408.0, 8.0, 408.0, 8.0]
    noise = {name: [one for field, one in predictor.seen if field == name] for name in names}
    assert noise["hard"][1] < noise["hard"][0] / 3


def test_each_field_and_channel_is_seen_where_the_stage_and_the_wheel_are(example):
    fields = [np.full((4, 64, 64), 0.1, np.float32), np.full((4, 64, 64), 0.6, np.float32)]
    for plane, value in enumerate((0.2, 0.4, 0.6, 0.8)):
        fields[1][plane] = value
    means = {}

    class Seeing(Unsure):
        def predict(self, pixels, channels, pixel_size_um, *, name):
            means[name] = (pixels.mean(axis=(1, 2)) / 4095).tolist()
            return super().predict(pixels, channels, pixel_size_um, name=name)

    example.Loop(example.simulated_core(fields), Seeing(), 100.0, 100.0, None).run(["one", "two"])
    assert means["one"] == pytest.approx([0.1] * 4, abs=0.01)
    assert means["two"] == pytest.approx([0.2, 0.4, 0.6, 0.8], abs=0.01)


def test_the_script_says_what_was_answered_and_how_much_light_it_took(example, trained, capsys):
    example.main(trained.model, trained.images, fields=3, low_ms=5.0, high_ms=50.0)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert "of 3 fields were imaged again" in lines[3]
