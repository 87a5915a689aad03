"""The stack's benchmark takes any networks' tables, and compares with them on equal terms."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from benchmarks import stack_on_published_cnns as benchmark
from pipeline.data.locations import LOCATIONS

PICTURES = 240


@pytest.fixture
def tables(tmp_path: Path) -> list[str]:
    """Write labels and two networks that err on their own, the second shy; return the command's words."""
    rng = np.random.default_rng(0)
    truth = rng.random((PICTURES, len(LOCATIONS))) < 0.15
    truth[~truth.any(axis=1), 0] = True
    ids = [f"p{number:03}" for number in range(PICTURES)]
    sets = [" ".join(map(str, np.flatnonzero(row))) for row in truth]
    pd.DataFrame({"Id": ids, "Target": sets}).to_csv(tmp_path / "labels.csv", index=False)
    for name, shift in (("bold", 2), ("shy", 5)):
        values = expit(4 * truth - shift + rng.normal(0, 1.5, truth.shape))
        table = pd.DataFrame(values, columns=list(LOCATIONS)).assign(Id=ids)
        table.loc[3 : 5 if name == "shy" else 2, list(LOCATIONS)] = np.nan
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    networks = [str(tmp_path / f"{name}.csv") for name in ("bold", "shy")]
    return ["--labels", str(tmp_path / "labels.csv"), "--tables", *networks]


def run(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.setattr("sys.argv", ["stack_on_published_cnns.py", *words])
    benchmark.main()


def scores(text: str) -> dict[str, float]:
    """Read the macro-F1 of every line that has an interval and the rarest locations."""
    rows = [line.rsplit(" (", 1)[0].rsplit(maxsplit=1) for line in text.splitlines() if "five rarest" in line]
    return {name.strip(): float(value) for name, value in rows}


def test_it_beats_tables_of_probabilities_with_thresholds_of_their_own(monkeypatch, capsys, tables):
    monkeypatch.setattr(benchmark, "FOLDS", 3)
    run(monkeypatch, tables)
    text = capsys.readouterr().out
    assert "237 of 240 labelled pictures are predicted by every network" in text
    found = scores(text)
    assert list(found) == [
        "bold", "bold, own thresholds", "shy", "shy, own thresholds", "majority vote", "stack",
    ]  # fmt: skip
    assert found["shy, own thresholds"] > found["shy"] + 0.1
    alone = {name: value for name, value in found.items() if name not in ("stack", "majority vote")}
    assert found["stack"] > max(alone.values())
    assert f"stack over {max(alone, key=alone.__getitem__)}: +" in text


def test_a_sample_is_written_as_the_tables_that_are_read(monkeypatch, capsys, tables, tmp_path):
    run(monkeypatch, [*tables, "--sample", "50", "--tables-to", str(tmp_path / "sample")])
    assert "50 pictures of 50 groups" in capsys.readouterr().out
    folder = tmp_path / "sample"
    networks = [folder / f"{name}.csv" for name in ("bold", "shy")]
    sample = benchmark.read_tables(folder / "labels.csv", networks)
    whole = benchmark.read_tables(tmp_path / "labels.csv", [tmp_path / path.name for path in networks])
    rows = pd.Index(whole.ids).get_indexer(sample.ids)
    np.testing.assert_array_equal(sample.truth, whole.truth[rows])
    np.testing.assert_allclose(sample.probability, whole.probability[rows], rtol=1e-6)
    assert pd.read_csv(folder / "groups.csv")["Id"].tolist() == list(sample.ids)


def test_what_cannot_be_scored_is_refused_in_one_line(monkeypatch, capsys, tables, tmp_path):
    (tmp_path / "labels.csv").write_text("Id,Target\nq000,3\n")
    for words, message in (
        (tables, "no picture of it is predicted by every network"),
        (tables[2:], "--labels and --tables belong together"),
        (["--real", str(tmp_path)], "missing; give the folder of real data"),
    ):
        with pytest.raises(SystemExit):
            run(monkeypatch, words)
        assert message in capsys.readouterr().err
