"""Flat-field correction: estimated per plate, kept, and part of what pictures are read as."""

import json
from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.workspace import Workspace
from pipeline.data.flat_fields import FEWEST, even_samples, remove_illumination, with_flat_fields
from pipeline.data.pictures import read_picture
from pipeline.data.samples import Sample, find_samples, fingerprints
from pipeline.segmentation import make_segmenter
from pipeline.stages.embed import Embed
from pipeline.stages.extract import Extract
from pipeline.stages.options import EmbedOptions, ExtractOptions, PredictOptions
from pipeline.stages.trained_models import extract_options

SIDE = 96
PLACE = np.linspace(-1, 1, SIDE)
VIGNETTE = np.exp(-0.5 * (PLACE[:, None] ** 2 + PLACE**2))
COLOURS = ("red", "green", "blue", "yellow")


def scene(seed: int) -> np.ndarray:
    """Return four planes of a field of round cells with nuclei."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    cells, nuclei = np.zeros((2, SIDE, SIDE))
    for _ in range(8):
        far = np.hypot(rows - rng.uniform(0, SIDE), columns - rng.uniform(0, SIDE))
        cells[far < 13], nuclei[far < 7] = rng.uniform(0.3, 0.5), rng.uniform(0.4, 0.5)
    return np.stack([cells, cells, nuclei, cells]) + rng.uniform(0, 0.01, (4, SIDE, SIDE))


@pytest.fixture(scope="module")
def plates(tmp_path_factory) -> Path:
    """Folder of a plate P1 with a vignette, an even plate P2, and a table of both."""
    root = tmp_path_factory.mktemp("plates")
    rows = []
    for plate, light in (("P1", VIGNETTE), ("P2", np.ones((SIDE, SIDE)))):
        for number in range(FEWEST + 4):
            name = f"{plate}_{number:02}"
            for colour, plane in zip(COLOURS, scene(number), strict=True):
                stored = np.rint(plane * light * 65535).astype(np.uint16)
                (root / f"{name}_{colour}.png").write_bytes(imagecodecs.png_encode(stored))
            rows.append({"Id": name, **{one: f"{name}_{one}.png" for one in COLOURS}, "Plate": plate})
    pd.DataFrame(rows).to_csv(root / "samples.csv", index=False)
    return root


def listed(plates: Path) -> list[Sample]:
    return find_samples(plates, plates / "samples.csv")[0]


def error(sample: Sample) -> float:
    """Return by how much the brightness of a picture over that of its scene differs between its cells."""
    true = scene(int(sample.id[-2:]))
    bright = true > 0.2
    return float(np.std(np.log(read_picture(sample).pixels[bright] / true[bright])))


def test_the_vignette_of_a_plate_is_removed_and_an_even_plate_stays(plates: Path, tmp_path: Path) -> None:
    work, samples = Workspace(tmp_path), listed(plates)
    assert remove_illumination(samples, work, 1, SilentProgress(), new=False) == ""
    even = with_flat_fields(samples, work)
    before, after = (np.array([error(one) for one in those]) for those in (samples, even))
    is_dark = np.array([one.id.startswith("P1") for one in samples])
    assert before[is_dark].mean() > 0.2
    assert after[is_dark].mean() < 0.05
    assert after[~is_dark].max() < 0.03
    shares = [read_picture(one).pixels[1].sum() / scene(int(one.id[-2:]))[1].sum() for one in even]
    np.testing.assert_allclose(shares, np.where(is_dark, np.mean(VIGNETTE), 1), rtol=0.1)


def test_what_is_known_is_not_estimated_again_and_is_part_of_the_keys(
    plates: Path, tmp_path: Path, monkeypatch
) -> None:
    work, samples = Workspace(tmp_path), listed(plates)
    remove_illumination(samples, work, 1, SilentProgress(), new=False)
    kept = work.flat_field.read_bytes()
    plain, even = (fingerprints(those, work) for those in (samples, with_flat_fields(samples, work)))
    assert all(plain[one] != even[one] for one in plain if one.startswith("P1"))
    monkeypatch.setattr("pipeline.data.flat_fields.read_picture", None)
    remove_illumination(samples, work, 1, SilentProgress(), new=False)
    work.flat_field.write_text("damaged")
    with pytest.raises(TypeError):
        remove_illumination(samples, work, 1, SilentProgress(), new=False)
    monkeypatch.undo()
    remove_illumination(samples, work, 1, SilentProgress(), new=False)
    assert work.flat_field.read_bytes() == kept


def test_a_plate_of_few_pictures_is_refused_and_told_of_new_ones(plates: Path, tmp_path: Path) -> None:
    few = [one for one in listed(plates) if not one.id.startswith("P2_1")]
    with pytest.raises(
        PipelineError, match=r"--flat-field: too few pictures .*: plate P2 \(10\); give 16 of"
    ):
        remove_illumination(few, Workspace(tmp_path), 1, SilentProgress(), new=False)
    told = remove_illumination(few, Workspace(tmp_path), 1, SilentProgress(), new=True)
    assert told == "uneven illumination is not removed, for want of 16 pictures: plate P2 (10)"
    even = with_flat_fields(few, Workspace(tmp_path))
    assert [bool(one.illumination) for one in even] == [one.id.startswith("P1") for one in even]


def test_extract_records_the_correction_and_other_stages_read_pictures_like_it(
    plates: Path, tmp_path: Path
) -> None:
    work, table = Workspace(tmp_path), plates / "samples.csv"
    options = ExtractOptions(
        images=plates, samples=table, work=tmp_path, segmenter="watershed", families=("intensity",), jobs=1,
        flat_field=True,
    )  # fmt: skip
    execute(Extract(), options, SilentProgress())
    assert json.loads(work.extraction.read_bytes())["flat_field"] is True
    assert not execute(Extract(), options, SilentProgress()).fresh
    read, _ = even_samples(options, work)
    assert all(one.illumination for one in read)
    embedding = EmbedOptions(images=plates, samples=table, work=tmp_path, network="builtin")
    corrected = Embed().inputs(embedding)["pictures"]
    even = pd.read_parquet(work.features)
    execute(Extract(), options.model_copy(update={"flat_field": False}), SilentProgress())
    assert not work.flat_field.exists()
    assert Embed().inputs(embedding)["pictures"] != corrected
    plain = pd.read_parquet(work.features)
    assert not even[even["Id"].str.startswith("P1")].equals(plain[plain["Id"].str.startswith("P1")])


def test_a_model_has_new_pictures_corrected_as_its_own_were(tmp_path: Path) -> None:
    settings = dict(make_segmenter("watershed").settings())
    extraction = {"segmenter": "watershed", "options": {}, "settings": settings, "families": {}}
    options = PredictOptions(model=tmp_path, output=tmp_path / "p.csv", images=tmp_path)
    for said, expected in (({}, False), ({"flat_field": True}, True)):
        asked = extract_options(options, {"extraction": extraction | said})
        assert asked is not None
        assert asked.flat_field is expected
