"""Time and peak memory of widening, against reading and writing the same student with onnx alone.

    python benchmarks/speed.py [--repeat 3] [--out benchmarks/results/speed-DATE.json]

Two models, both made here with random weights: one of VGG19's shape (144 million parameters), and a chain of
convolutions with 5,000 nodes. Both sides of a ratio run in one process, in turns; memory is the peak of a process of
its own. Analysis alone is timed on chains of growing length, to show that it is linear in nodes.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import onnx_n2n

FACTOR = 1.5
VGG19 = [64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M", 512, 512, 512, 512, "M", 512, 512, 512, 512, "M"]


class Builder:
    """Nodes and weights of a model in the making."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, *shape: int) -> str:
        """Add a random weight."""
        name = f"w{len(self.weights)}"
        scale = (2 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 0.01
        values = self.rng.standard_normal(shape, np.float32) * np.float32(scale)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def node(self, operator: str, *inputs: str, **attributes: object) -> str:
        """Add a node and return its output."""
        name = f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def conv(self, x: str, before: int, after: int) -> str:
        """Add a 3x3 convolution and its activation."""
        weights = self.weight(after, before, 3, 3), self.weight(after)
        return self.node("Relu", self.node("Conv", x, *weights, pads=[1, 1, 1, 1]))

    def linear(self, x: str, before: int, after: int) -> str:
        """Add a dense layer."""
        return self.node("Gemm", x, self.weight(after, before), self.weight(after), transB=1)

    def model(self, x: list[int], y: str) -> onnx.ModelProto:
        """Return the model with input x and output y."""
        inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)]
        outputs = [helper.make_tensor_value_info(y, TensorProto.FLOAT, None)]
        graph = helper.make_graph(self.nodes, "benchmark", inputs, outputs, self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def vgg19() -> onnx.ModelProto:
    """Return a network of VGG19's shape with random weights."""
    build, x, channels = Builder(), "x", 3
    for layer in VGG19:
        if layer == "M":
            x = build.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        else:
            x, channels = build.conv(x, channels, int(layer)), int(layer)
    x = build.node("Flatten", x)
    for before, after in ((512 * 49, 4096), (4096, 4096)):
        x = build.node("Relu", build.linear(x, before, after))
    return build.model([1, 3, 224, 224], build.linear(x, 4096, 1000))


def chain(nodes: int) -> onnx.ModelProto:
    """Return a residual network of about ``nodes`` nodes."""
    build = Builder()
    x = build.conv("x", 3, 16)
    while len(build.nodes) < nodes - 2:
        x = build.node("Add", x, build.node("Conv", build.conv(x, 16, 16), build.weight(16, 16, 1, 1)))
    return build.model([1, 3, 16, 16], build.linear(build.node("Flatten", x), 16 * 256, 10))


def widen(teacher: Path, student: Path) -> None:
    """Read, widen and write, without running anything."""
    onnx_n2n.widen(teacher, FACTOR, verify=False, output=student, force=True)


def copy(student: Path, target: Path) -> None:
    """Read and write with onnx."""
    onnx.save(onnx.load(student), target)


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes, without the garbage collector, as timeit does."""
    gc.collect()
    gc.disable()
    start = time.perf_counter()
    work()
    took = time.perf_counter() - start
    gc.enable()
    return took


def peak(function: str, *paths: Path) -> int:
    """Return the peak memory of one call in a process of its own, in MiB, mapped files included (Linux)."""
    names = ", ".join(f"Path({str(path)!r})" for path in paths)
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\nfrom pathlib import Path\nimport speed\n"
        f"speed.{function}({names})\nprint(Path('/proc/self/status').read_text())"
    )
    status = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    return round(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def compare(name: str, model: onnx.ModelProto, folder: Path, repeat: int) -> dict[str, object]:
    """Time widening against copying the student."""
    teacher, student, copied = (folder / f"{name}-{role}.onnx" for role in ("teacher", "student", "copy"))
    onnx.save(model, teacher)
    parameters = sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer)
    nodes = len(model.graph.node)
    del model
    widen(teacher, student)
    pairs = [(seconds(lambda: widen(teacher, student)), seconds(lambda: copy(student, copied))) for _ in range(repeat)]
    ours, theirs = (min(times) for times in zip(*pairs, strict=True))
    row = {
        "model": name,
        "nodes": nodes,
        "parameters": parameters,
        "student_mb": round(student.stat().st_size / 1e6),
        "widen_s": round(ours, 3),
        "load_save_s": round(theirs, 3),
        "ratio": round(ours / theirs, 2),
        "ratios": [round(a / b, 2) for a, b in pairs],
        "widen_peak_mib": peak("widen", teacher, student),
        "load_save_peak_mib": peak("copy", student, copied),
        "import_peak_mib": peak("gc.collect"),
    }
    for path in (teacher, student, copied):
        path.unlink()
    return row


def scaling(repeat: int) -> list[dict[str, object]]:
    """Time analysis alone on chains of growing length."""
    rows = []
    for nodes in (625, 1250, 2500, 5000, 10000):
        model = chain(nodes)
        took = min(seconds(lambda model=model: onnx_n2n.analyze(model)) for _ in range(repeat))
        rows.append({"nodes": nodes, "seconds": round(took, 3), "microseconds_per_node": round(1e6 * took / nodes)})
    return rows


def main() -> None:
    """Run the benchmark and print its result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        result = {
            "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
            "machine": f"{os.cpu_count()} CPU cores, {platform.machine()}, Python {platform.python_version()}",
            "versions": {"onnx": onnx.__version__, "numpy": np.__version__, "onnx-n2n": onnx_n2n.__version__},
            "factor": FACTOR,
            "verification": False,
            "models": [
                compare("vgg19", vgg19(), folder, args.repeat),
                compare("chain-5000", chain(5000), folder, args.repeat),
            ],
            "analysis": scaling(args.repeat),
        }
    text = json.dumps(result, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
