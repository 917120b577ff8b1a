"""How CPU time grows with the graph: of inspect, clones, widen and deepen, without verification.

    python benchmarks/scaling.py [--kinds chain densenet] [--most 5000] [--out benchmarks/results/scaling-DATE.json]

Graphs with few channels, each kind at four sizes: chains of residual pairs (size is nodes), concatenations of four
branches, DenseNets in which each layer concatenates all before it, transformers, and dense layers with a norm (size is
layers). Each is timed in a process of its own, after a small one, with the garbage collector as users have it.

Growth is the exponent between one size and the next: 1 is a straight line. It is that of seconds against nodes; for
DenseNets, whose axes have as many parts as layers before them, against the number of parts of all axes.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from speed import Builder, chain

FACTOR = 1.5
WIDTH, HEADS = 8, 2


def inception(blocks: int) -> onnx.ModelProto:
    """Return a chain of blocks of four branches that are concatenated."""
    build = Builder()
    x, channels = build.conv("x", 3, 8), 8
    for _ in range(blocks):
        x, channels = build.node("Concat", *(build.conv(x, channels, 2) for _ in range(4)), axis=1), 8
    return build.model([1, 3, 8, 8], build.linear(build.node("Flatten", x), 8 * 64, 10))


def densenet(layers: int) -> onnx.ModelProto:
    """Return a network in which each layer reads all before it, with a norm between."""
    build = Builder()
    found, channels = [build.conv("x", 3, 4)], 4
    for _ in range(layers):
        norm = [build.weight(channels) for _ in range(3)]
        norm.append(build.weight(channels))
        build.weights[-1].CopyFrom(numpy_helper.from_array(np.full(channels, 0.5, np.float32), norm[-1]))
        x = build.node("BatchNormalization", build.node("Concat", *found, axis=1), *norm)
        found.append(build.node("Conv", build.node("Relu", x), build.weight(2, channels, 1, 1)))
        channels += 2
    x = build.node("GlobalAveragePool", build.node("Concat", *found, axis=1))
    return build.model([1, 3, 8, 8], build.linear(build.node("Flatten", x), channels, 10))


def transformer(layers: int) -> onnx.ModelProto:
    """Return a transformer that reads embeddings, with its norms before its layers."""
    build = Builder()

    def constant(*numbers: int) -> str:
        name = f"c{len(build.weights)}"
        build.weights.append(onnx.helper.make_tensor(name, onnx.TensorProto.INT64, [len(numbers)], numbers))
        return name

    def dense(x: str, before: int, after: int) -> str:
        return build.node("Add", build.node("MatMul", x, build.weight(before, after)), build.weight(after))

    def norm(x: str) -> str:
        return build.node("LayerNormalization", x, build.weight(WIDTH), build.weight(WIDTH), axis=-1)

    def attention(x: str) -> str:
        split, joined = constant(0, 0, HEADS, WIDTH // HEADS), constant(0, 0, WIDTH)
        query, key, value = (
            build.node("Transpose", build.node("Reshape", dense(x, WIDTH, WIDTH), split), perm=perm)
            for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])
        )
        scores = build.node("Softmax", build.node("MatMul", query, key), axis=-1)
        mixed = build.node("Transpose", build.node("MatMul", scores, value), perm=[0, 2, 1, 3])
        return dense(build.node("Reshape", mixed, joined), WIDTH, WIDTH)

    x = dense("x", 3, WIDTH)
    for _ in range(layers):
        x = build.node("Add", x, attention(norm(x)))
        hidden = build.node("Relu", dense(norm(x), WIDTH, 4 * WIDTH))
        x = build.node("Add", x, dense(hidden, 4 * WIDTH, WIDTH))
    return build.model([1, 5, 3], dense(norm(x), WIDTH, 10))


def normed(layers: int) -> onnx.ModelProto:
    """Return dense layers with a norm over the channels of each."""
    build = Builder()
    x = build.linear("x", 8, WIDTH)
    for _ in range(layers):
        x = build.linear(x, WIDTH, WIDTH)
        x = build.node("Relu", build.node("LayerNormalization", x, build.weight(WIDTH), build.weight(WIDTH), axis=-1))
    return build.model([1, 8], build.linear(x, WIDTH, 10))


KINDS: dict[str, tuple[Callable[[int], onnx.ModelProto], tuple[int, ...]]] = {
    "chain": (chain, (2500, 5000, 10000, 20000)),
    "inception": (inception, (125, 250, 500, 1000)),
    "densenet": (densenet, (50, 100, 200, 400)),
    "transformer": (transformer, (24, 48, 96, 192)),
    "normed": (normed, (250, 500, 1000, 2000)),
}
SMALL = {"chain": 30, "inception": 2, "densenet": 3, "transformer": 1, "normed": 2}


def inspect(model: onnx.ModelProto) -> None:
    """Print all tables of the command ``inspect``."""
    import io

    from rich.console import Console

    import onnx_n2n
    from onnx_n2n.cli import tables
    from onnx_n2n.depth.places import places

    console, analysis = Console(file=io.StringIO()), onnx_n2n.analyze(model)
    tables.print_groups(console, analysis)
    tables.print_places(console, places(analysis))


def clones(model: onnx.ModelProto) -> None:
    """Count redundant channels."""
    import onnx_n2n

    onnx_n2n.clones(model)


def widen(model: onnx.ModelProto) -> None:
    """Widen without verification."""
    import onnx_n2n

    onnx_n2n.widen(model, FACTOR, verify=False)


def deepen(model: onnx.ModelProto) -> None:
    """Deepen without verification."""
    import onnx_n2n

    onnx_n2n.deepen(model, verify=False)


WORK: dict[str, Callable[[onnx.ModelProto], None]] = {
    "inspect": inspect, "clones": clones, "widen": widen, "deepen": deepen,
}  # fmt: skip


def scale(kind: str, model: onnx.ModelProto) -> int:
    """Return what time should be linear in."""
    if kind != "densenet":
        return len(model.graph.node)
    return sum(len(node.input) for node in model.graph.node if node.op_type == "Concat")


def seconds(work: str, kind: str, size: int) -> dict[str, float]:
    """Return the CPU seconds of one call, after one of a small graph of the same kind."""
    make = KINDS[kind][0]
    WORK[work](make(SMALL[kind]))
    model = make(size)
    start = time.process_time()
    WORK[work](model)
    return {"seconds": round(time.process_time() - start, 3), "scale": scale(kind, model)}


def measured(work: str, kind: str, size: int, repeat: int) -> dict[str, float]:
    """Return the least of several turns, each in a process of its own."""
    command = [sys.executable, __file__, "--one", work, kind, str(size)]
    turns = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(repeat)]
    return min(turns, key=lambda turn: turn["seconds"])


def main() -> None:
    """Measure all, and print a line for each kind and work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--work", nargs="*", choices=WORK, default=list(WORK))
    parser.add_argument("--most", type=int, default=1 << 30, help="the largest size")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        work, kind, size = options.one
        print(json.dumps(seconds(work, kind, int(size))))
        return
    rows = []
    for kind in options.kinds:
        sizes = [size for size in KINDS[kind][1] if size <= options.most]
        for work in options.work:
            found = [measured(work, kind, size, options.repeat) for size in sizes]
            steps = [
                math.log(after["seconds"] / before["seconds"]) / math.log(after["scale"] / before["scale"])
                for before, after in pairwise(found)
            ]
            took, growth = [each["seconds"] for each in found], [round(step, 2) for step in steps]
            rows.append({"kind": kind, "work": work, "sizes": sizes, "seconds": took, "growth": growth})
            times = " ".join(f"{size}:{each:.2f}s" for size, each in zip(sizes, took, strict=True))
            print(f"{kind:12} {work:8} {times}  growth {growth}", flush=True)
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
