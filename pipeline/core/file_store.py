"""Finished boosters on disk, by content: what a killed training does not lose."""

import shutil
from pathlib import Path

from pipeline.core.records import replacing


class FileStore:
    """Keeps every result in a file of its own, complete or not there at all.

    Parameters
    ----------
    folder : Path
        Made on first use.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> bytes | None:
        """Return what was put under `key`, or None."""
        path = self._path(key)
        return path.read_bytes() if path.is_file() else None

    def put(self, key: str, content: bytes) -> None:
        """Keep `content` under `key`."""
        with replacing(self._path(key)) as temporary:
            temporary.write_bytes(content)

    def clear(self) -> None:
        """Remove everything: the model is complete."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key[2:]
