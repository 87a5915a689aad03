"""The card beside a table of embeddings: what made it, and which pictures its network was trained on."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.core.errors import PipelineError
from pipeline.core.files import replacing
from pipeline.networks.preprocessing import Preprocessing

Per = Literal["picture", "cell"]
TrainedOn = tuple[str, ...] | Literal["unknown"]
UNKNOWN: Literal["unknown"] = "unknown"


class Embedder(BaseModel):
    """A network and everything that changes its answers: enough for `predict` to repeat it.

    Attributes
    ----------
    name : str
        Of the block of columns, ``cnn__<name>__…``.
    kind : str
        "torch" or "onnx".
    network : str
        Name of the architecture, or of the file.
    weights : Path
        File of weights; a name without a folder is a file that comes with the project.
    sha256 : str
        Digest of that file.
    preprocessing : Preprocessing
    outputs : tuple of str
        Names of the class outputs, empty where the network has none of use.
    per : str
        "picture", or "cell" for crops of segmented cells.
    embedding : str, optional
        For "onnx": the name of the output that is the embedding, and `logits` of the class outputs,
        which are `probabilities` or log-odds.
    keep : str
        "all" columns, or the class "outputs" alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["torch", "onnx"] = "torch"
    network: str
    weights: Path
    sha256: str
    preprocessing: Preprocessing
    outputs: tuple[str, ...] = ()
    per: Per = "picture"
    embedding: str | None = None
    logits: str | None = None
    probabilities: bool = False
    keep: Literal["all", "outputs"] = "all"


class EmbeddingCard(BaseModel):
    """What is known about a table of embeddings.

    Attributes
    ----------
    name, columns : str, int
        Block of columns, and how many.
    embedder : Embedder, optional
        The network; None for a table that came ready.
    trained_on : "unknown" or tuple of str
        Ids of the pictures that the network was trained on.
    training : str
        The same in words.
    folds : dict of str to int, optional
        Where every fold has a network of its own: the fold of each picture, whose network has not seen it.
    aligned : bool
        Whether a column means the same in every row; not so where rows come from different networks.
    sha256 : str
        Digest of the table, which the card belongs to.
    licence, command : str
        Of weights that come with the project: under which licence they may be used, and what made them.
    scores : dict of str to float
        Of such weights, on the pictures that chose them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    columns: int
    embedder: Embedder | None = None
    trained_on: TrainedOn = UNKNOWN
    training: str = "unknown"
    folds: dict[str, int] | None = None
    aligned: bool = True
    sha256: str = ""
    licence: str = ""
    command: str = ""
    scores: dict[str, float] = {}


def card_path(table: Path) -> Path:
    """Return where the card of a table lies."""
    return table.with_suffix(".json")


def write_card(table: Path, card: EmbeddingCard) -> None:
    """Write the card of a table."""
    with replacing(card_path(table)) as temporary:
        temporary.write_text(card.model_dump_json(indent=1) + "\n")


def read_card(table: Path) -> EmbeddingCard | None:
    """Read the card of a table; None where there is none.

    Raises
    ------
    PipelineError
        If it is damaged.
    """
    path = card_path(table)
    if not path.is_file():
        return None
    try:
        return EmbeddingCard.model_validate_json(path.read_text())
    except (ValidationError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path}: not a card of embeddings; run embed or train-cnn again") from error
