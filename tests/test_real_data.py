"""The main job on eight real pictures of the Human Protein Atlas (skipped where they are absent)."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from pipeline.data.masks import read_mask

PICTURES = 8


@pytest.fixture(scope="module")
def pictures(real, tmp_path_factory) -> Path:
    """Copy the first eight real samples."""
    folder = tmp_path_factory.mktemp("real")
    files = sorted((real / "hpa2018" / "images").glob("*.png"))[: 4 * PICTURES]
    for file in files:
        shutil.copy(file, folder / file.name)
    return folder


def test_real_pictures_are_segmented_measured_trained_on_and_predicted(
    command_line, real, pictures, tmp_path
):
    work = tmp_path / "work"
    assert command_line("extract", "--images", pictures, "--work", work).status == 0
    samples = pd.read_parquet(work / "samples.parquet")
    assert (samples["cells"] >= 3).all()
    for sample in samples["Id"]:
        mask = read_mask(work / "masks" / f"{sample}.tif")
        covered = (mask.cells > 0).mean()
        assert 0.1 < covered < 0.99
        assert 0.05 < (mask.nuclei > 0).sum() / (mask.cells > 0).sum() < 0.9
    features = pd.read_parquet(work / "features.parquet").set_index("Id")
    assert features.notna().mean().mean() > 0.9
    assert len(features) == PICTURES
    labels = real / "hpa2018" / "labels.csv"
    ended = command_line("train", "--labels", labels, "--work", work, "--trials", 0, "--folds", 3)
    output = " ".join((ended.output + ended.errors).split())
    assert "Rods & rings" in output or "no location" in output
