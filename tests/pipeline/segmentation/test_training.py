import imagecodecs
import numpy as np
import pytest
import torch

from pipeline.commands.command_line import options_of
from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress
from pipeline.core.weights import card_path
from pipeline.segmentation.fields import Field, read_fields, split_fields
from pipeline.segmentation.network import find_weights, load_network
from pipeline.segmentation.training import (
    SegmenterHyperparameters,
    TileSampler,
    flow_target,
    relight,
    segmenter_training,
    two_planes,
)
from pipeline.stages.train_segmenter import TrainSegmenterOptions, train_segmenter


def field(name="a", diameter=16, shape=(96, 96), brightness=200.0, seed=0):
    """Discs on a grid, brighter than what is around them; the second plane is empty."""
    rows, columns = np.indices(shape)
    labels = np.zeros(shape, np.int32)
    for number, (i, j) in enumerate(np.ndindex(shape[0] // 24, shape[1] // 24), start=1):
        labels[np.hypot(rows - 12 - 24 * i, columns - 12 - 24 * j) < diameter / 2] = number
    noise = np.random.default_rng(seed).normal(20, 2, shape)
    plane = noise + brightness * (labels > 0)
    return Field(name, np.stack([plane, np.zeros(shape)]).astype(np.float32), labels)


def write(folder, fields):
    folder.mkdir(exist_ok=True)
    for one in fields:
        image = one.planes[0].clip(0, 255).astype(np.uint8)
        (folder / f"{one.name}_image.png").write_bytes(imagecodecs.png_encode(image))
        (folder / f"{one.name}_label.png").write_bytes(imagecodecs.png_encode(one.labels.astype(np.uint16)))
    return folder


def small(**changes):
    return SegmenterHyperparameters(
        **{"diameter": 17.0, "steps": 4, "batch": 2, "side": 32, "save_every": 2, **changes}
    )


def test_every_fifth_field_of_every_type_is_kept_whatever_the_order():
    fields = [field(f"dim{i}", brightness=20) for i in range(20)] + [
        field(f"large{i}", 22) for i in range(10)
    ]
    fit, test = split_fields(fields)
    again = split_fields(fields[::-1])
    assert [one.name for one in test] == [one.name for one in again[1]]
    assert {one.name for one in fit} | {one.name for one in test} == {one.name for one in fields}
    assert sum(one.name.startswith("dim") for one in test) == 4
    assert sum(one.name.startswith("large") for one in test) == 2
    assert len(fit) == 24


def test_flows_are_unit_vectors_to_the_centre_and_nothing_outside():
    labels = field().labels
    down, right, inside = flow_target(labels)
    assert np.array_equal(inside > 0, labels > 0)
    length = np.hypot(down, right)[labels > 0]
    assert np.isclose(length, 1).mean() > 0.98  # all but the centres
    assert not np.hypot(down, right)[labels == 0].any()
    assert down[6, 12] > 0.9
    assert down[18, 12] < -0.9
    assert right[12, 6] > 0.9


def test_tiles_depend_on_the_generator_alone_and_show_objects():
    sampler = TileSampler([field()], 17.0, 48)
    one, other = (sampler.draw(np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one.planes, other.planes)
    assert np.array_equal(one.target, other.target)
    assert one.planes.shape == (2, 48, 48)
    assert one.target.shape == (3, 48, 48)
    rng = np.random.default_rng(0)
    tiles = [sampler.draw(rng) for _ in range(20)]
    assert np.mean([tile.target[2].any() for tile in tiles]) > 0.9
    contrast = [
        tile.planes[0][tile.target[2] > 0].mean() - tile.planes[0][tile.target[2] == 0].mean()
        for tile in tiles
    ]
    assert np.mean(np.array(contrast) > 0) > 0.9


def test_a_channel_that_does_not_exist_stays_empty():
    planes = np.stack([np.ones((8, 8)), np.zeros((8, 8))]).astype(np.float32)
    lit = relight(planes, 17.0, np.random.default_rng(0))
    assert lit[0].any()
    assert not lit[1].any()


def test_objects_are_mixed_from_two_stains_and_relit_one_by_one():
    labels = field().labels
    planes = np.stack([labels > 0, 3.0 * (labels > 0), np.zeros(labels.shape)]).astype(np.float32)
    rng = np.random.default_rng(1)
    mixed = [two_planes(planes, labels, 16.0, rng) for _ in range(20)]
    assert all(one.shape == (2, *labels.shape) for one in mixed)
    means = np.array([[one[0][labels == number].mean() for number in (1, 2, 3)] for one in mixed])
    assert means.min() < 1.3
    assert means.max() > 2.5
    assert np.median(np.ptp(means, axis=1)) > 0.2


def test_the_learning_rate_rises_stays_and_falls_to_nothing():
    schedule = SegmenterHyperparameters(diameter=17.0, steps=1000).schedule()
    rates = [schedule.factor(step) for step in range(1001)]
    assert rates[0] < rates[50] < rates[100] == rates[699] == 1
    assert np.all(np.diff(rates[701:]) < 0)
    assert rates[1000] == pytest.approx(0)
    assert SegmenterHyperparameters(diameter=17.0, steps=50).schedule().factor(5) == 1


def test_training_learns():
    training = segmenter_training(TileSampler([field()], 17.0, 32), small(steps=30, learning_rate=5e-3))
    losses = [float(training.update()) for _ in range(30)]
    assert np.mean(losses[-8:]) < 0.75 * np.mean(losses[:3])


def test_a_killed_training_ends_with_the_weights_of_an_undisturbed_one(tmp_path):
    import torch

    sampler, checkpoint = TileSampler([field()], 17.0, 32), tmp_path / "checkpoint"
    undisturbed = segmenter_training(sampler, small()).run(SilentProgress(), "train")
    killed = segmenter_training(sampler, small())
    killed.update()
    killed.update()
    killed.save(checkpoint)
    killed.update()
    found = segmenter_training(sampler, small()).run(SilentProgress(), "train", checkpoint)
    assert all(torch.equal(found[name], undisturbed[name]) for name in undisturbed)


def test_a_checkpoint_of_other_settings_or_a_damaged_one_is_told(tmp_path):
    sampler, checkpoint = TileSampler([field()], 17.0, 32), tmp_path / "checkpoint"
    segmenter_training(sampler, small()).save(checkpoint)
    with pytest.raises(PipelineError, match="made with other seed"):
        segmenter_training(sampler, small(seed=1)).resume(checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    with pytest.raises(PipelineError, match="not a readable file of weights"):
        segmenter_training(sampler, small()).resume(checkpoint)


def options(folder, output, **changes):
    given = {
        "objects": "nuclei",
        "images": folder,
        "labels": folder,
        "output": output,
        "steps": 2,
        "batch": 2,
        "side": 32,
    }
    return options_of(TrainSegmenterOptions, {**given, **changes})


def test_training_writes_weights_with_a_card_and_a_second_run_does_nothing(tmp_path):
    folder, output = (
        write(tmp_path / "fields", [field(f"f{i}", seed=i) for i in range(10)]),
        tmp_path / "w.safetensors",
    )
    threads = torch.get_num_threads()
    card = train_segmenter(options(folder, output, threads=threads + 1), SilentProgress())
    assert torch.get_num_threads() == threads
    assert card.scores.keys() == {"ap50", "ap75"}
    assert card.sha256 == find_weights(str(output)).digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fields", "w.json", "w.safetensors"]
    load_network(find_weights(str(output)))
    before = output.stat().st_mtime_ns, card_path(output).stat().st_mtime_ns
    assert train_segmenter(options(folder, output), SilentProgress()) == card
    assert (output.stat().st_mtime_ns, card_path(output).stat().st_mtime_ns) == before
    with pytest.raises(PipelineError, match="exists and was made otherwise"):
        train_segmenter(options(folder, output, steps=3), SilentProgress())


def test_a_handful_of_fields_adapts_given_weights_without_a_score(tmp_path):
    folder = write(tmp_path / "fields", [field("a"), field("b", seed=1)])
    first = tmp_path / "first.safetensors"
    train_segmenter(options(folder, first), SilentProgress())
    card = train_segmenter(
        options(folder, tmp_path / "second.safetensors", start=str(first)), SilentProgress()
    )
    scratch = train_segmenter(options(folder, tmp_path / "third.safetensors"), SilentProgress())
    assert card.scores == {}
    assert card.sha256 != scratch.sha256
    assert scratch.sha256 == find_weights(str(first)).digest


def test_fields_that_cannot_be_used_are_told(tmp_path):
    with pytest.raises(PipelineError, match="no such folder"):
        read_fields("nuclei", tmp_path / "nowhere", tmp_path)
    folder = write(tmp_path / "fields", [field("a")])
    with pytest.raises(PipelineError, match="cells need four channels"):
        read_fields("cells", folder, folder)
    (folder / "a_label.png").write_bytes(imagecodecs.png_encode(np.zeros((3, 3), np.uint16)))
    with pytest.raises(PipelineError, match=r"a_label\.png: size \(3, 3\), its picture's is \(96, 96\)"):
        read_fields("nuclei", folder, folder)
    (folder / "a_label.png").write_bytes(imagecodecs.png_encode(np.zeros((96, 96), np.uint16)))
    with pytest.raises(PipelineError, match="no object in any label image"):
        train_segmenter(options(folder, tmp_path / "w.safetensors"), SilentProgress())
    (folder / "a_label.png").unlink()
    with pytest.raises(PipelineError, match=r"a_label\.png: missing"):
        read_fields("nuclei", folder, folder)


def test_unknown_objects_and_file_types_are_told(tmp_path):
    with pytest.raises(PipelineError, match="unknown objects 'mitochondria'; known: nuclei, cells"):
        options(tmp_path, tmp_path / "w.safetensors", objects="mitochondria")
    with pytest.raises(PipelineError, match=r"name the file of weights \*\.safetensors"):
        train_segmenter(options(tmp_path, tmp_path / "w.pt"), SilentProgress())


def test_cells_are_read_from_four_channels_and_label_images_of_two_pages(tmp_path):
    from pipeline.data.layouts import COLOURS
    from pipeline.data.masks import Segmentation, write_mask

    rng = np.random.default_rng(0)
    images = {colour: rng.integers(0, 255, (20, 30)).astype(np.uint8) for colour in COLOURS.values()}
    for colour, image in images.items():
        (tmp_path / f"x_{colour}.png").write_bytes(imagecodecs.png_encode(image))
    cells, nuclei = rng.integers(0, 3, (2, 20, 30)).astype(np.uint16)
    write_mask(tmp_path / "x.tif", Segmentation(cells, nuclei))
    (found,) = read_fields("cells", tmp_path, tmp_path)
    body = (images["red"].astype(float) + images["yellow"]) / 2 / 255
    assert np.allclose(found.network_planes, [body, images["blue"] / 255], atol=1e-6)
    assert np.allclose(found.planes[0], images["red"] / 255, atol=1e-6)
    assert np.array_equal(found.labels, cells)
    assert np.array_equal(read_fields("nuclei", tmp_path, tmp_path)[0].labels, nuclei)
