"""What `explore` starts with: everything that pages need, in memory."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pipeline.core.errors import PipelineError
from pipeline.core.stage import Progress
from pipeline.core.workspace import Workspace
from pipeline.data.layouts import CHANNELS
from pipeline.data.samples import Sample
from pipeline.explorer.corrections import Corrections
from pipeline.explorer.explorer_pages import Explorer
from pipeline.explorer.picture_index import read_index, sources_of
from pipeline.explorer.picture_space import space_of
from pipeline.explorer.reasons import Reasons
from pipeline.explorer.thumbnail_cache import ThumbnailCache
from pipeline.pages.thumbnails import pictures_of
from pipeline.stages.explore_options import ExploreOptions


@contextmanager
def opened(options: ExploreOptions, progress: Progress) -> Iterator[Explorer]:
    """Read a work folder; nobody else corrects its labels while the block runs.

    Raises
    ------
    PipelineError
        If something cannot be used, or it is explored already.
    """
    from filelock import FileLock, Timeout

    work = Workspace(options.work, options.name)
    sources = sources_of(options)
    index = read_index(sources, progress.note)
    lock = FileLock(work.corrections / ".lock", timeout=0)
    work.corrections.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire()
    except Timeout as error:
        raise PipelineError(f"{work.root}: is explored already; stop the other explore first") from error
    try:
        samples = _pictures(options, work, progress)
        yield Explorer(
            work=work,
            index=index,
            corrections=Corrections(work.corrections, index),
            space=space_of(index, sources.embeddings, work, progress.note),
            thumbnails=ThumbnailCache(work, samples),
            reasons=Reasons(work, sources),
            again=sources.again(work.corrections / "labels.csv"),
            channels=tuple(
                name for name in CHANNELS if any(name in one.channels for one in samples.values())
            ),
        )
    finally:
        lock.release()


def _pictures(options: ExploreOptions, work: Workspace, progress: Progress) -> Mapping[str, Sample]:
    """Return the pictures, to be read as they were; none, and a note, where they are gone."""
    try:
        return pictures_of(work, options.images)
    except PipelineError as error:
        if options.images is not None:
            raise
        progress.note(f"No picture is drawn: {error}; give their folder as --images")
        return {}
