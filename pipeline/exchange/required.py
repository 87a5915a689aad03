"""Packages that only some exports need, and that are named where they are missing."""

from importlib import import_module
from typing import Any

from pipeline.core.errors import PipelineError

REQUIREMENTS = "requirements_export.txt"


def required(*names: str) -> tuple[Any, ...]:
    """Import packages.

    Raises
    ------
    PipelineError
        Naming one that is not installed, and how to install it.
    """
    try:
        return tuple(import_module(name) for name in names)
    except ImportError as error:
        raise PipelineError(
            f"the package '{error.name}' is not installed; install it by: pip install -r {REQUIREMENTS}"
        ) from error
