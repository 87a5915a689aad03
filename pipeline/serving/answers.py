"""What is answered of a picture, and what is said of the model that answers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from pipeline.core.errors import PipelineError

if TYPE_CHECKING:
    from pipeline.stages.explain import Explanation

Status = Literal["answered", "not_sure", "unlike_training", "bad_input"]


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LocationAnswer(_Said):
    """What is said of one location."""

    name: str
    probability: float
    chosen: bool
    threshold: float = Field(description="Probability that is needed, at the risk that is allowed.")
    margin: float = Field(description="Probability minus threshold: how far the decision is from the other.")


class CellAnswer(_Said):
    """One cell that was found: what was measured."""

    label: int
    outline: list[tuple[int, int]] = Field(description="Corners, x and y in pixels.")


class CellSays(_Said):
    """What is answered of one cell; no location that its picture does not show."""

    label: int
    x: float | None = Field(description="Centre in pixels, from the left.")
    y: float | None = Field(description="Centre in pixels, from the top.")
    locations: tuple[str, ...]
    probabilities: dict[str, float]


class Seconds(_Said):
    """How long the parts of an answer took."""

    segmentation: float = 0.0
    features: float = 0.0
    embedding: float = 0.0
    model: float = 0.0
    total: float = 0.0


@dataclass(frozen=True)
class Explainer:
    """Explains an answer; answers that say the same are equal, whoever explains them."""

    explain: "Callable[[str], Explanation]" = field(compare=False)


class Answer(_Said):
    """What is answered of one picture."""

    id: str
    status: Status
    reason: str = Field("", description="Why there is no answer, and what else is to be known.")
    locations: tuple[LocationAnswer, ...] = Field((), description="All of the model; none of a bad input.")
    unlikeness: float | None = Field(
        None, description="How far it is from the training pictures; None where that was not learned."
    )
    cells: int | None = Field(None, description="Cells that were found; None where none were looked for.")
    outlines: tuple[CellAnswer, ...] = Field((), description="The cells, where they were asked for.")
    per_cell: tuple[CellSays, ...] = Field((), description="What every cell shows, where it was asked for.")
    channels: tuple[str, ...] = Field((), description="Channels that were used.")
    pixel_size_um: float | None = Field(None, description="Side of a pixel that was used; None: unknown.")
    model: str = Field(description="Digest of the model.")
    seconds: Seconds = Seconds()
    drift: str = Field("", description="That this and the pictures before it drift; of `serve` and `watch`.")

    _explainer: "Explainer | None" = PrivateAttr(None)

    def saying(self, cells: tuple[CellSays, ...]) -> Self:
        """Return the same answer, with what every cell shows."""
        made = self.model_copy(update={"per_cell": cells})
        made._explainer = self._explainer
        return made

    def explained_by(self, explain: "Callable[[str], Explanation]") -> Self:
        """Return the answer that can be asked why."""
        self._explainer = Explainer(explain)
        return self

    def explain(self, location: str) -> "Explanation":
        """Say why the picture has its probability of a location: contributions by meaning, as `explain` does.

        Raises
        ------
        PipelineError
            If there is no answer, or no trained model of the location.
        """
        if self._explainer is None:
            raise PipelineError(
                f"{self.id}: {self.status}, or answered by the shipped network, which gives no reasons; "
                "train a model"
            )
        return self._explainer.explain(location)

    @property
    def chosen(self) -> tuple[str, ...]:
        """Names of the chosen locations."""
        return tuple(one.name for one in self.locations if one.chosen)


class ModelInfo(_Said):
    """What is to be known of a loaded model."""

    digest: str
    name: str
    locations: dict[str, float] = Field(description="The probability that each location needs to be named.")
    risk: float | None = Field(None, description="Share of wrong names that is allowed, if that is bounded.")
    channels: tuple[str, ...] = Field(description="Channels that it was trained with.")
    segmenter: str = Field(description="What finds the cells; empty where none are looked for.")
    families: tuple[str, ...] = Field(description="Feature families that are measured.")
    networks: tuple[str, ...] = Field(description="Networks that pictures are embedded by.")
    device: str
    single_cells: bool = Field(False, description="Whether it says what every cell shows.")
    explained: tuple[str, ...] = Field((), description="Locations whose answers can be explained.")
    note: str = Field("", description="What the model was trained on, where that has to be known.")
