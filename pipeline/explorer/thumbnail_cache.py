"""Pictures for pages, drawn once: files in the work folder, named by what they were drawn from."""

import threading
from collections.abc import Mapping
from pathlib import Path

from pipeline.core.errors import PipelineError
from pipeline.core.files import replacing, text_digest
from pipeline.core.seen import sign_of
from pipeline.core.workspace import Workspace
from pipeline.data.dataset_options import PROCESSORS
from pipeline.data.layouts import CHANNELS
from pipeline.data.samples import Sample
from pipeline.pages.thumbnails import thumbnail

SMALL, LARGE = 256, 1024
"""Sides in pixels: of the gallery, and of one picture."""


class ThumbnailCache:
    """Draws pictures and keeps them.

    Parameters
    ----------
    work : Workspace
    samples : mapping of str to Sample
        Pictures by Id, as they are read.
    """

    def __init__(self, work: Workspace, samples: Mapping[str, Sample]) -> None:
        self._work, self._samples = work, samples
        self._drawing = threading.Semaphore(PROCESSORS)

    def channels(self, sample: str) -> tuple[str, ...]:
        """Return the channels of a picture, in the order of `CHANNELS`; none where its files are gone."""
        one = self._samples.get(sample)
        return () if one is None else tuple(name for name in CHANNELS if name in one.channels)

    def file(self, sample: str, side: int, channels: tuple[str, ...], *, outlines: bool) -> Path:
        """Return the file of a drawing, which is made where it is not there yet.

        Raises
        ------
        PipelineError
            If there is no such picture, or it cannot be read.
        """
        if sample not in self._samples:
            raise PipelineError(
                f"{sample}: no file of this picture; start explore with its folder as --images"
            )
        one, mask = self._samples[sample], self._work.mask(sample)
        drawn_from = [sign_of(path) for path in one.files.values()]
        if None in drawn_from:
            raise PipelineError(f"{sample}: a file of this picture is gone; start explore with --images")
        drawn_from += [sign_of(mask)] if outlines and mask.is_file() else []
        digest = text_digest([sample, side, channels, outlines, drawn_from])[:24]
        path = self._work.thumbnails / digest[:2] / f"{digest}.webp"
        if not path.is_file():
            with self._drawing:
                content = thumbnail(one, self._work, side, outlines=outlines, channels=channels)
            with replacing(path, synced=False) as temporary:
                temporary.write_bytes(content)
        return path
