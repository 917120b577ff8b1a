"""Small teachers, written in ONNX's own text form, and how far a student is from its teacher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from hypothesis import settings
from onnx import helper, numpy_helper, parser, shape_inference
from onnx.reference import ReferenceEvaluator

from helpers.definitions import DEFINITIONS
from onnx_n2n.analysis.walk import Analysis, analyze
from onnx_n2n.width.growth import Growth
from onnx_n2n.width.plan import plan
from onnx_n2n.width.request import Request
from onnx_n2n.width.rewrite import rewrite

STABLE = settings(derandomize=True)  # the same examples in every run
TOLERANCE = 1e-4  # of how far an output moves between two inputs; float32 rounding stays well below
WRONG = 1e-2  # what a wrong growth must exceed, so that the comparison could have failed
RUNTIME_LENGTH = 2  # of every symbolic dimension when a model is run


def model(body: str, inputs: str, outputs: str, *, opset: int = 17, **constants: Any) -> onnx.ModelProto:
    """Build a model: ``model("y = MatMul(x, w)", "float[2,3] x", "y", w=(3, 4))``.

    A constant given as a tuple is a random weight of that shape; anything else stands for itself.
    """
    graph = parser.parse_graph(f"teacher ({inputs}) => ({outputs}) {{ {body} }}")
    rng = np.random.default_rng(len(body))
    for name, value in constants.items():
        graph.initializer.append(numpy_helper.from_array(_array(value, rng), name))
    domains = {"": opset} | {node.domain: 1 for node in graph.node if node.domain}
    imports = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
    proto = shape_inference.infer_shapes(helper.make_model(graph, opset_imports=imports, ir_version=10))
    del proto.graph.value_info[:]
    return proto


def _array(value: Any, rng: np.random.Generator) -> np.ndarray:
    if isinstance(value, tuple):
        return rng.standard_normal(value, np.float32) / 2
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype == np.float64 and not isinstance(value, np.ndarray) else array


def opened(proto: onnx.ModelProto) -> ir.Model:
    """Return a working copy that shares nothing with ``proto``."""
    return ir.serde.deserialize_model(onnx.ModelProto.FromString(proto.SerializeToString()))


def apply(analysis: Analysis, growth: Growth, *, noise: float = 0.0, seed: int = 0) -> onnx.ModelProto:
    """Rewrite the analysed model and return it."""
    rewrite(analysis, growth, noise=noise, seed=seed)
    return ir.serde.serialize_model(analysis.model)


def grow(proto: onnx.ModelProto, **options: Any) -> tuple[onnx.ModelProto, Growth]:
    """Return the student, and how it grew: by copies, where nothing else is asked for."""
    request = Request(**{"init": "net2net", **options})
    analysis = analyze(opened(proto))
    growth = plan(analysis, request)
    noise = request.noise if request.init == "net2net" else 0.0
    return apply(analysis, growth, noise=noise, seed=request.seed), growth


Runtime = Callable[[onnx.ModelProto, dict[str, np.ndarray]], list[np.ndarray]]


class Judge:
    """What a teacher computes on two inputs, and how far a student is from that."""

    def __init__(self, teacher: onnx.ModelProto, seed: int = 0, runtime: Runtime | None = None) -> None:
        self.run = runtime or run
        rng = np.random.default_rng(seed)
        given = {tensor.name for tensor in teacher.graph.initializer}
        inputs = [value for value in teacher.graph.input if value.name not in given]
        self.feeds = [{value.name: _draw(value, rng) for value in inputs} for _ in range(2)]
        self.expected = [self.run(teacher, feed) for feed in self.feeds]
        self.movement = [np.abs(one - other).max() for one, other in zip(*self.expected, strict=True)]

    @property
    def meaningful(self) -> bool:
        """Whether every output moves by more than rounding, so that an error would show."""
        pairs = zip(self.movement, self.expected[0], strict=True)
        return all(np.isfinite(moved) and moved > WRONG * np.abs(output).max() for moved, output in pairs)

    def error(self, student: onnx.ModelProto) -> float:
        """Return the largest difference, in units of how far the teacher's output moves between the two inputs."""
        worst = 0.0
        for feed, expected in zip(self.feeds, self.expected, strict=True):
            for ours, theirs, moved in zip(self.run(student, feed), expected, self.movement, strict=True):
                assert ours.shape == theirs.shape
                found = np.abs(ours - theirs).max() / moved
                worst = max(worst, float(found) if np.isfinite(found) else np.inf)
        return worst


def run(proto: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Run a model in ONNX Runtime, without its optimisations, and return the outputs in double precision."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(output, np.float64) for output in session.run(None, feeds)]


def refer(proto: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Run a model in ONNX's reference implementation, which knows operators that ONNX Runtime does not know yet."""
    evaluator = ReferenceEvaluator(proto, new_ops=DEFINITIONS)
    return [np.asarray(output, np.float64) for output in evaluator.run(None, feeds)]


def _draw(value: onnx.ValueInfoProto, rng: np.random.Generator) -> np.ndarray:
    kind = value.type.tensor_type
    shape = [dim.dim_value or RUNTIME_LENGTH for dim in kind.shape.dim]
    dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
    if np.issubdtype(dtype, np.floating):
        return rng.standard_normal(shape).astype(dtype)
    return np.asarray(rng.integers(0, 2, shape)).astype(dtype)
