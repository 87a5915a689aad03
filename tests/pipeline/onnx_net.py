"""A network in an ONNX file whose answers are known: the mean of each plane, and two probabilities."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

TOML = """channels = ["protein", "nucleus", "er", "microtubules"]
side = 32
mean = [0.5, 0.0, 0.0, 0.0]
std = [0.5, 1.0, 1.0, 1.0]
embedding = "features"
outputs = "likely"
outputs_are = "probabilities"
locations = ["Nucleoplasm", "Plasma membrane"]
"""


def write_onnx(path: Path, toml: str = TOML, chances: tuple[float, float] = (0.5, 0.9)) -> None:
    """Write the network and the TOML beside it."""
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
        helper.make_tensor("zeros", TensorProto.FLOAT, [4, 2], [0.0] * 8),
        helper.make_tensor("chances", TensorProto.FLOAT, [2], list(chances)),
    ]
    graph = helper.make_graph(nodes, "g", [x], [features, likely], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    path.with_suffix(".toml").write_text(toml)
