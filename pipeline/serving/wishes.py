"""What a client may wish beside an answer over HTTP: outlines, the picture, reasons."""

import base64
from collections.abc import Callable

import cv2
from pydantic import BaseModel, Field

from pipeline.core.errors import PipelineError
from pipeline.data.pictures import Picture
from pipeline.serving.answers import Answer, ModelInfo
from pipeline.serving.predictor import Predictor
from pipeline.serving.uploads import NAME, RefusedError
from pipeline.stages.explain import Part
from pipeline.stages.overlay import composite

WISHES = ("outlines", "preview", "reasons", "per_cell")
"""What may be asked for beside the answer."""

_PARTS = 6
"""Contributions that are shown of a location."""


class Reasons(BaseModel):
    """What speaks most for and against a location, where that was asked for."""

    location: str
    parts: list[Part] = Field(description="By meaning, the largest contribution to the log-odds first.")


class Served(Answer):
    """An answer over HTTP."""

    preview: str = Field("", description="The picture in colours as a data URI, where it was asked for.")
    reasons: list[Reasons] = Field([], description="Of the chosen locations, or the most probable one.")


def served(predictor: Predictor, read: Callable[[], Picture], asked: set[str]) -> Served:
    """Read and answer a picture, and add what was wished."""
    picture = read()
    try:
        answer = predictor.answer(picture, NAME, outlines="outlines" in asked, per_cell="per_cell" in asked)
    except PipelineError as error:
        raise RefusedError(422, str(error)) from error
    preview = _preview(picture) if "preview" in asked else ""
    reasons = _reasons(answer, predictor.info) if "reasons" in asked else []
    return Served(**dict(answer), preview=preview, reasons=reasons)


def _reasons(answer: Answer, info: ModelInfo) -> list[Reasons]:
    """Explain the chosen locations, or the most probable one; none of them where nothing can be explained."""
    explained = [one for one in answer.locations if one.name in info.explained]
    likeliest = sorted(explained, key=lambda one: -one.probability)[:1]
    wanted = [one for one in explained if one.chosen] or likeliest
    return [Reasons(location=one.name, parts=answer.explain(one.name).parts[:_PARTS]) for one in wanted]


def _preview(picture: Picture) -> str:
    """Return the picture in colours as the data URI of a PNG."""
    written, content = cv2.imencode(".png", composite(picture)[..., ::-1])
    return f"data:image/png;base64,{base64.b64encode(content.tobytes()).decode()}" if written else ""
