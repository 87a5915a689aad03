"""What `serve` starts with: the service as the options say, and its token."""

import secrets

from fastapi import FastAPI

from pipeline.core.errors import PipelineError
from pipeline.serving.answers import ModelInfo
from pipeline.serving.predictor import predictor_of
from pipeline.serving.service import Terms, make_app
from pipeline.stages.serve_options import LOOPBACK, ServeOptions

SHORTEST = 16
"""Letters of a token at least."""


def token_of(options: ServeOptions) -> str:
    """Return the token to be sent: the file's, or a new one where other machines may reach the service.

    Raises
    ------
    PipelineError
        If the file cannot be read, or holds none.
    """
    path = options.token_file
    if path is None:
        return "" if options.host in LOOPBACK else secrets.token_urlsafe(24)
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path}: cannot be read ({error}); give a file with the token alone") from error
    if len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        raise PipelineError(f"{path}: no token; write at least {SHORTEST} letters and digits into it")
    return token


def application(options: ServeOptions, token: str) -> tuple[FastAPI, ModelInfo]:
    """Load the model and return the service."""
    predictor = predictor_of(options, options.layout)
    terms = Terms(
        layout=options.layout,
        token=token,
        jobs=options.jobs,
        queue=options.queue,
        max_bytes=options.max_megabytes * 2**20,
        timeout=options.timeout,
        hosts=LOOPBACK if options.host in LOOPBACK else (),
    )
    return make_app(predictor, terms), predictor.info
