"""A model remembers the channels of its training: predict reads pictures without being told again."""

import cv2
import pandas as pd
import pytest
import tifffile

from tests.pipeline.workfolder import FAMILIES, simulate

NAMES = ("--channel", "protein=GFP", "--channel", "nucleus=DAPI")
COLOURS = {"GFP": "green", "DAPI": "blue", "mCherry": "red"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Write pictures of three channels under names of one's own, and labels of every other one."""
    folder = tmp_path_factory.mktemp("named")
    simulate(folder / "data", 12, 3, 256)
    (folder / "own").mkdir()
    ids = [f"f{number:02}" for number in range(12)]
    made = sorted({path.name.rsplit("_", 1)[0] for path in (folder / "data" / "images").iterdir()})
    for one, source in zip(ids, made, strict=True):
        for name, colour in COLOURS.items():
            plane = cv2.imread(
                str(folder / "data" / "images" / f"{source}_{colour}.png"), cv2.IMREAD_UNCHANGED
            )
            tifffile.imwrite(folder / "own" / f"{one}_{name}.tif", plane)
    labels = pd.DataFrame({"Id": ids, "Target": ["0", "25"] * 6})
    labels.to_csv(folder / "labels.csv", index=False)
    return folder


def test_predict_reads_pictures_as_the_training_did(root, command_line):
    own, work, families = (
        root / "own",
        root / "work",
        [one for name in FAMILIES for one in ("--families", name)],
    )
    done = command_line(
        *(
            "extract",
            "--images",
            own,
            *NAMES,
            "--work",
            work,
            "--segmenter",
            "watershed",
            "--jobs",
            1,
            *families,
        )
    )
    assert done.status == 0, done.errors
    asked = ("--trials", 0, "--folds", 3, "--boosters", "linear", "--jobs", 1)
    done = command_line("train", "--labels", root / "labels.csv", "--work", work, *asked)
    assert done.status == 0, done.errors
    predict = ("predict", "--images", own, "--model", work / "model", "--jobs", 1, "--output")
    done = command_line(*predict, root / "silent.csv")
    assert done.status == 0, done.errors
    assert command_line(*predict, root / "told.csv", *NAMES).status == 0
    silent = pd.read_csv(root / "silent.csv")
    assert len(silent) == 12
    pd.testing.assert_frame_equal(silent, pd.read_csv(root / "told.csv"))
    more = command_line(*predict, root / "more.csv", *NAMES, "--channel", "microtubules=mCherry")
    assert "microtubules is not used: the model was trained without it" in more.output + more.errors
    pd.testing.assert_frame_equal(silent, pd.read_csv(root / "more.csv"))
