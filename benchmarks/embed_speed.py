"""Speed of embedding: the two bars of the shipped network and of the competition winner's architecture.

Run from the project's folder on an idle machine: ``python benchmarks/embed_speed.py``. Pictures are
simulated, 512 x 512 x 4 as PNG. First, whole pictures against the plain forward pass of the same network, in
this process with one thread, one picture at a time, by turns, so that a busy machine slows both alike
(the winner's weights are random, which changes no time). Then the stage ``embed --network builtin`` as it is,
with its processes and their start.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from pipeline.core.stage import SilentProgress, execute
from pipeline.core.weights import SHIPPED, read_card, save_state
from pipeline.data.locations import LOCATIONS
from pipeline.data.pictures import read_picture
from pipeline.data.samples import Sample, find_samples
from pipeline.networks.architectures import architecture, build_network, forward
from pipeline.networks.checkpoints import CnnCard, load_network, open_network
from pipeline.networks.inference import embedding_row
from pipeline.networks.preprocessing import Embedder, Preprocessing
from pipeline.stages.embed import BUILTIN, Embed
from pipeline.stages.options import EmbedOptions, SimulateOptions
from pipeline.stages.simulate import Simulate

WINNER = "bestfitting-densenet121"


def builtin() -> Embedder:
    """Return the shipped network."""
    path = SHIPPED / f"{BUILTIN}.safetensors"
    card = read_card(path, CnnCard)
    assert card is not None
    return card.embedder(BUILTIN, path)


def with_random_weights(name: str, folder: Path) -> Embedder:
    """Return an architecture with weights that mean nothing."""
    torch.manual_seed(0)
    weights = folder / "weights.safetensors"
    digest = save_state(weights, build_network(name, len(LOCATIONS)).state_dict())
    side = architecture(name).side
    return Embedder(
        name="timed",
        network=name,
        weights=weights,
        sha256=digest,
        preprocessing=Preprocessing(side=side),
        outputs=LOCATIONS,
    )


def against_the_plain_pass(embedder: Embedder, samples: Sequence[Sample]) -> None:
    """Print the time of a picture by `embed`, of the network's forward pass alone, and their ratio."""
    run = open_network(embedder)
    network = load_network(embedder).eval()
    network = network.to(memory_format=torch.channels_last)
    side = embedder.preprocessing.side
    planes = torch.rand(1, 4, side, side).contiguous(memory_format=torch.channels_last)
    whole, plain = [], []
    for sample in samples:
        start = time.perf_counter()
        embedding_row(read_picture(sample).pixels, embedder, run)
        middle = time.perf_counter()
        with torch.inference_mode():
            forward(network, planes)
        plain.append(time.perf_counter() - middle)
        whole.append(middle - start)
    ratios = np.array(whole[1:]) / np.array(plain[1:])
    print(
        f"{embedder.network}, input {side} px, {len(ratios)} pictures, medians, one thread: embed "
        f"{1000 * np.median(whole[1:]):.1f} ms, forward pass {1000 * np.median(plain[1:]):.1f} ms a picture; "
        f"ratio {np.median(ratios):.2f} (bar for {WINNER}: at most 1.2)",
        flush=True,
    )


def throughput(folder: Path, samples: Sequence[Sample], pictures: int, jobs: int) -> None:
    """Print pictures per second of the stage, its start included and, from two sizes, left out."""
    seconds = []
    sizes = (pictures // 4, pictures)
    for size in sizes:
        images = folder / f"many-{size}"
        images.mkdir()
        for number in range(size):
            for path in samples[number % len(samples)].paths:
                shutil.copy(path, images / f"p{number:04}_{path.stem.rsplit('_', 1)[1]}.png")
        start = time.perf_counter()
        options = EmbedOptions(images=images, work=folder / f"work-{size}", network=BUILTIN, jobs=jobs)
        execute(Embed(), options, SilentProgress())
        seconds.append(time.perf_counter() - start)
    steady = (sizes[1] - sizes[0]) / (seconds[1] - seconds[0])
    print(
        f"embed --network {BUILTIN}, {jobs} processes: {pictures} pictures in {seconds[1]:.1f} s, "
        f"{pictures / seconds[1]:.1f} a second with the start, {steady:.1f} without (bar: at least 15)"
    )


def main() -> None:
    """Print both bars."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=12, help="Pictures to simulate.")
    parser.add_argument("--many", type=int, default=240, help="Pictures for the stage: copies of those.")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asked = SimulateOptions(out=folder, pictures=given.pictures, seed=4242)
        execute(Simulate(), asked, SilentProgress())
        samples, _ = find_samples(folder / "images")
        for embedder in (with_random_weights(WINNER, folder), builtin()):
            against_the_plain_pass(embedder, samples)
        throughput(folder, samples, given.many, given.jobs)


if __name__ == "__main__":
    main()
