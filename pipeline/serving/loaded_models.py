"""Models that are in memory with everything they need: a picture in, probabilities and choices out."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

import features
from models.bundle import Model
from models.drift import StreamDrift
from models.hyperparameters import CELLS
from models.stack_model import Prediction
from pipeline.core.errors import PipelineError, Problem, SampleError
from pipeline.core.files import file_digest
from pipeline.core.names import unknown
from pipeline.core.workers import one_thread, torch_threads
from pipeline.data.layouts import CHANNELS, Layout
from pipeline.data.masks import Segmentation
from pipeline.data.pictures import Picture
from pipeline.data.prediction_tables import OUTPUTS, log_odds_column
from pipeline.data.quality_control import doubt
from pipeline.data.quality_flags import flags
from pipeline.networks.checkpoints import open_network
from pipeline.networks.inference import embedding_row, lacks
from pipeline.networks.onnx import Forward
from pipeline.networks.preprocessing import Embedder
from pipeline.networks.shipped import SHIPPED_BLOCK, decided, shipped_card, shipped_embedder
from pipeline.segmentation import Segmenter, make_segmenter, measure_scale
from pipeline.serving.answers import CellSays, ModelInfo
from pipeline.serving.single_cells import SingleCells
from pipeline.stages import predict as trained_stage
from pipeline.stages import shipped_model as shipped_stage
from pipeline.stages.channel_views import lacking
from pipeline.stages.explain import Explanation, explained
from pipeline.stages.extraction import Extraction
from pipeline.stages.measuring import Measured, fitted_to, measure_picture
from pipeline.stages.options import SegmenterOption
from pipeline.stages.reliance import NOTHING_REACHES, judged, level_in_use, named, needed, why_unnamed
from pipeline.stages.trained_models import open_model, trained_extraction, with_start

MANY, LARGE = 32, 1024**2
"""Cells, and pixels, from which on one picture uses two cores: smaller ones are answered side by side."""

_CORES = min(2, os.cpu_count() or 1)
"""Threads of one picture, at most: what stays in Python lets no more of them run."""


@dataclass
class Clock:
    """How long parts of the work took, in seconds."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the time of the block to a part."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


@dataclass(frozen=True)
class Judgement:
    """What a model makes of a picture, why that counts for nothing, and what else is to be known."""

    prediction: Prediction
    doubt: str = ""
    unnamed: str = NOTHING_REACHES
    unlike: str = ""
    unlikeness: float | None = None
    notes: tuple[str, ...] = ()
    found: Segmentation | None = None
    pixel_size_um: float | None = None
    explain: Callable[[str], Explanation] | None = None
    of_cells: Callable[[], tuple[CellSays, ...]] = tuple


class LoadedModel(Protocol):
    """A model in memory; it may be asked by several threads at once."""

    info: ModelInfo
    uses_torch: bool

    def layout(self, given: Layout) -> Layout:
        """Return how pictures are read so that they compare with those of training."""
        ...

    def judge(self, name: str, picture: Picture, clock: Clock) -> Judgement:
        """Judge a picture; SampleError where it cannot be used."""
        ...

    def drift(self) -> StreamDrift | None:
        """Return what watches a stream of pictures; None where the training pictures are not known."""
        ...


class ShippedNetwork:
    """The network that comes with the project, alone."""

    uses_torch = True

    def __init__(self, device: str) -> None:
        card, self._deciding = shipped_card()
        self._outputs = card.outputs
        self._embedder = shipped_embedder()
        self._network = open_network(self._embedder, device)
        self.info = ModelInfo(
            digest=card.sha256,
            name="the shipped network",
            locations=dict.fromkeys(card.outputs, self._deciding.threshold),
            channels=card.preprocessing.channels,
            segmenter="",
            families=(),
            networks=(SHIPPED_BLOCK,),
            device=device,
            note=shipped_stage.told(card),
        )

    def layout(self, given: Layout) -> Layout:
        """Return what is given: the network scales each picture by itself."""
        return given

    def judge(self, name: str, picture: Picture, clock: Clock) -> Judgement:
        """Judge a picture by the network's log-odds."""
        if lacks(self._embedder, picture.channels):
            raise SampleError(Problem(name, SHIPPED_BLOCK, *shipped_stage.LACKS))
        with clock.part("embedding"):
            row = embedding_row(picture.pixels, self._embedder, self._network, None, picture.channels)
        with clock.part("model"):
            log_odds = np.array([list(row.values())], np.float32)
            found = decided(log_odds, pd.Index([name]), self._outputs, self._deciding)
            why_not = doubt(picture.pixels, channels=picture.channels)
        return Judgement(found, why_not, pixel_size_um=picture.pixel_size_um)

    def drift(self) -> None:
        """Return nothing: where its training pictures lie was not learned."""


class TrainedModel:
    """A model of the user's with its segmenter and networks.

    Raises
    ------
    PipelineError
        If it is damaged, or needs more than a picture.
    """

    def __init__(
        self,
        folder: Path,
        device: str,
        segmenter: dict[str, SegmenterOption],
        weights: Mapping[str, Path],
        risk: float | None = None,
    ) -> None:
        self._model = model = open_model(folder)
        self._level = level = level_in_use(model.card, risk, folder)
        self._columns = model.columns
        self._singles = SingleCells(model)
        self._extraction = _extraction(folder, model)
        self._segmenter = _segmenter(self._extraction, segmenter)
        self._networks = _networks(folder, model, weights, device)
        self._beside = ThreadPoolExecutor(_CORES, "embed")
        self._check_columns(folder)
        finds = self._segmenter is not None and self._segmenter.uses_torch
        self.uses_torch = finds or any(embedder.kind == "torch" for embedder, _ in self._networks)
        families = () if self._extraction is None else tuple(self._extraction.families)
        self.info = ModelInfo(
            digest=file_digest(folder / "manifest.json"),
            name=str(folder),
            locations=needed(model, level),
            risk=level and level.risk,
            channels=CHANNELS if self._extraction is None else self._extraction.channels,
            segmenter="" if self._extraction is None else self._extraction.segmenter,
            families=families,
            networks=tuple(embedder.name for embedder, _ in self._networks),
            explained=model.locations,
            single_cells=bool(self._singles),
            device=device,
        )

    def layout(self, given: Layout) -> Layout:
        """Return how pictures are read: as in training, but for what is given."""
        return given if self._extraction is None else self._extraction.fitting_layout(given)

    def judge(self, name: str, picture: Picture, clock: Clock) -> Judgement:
        """Segment, measure and embed a picture as those of training were, and predict."""
        measured, found, told = None, None, ""
        if self._extraction is None or self._segmenter is None:
            embedded = self._embedded(name, picture, clock)
        else:
            whole = self._beside.submit(self._embedded, name, picture, clock)
            sized, found, told = self._cells(name, picture, self._extraction, self._segmenter, clock)
            with clock.part("features"):
                families = tuple(self._extraction.families)
                many = found.count >= MANY or found.cells.size >= LARGE
                measured = measure_picture(name, "", sized, found, families, _CORES if many else 1)
            embedded = whole.result() | self._embedded(name, picture, clock, found)
        with clock.part("model"):
            numbers = measured.numbers() | self._singles.bag(measured) if measured else {}
            made = self._predicted(name, embedded | numbers, embedded, measured, found)
        absent = lacking(self._model.card, picture.channels)
        if measured is None:
            why_not, size = doubt(picture.pixels, channels=picture.channels), picture.pixel_size_um
            return replace(made, doubt=why_not, notes=(*made.notes, absent), pixel_size_um=size)
        notes = (*made.notes, _flags(measured), absent, told)
        size = sized.pixel_size_um
        return replace(made, doubt=measured.doubt, notes=notes, found=found, pixel_size_um=size)

    def drift(self) -> StreamDrift | None:
        """Return what watches a stream of pictures; None for models of older versions."""
        known = self._model.unlikeness
        return StreamDrift(known.single) if known is not None and len(known.single) else None

    def _predicted(
        self,
        name: str,
        numbers: Mapping[str, np.float32],
        embedded: Mapping[str, np.float32],
        measured: Measured | None,
        found: Segmentation | None,
    ) -> Judgement:
        """Predict from the numbers of a picture, by column; those of embeddings are given once more."""
        row = np.array([[numbers.get(column, np.nan) for column in self._columns]], np.float32)
        table = pd.DataFrame(row, [name], self._model.stack.index)
        bare = self._model.predict(table)
        both, alone = with_start(bare, self._model.card, pd.DataFrame([embedded], [name]))
        prediction = Prediction(both.probability, named(both.probability, both.chosen, self._level))
        like = judged(self._model, table, pd.Series(dtype=object), pd.Series("", [name]))
        return Judgement(
            prediction,
            unnamed=why_unnamed(self._level),
            unlike=like.reasons.get(name, ""),
            unlikeness=float(like.scores[name]) if len(like.scores) else None,
            notes=(alone.get(name, ""),),
            explain=partial(self._explained, table, measured, found),
            of_cells=partial(self._said_of_cells, measured, found, prediction),
        )

    def _said_of_cells(
        self, measured: Measured | None, found: Segmentation | None, prediction: Prediction
    ) -> tuple[CellSays, ...]:
        """Say what every cell shows."""
        if measured is None or found is None:
            return ()
        with one_thread:
            return self._singles.says(measured, found, prediction)

    def _explained(
        self, table: pd.DataFrame, measured: Measured | None, found: Segmentation | None, location: str
    ) -> Explanation:
        """Explain the one picture of a table."""
        if location not in self._model.locations:
            raise PipelineError(f"no model for {unknown('location', location, self._model.locations)}")
        with one_thread:
            made = explained(self._model, table, location)
            if measured is None or found is None or not self._singles:
                return made
            return self._singles.speaking(made, table, measured, found)

    def _cells(
        self, name: str, picture: Picture, extraction: Extraction, segmenter: Segmenter, clock: Clock
    ) -> tuple[Picture, Segmentation, str]:
        """Find the cells of a picture, at its own scale or that of training."""
        if "nucleus" not in picture.channels:
            raise SampleError(Problem(name, "channels", "no plane of nucleus", "give the plane of nuclei"))
        with clock.part("segmentation"):
            trained = extraction.scale
            here = measure_scale(segmenter, [picture], cells=trained is None, trained=trained)
            fitted, _, sizes, told = fitted_to(segmenter, here, trained)
            sized = sizes.of(picture)
            return sized, (fitted or segmenter).segment(sized, _CORES), told

    def _embedded(
        self, name: str, picture: Picture, clock: Clock, found: Segmentation | None = None
    ) -> dict[str, np.float32]:
        """Embed the whole picture or, where they were found, its cells."""
        per, cells = ("picture", None) if found is None else ("cell", found.with_small_labels()[0].cells)
        numbers: dict[str, np.float32] = {}
        for embedder, network in self._networks:
            if embedder.per != per:
                continue
            if lacks(embedder, picture.channels):
                if self._extraction is None:
                    raise SampleError(Problem(name, embedder.name, *trained_stage.LACKS))
                absent = [log_odds_column(embedder.name, one) for one in embedder.outputs]
                numbers |= dict.fromkeys(absent, np.float32(np.nan))
                continue
            with clock.part("embedding"), torch_threads(1) if embedder.kind == "torch" else nullcontext():
                numbers |= embedding_row(picture.pixels, embedder, network, cells, picture.channels)
        return numbers

    def _check_columns(self, folder: Path) -> None:
        """Refuse a model of columns that this program does not compute."""
        families = None if self._extraction is None else tuple(self._extraction.families)
        known = set() if families is None else {*features.picture_columns(families)}
        if families is not None and {*self._singles.columns} <= {*features.cell_columns(families)}:
            known |= {*self._model.stack.blocks.get(CELLS, ())}
        blocks = tuple(f"cnn__{embedder.name}__" for embedder, _ in self._networks)
        missing = [
            one for one in self._columns if one not in known and not (blocks and one.startswith(blocks))
        ]
        if missing:
            raise PipelineError(
                f"{folder}: {len(missing)} of its {len(self._columns)} columns are not here ({missing[0]}); "
                "train again"
            )


def _extraction(folder: Path, model: Model) -> Extraction | None:
    """Return how pictures are measured; refuse a model that needs more than a picture."""
    needs = {
        "other pictures of a plate (--normalise-by)": model.card.get("normalisation") is not None,
        "predictions of other networks (--outputs)": OUTPUTS in model.stack.blocks,
    }
    found = None if model.card.get("extraction") is None else trained_extraction(folder, model.card)
    needs["masks that were given (--masks)"] = found is not None and found.masks is not None
    if what := next((what for what, does in needs.items() if does), ""):
        raise PipelineError(f"{folder}: needs {what} beside the picture; use predict for folders of pictures")
    if found is not None:
        found.check_families()
    return found


def _segmenter(extraction: Extraction | None, options: dict[str, SegmenterOption]) -> Segmenter | None:
    """Return what finds cells as in training, not yet fitted to a picture."""
    if extraction is None:
        return None
    extraction.repeat_segmenter(options)
    return make_segmenter(extraction.segmenter, **extraction.segmenting(options))


def _networks(
    folder: Path, model: Model, weights: Mapping[str, Path], device: str
) -> list[tuple[Embedder, Forward]]:
    """Load the networks that pictures were embedded by in training."""
    cards = trained_stage.embedding_cards(model)
    if tables := [name for name, card in cards.items() if card.embedder is None]:
        raise PipelineError(
            f"{folder}: needs the table of embeddings '{tables[0]}' beside the picture; use predict"
        )
    embedders = [card.embedder for card in cards.values() if card.embedder is not None]
    if absent := sorted(weights.keys() - {one.name for one in embedders}):
        raise PipelineError(unknown("embedding", absent[0], [one.name for one in embedders]))
    here = [one.model_copy(update={"weights": weights.get(one.name, one.weights)}) for one in embedders]
    return [(one, open_network(one, device)) for one in here]


def _flags(measured: Measured) -> str:
    """Say what a person should look at in the picture, by limits that need no other pictures."""
    row = pd.DataFrame([{"cells": measured.summary["cells"], **measured.quality}])
    told = str(flags(row).iloc[0])
    return f"flagged: {told}" if told else ""
