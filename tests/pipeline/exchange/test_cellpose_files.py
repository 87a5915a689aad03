"""The pickles of Cellpose: read right, and nothing that a hostile one names is run."""

import io
import pathlib
import pickle
import subprocess

import numpy as np
import pytest

from pipeline.core.files import UnreadableError
from pipeline.exchange.cellpose_files import read_masks

LABELS = np.arange(12, dtype=np.uint16).reshape(3, 4)


def saved(masks, protocol=4):
    """Pickle what Cellpose saves beside masks."""
    content = {
        "outlines": masks,
        "masks": masks,
        "chan_choose": [0, 0],
        "ismanual": np.zeros(3, bool),
        "filename": pathlib.PurePosixPath("/data/a.png"),
        "flows": [np.ones((1, 2, 2), np.float32), [], None],
        "diameter": np.float64(30),
    }
    wrapped = np.empty((), object)
    wrapped[()] = content
    return pickle.dumps(wrapped, protocol)


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize(
    "change",
    [np.asarray, np.asfortranarray, lambda labels: labels.astype(">u4"), lambda labels: labels[None]],
)
def test_masks_are_read_as_numpy_would(protocol, change):
    assert np.array_equal(read_masks(saved(change(LABELS), protocol)), LABELS)


class Runs:
    """Pickles to a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda path: Runs(subprocess.call, ["touch", path]), "subprocess.call"),
        (lambda path: Runs(eval, f"open({path!r}, 'w')"), "builtins.eval"),
        (lambda path: Runs(np.load, path), "numpy.load"),
        (lambda path: Runs(getattr, pathlib.Path(path), "touch"), "builtins.getattr"),
        (lambda path: Runs(np.frombuffer, b"1"), "numpy.frombuffer"),  # noqa: ARG005 - all are called alike
    ],
)
def test_what_could_run_is_refused_by_name_and_not_run(tmp_path, call, named):
    path = tmp_path / "made"
    with pytest.raises(UnreadableError, match=rf"names '{named}'.*nothing of it was run"):
        read_masks(pickle.dumps({"masks": call(str(path)), "more": LABELS}))
    assert not path.exists()


def test_stand_ins_do_nothing_that_arrays_would():
    """A type that NumPy would build from any text is only a text here."""
    crafted = pickle.dumps({"masks": LABELS}).replace(b"\x8c\x02u2", b"\x8c\x02O8")
    with pytest.raises(UnreadableError, match="no whole numbers"):
        read_masks(crafted)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        saved(LABELS)[:-30],
        pickle.dumps({"masks": [[1, 2]]}),
        pickle.dumps([LABELS]),
        pickle.dumps({"masks": LABELS.astype(float)}),
        pickle.dumps({"masks": np.zeros((2, 3, 4), np.uint16)}),
        b"\x80\x04N" + b"r\xff\xff\xff\x7f" + b".",  # a position in the memo that takes 16 GB
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\x00\x00abc.",  # bytes that are not there
        b"\x80\x04N\x85R.",
    ],
)
def test_damaged_and_other_pickles_are_refused(content):
    with pytest.raises(UnreadableError, match=r"Cellpose as PNG or TIFF"):
        read_masks(content)


@pytest.mark.parametrize("size", [0, 1])
def test_masks_of_a_size_that_their_bytes_do_not_have_are_refused(size):
    stream = io.BytesIO()
    pickle.dump({"masks": LABELS}, stream)
    crafted = stream.getvalue().replace(b"K\x03K\x04\x86", b"K\x03K" + bytes([200 + size]) + b"\x86")
    with pytest.raises(UnreadableError, match="not one plane of whole numbers"):
        read_masks(crafted)
