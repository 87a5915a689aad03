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

_PICTURE = re.compile(r"(?:train/)?([A-Za-z0-9][A-Za-z0-9-]{0,99}_(?:red|green|blue|yellow)\.png)")


def fetch_archive(folder: Path) -> Path:
    """Return the competition's archive in a folder, fetched by the program `kaggle` unless it is there.

    Raises
    ------
    PipelineError
        If there is no such program, or it fails, with its last words.
    """
    path = folder / f"{COMPETITION}.zip"
    if path.is_file():
        return path
    program, incoming = shutil.which("kaggle"), folder / "incoming"  # what is half there, kaggle goes on with
    said = "no such program; run: pip install kaggle"
    if program is not None:
        words = [program, "competitions", "download", "-c", COMPETITION, "-p", str(incoming)]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 - fixed words
        if not done.returncode and zipfile.is_zipfile(incoming / path.name):
            return (incoming / path.name).replace(path)
        said = f"gave no archive and said: {(done.stdout.strip().splitlines() or ['nothing'])[-1][:300]}"
    raise PipelineError(
        f"kaggle: {said}; save your API token (kaggle.com, Settings) as ~/.kaggle/kaggle.json, accept the "
        f"rules at {PAGE}/rules, and run again; or fetch all files at {PAGE}/data and save them as {path}"
    )


@contextmanager
def opened(archive: Path) -> Iterator[tuple[bytes, zipfile.ZipFile, list[zipfile.ZipInfo]]]:
    """Give ``train.csv``, and the archive of the training pictures with their entries.

    That is the archive itself, with a folder ``train``, or ``train.zip`` in it.

    Raises
    ------
    PipelineError
        If it cannot be read.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            check_bytes(packed.getinfo("train.csv").file_size, "train.csv")
            labels = packed.read("train.csv")
            if "train.zip" not in packed.namelist():
                yield labels, packed, _pictures(packed)
                return
            with packed.open("train.zip") as stream, zipfile.ZipFile(stream) as inner:
                yield labels, inner, _pictures(inner)
    except (zipfile.BadZipFile, EOFError, KeyError, UnreadableError) as error:
        raise PipelineError(
            f"{archive}: not the competition's archive ({error}); remove it and run again"
        ) from error


def _pictures(packed: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    return [one for one in packed.infolist() if _PICTURE.fullmatch(one.filename)]


def unpack(packed: zipfile.ZipFile, picture: zipfile.ZipInfo, images: Path) -> None:
    """Write a picture of the archive into a folder; one that is there with its size is kept."""
    path = images / picture.filename.rpartition("/")[2]
    if not path.is_file() or path.stat().st_size != picture.file_size:
        check_bytes(picture.file_size, picture.filename)
        with replacing(path, synced=False) as temporary:
            temporary.write_bytes(packed.read(picture))
