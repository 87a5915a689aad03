"""A network in an ONNX file whose answers are known: the mean of each plane, and two probabilities."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TOML = """channels = ["protein", "nucleus", "er", "microtubules"]
side = 32
mean = [0.5, 0.0, 0.0, 0.0]
std = [0.5, 1.0, 1.0, 1.0]
embedding = "features"
outputs = "likely"
outputs_are = "probabilities"
locations = ["Nucleoplasm", "Plasma membrane"]
"""


def write_onnx(
    path: Path, toml: str = TOML, chances: tuple[float, float] = (0.5, 0.9), weights: str = ""
) -> None:
    """Write the network and the TOML beside it, and its weights to a file of their own if that is named."""
    shapes = {"x": [None, 4, 32, 32], "features": [None, 4], "likely": [None, 2]}
    x, features, likely = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()
    )
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Gemm", ["features", "zeros", "chances"], ["likely"]),
    ]
    constants = [
        numpy_helper.from_array(np.zeros((4, 2), np.float32), "zeros"),
        numpy_helper.from_array(np.array(chances, np.float32), "chances"),
    ]
    graph = helper.make_graph(nodes, "g", [x], [features, likely], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    beside = {"save_as_external_data": True, "location": weights, "size_threshold": 0} if weights else {}
    onnx.save(model, path, **beside)
    path.with_suffix(".toml").write_text(toml)
