"""The stage `simulate`: files that the other stages read, the same whatever the number of jobs."""

import shutil
from collections import Counter
from itertools import islice
from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
import pytest
import tifffile

from pipeline.core.errors import PipelineError
from pipeline.data.labels import read_labels
from pipeline.data.locations import LOCATIONS
from pipeline.data.samples import find_samples
from pipeline.simulation.field import simulate_picture
from pipeline.simulation.proteins import DECK, DEFAULT_LOCATIONS, proteins
from pipeline.stages.options import SimulateOptions
from pipeline.stages.simulate import chosen_locations, take, write_contact_sheet
from tests.pipeline.workfolder import simulate

SIZE = 128


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Simulate five small pictures in one process."""
    out = tmp_path_factory.mktemp("simulated")
    simulate(out, 5, seed=4, size=SIZE)
    return out


def _contents(folder):
    """Return all files but the record, which names the folder and the number of jobs."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "record.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_files_do_not_depend_on_jobs(folder, tmp_path):
    simulate(tmp_path, 5, seed=4, size=SIZE, jobs=2)
    assert _contents(tmp_path) == _contents(folder)


def test_a_larger_set_begins_with_the_smaller_one(folder, tmp_path):
    simulate(tmp_path, 2, seed=4, size=SIZE)
    simulate(tmp_path, 5, seed=4, size=SIZE)
    assert _contents(tmp_path) == _contents(folder)


def test_a_killed_run_makes_only_what_is_missing(tmp_path, monkeypatch):
    simulate(tmp_path, 3, seed=4, size=SIZE)
    before = _contents(tmp_path)
    for lost in ("truth/protein_00000_1.tif", "images/protein_00001_1_green.png"):
        (tmp_path / lost).unlink()
    made = []

    def remember(shot):
        made.append(shot.id)
        take(shot)

    monkeypatch.setattr("pipeline.stages.simulate.take", remember)
    simulate(tmp_path, 3, seed=4, size=SIZE)
    assert made == ["protein_00000_1", "protein_00001_1"]
    assert _contents(tmp_path) == before


def test_a_second_run_does_nothing_and_a_copy_is_up_to_date(folder, tmp_path):
    assert not simulate(folder, 5, seed=4, size=SIZE).fresh
    shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copy)
    again = simulate(tmp_path / "copy", 5, seed=4, size=SIZE)
    assert (again.fresh, again.pictures) == (False, 5)


def test_the_pipeline_reads_what_was_written(folder):
    samples, problems = find_samples(folder / "images", folder / "samples.csv")
    labels = read_labels(folder / "labels.csv")
    groups = pd.read_csv(folder / "groups.csv")
    assert not problems
    assert not labels.problems
    assert [sample.id for sample in samples] == list(labels.targets.index) == list(groups["Id"])
    assert [sample.group for sample in samples] == list(groups["group"])
    assert all(path.exists() for sample in samples for path in sample.paths)
    assert {sample.pixel_size_um for sample in samples} <= {0.32, 0.48}


def test_files_hold_the_picture_that_the_library_gives(folder):
    made = simulate_picture(4, 0, 0, size=SIZE)
    first = pd.read_csv(folder / "samples.csv").iloc[0]
    for channel in ("microtubules", "protein", "nucleus", "er"):
        grey = imagecodecs.png_decode((folder / "images" / first[channel]).read_bytes())
        assert grey.dtype == np.uint8
        np.testing.assert_array_equal(grey, np.rint(made.picture.plane(channel) * 255))
    cells, nuclei = tifffile.imread(folder / "truth" / f"{first['Id']}.tif")
    assert cells.dtype == np.uint16
    np.testing.assert_array_equal(cells, made.cells)
    np.testing.assert_array_equal(nuclei, made.nuclei)
    written = pd.read_csv(folder / "labels.csv").iloc[0]["Target"]
    assert {LOCATIONS[int(index)] for index in str(written).split()} == set(made.locations)


def test_another_seed_is_refused_in_the_same_folder(folder):
    with pytest.raises(PipelineError, match=r"holds pictures of another seed; give a new folder"):
        simulate(folder, 5, seed=5, size=SIZE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1, 512), "--pictures 0: give at least 1"),
        ((1, -1, 512), "--seed -1: give at least 0"),
        ((1, 1, 64), "--size 64: give at least 128"),
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path, arguments, message):
    with pytest.raises(PipelineError, match=message):
        simulate(tmp_path, *arguments)


def test_pictures_of_a_protein_share_labels_line_and_pixel_size(folder):
    table = pd.read_csv(folder / "samples.csv").merge(pd.read_csv(folder / "labels.csv", dtype=str))
    assert table.groupby("group").size().max() > 1
    shared = table[["group", "Target", "pixel_size_um"]].drop_duplicates()
    assert shared["group"].is_unique


def test_three_hundred_pictures_show_every_default_location_in_five_proteins_or_more():
    for seed in range(5):
        counts, pictures = Counter(), 0
        for protein in proteins(seed):
            counts.update(protein.locations)
            pictures += protein.pictures
            if pictures >= 300:
                break
        assert set(counts) == set(DEFAULT_LOCATIONS)
        assert min(counts.values()) >= 5


def test_locations_are_as_imbalanced_as_real_ones_in_order():
    counts = Counter(name for p in islice(proteins(0, LOCATIONS), 800) for name in p.locations)
    assert set(counts) == set(LOCATIONS)
    assert [name for name, _ in counts.most_common(2)] == ["Nucleoplasm", "Cytosol"]
    assert counts["Nucleoplasm"] > 8 * counts["Rods & rings"]


def test_proteins_have_one_to_three_different_locations():
    number = [len(set(p.locations)) for p in islice(proteins(2), 200)]
    assert all(len(p.locations) == n for p, n in zip(proteins(2), number, strict=False))
    assert set(number) == {1, 2, 3}
    assert 1.4 < np.mean(number) < 1.8


def test_every_deck_deals_the_first_locations_in_proportion():
    dealt = [p.locations[0] for p in islice(proteins(7), 2 * DECK)]
    first, second = Counter(dealt[:DECK]), Counter(dealt[DECK:])
    assert all(abs(first[name] - second[name]) <= 1 for name in DEFAULT_LOCATIONS)


def test_locations_are_chosen_by_name():
    assert chosen_locations(("all",)) == LOCATIONS
    assert chosen_locations(("default",)) == DEFAULT_LOCATIONS
    words = SimulateOptions(out=Path(), locations="golgi apparatus, Cytosol").locations
    assert chosen_locations(words) == ("Golgi apparatus", "Cytosol")


def test_unknown_or_too_few_locations_are_refused():
    with pytest.raises(PipelineError, match="unknown location 'Nukleus'; known: Nucleoplasm"):
        chosen_locations(("Cytosol", "Nukleus"))
    with pytest.raises(PipelineError, match="give at least two"):
        chosen_locations(("Cytosol",))


def test_a_contact_sheet_is_written_as_png(tmp_path):
    path = tmp_path / "new" / "sheet.png"
    write_contact_sheet(path, ("Cytosol", "Nucleoli"), seed=1)
    assert imagecodecs.png_decode(path.read_bytes()).shape[2] == 3


def test_crowded_fields_hold_more_cells_and_keep_their_folder_apart(folder, tmp_path):
    simulate(tmp_path, 5, seed=4, size=SIZE, crowding=4.0)
    crowded, usual = (
        [int(tifffile.imread(path)[0].max()) for path in sorted((one / "truth").iterdir())]
        for one in (tmp_path, folder)
    )
    assert sum(crowded) > 1.3 * sum(usual)
    with pytest.raises(PipelineError, match="holds pictures of another crowding"):
        simulate(tmp_path, 5, seed=4, size=SIZE)
    with pytest.raises(PipelineError, match=r"--crowding 9: give at most 5"):
        simulate(tmp_path, 5, seed=4, size=SIZE, crowding=9)
