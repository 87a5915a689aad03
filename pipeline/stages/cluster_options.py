"""Options of work on many machines. Imports nothing heavy."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from pipeline.core.clusters import FORMS
from pipeline.core.errors import PipelineError
from pipeline.core.stage import Options, Shown

MANY = "Many machines"


def _shard(given: str | None) -> str | None:
    if given is not None and not (
        (found := re.fullmatch(r"(\d+)/(\d+)", given)) and 0 < int(found[1]) <= int(found[2])
    ):
        raise PipelineError(f"--shard {given}: no part of a whole; give 1/8 to 8/8")
    return given


class ClusterUse(Options):
    """Where chunks of work run; results are the same bits."""

    cluster: Annotated[str | None, Shown(panel=MANY)] = Field(
        None,
        description=f"Work on a Dask cluster in place of --jobs processes: {FORMS}. See docs/cluster.md.",
    )


class ShardUse(ClusterUse):
    """Which part of the pictures is measured: for arrays of jobs without a scheduler."""

    shard: Annotated[str | None, AfterValidator(_shard), Shown(panel=MANY)] = Field(
        None,
        description="i/n: measure one of n parts of the pictures, and write no tables; several may run at "
        "once. Run without it at last.",
    )
