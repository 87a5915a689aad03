"""What `serve` starts with: the service as the options say."""

from fastapi import FastAPI

from pipeline.serving.admission import hosts_of
from pipeline.serving.answers import ModelInfo
from pipeline.serving.predictor import predictor_of
from pipeline.serving.service import Terms, make_app
from pipeline.stages.serve_options import ServeOptions


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
        hosts=hosts_of(options),
    )
    return make_app(predictor, terms), predictor.info
