"""The predictor: a model that is loaded once and answers picture after picture."""

import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self, overload

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from pipeline.core.errors import PipelineError, SampleError
from pipeline.core.weights import SHIPPED
from pipeline.core.workers import check_device, one_thread, torch_threads
from pipeline.data.layouts import CHANNELS, Layout
from pipeline.data.masks import Segmentation
from pipeline.data.pictures import Picture, read_picture
from pipeline.data.samples import Sample, find_samples, with_ranges
from pipeline.serving.answers import Answer, CellAnswer, LocationAnswer, ModelInfo, Seconds, Status
from pipeline.serving.arrays import picture_of
from pipeline.serving.loaded_models import Clock, Judgement, LoadedModel, ShippedNetwork, TrainedModel
from pipeline.serving.streams import Stream
from pipeline.stages.answered_cells import UNTRAINED
from pipeline.stages.answered_pictures import NOT_SURE, UNLIKE, answer_of, names_of
from pipeline.stages.options import SegmenterOption
from pipeline.stages.serve_options import LoadOptions
from pipeline.stages.warming import warm_up

Pixels = NDArray[Any]

BAD_INPUT: Status = "bad_input"

_WARM = 128
"""Side in pixels of the made-up picture that everything is loaded with."""


class Predictor:
    """A model in memory: the same answers as the command `predict` gives for each picture by itself.

    It may be asked by several threads at once. Nothing is written.

    Examples
    --------
    >>> predictor = Predictor.load("demo/work/model")
    >>> answer = predictor.predict(pixels, channels=("protein", "nucleus"), pixel_size_um=0.16)
    >>> answer.status, answer.chosen
    """

    def __init__(self, model: LoadedModel, layout: Layout | None = None) -> None:
        self._model = model
        self._layout = model.layout(layout or Layout())
        self._reading = threading.Lock()  # what decoders warn of is kept quiet for the whole process

    @classmethod
    def load(
        cls,
        model: Path | str | None = None,
        *,
        layout: Layout | None = None,
        device: str = "cpu",
        segmenter: Mapping[str, SegmenterOption] | None = None,
        weights: Mapping[str, Path] | None = None,
        risk: float | None = None,
        warm: bool = True,
    ) -> Self:
        """Load a model and everything it needs.

        Parameters
        ----------
        model : Path or str, optional
            Folder of a trained model; the shipped network unless given.
        layout : Layout, optional
            How pictures are read, where that differs from those of training.
        device : str
            Where networks run: "cpu", or "cuda", whose last digits may differ.
        segmenter : mapping, optional
            Where the segmenter's weights lie now: ``nuclei_weights``, ``cell_weights``.
        weights : mapping of str to Path, optional
            Where the weights of embeddings lie now, by name.
        risk : float, optional
            Share of wrong names that is allowed, one that was calibrated; that of the training unless given.
        warm : bool
            Whether to answer a made-up picture first, so that no later one waits for what is loaded or
            compiled at its first use.

        Raises
        ------
        PipelineError
            If the model is missing or damaged, or needs more than a picture: tables, given masks, a plate.
        """
        check_device(device)
        if model is None and risk is not None:
            raise PipelineError(f"risk {risk:g}: the shipped network was calibrated for none; give a model")
        if model is None:
            loaded: LoadedModel = ShippedNetwork(device)
        else:
            moved = {**(segmenter or {}), **({} if device == "cpu" else {"device": device})}
            loaded = TrainedModel(Path(model), device, moved, weights or {}, risk)
        made = cls(loaded, layout)
        if warm:
            made.warm_up()
        return made

    @property
    def info(self) -> ModelInfo:
        """What is to be known of the model."""
        return self._model.info

    @property
    def layout(self) -> Layout:
        """How pictures are read."""
        return self._layout

    def stream(self) -> Stream:
        """Return what says whether pictures that are answered one after another drift."""
        return Stream(self._model.drift())

    @overload
    def predict(
        self,
        pixels: Pixels,
        channels: Sequence[str] = ...,
        pixel_size_um: float | None = ...,
        *,
        name: str = ...,
        outlines: bool = ...,
        per_cell: bool = ...,
    ) -> Answer: ...

    @overload
    def predict(
        self,
        pixels: Sequence[Pixels],
        channels: Sequence[str] = ...,
        pixel_size_um: float | None = ...,
        *,
        name: str = ...,
        outlines: bool = ...,
        per_cell: bool = ...,
    ) -> list[Answer]: ...

    def predict(
        self,
        pixels: Pixels | Sequence[Pixels],
        channels: Sequence[str] = CHANNELS,
        pixel_size_um: float | None = None,
        *,
        name: str = "picture",
        outlines: bool = False,
        per_cell: bool = False,
    ) -> Answer | list[Answer]:
        """Answer one picture, or each of several.

        Parameters
        ----------
        pixels : ndarray, shape (channels, height, width), or several of them
            Values as a camera or a file gives them; see `pipeline.serving.arrays.picture_of`.
        channels : sequence of str
            What the planes show.
        pixel_size_um : float, optional
            Side of a pixel in micrometres.
        name : str
            What the picture is called in the answer; several are numbered.
        outlines : bool
            Whether the cells' outlines are part of the answer.
        per_cell : bool
            Whether it says what every cell shows; needs a model of `train --cells`.

        Returns
        -------
        Answer or list of Answer
            What is wrong with a picture is said in its answer, of status ``bad_input``.

        Raises
        ------
        PipelineError
            If the arrays are none of these channels.
        """
        if isinstance(pixels, np.ndarray) and pixels.ndim < 4:
            try:
                picture = picture_of(pixels, channels, pixel_size_um, self._layout, name)
            except SampleError as error:
                return self.refusal(name, error)
            return self.answer(picture, name, outlines=outlines, per_cell=per_cell)
        return [
            self.predict(
                one, channels, pixel_size_um, name=f"{name} {number}", outlines=outlines, per_cell=per_cell
            )
            for number, one in enumerate(pixels)
        ]

    def predict_folder(self, folder: Path, *, outlines: bool = False) -> Answer:
        """Answer the one picture whose files lie in a folder; see `read_folder`."""
        try:
            name, picture = self.read_folder(folder)
        except SampleError as error:
            return self.refusal(error.problem.sample, error)
        return self.answer(picture, name, outlines=outlines)

    def read_folder(self, folder: Path, layout: Layout | None = None) -> tuple[str, Picture]:
        """Read the one picture whose files lie in a folder, as `predict` does; return its id, too.

        Parameters
        ----------
        folder : Path
        layout : Layout, optional
            How it is read, in place of the predictor's.

        Raises
        ------
        PipelineError
            If the folder holds no sample, or several.
        SampleError
            If it cannot be read.
        """
        used = self._layout if layout is None else self._model.layout(layout)
        with self._reading:
            samples, problems = find_samples(folder, None, used)
            if len(samples) != 1 or problems:
                listed = ", ".join([one.id for one in samples] + [one.sample for one in problems])
                raise PipelineError(
                    f"{len(samples) + len(problems)} samples ({listed}); give the files of one"
                )
            return samples[0].id, read_picture(samples[0])

    def answer_sample(self, sample: Sample) -> Answer:
        """Answer a sample of a folder by itself, read by the predictor's layout."""
        try:
            with self._reading:
                picture = read_picture(with_ranges([sample], self._layout)[0])
        except SampleError as error:
            return self.refusal(sample.id, error)
        return self.answer(picture, sample.id)

    def answer(
        self, picture: Picture, name: str, *, outlines: bool = False, per_cell: bool = False
    ) -> Answer:
        """Answer a picture that was read; PipelineError where cells are asked of a model that knows none."""
        if per_cell:
            self._check_cells()
        clock = Clock()
        with clock.part("total"), one_thread, torch_threads(1) if self._model.uses_torch else nullcontext():
            try:
                found = self._model.judge(name, picture, clock)
            except SampleError as error:
                return self.refusal(name, error)
        answer = self._answer(name, picture, found, Seconds(**clock.seconds), outlines=outlines)
        return answer.saying(found.of_cells()) if per_cell and answer.status != BAD_INPUT else answer

    def _check_cells(self) -> None:
        if not self.info.single_cells:
            raise PipelineError(f"{self.info.name}: {UNTRAINED}")

    def refusal(self, name: str, error: SampleError) -> Answer:
        """Return the answer to a picture that cannot be used."""
        one = error.problem
        reason = f"{one.file}: {one.reason}; {one.remedy}"
        return Answer(id=name, status=BAD_INPUT, reason=reason, model=self.info.digest)

    def warm_up(self) -> None:
        """Answer a made-up picture, so that everything is loaded and compiled."""
        for family in self.info.families:
            warm_up(family)
        rng = np.random.default_rng(0)
        pixels = rng.random((len(CHANNELS), _WARM, _WARM), np.float32) / 10
        for centre in (32, 96):
            for plane in pixels:
                cv2.circle(plane, (centre, centre), 16, 0.9, -1)
        self.answer(Picture(pixels), "warm-up")

    def _answer(
        self, name: str, picture: Picture, found: Judgement, seconds: Seconds, *, outlines: bool
    ) -> Answer:
        chosen = found.prediction.chosen
        _, status, why = answer_of(names_of(chosen)[0], found.doubt, "", found.unnamed)
        is_bad = bool(found.doubt)
        sure: Status = "not_sure" if status == NOT_SURE else "answered"
        made = Answer(
            id=name,
            status=BAD_INPUT if is_bad else UNLIKE if found.unlike else sure,
            reason="; ".join(filter(None, ["" if is_bad else found.unlike, why, *found.notes])),
            locations=() if is_bad else self._locations(found),
            unlikeness=found.unlikeness,
            cells=None if found.found is None else found.found.count,
            outlines=_outlines(found.found) if outlines and found.found is not None else (),
            channels=picture.channels,
            pixel_size_um=found.pixel_size_um,
            model=self.info.digest,
            seconds=seconds,
        )
        return made if is_bad or found.explain is None else made.explained_by(found.explain)

    def _locations(self, found: Judgement) -> tuple[LocationAnswer, ...]:
        probability, chosen = found.prediction.probability.iloc[0], found.prediction.chosen.iloc[0]
        return tuple(
            LocationAnswer(
                name=name,
                probability=float(probability[name]),
                chosen=bool(chosen[name]),
                threshold=threshold,
                margin=float(probability[name]) - threshold,
            )
            for name, threshold in self.info.locations.items()
        )


def predictor_of(options: LoadOptions, layout: Layout | None) -> Predictor:
    """Return the predictor that the options of a command ask for."""
    model = None if options.model == SHIPPED else options.model
    return Predictor.load(
        model, layout=layout, device=options.device, weights=options.weights, risk=options.risk
    )


def _outlines(found: Segmentation) -> tuple[CellAnswer, ...]:
    """Return the outline of every cell, the longest of its parts."""
    cells = found.with_small_labels()[0].cells
    made = []
    for label, box in enumerate(find_objects(cells), start=1):
        if box is None:
            continue
        mask, corner = (cells[box] == label).astype(np.uint8), (box[1].start, box[0].start)
        rings, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=corner)
        ring = max(rings, key=len)[:, 0]
        made.append(CellAnswer(label=label, outline=[(int(x), int(y)) for x, y in ring]))
    return tuple(made)
