"""The card beside a file of weights: what they are, from what, how good, and how to know them again."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.core.errors import PipelineError
from pipeline.core.files import replacing

UNSIGNED = "0" * 64
"""Digest of a card that has no file yet."""


class Card(BaseModel):
    """What is known about a file of weights.

    Attributes
    ----------
    objects : str
        What the network finds: nuclei or cells.
    diameter : float
        Median object diameter, in pixels, at which it works.
    inside : float
        Log-odds above which a pixel is inside an object.
    sha256 : str
        Digest of the file of weights; another file does not load.
    data, licence, command : str
        What it was trained on, under which licence it may be used, and by which command.
    steps : int
        Updates of the weights.
    recipe : str
        Digest of the settings and fields of the training.
    scores : dict
        Name of a measurement to its value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    objects: str
    diameter: float = Field(gt=1)
    inside: float = 0.0
    sha256: str = Field(default=UNSIGNED, pattern="^[0-9a-f]{64}$")
    data: str
    licence: str
    command: str
    steps: int
    recipe: str = ""
    scores: dict[str, float] = {}


def card_path(weights: Path) -> Path:
    """Return where the card of a file of weights lies."""
    return weights.with_suffix(".json")


def write_card(weights: Path, card: Card) -> None:
    """Write the card of a file of weights."""
    with replacing(card_path(weights)) as temporary:
        temporary.write_text(card.model_dump_json(indent=1) + "\n")


def read_card(weights: Path) -> Card:
    """Read the card of a file of weights.

    Raises
    ------
    PipelineError
        Where the card is missing or damaged.
    """
    path = card_path(weights)
    if not path.is_file():
        raise PipelineError(f"{path}: missing; weights come with a card of this name, copy it too")
    try:
        return Card.model_validate_json(path.read_text())
    except (ValidationError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path}: damaged card; restore it from where the weights came") from error
