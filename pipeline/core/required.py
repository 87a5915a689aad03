"""Packages that only some commands need, and that are named where they are missing."""

from importlib import import_module
from typing import Any

from pipeline.core.errors import PipelineError


def required(*names: str, listed: str = "requirements_export.txt", asked: str = "") -> tuple[Any, ...]:
    """Import packages; `listed` is the file that lists them, `asked` the option that needs them, if any.

    Raises
    ------
    PipelineError
        Naming one that is not installed, and how to install it.
    """
    try:
        return tuple(import_module(name) for name in names)
    except ImportError as error:
        said = f"{asked}: " if asked else ""
        raise PipelineError(
            f"{said}the package '{error.name}' is not installed; install it by: pip install -r {listed}"
        ) from error
