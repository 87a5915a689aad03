"""What is compiled beforehand is all that a picture needs."""

import importlib
import pkgutil

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

import features
from pipeline.simulation.field import simulate_picture
from pipeline.stages.warming import warm_up


def signatures():
    names = [module.name for module in pkgutil.walk_packages(features.__path__, "features.")]
    modules = [importlib.import_module(name) for name in names]
    loops = {loop for module in modules for loop in vars(module).values() if isinstance(loop, Dispatcher)}
    assert len({loop.__module__ for loop in loops}) > 25  # families, kernels and planes alike
    return {(loop.py_func.__qualname__, str(signature)) for loop in loops for signature in loop.signatures}


@pytest.mark.parametrize("pixel_size_um", [None, 0.2])
def test_a_picture_after_the_warm_up_compiles_nothing(pixel_size_um):
    for family in features.family_versions():
        warm_up(family)
    before = signatures()
    made = simulate_picture(3, 1, size=256)
    cells = features.measure(made.picture.pixels, made.cells, made.nuclei, pixel_size_um=pixel_size_um)
    features.aggregate(cells, touches_border=features.touches_border(made.cells))
    features.measure_field(made.picture.pixels, pixel_size_um=pixel_size_um)
    assert all(np.isfinite(table.to_numpy()).any() for table in cells.values())
    assert signatures() == before
