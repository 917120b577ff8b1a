"""Time of the exact check against two runs in ONNX Runtime, and its peak memory on a model that does not fit it.

    python benchmarks/exact_speed.py [--repeat 3] [--large 1600] [--out benchmarks/results/exact-speed-DATE.json]

Models of the size of ResNet-50 (25 million weights) and of GPT-2 (124 million), with free axes and random weights, each
beside its student by ``widen``. The runs are those of ONNX Runtime with the opening of their sessions, on the shapes of
the check: both sides in turns in one process.
``--large`` is the width of a decoder of 48 layers, or of ``--layers``, in external data, checked against itself in a
process of its own. Its peak memory hangs on the largest tensor, not on the number of layers.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BLOCKS = ((3, 64), (4, 128), (6, 256), (3, 512))
WORDS, PLACES, LAYERS, HEAD = 50257, 1024, 12, 64


class Builder:
    """Nodes and weights of a model in the making.

    Args:
        folder: Where weights go as they are made, for a model that does not fit in memory; else they stay in it.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.rng, self.folder, self.offset = np.random.default_rng(0), folder, 0
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def constant(self, array: np.ndarray) -> str:
        """Add a constant."""
        name = f"w{len(self.weights)}"
        if self.folder is None or array.size < 1 << 16:
            self.weights.append(numpy_helper.from_array(array, name))
            return name
        with (self.folder / "weights.bin").open("ab") as file:
            array.tofile(file)
        tensor = TensorProto(name=name, dims=array.shape, data_type=TensorProto.FLOAT)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", "weights.bin"), ("offset", self.offset), ("length", array.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        self.offset += array.nbytes
        self.weights.append(tensor)
        return name

    def weight(self, *shape: int) -> str:
        """Add a random weight."""
        scale = np.float32((2 / max(np.prod(shape[1:]), 1)) ** 0.5)
        return self.constant(self.rng.standard_normal(shape, np.float32) * scale)

    def node(self, operator: str, *inputs: str, **attributes: object) -> str:
        """Add a node and return its output."""
        name = f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def save(self, path: Path, output: str, type_: int, shape: list[Any], result: list[Any]) -> Path:
        """Write the model, whose input is ``x``."""
        self.nodes[-1].output[0] = "y"
        assert output == self.nodes[-1].name
        values = [
            helper.make_tensor_value_info(n, t, s)
            for n, t, s in (("x", type_, shape), ("y", TensorProto.FLOAT, result))
        ]
        graph = helper.make_graph(self.nodes, "g", values[:1], values[1:], self.weights)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
        return path


def resnet(path: Path) -> Path:
    """Write a network of ResNet-50's layers."""
    made = Builder()

    def layer(x: str, before: int, after: int, kernel: int, stride: int = 1, *, relu: bool = True) -> str:
        pads = [kernel // 2] * 4
        x = made.node("Conv", x, made.weight(after, before, kernel, kernel), pads=pads, strides=[stride] * 2)
        means, gains = made.weight(after), made.constant(np.abs(made.rng.standard_normal(after, np.float32)) + 0.5)
        x = made.node("BatchNormalization", x, gains, made.weight(after), means, gains)
        return made.node("Relu", x) if relu else x

    x = made.node("MaxPool", layer("x", 3, 64, 7, 2), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    before = 64
    for stage, (count, inner) in enumerate(BLOCKS):
        for number in range(count):
            stride = 2 if stage and not number else 1
            y = layer(layer(layer(x, before, inner, 1), inner, inner, 3, stride), inner, 4 * inner, 1, relu=False)
            beside = x if number else layer(x, before, 4 * inner, 1, stride, relu=False)
            x, before = made.node("Relu", made.node("Add", y, beside)), 4 * inner
    x = made.node("Flatten", made.node("GlobalAveragePool", x))
    x = made.node("Gemm", x, made.weight(1000, before), made.weight(1000), transB=1)
    return made.save(path, x, TensorProto.FLOAT, ["N", 3, "H", "W"], ["N", 1000])


def decoder(path: Path, width: int = 768, layers: int = LAYERS, folder: Path | None = None) -> Path:
    """Write a decoder of GPT-2's layers."""
    made = Builder(folder)
    ids = "x"
    length = made.node("Shape", ids, start=1, end=2)
    places = made.node("Range", made.constant(np.int64(0)), made.node("Squeeze", length), made.constant(np.int64(1)))
    table = made.weight(WORDS, width)
    x = made.node("Add", made.node("Gather", table, ids), made.node("Gather", made.weight(PLACES, width), places))
    heads, flat = made.constant(np.array([0, 0, width // HEAD, -1])), made.constant(np.array([0, 0, -1]))
    scale = made.constant(np.float32(0.125))
    square = made.node("Concat", length, length, axis=0)
    mask = made.node("ConstantOfShape", square, value=numpy_helper.from_array(np.array([1], np.float32)))
    mask = made.node("Cast", made.node("Trilu", mask, upper=0), to=TensorProto.BOOL)
    far = made.constant(np.float32(-1e9))

    def norm(x: str) -> str:
        return made.node("LayerNormalization", x, made.weight(width), made.weight(width))

    def dense(x: str, before: int, after: int) -> str:
        return made.node("Add", made.node("MatMul", x, made.weight(before, after)), made.weight(after))

    def split(x: str, order: list[int]) -> str:
        return made.node("Transpose", made.node("Reshape", x, heads), perm=order)

    for _ in range(layers):
        y = norm(x)
        q, k, v = (dense(y, width, width) for _ in range(3))
        scores = made.node("Mul", made.node("MatMul", split(q, [0, 2, 1, 3]), split(k, [0, 2, 3, 1])), scale)
        shares = made.node("Softmax", made.node("Where", mask, scores, far))
        mixed = made.node("Transpose", made.node("MatMul", shares, split(v, [0, 2, 1, 3])), perm=[0, 2, 1, 3])
        x = made.node("Add", x, dense(made.node("Reshape", mixed, flat), width, width))
        x = made.node("Add", x, dense(made.node("Gelu", dense(norm(x), width, 4 * width)), 4 * width, width))
    x = made.node("MatMul", norm(x), made.node("Transpose", table, perm=[1, 0]))
    return made.save(path, x, TensorProto.INT64, ["N", "L"], ["N", "L", WORDS])


def timed(teacher: Path, student: Path, record: Path | None, repeat: int) -> dict[str, Any]:
    """Return the verdict, and the seconds of the check and of two runs with the opening of their sessions."""
    import onnxruntime

    from onnx_n2n import exact

    checks, runs = [], []
    for _ in range(repeat):
        started = time.monotonic()
        verdict = exact.check(teacher, student, record=record)
        checks.append(time.monotonic() - started)
        if not verdict:
            raise SystemExit(str(verdict))
        shape = verdict.shapes[0]["x"]
        started = time.monotonic()
        for path in (teacher, student):
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            kind = session.get_inputs()[0].type
            session.run(None, {"x": np.ones(shape, np.int64 if "int64" in kind else np.float32)})
            del session
        runs.append(time.monotonic() - started)
    return {
        "verdict": str(verdict), "check": min(checks), "runs": min(runs), "ratio": min(checks) / min(runs),
    }  # fmt: skip


def small(name: str, make: Callable[[Path], Path], repeat: int) -> dict[str, Any]:
    """Grow one of the models, and time the check of its student."""
    import onnx_n2n

    with tempfile.TemporaryDirectory() as folder:
        teacher, student = make(Path(folder, "teacher.onnx")), Path(folder, "student.onnx")
        record = Path(folder, "growth.safetensors")
        onnx_n2n.widen(teacher, 1.25, output=student, verify=False, record=record)
        return {"model": name} | timed(teacher, student, record, repeat)


def large(width: int, layers: int) -> dict[str, Any]:
    """Check a model in external data against itself in a process of its own, and return its peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = decoder(Path(folder, "model.onnx"), width, layers, Path(folder))
        weights = Path(folder, "weights.bin").stat().st_size // 4
        started = time.monotonic()
        command = [sys.executable, __file__, "--one", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return {"weights": weights, "seconds": time.monotonic() - started} | json.loads(done.stdout)


def one(path: str) -> None:
    """Check a model against itself, and print the verdict and the peak of this process's memory."""
    from onnx_n2n.exact import check

    verdict = check(path, path)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sys.stdout.write(json.dumps({"verdict": str(verdict), "peak MiB": peak / 1024}))


def main() -> None:
    """Parse the command line and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--large", type=int, default=0)
    parser.add_argument("--layers", type=int, default=48)
    parser.add_argument("--only", default="")
    parser.add_argument("--one")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.one:
        return one(options.one)
    models = {"ResNet-50": resnet, "GPT-2": decoder}
    rows = [small(name, make, options.repeat) for name, make in models.items() if options.only in name]
    if options.large:
        rows.append({"model": "external data"} | large(options.large, options.layers))
    for row in rows:
        sys.stdout.write(json.dumps(row, indent=1) + "\n")
    if options.out:
        options.out.write_text(
            json.dumps({"threads": os.environ.get("OMP_NUM_THREADS"), "rows": rows}, indent=1) + "\n"
        )
    return None


if __name__ == "__main__":
    main()
