import pickle

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.weights import card_path, read_state
from pipeline.data.pictures import Picture
from pipeline.segmentation import make_segmenter
from pipeline.segmentation.inference import Prediction, follow, predict
from pipeline.segmentation.network import (
    SegmenterCard,
    build_network,
    fill_network,
    find_weights,
    load_network,
    save_weights,
)

CARD = SegmenterCard(objects="nuclei", diameter=17, data="none", licence="CC0", command="none", steps=0)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Path of the weights of a network that knows nothing."""
    import torch

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    save_weights(path, build_network(17.0).state_dict(), CARD)
    return path


def copy(weights, folder):
    path = folder / weights.name
    path.write_bytes(weights.read_bytes())
    card_path(path).write_bytes(card_path(weights).read_bytes())
    return path


@pytest.mark.parametrize(("name", "file"), [("nuclei", "nucleitorch_0"), ("cyto3", "cyto3")])
def test_absent_official_weights_say_what_to_download_to_where(tmp_path, monkeypatch, name, file):
    monkeypatch.setenv("CELLPOSE_LOCAL_MODELS_PATH", str(tmp_path))
    with pytest.raises(
        PipelineError, match=rf"{tmp_path}/{file}: .*download https://\S+/{file} to that path"
    ):
        find_weights(name)


def test_official_weights_are_found_in_cellposes_cache(tmp_path, monkeypatch):
    import torch

    monkeypatch.setenv("CELLPOSE_LOCAL_MODELS_PATH", str(tmp_path))
    state = build_network(17.0).state_dict()
    older = {name: value for name, value in state.items() if not name.startswith("diam_")}
    torch.save(older, tmp_path / "nucleitorch_0")
    found = find_weights("nuclei")
    assert found.diameter == 17
    loaded = load_network(found).state_dict()
    assert all(torch.equal(loaded[name], state[name]) for name in older)


def test_a_missing_file_lists_the_known_names():
    with pytest.raises(
        PipelineError, match=r"nowhere\.pt: no such file of weights; known names: nuclei, cyto2, cyto3"
    ):
        find_weights("nowhere.pt")


def test_tampered_weights_do_not_load(weights, tmp_path):
    path = copy(weights, tmp_path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(PipelineError, match=r"is not the card's .*damaged or changed"):
        find_weights(str(path))


def test_truncated_weights_do_not_load(weights, tmp_path):
    path = copy(weights, tmp_path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(PipelineError, match="damaged or changed"):
        find_weights(str(path))
    with pytest.raises(PipelineError, match="not a readable file of weights"):
        read_state(path)


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 half a zip"])
def test_files_that_are_no_weights_are_told(tmp_path, content):
    path = tmp_path / "model"
    path.write_bytes(content)
    with pytest.raises(PipelineError, match="model: not a readable file of weights"):
        load_network(find_weights(str(path)))


def test_weights_without_their_card_do_not_load(weights, tmp_path):
    path = copy(weights, tmp_path)
    card_path(path).unlink()
    with pytest.raises(PipelineError, match=r"untrained\.json: missing"):
        find_weights(str(path))


@pytest.mark.parametrize("content", ["", "{}", '{"objects": 3}'])
def test_a_damaged_card_is_told(weights, tmp_path, content):
    path = copy(weights, tmp_path)
    card_path(path).write_text(content)
    with pytest.raises(PipelineError, match="damaged card"):
        find_weights(str(path))


def test_weights_of_another_architecture_are_refused(tmp_path):
    import torch

    state = build_network(17.0).state_dict()
    narrow = {**state, "output.2.weight": state["output.2.weight"][:, :8]}
    save_weights(tmp_path / "narrow.safetensors", narrow, CARD)
    with pytest.raises(PipelineError, match=r"output\.2\.weight has shape \(3, 8, 1, 1\)"):
        load_network(find_weights(str(tmp_path / "narrow.safetensors")))
    save_weights(tmp_path / "other.safetensors", {"W2": torch.zeros(2)}, CARD)
    with pytest.raises(PipelineError, match=r"not a checkpoint of Cellpose 3: \d+ weights missing, 1 unk"):
        load_network(find_weights(str(tmp_path / "other.safetensors")))


def test_weights_that_overflow_half_precision_are_not_saved(tmp_path):
    import torch

    with pytest.raises(ValueError, match="w is not finite"):
        save_weights(tmp_path / "a.safetensors", {"w": torch.full((1,), 1e6)}, CARD)
    assert not (tmp_path / "a.safetensors").exists()


@pytest.mark.filterwarnings(
    "ignore:.*script_method:DeprecationWarning"
)  # Cellpose imports an old part of torch
def test_stock_cellpose_predicts_the_same_with_the_same_weights(weights):
    import torch
    from cellpose.core import run_net

    rng = np.random.default_rng(0)
    planes = rng.random((2, 90, 120)).astype(np.float32)
    planes = np.stack(
        [(p - np.percentile(p, 1)) / (np.percentile(p, 99) - np.percentile(p, 1)) for p in planes]
    )
    ours = predict(load_network(find_weights(str(weights))), planes, 1.0)
    stock = build_network(17.0)
    fill_network(stock, read_state(weights))
    with torch.inference_mode():
        theirs, _ = run_net(stock.eval(), planes.transpose(1, 2, 0)[None])
    assert np.allclose(ours.flows, theirs[0, ..., :2].transpose(2, 0, 1), atol=0.05)
    assert np.allclose(ours.logits, theirs[0, ..., 2], atol=0.05)


@pytest.mark.parametrize("shape", [(5, 7), (224, 230), (500, 260)])
def test_predictions_have_the_pictures_shape_whatever_the_tiles(weights, shape):
    network = load_network(find_weights(str(weights)))
    found = predict(network, np.random.default_rng(0).random((2, *shape)).astype(np.float32), 1.0)
    assert found.logits.shape == shape
    assert np.isfinite(found.flows).all()


def test_following_flows_finds_the_discs_that_made_them():
    from pipeline.segmentation.training import flow_target

    rows, columns = np.indices((60, 80))
    truth = np.zeros((60, 80), np.int32)
    truth[np.hypot(rows - 30, columns - 25) < 12] = 1
    truth[np.hypot(rows - 30, columns - 49) < 12] = 2
    target = flow_target(truth)
    found = follow(Prediction(5 * target[:2], 10 * target[2] - 5))
    assert sorted(np.unique(found)) == [0, 1, 2]
    for number in (1, 2):
        mask = truth == number
        twin = found == np.bincount(found[mask]).argmax()
        assert (mask & twin).sum() / (mask | twin).sum() > 0.97


def test_following_nothing_finds_nothing():
    empty = Prediction(np.zeros((2, 8, 9), np.float32), np.full((8, 9), -1, np.float32))
    assert not follow(empty).any()


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("shape", [(64, 64), (1, 1), (3, 90)])
def test_flat_and_tiny_pictures_are_segmented_without_a_crash(weights, value, shape):
    segmenter = make_segmenter("cellpose", nuclei_weights=str(weights), cell_weights=str(weights))
    found = segmenter.segment(Picture(np.full((4, *shape), value, np.float32)))
    assert found.cells.shape == found.nuclei.shape == shape


def test_the_segmenter_is_picklable_and_its_settings_hold_the_digests(weights):
    segmenter = make_segmenter("cellpose", nuclei_weights=str(weights), cell_weights=str(weights))
    again = pickle.loads(pickle.dumps(segmenter))  # noqa: S301 - made here
    assert again.settings() == segmenter.settings()
    assert segmenter.settings()["nuclei"] == find_weights(str(weights)).digest
    other = make_segmenter(
        "cellpose", nuclei_weights=str(weights), cell_weights=str(weights), nuclei_diameter=55.0
    )
    assert other.settings() != segmenter.settings()


def test_a_diameter_that_is_none_is_refused(weights):
    with pytest.raises(PipelineError, match="cell_diameter -3"):
        make_segmenter("cellpose", nuclei_weights=str(weights), cell_weights=str(weights), cell_diameter=-3)
