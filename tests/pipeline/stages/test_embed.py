"""Embedding pictures: networks of torch and ONNX, ready tables, cards, what a kill leaves."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.core.errors import PipelineError
from pipeline.core.files import file_digest
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.store import Parts
from pipeline.core.weights import SHIPPED, check_digest, read_card, write_card
from pipeline.core.workspace import Workspace
from pipeline.data.layouts import Layout
from pipeline.data.masks import Segmentation, write_mask
from pipeline.networks.architectures import build_network
from pipeline.networks.checkpoints import CnnCard
from pipeline.networks.inference import cell_crops, summarised
from pipeline.networks.leak_guard import TableCard, card_of
from pipeline.networks.onnx import onnx_digest
from pipeline.networks.preprocessing import Preprocessing, prepare
from pipeline.stages.embed import Embed, EmbedSummary
from pipeline.stages.options import EmbedOptions
from tests.pipeline.onnx_net import TOML, write_onnx


@dataclass(frozen=True)
class Written:
    """What `embed` wrote, and where."""

    path: Path
    summary: EmbedSummary


def run(root: Path, **options: object) -> Written:
    given = EmbedOptions(**{"work": root / "work", "images": root / "images", "jobs": 1} | options)
    summary = execute(Embed(), given, SilentProgress())
    return Written(Workspace(given.work).embedding(summary.name), summary)


def card(done) -> TableCard:
    """Return the card beside the table that `embed` wrote."""
    found = card_of(done.path)
    assert found is not None
    return found


@pytest.fixture
def pictures(tmp_path: Path, write_sample) -> Path:
    for number in range(3):
        write_sample(tmp_path / "images", f"p{number}", size=(32, 32), seed=number)
    return tmp_path


def save_compact(path: Path) -> None:
    torch.manual_seed(0)
    torch.save({"state_dict": build_network("compact", 1).state_dict()}, path)
    card = CnnCard(
        network="compact",
        sha256=file_digest(path),
        data="one picture",
        licence="CC0",
        command="none",
        steps=0,
        preprocessing=Preprocessing(side=64, scale="picture"),
        trained_on=("x",),
    )
    write_card(path, card)


def test_an_onnx_network_sees_its_channels_normalised_and_answers_log_odds(
    pictures: Path, write_sample
) -> None:
    write_onnx(pictures / "Mean-Net.onnx")
    done = run(pictures, onnx=pictures / "Mean-Net.onnx")
    table = pd.read_parquet(done.path).set_index("Id")
    planes = write_sample(pictures / "again", "p1", size=(32, 32), seed=1) / 255
    means = planes.mean(axis=(1, 2))
    expected = [(means[1] - 0.5) / 0.5, means[2], means[3], means[0]]
    first = table.loc["p1", [f"cnn__mean_net__e000{place}" for place in range(4)]]
    np.testing.assert_allclose(first.to_numpy(float), expected, atol=1e-5)
    np.testing.assert_allclose(table["cnn__mean_net__logit_plasma_membrane"], np.log(9), rtol=1e-4)
    card = card_of(done.path)
    assert card is not None
    assert card.trained_on == "unknown"
    assert card.embedder is not None
    assert card.embedder.preprocessing.channels[0] == "protein"


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (TOML.replace("std = [0.5,", "std = [0.5, 1.0,"), "std has 5 numbers, channels has 4"),
        (TOML.replace("side = 32", ""), "side: Field required"),
        (TOML.replace('"protein"', '"green"'), r"channels.0: Input should be 'microtubules'"),
        (TOML.replace('"features"', '"bottleneck"'), "no output 'bottleneck'; it has: features, likely"),
        ("side = ", "not TOML"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(pictures: Path, toml: str, message: str) -> None:
    write_onnx(pictures / "net.onnx", toml)
    with pytest.raises(PipelineError, match=message):
        run(pictures, onnx=pictures / "net.onnx")


def test_files_that_are_no_networks_are_refused(pictures: Path) -> None:
    (pictures / "net.onnx").write_bytes(b"nothing")
    with pytest.raises(PipelineError, match=r"net.toml: missing"):
        run(pictures, onnx=pictures / "net.onnx")
    (pictures / "net.toml").write_text(TOML)
    with pytest.raises(PipelineError, match="not a network that can run"):
        run(pictures, onnx=pictures / "net.onnx")
    with pytest.raises(PipelineError, match="not a readable file of weights"):
        run(pictures, checkpoint=pictures / "net.onnx", network="resnet18")
    torch.save({"state_dict": build_network("compact", 1).state_dict()}, pictures / "c.pth")
    with pytest.raises(PipelineError, match=r"not a checkpoint of resnet18: \d+ weights missing"):
        run(pictures, checkpoint=pictures / "c.pth", network="resnet18")
    with pytest.raises(PipelineError, match="no card beside it; name its network as --network: densenet121"):
        run(pictures, checkpoint=pictures / "c.pth")


def test_weights_beside_an_onnx_file_belong_to_it(pictures: Path) -> None:
    path, beside = pictures / "net.onnx", pictures / "net.weights"
    write_onnx(path, weights=beside.name)
    first = run(pictures, onnx=path)
    assert not run(pictures, onnx=path).summary.fresh
    graph = path.read_bytes()
    beside.unlink()
    write_onnx(path, chances=(0.5, 0.2), weights=beside.name)
    assert path.read_bytes() == graph
    before = pd.read_parquet(first.path)
    again = run(pictures, onnx=path)
    assert again.summary.fresh
    assert not pd.read_parquet(again.path).equals(before)
    with pytest.raises(PipelineError, match=r"net.onnx: sha256 .* is not the card's"):
        check_digest(path, card(first).embedder.sha256[::-1], onnx_digest)
    beside.unlink()
    with pytest.raises(PipelineError, match=r"its weights 'net.weights' are not beside it; copy them there"):
        run(pictures, onnx=path)


def test_a_checkpoint_that_would_run_code_is_not_loaded(pictures: Path) -> None:
    torch.save({"state_dict": {"weight": torch.zeros(1)}, "hook": print}, pictures / "evil.pth")
    with pytest.raises(PipelineError, match="not a readable file of weights"):
        run(pictures, checkpoint=pictures / "evil.pth", network="resnet18")


def test_a_second_run_and_two_processes_give_the_same_bytes(pictures: Path, tmp_path: Path) -> None:
    write_onnx(pictures / "net.onnx")
    source = {"onnx": pictures / "net.onnx"}
    first = run(pictures, **source).path.read_bytes()
    assert run(pictures, **source, jobs=2, work=tmp_path / "other").path.read_bytes() == first
    assert run(pictures, **source).path.read_bytes() == first


def test_what_is_embedded_is_not_embedded_again(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_compact(pictures / "c.pth")
    source = {"checkpoint": pictures / "c.pth"}
    run(pictures, **source)
    monkeypatch.setattr(Parts, "write", lambda *_: pytest.fail("embedded again"))
    again = run(pictures, **source)
    assert again.summary.pictures == 3
    assert not again.summary.fresh
    shutil.rmtree(pictures / "work" / "records")
    assert run(pictures, **source).summary.fresh


def test_a_work_folder_that_was_copied_is_still_up_to_date(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_compact(pictures / "c.pth")
    cells = np.pad(np.ones((16, 16), np.uint16), 8)
    for number in range(3):
        write_mask(Workspace(pictures / "work").mask(f"p{number}"), Segmentation(cells, cells))
    source = {"checkpoint": pictures / "c.pth", "per": "cell"}
    first = run(pictures, **source).path.read_bytes()
    shutil.copytree(pictures / "work", pictures / "copy", copy_function=shutil.copyfile)
    for path in (pictures / "copy").rglob("*.*"):
        os.utime(path, (1, 1))
    shutil.rmtree(pictures / "work")
    monkeypatch.setattr(Parts, "write", lambda *_: pytest.fail("embedded again"))
    again = run(pictures, **source, work=pictures / "copy")
    assert not again.summary.fresh
    assert again.path == pictures / "copy" / "embeddings" / "compact.parquet"
    shutil.rmtree(pictures / "copy" / "records")
    assert run(pictures, **source, work=pictures / "copy").path.read_bytes() == first


def test_other_cells_are_embedded_again(pictures: Path) -> None:
    save_compact(pictures / "c.pth")
    work, cells = Workspace(pictures / "work"), np.pad(np.ones((16, 16), np.uint16), 8)
    for number in range(3):
        write_mask(work.mask(f"p{number}"), Segmentation(cells, cells))
    source = {"checkpoint": pictures / "c.pth", "per": "cell"}
    first = pd.read_parquet(run(pictures, **source).path).set_index("Id")
    write_mask(work.mask("p1"), Segmentation(cells.T[::-1] * 1, np.roll(cells, 3)))
    write_mask(work.mask("p2"), Segmentation(np.roll(cells, 5), cells))
    done = run(pictures, **source)
    assert done.summary.fresh
    second = pd.read_parquet(done.path).set_index("Id")
    pd.testing.assert_frame_equal(second.loc[["p0", "p1"]], first.loc[["p0", "p1"]])
    assert not second.loc["p2"].equals(first.loc["p2"])


def test_weights_with_a_card_beside_them_need_no_further_words(pictures: Path) -> None:
    save_compact(pictures / "c.pth")
    done = run(pictures, checkpoint=pictures / "c.pth", name="Mine")
    assert card(done).trained_on == ("x",)
    assert done.path.name == "mine.parquet"
    with pytest.raises(PipelineError, match="its card says compact, 64 px; leave out --network and --side"):
        run(pictures, checkpoint=pictures / "c.pth", network="resnet18")
    torch.save({"state_dict": build_network("compact", 1).state_dict()}, pictures / "c.pth")
    with pytest.raises(PipelineError, match=r"sha256 .* is not the card's .*damaged or changed"):
        run(pictures, checkpoint=pictures / "c.pth")


def test_the_shipped_network_needs_no_file_and_has_seen_none_of_the_pictures(pictures: Path) -> None:
    done = run(pictures, network="builtin")
    table = pd.read_parquet(done.path).set_index("Id")
    assert list(table.columns[[0, -1]]) == ["cnn__builtin__e0000", "cnn__builtin__logit_rods_rings"]
    assert table.shape == (3, 128 + 28)
    assert card(done).trained_on == ()
    assert "simulated pictures" in done.summary.training
    embedder = card(done).embedder
    assert embedder is not None
    assert embedder.weights == Path("builtin.safetensors"), "where the project lies does not matter"


def test_pictures_that_all_lack_a_channel_that_the_network_needs_are_refused_in_one_line(
    pictures: Path,
) -> None:
    for path in (pictures / "images").glob("*_yellow.png"):
        path.unlink()
    save_compact(pictures / "c.pth")
    with pytest.raises(PipelineError, match=r"no picture has all that 'mine' needs \(.*er"):
        run(pictures, checkpoint=pictures / "c.pth", name="mine")


def test_the_shipped_network_needs_neither_er_nor_microtubules(pictures: Path) -> None:
    for path in [*(pictures / "images").glob("*_yellow.png"), *(pictures / "images").glob("*_red.png")]:
        path.unlink()
    layout = {"channels": {"protein": "green", "nucleus": "blue"}}
    table = pd.read_parquet(run(pictures, network="builtin", **layout).path)
    assert table.shape == (3, 1 + 128 + 28)
    assert table.notna().all(axis=None)


def test_the_weights_that_come_with_the_project_are_small_and_have_a_card() -> None:
    weights = SHIPPED / "builtin.safetensors"
    card = read_card(weights, CnnCard)
    assert weights.stat().st_size < 10e6
    assert card is not None
    assert card.sha256 == file_digest(weights)
    assert card.licence
    assert "benchmarks/train_builtin.py" in card.command
    assert card.scores["log_loss"] < card.scores["log_loss_of_prevalence"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_device_that_is_not_there_is_told_in_one_line(pictures: Path) -> None:
    with pytest.raises(PipelineError, match="device 'cuda': cannot be used here; found: cpu"):
        run(pictures, network="builtin", device="cuda")


def test_a_broken_picture_is_listed_and_the_others_go_on(pictures: Path) -> None:
    (pictures / "images" / "p1_red.png").write_bytes(b"broken")
    write_onnx(pictures / "net.onnx")
    done = run(pictures, onnx=pictures / "net.onnx")
    assert list(pd.read_parquet(done.path)["Id"]) == ["p0", "p2"]
    assert [problem.sample for problem in done.summary.problems] == ["p1"]
    assert "embed,p1,p1_red.png" in Workspace(pictures / "work").problems.read_text()


def write_table(path: Path, **columns: list[float]) -> Path:
    pd.DataFrame({"Id": ["a", "b"], **columns}).to_csv(path, index=False)
    return path


def test_a_ready_table_gets_a_card_and_loses_what_is_constant(tmp_path: Path) -> None:
    table = write_table(tmp_path / "mine.csv", x=[1.0, 2.0], y=[3.0, 3.0])
    (tmp_path / "seen.csv").write_text("Id\nb\n")
    done = run(tmp_path, table=table, name="My Net", trained_on=str(tmp_path / "seen.csv"))
    assert list(pd.read_parquet(done.path).columns) == ["Id", "cnn__my_net__e0000"]
    assert done.summary.constant == ["cnn__my_net__e0001"]
    assert card(done).trained_on == ("b",)
    assert card(run(tmp_path, table=table, trained_on="none")).trained_on == ()
    (tmp_path / "seen.csv").write_text("Id\n")
    with pytest.raises(PipelineError, match=r"seen\.csv: lists no pictures; give --trained-on none"):
        run(tmp_path, table=table, trained_on=str(tmp_path / "seen.csv"))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": [1.0, None]}, "Id 'b' has no number in column 'x'"),
        ({"x": [1.0, 1.0]}, "all columns of 'mine' are constant"),
    ],
)
def test_a_table_that_says_nothing_is_refused(tmp_path: Path, columns, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        run(tmp_path, table=write_table(tmp_path / "mine.csv", **columns))


def test_sources_exclude_each_other_and_pictures_are_needed(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="--table and --onnx exclude each other"):
        run(tmp_path, table=tmp_path / "t.csv", onnx=tmp_path / "n.onnx")
    with pytest.raises(PipelineError, match="--images is missing"):
        run(tmp_path, images=None, onnx=tmp_path / "n.onnx")
    with pytest.raises(PipelineError, match="--onnx and --network builtin exclude each other"):
        run(tmp_path, onnx=tmp_path / "n.onnx", network="builtin")
    with pytest.raises(PipelineError, match="give --network builtin, --checkpoint, --onnx or --table"):
        run(tmp_path)
    with pytest.raises(PipelineError, match=r"n.onnx: no such file"):
        run(tmp_path, onnx=tmp_path / "n.onnx")


def test_cells_are_cropped_around_their_centre_with_black_beyond_the_picture() -> None:
    cells = np.zeros((40, 40), np.uint16)
    cells[10:20, 12:18] = 1
    cells[36:40, 0:4] = 3
    pixels = np.broadcast_to(np.arange(1, 1601, dtype=np.float32).reshape(40, 40), (4, 40, 40)).copy()
    inner, corner = cell_crops(pixels, cells)
    np.testing.assert_array_equal(inner, pixels[:, 9:21, 9:21])
    assert corner.shape == (4, 4, 4)
    assert corner[0, 0, 0] == pixels[0, 36, 0]


def test_cells_are_summarised_by_mean_maximum_and_top_three() -> None:
    values = np.array([[1.0], [2.0], [3.0], [6.0]], np.float32)
    np.testing.assert_allclose(summarised(values)[:, 0], [3.0, 6.0, 11 / 3], rtol=1e-6)


def test_per_cell_a_picture_without_cells_has_a_row_of_unknowns(pictures: Path) -> None:
    save_compact(pictures / "c.pth")
    work = Workspace(pictures / "work")
    for number in range(3):
        cells = np.zeros((32, 32), np.uint16)
        cells[4:20, 4:20] = number > 0
        write_mask(work.mask(f"p{number}"), Segmentation(cells, cells))
    source = {"checkpoint": pictures / "c.pth", "per": "cell"}
    table = pd.read_parquet(run(pictures, **source).path).set_index("Id")
    assert table.shape[1] == 3 * 128
    assert table.loc["p0"].isna().all()
    one_cell = table.loc["p1"]
    assert one_cell["cnn__compact__e0000__mean"] == one_cell["cnn__compact__e0000_top3"]


def test_per_cell_asks_for_cells_first(pictures: Path) -> None:
    write_onnx(pictures / "net.onnx")
    with pytest.raises(PipelineError, match=r"p0.tif: no cells there; run extract"):
        run(pictures, onnx=pictures / "net.onnx", per="cell")


def test_a_picture_is_padded_to_a_square_and_scaled_by_its_brightest_pixels() -> None:
    pixels = np.full((4, 32, 64), 0.1, np.float32)
    pixels[2] = 0.001
    ready = prepare(pixels, Preprocessing(side=64, scale="picture"))
    assert ready.shape == (4, 64, 64)
    assert ready[0, :32].min() == pytest.approx(1.0)
    assert ready[0, 32:].max() == 0
    assert ready[2].max() < 0.05


def test_a_network_that_was_trained_without_a_channel_sees_zeros_there() -> None:
    pixels = np.random.default_rng(0).random((4, 32, 32), dtype=np.float32)
    alone, able = Preprocessing(side=32), Preprocessing(side=32, dropped=("er",))
    ready = prepare(pixels[:3], able, ("microtubules", "protein", "nucleus"))
    np.testing.assert_array_equal(ready[:3], prepare(pixels, alone)[:3])
    assert not ready[3].any()
    assert "dropped" not in alone.model_dump()  # digests of what was embedded before stay
    assert Preprocessing.model_validate(able.model_dump()) == able


def test_a_network_gives_no_embedding_of_pictures_without_a_channel_that_it_needs(pictures: Path) -> None:
    save_compact(pictures / "c.pth")
    (pictures / "images" / "p0_yellow.png").unlink()
    some = Layout(optional=("er",))
    table = pd.read_parquet(run(pictures, checkpoint=pictures / "c.pth", layout=some).path).set_index("Id")
    assert "p0" not in table.index
    assert table.notna().all(axis=None)
    alone = Layout(absent=("microtubules", "nucleus", "er"))
    with pytest.raises(PipelineError, match=r"no picture has all that 'shipped' needs \(protein, nucleus\)"):
        run(pictures, network="shipped", layout=alone)
    with pytest.raises(PipelineError, match=r"no picture has all that 'compact' needs \(microtubules, prot"):
        run(pictures, checkpoint=pictures / "c.pth", layout=Layout(absent=("er",)))
