"""What keeps finished base learners: by key, in memory unless a pipeline gives a store on disk."""

import hashlib
import json
from typing import Protocol


class Store(Protocol):
    """Keeps results by key, so that an interrupted training continues where it was."""

    def get(self, key: str) -> bytes | None:
        """Return what was put under `key`, or None."""
        ...

    def put(self, key: str, content: bytes) -> None:
        """Keep `content` under `key`."""
        ...


class MemoryStore:
    """A store that lasts as long as the process."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        """Return what was put under `key`, or None."""
        return self._kept.get(key)

    def put(self, key: str, content: bytes) -> None:
        """Keep `content` under `key`."""
        self._kept[key] = content


def key_of(*parts: object) -> str:
    """Return a key for a `Store`: the same for equal bytes, numbers and texts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else json.dumps(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()
