"""Time of embedding against the plain forward pass of the same network, and pictures per second.

Run from the project's folder: ``python benchmarks/embed_speed.py [--network NAME]``. Pictures are
simulated, 512 x 512 x 4 as PNG; weights are random, which changes no time. Both ways run in this process with
one thread, one picture at a time, by turns, so that a busy machine slows both alike.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from models.networks import architecture, build_network, forward
from pipeline.embedding.card import Embedder
from pipeline.embedding.columns import embedding_row
from pipeline.embedding.preprocessing import Preprocessing
from pipeline.embedding.weights import open_network, save_state
from pipeline.images import read_picture
from pipeline.locations import LOCATIONS
from pipeline.samples import find_samples
from pipeline.simulate import simulate


def main() -> None:
    """Print both times per picture, their ratio, and pictures per second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="bestfitting-densenet121")
    parser.add_argument("--pictures", type=int, default=12)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate(folder, given.pictures, seed=4242)
        samples, _ = find_samples(folder / "images")
        torch.manual_seed(0)
        network = build_network(given.network, len(LOCATIONS)).eval()
        weights = folder / "weights.safetensors"
        side = architecture(given.network).side
        embedder = Embedder(
            name="timed",
            network=given.network,
            weights=weights,
            sha256=save_state(weights, network.state_dict()),
            preprocessing=Preprocessing(side=side),
            outputs=LOCATIONS,
        )
        answer = open_network(embedder)
        whole, plain = [], []
        planes = torch.rand(1, 4, side, side).contiguous(memory_format=torch.channels_last)
        network = network.to(memory_format=torch.channels_last)
        for sample in samples:
            start = time.perf_counter()
            embedding_row(read_picture(sample), embedder, answer, None)
            middle = time.perf_counter()
            with torch.inference_mode():
                forward(network, planes)
            plain.append(time.perf_counter() - middle)
            whole.append(middle - start)
    ratios = np.array(whole[1:]) / np.array(plain[1:])
    embed, forward_pass = np.median(whole[1:]), np.median(plain[1:])
    print(f"{given.network}, input {side} px, {len(ratios)} pictures, medians, one thread")
    print(f"embed: {1000 * embed:.1f} ms; forward pass: {1000 * forward_pass:.1f} ms a picture")
    print(
        f"ratio: {np.median(ratios):.2f}; pictures per second: {1 / embed:.1f} a core, {2 / embed:.1f} on two"
    )


if __name__ == "__main__":
    main()
