"""The stage `predict` without a model of the user's: the shipped network alone names the locations."""

import os

import pandas as pd

from pipeline.core.errors import PipelineError, write_problems
from pipeline.core.stage import Progress, file_inputs, option_inputs
from pipeline.core.workers import check_device
from pipeline.core.workspace import Workspace
from pipeline.data.flat_fields import even_samples
from pipeline.data.locations import LOCATIONS
from pipeline.data.samples import picture_inputs, samples_of
from pipeline.data.tables import unmatched
from pipeline.networks.checkpoints import CnnCard
from pipeline.networks.inference import embed_pictures
from pipeline.networks.shipped import SHIPPED_BLOCK, WEIGHTS, decided, shipped_card, shipped_embedder
from pipeline.stages.answered_pictures import answers_of, is_per_cell, write_answers
from pipeline.stages.options import PredictOptions
from pipeline.stages.predict import Predict, PredictSummary, looked_at, summarised

LACKS = ("lacks the protein or the nucleus", "add the channel")
"""Why the network says nothing of a picture, and the remedy."""

REAL = "real_"
"""How the names of the card's scores on real pictures begin."""

ALL = "all"
"""What follows the pictures in them where no channel was taken away."""

PICTURES = {"hpa2018": "70 of Kaggle 2018", "hpa_dictionary": "35 of HPA's dictionary"}
"""What these pictures are, by their folder."""

UNUSED = (
    *("embeddings", "outputs", "weights", "masks", "masks_of", "masks_hold", "nuclei_weights"),
    *("cell_weights", "risk", "head", "per", "groups"),
)
"""Options that only a model of the user's has a use for."""


class PredictShipped(Predict):
    """Name the locations in new pictures by the network that comes with the project."""

    def inputs(self, options: PredictOptions) -> dict[str, str]:
        """Return fingerprints of the network, the pictures and where the output lies."""
        check_options(options)
        return {
            **file_inputs({"network": WEIGHTS.with_suffix(".json")}),
            **picture_inputs(*samples_of(options), Workspace(options.work)),
            **option_inputs(options, "format"),
            "option output": os.path.relpath(options.output, options.work),
        }

    def run(self, options: PredictOptions, progress: Progress) -> PredictSummary:
        """Embed the pictures and write the predictions.

        Raises
        ------
        PipelineError
            If the weights are damaged, or no picture can be read.
        """
        card, deciding = shipped_card()
        progress.note(told(card))
        embedder = shipped_embedder()
        work = Workspace(options.work)
        samples, problems = even_samples(options, work)
        device = check_device(options.device or "cpu")
        table, more = embed_pictures(embedder, samples, work, options.jobs, progress, device)
        if table.empty:  # all pictures lack a channel that it needs
            table = table.reindex(columns=list(card.outputs))
        known = [*table.index, *(one.sample for one in more)]
        left = pd.Index([one.id for one in samples]).difference(known)
        more = [*more, *unmatched(left, SHIPPED_BLOCK, *LACKS)]
        write_problems(work.problems, "predict", more)
        prediction = decided(table.to_numpy(), table.index, card.outputs, deciding)
        problems = sorted({*problems, *more})
        answers = answers_of(samples, prediction.chosen, looked_at(options, samples, progress), problems)
        numbers = {name: LOCATIONS.index(name) for name in card.outputs}
        write_answers(options, answers, prediction.probability, numbers)
        return summarised(answers, problems)


def check_options(options: PredictOptions) -> None:
    """Refuse options that need a model of the user's, and no pictures."""
    fields = type(options).model_fields
    asked = [
        f"--{name.replace('_', '-')}"
        for name in UNUSED
        if getattr(options, name) != fields[name].get_default(call_default_factory=True)
    ]
    if asked:
        raise PipelineError(
            f"{asked[0]}: the shipped network has no use for it; give your --model, or leave it"
        )
    if is_per_cell(options):
        raise PipelineError(
            f"--format {options.format}: the shipped network knows no single cells; give your --model"
        )
    if options.images is None:
        raise PipelineError("--images is missing; give the folder of pictures")


def told(card: CnnCard) -> str:
    """Say what the network was trained on, and how it does on real pictures, by channels that they lack."""
    found: dict[str, list[str]] = {}
    for name, value in card.scores.items():
        if name.startswith(REAL):
            about, what = name.removeprefix(REAL).split(": ")
            pictures, channels = about.split(" ", maxsplit=1)
            if channels == ALL:
                found.setdefault(pictures, []).append(f"{what} {value:.2f}")
            elif what == "AUC":
                found.setdefault(pictures, []).append(f"{what} {channels} {value:.2f}")
    real = [f"{PICTURES.get(pictures, pictures)}: {', '.join(said)}" for pictures, said in found.items()]
    return (
        "the shipped network, trained on simulated pictures only, not on yours; on real pictures, on "
        f"which its scale and threshold were chosen: {'; '.join(real) or 'not measured'}"
    )
