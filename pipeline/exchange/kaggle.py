"""The training set of the Kaggle competition of 2018, by the user's own login."""

import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.errors import PipelineError
from pipeline.core.files import UnreadableError, check_bytes, replacing

COMPETITION = "human-protein-atlas-image-classification"
PAGE = f"https://www.kaggle.com/c/{COMPETITION}"

TRAINING_SET = (124_288, 14_000_000_000)
"""Its files, and about how many bytes they have."""

LICENCE = (
    f"Pictures and labels: Kaggle competition {COMPETITION}, under the rules that you accepted at "
    f"{PAGE}/rules: look there before you pass anything on."
)

_PICTURE = re.compile(r"(?:.*/)?([A-Za-z0-9][A-Za-z0-9-]{0,99}_(?:red|green|blue|yellow)\.png)")
_TRAINING = re.compile(r"(?:train/)?[^/]+|train\.csv")


def fetch_archive(folder: Path) -> Path:
    """Return the competition's archive in a folder, fetched by the program `kaggle` unless it is there.

    Raises
    ------
    PipelineError
        If there is no such program, or it fails, with its last words.
    """
    path = folder / f"{COMPETITION}.zip"
    by_hand = f"or fetch all files at {PAGE}/data and save the archive as {path}"
    if path.is_file():
        return path
    program = shutil.which("kaggle")
    if program is None:
        raise PipelineError(
            "kaggle: no such program; run: pip install kaggle, save your API token (kaggle.com, Settings) as "
            f"~/.kaggle/kaggle.json, accept the rules at {PAGE}/rules, and run again; {by_hand}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    incoming = folder / "incoming"  # what kaggle left half, it goes on with
    words = [program, "competitions", "download", "-c", COMPETITION, "-p", str(incoming)]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)  # noqa: S603 - fixed words
    fetched = incoming / path.name
    if done.returncode or not zipfile.is_zipfile(fetched):
        said = (done.stdout.strip().splitlines() or ["nothing"])[-1][:300]
        raise PipelineError(
            f"kaggle: did not give {path.name} and said: {said}; check ~/.kaggle/kaggle.json, accept the "
            f"rules at {PAGE}/rules, and run again; {by_hand}"
        )
    fetched.replace(path)
    return path


def unpack(archive: Path, images: Path) -> Iterator[int]:
    """Write the training pictures of the archive into a folder, and yield the bytes of each.

    A picture that is there with the size it has in the archive is kept. The archive may hold ``train/`` or
    ``train.zip``.
    """
    with _training(archive) as packed:
        for member in packed.infolist():
            match = _PICTURE.fullmatch(member.filename)
            if match is None or not _TRAINING.fullmatch(member.filename):
                continue
            path = images / match[1]
            if not path.is_file() or path.stat().st_size != member.file_size:
                check_bytes(member.file_size, member.filename)
                with replacing(path, synced=False) as temporary:
                    temporary.write_bytes(packed.read(member))
            yield member.file_size


def size(archive: Path) -> tuple[int, int]:
    """Return how many files the training set has, and their bytes."""
    with _training(archive) as packed:
        sizes = [
            one.file_size
            for one in packed.infolist()
            if _PICTURE.fullmatch(one.filename) and _TRAINING.fullmatch(one.filename)
        ]
    return len(sizes), sum(sizes)


def read_training_labels(archive: Path) -> bytes:
    """Return the content of ``train.csv``."""
    with _opened(archive) as packed:
        for name in ("train.csv", "train.csv.zip"):
            if name in packed.namelist():
                check_bytes(packed.getinfo(name).file_size, name)
                if name == "train.csv":
                    return packed.read(name)
                with packed.open(name) as stream, zipfile.ZipFile(stream) as inner:
                    return inner.read("train.csv")
    raise PipelineError(f"{archive}: holds no train.csv; remove it and run again")


@contextmanager
def _training(archive: Path) -> Iterator[zipfile.ZipFile]:
    """Open what holds the training pictures: the archive itself, or ``train.zip`` in it."""
    with _opened(archive) as packed:
        if "train.zip" in packed.namelist():
            with packed.open("train.zip") as stream, zipfile.ZipFile(stream) as inner:
                yield inner
        else:
            yield packed


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive; what is wrong with it is one line."""
    try:
        with zipfile.ZipFile(archive) as packed:
            yield packed
    except (zipfile.BadZipFile, EOFError, UnreadableError) as error:
        raise PipelineError(
            f"{archive}: not a readable archive ({error}); remove it and run again"
        ) from error
