"""Options of the commands that keep a model in memory: `serve` and `watch`. Imports nothing heavy."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from pipeline.core.stage import Options, Shown
from pipeline.core.weights import SHIPPED
from pipeline.data.dataset_options import PROCESSORS, Device, PictureLayout, PictureOptions
from pipeline.stages.options import parse_weights

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Hosts that only this machine reaches."""


class LoadOptions(Options):
    """Which model is kept in memory, and where its networks run."""

    model: Annotated[Path, Shown(default="the shipped network")] = Field(
        SHIPPED, description="Folder of a trained model, such as WORK/model."
    )
    risk: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Share of wrong names that is allowed, one that train calibrated; that of the training "
        "unless given.",
    )
    device: Device = "cpu"
    weights: Annotated[Mapping[str, Path], BeforeValidator(parse_weights)] = Field(
        default_factory=dict,
        description="NAME=FILE: where an embedding's weights lie now, if not where they did in training; "
        "repeatable.",
    )


class ListenOptions(Options):
    """Where a command listens for clients, and what these have to send."""

    host: str = Field(
        "127.0.0.1", description="Address to listen at; others than this machine's need a token."
    )
    port: int = Field(8000, ge=0, le=65535, description="Port to listen at; 0 takes a free one.")
    token_file: Path | None = Field(
        None,
        description="File that holds the token clients have to send; one is made and shown unless given.",
    )


class ServeOptions(ListenOptions, LoadOptions):
    """Options of `serve`."""

    layout: PictureLayout = None
    jobs: Annotated[int, Shown(default="all processors")] = Field(
        PROCESSORS, ge=1, le=64, description="Pictures that are answered at once."
    )
    queue: int = Field(
        16, ge=0, le=1000, description="Requests that wait; further ones are told to come back (503)."
    )
    max_megabytes: int = Field(64, ge=1, le=4096, description="Largest request.")
    timeout: float = Field(60.0, gt=0, description="Seconds until a request is given up.")


class WatchOptions(LoadOptions, PictureOptions):
    """Options of `watch`."""

    images: Path = Field(description="Folder that the microscope fills.")
    output: Path = Field(description="File of answers, a line of JSON per picture; it is continued.")
    settled: float = Field(
        1.0, ge=0, description="Seconds that the files of a picture must not have changed before it is read."
    )
    every: float = Field(0.5, gt=0, description="Seconds between looks at the folder.")
    jobs: Annotated[int, Shown(default="all processors")] = Field(
        PROCESSORS, ge=1, le=64, description="Pictures that are answered at once."
    )
    queue: int = Field(
        16,
        ge=1,
        description="Pictures that are answered before the folder is looked at again; where more wait, the "
        "newest come first.",
    )
    until: float | None = Field(
        None, gt=0, description="Seconds without a new picture after which it ends; never unless given."
    )
