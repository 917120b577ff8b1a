"""Draw what happens to one group: ``python docs/pictures/group.py > docs/pictures/group.svg``.

The numbers are those of a real growth. The teacher is a small network, Conv -> BatchNormalization -> Relu -> Conv, with
one input channel, a group of two channels and two outputs. ``widen`` makes three of the two: once as by default, once
with copies as in the paper.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import onnx_n2n

X = np.ones((1, 1, 1, 1), np.float32)
SEED = 5  # with which the numbers are easy to read
WIDTH, HEIGHT, PANEL = 960, 330, 320
LEFT, MIDDLE, RIGHT = 38, 160, 282  # of the input, the channels and the outputs in a panel
STYLE = """
  text { font-family: system-ui, sans-serif; font-size: 13px; }
  .card { fill: #ffffff; } text { fill: #1f2328; } .soft { fill: #59636e; }
  .line { stroke: #818b98; stroke-width: 1.5; } .dot { fill: #eaeef2; stroke: #818b98; stroke-width: 1.5; }
  .new { stroke: #0969da; stroke-width: 2.5; } text.new { fill: #0969da; stroke: none; font-weight: 600; }
  .back { stroke: #ffffff; stroke-width: 8; paint-order: stroke; }
  text.new.back { stroke: #ffffff; stroke-width: 8; }
  .title { font-weight: 600; font-size: 15px; }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; } text { fill: #e6edf3; } .soft { fill: #9198a1; }
    .line { stroke: #656c76; } .dot { fill: #21262d; stroke: #656c76; }
    .new { stroke: #4493f8; } text.new { fill: #4493f8; }
    .back, text.new.back { stroke: #0d1117; }
  }
"""


@dataclass(frozen=True)
class Panel:
    """One network, and what is said above and below it; ``new`` are the places that changed, as ``h2`` or ``h1y0``."""

    title: str
    below: str
    model: onnx.ModelProto
    new: frozenset[str]


def teacher() -> onnx.ModelProto:
    """Return the network, with weights of one or two digits."""
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "first.weight"], ["a"], "first"),
            helper.make_node("BatchNormalization", ["a", "scale", "bias", "mean", "var"], ["b"], "norm", epsilon=0.0),
            helper.make_node("Relu", ["b"], ["h"], "relu"),
            helper.make_node("Conv", ["h", "second.weight"], ["y"], "second"),
        ],
        "group",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ("N", 1, 1, 1))],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ("N", 2, 1, 1))],
        [
            tensor("first.weight", [0.5, 1.5], (2, 1, 1, 1)),
            tensor("scale", [1, 1], (2,)),
            tensor("bias", [0.1, 0.5], (2,)),
            tensor("mean", [0, 0], (2,)),
            tensor("var", [1, 1], (2,)),
            tensor("second.weight", [1, 0.8, -0.5, 0.6], (2, 2, 1, 1)),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def tensor(name: str, values: list[float], shape: tuple[int, ...]) -> onnx.TensorProto:
    """Return a weight."""
    return numpy_helper.from_array(np.array(values, np.float32).reshape(shape), name)


def panels() -> Iterator[Panel]:
    """Grow the teacher in both ways."""
    model = teacher()
    yield Panel("teacher: 2 channels", "one group: the 2 channels between the layers", model, frozenset())
    fresh = onnx_n2n.widen(model, 1.5, init="zero", seed=SEED).model
    yield Panel("widen (default)", "a new channel, read with weight 0", fresh, frozenset({"h2", "h2y0", "h2y1"}))
    copied = onnx_n2n.widen(model, 1.5, init="net2net", noise=0.0, seed=SEED).model
    old = halved(copied)
    places = {"h2", *(f"h{channel}y{output}" for channel in (old, 2) for output in (0, 1))}
    yield Panel("widen --init net2net", "a copy; both are read with half the weight", copied, frozenset(places))


def halved(model: onnx.ModelProto) -> int:
    """Return the channel that the third one is a copy of."""
    first = weights(model)["first.weight"].ravel()
    return int(np.flatnonzero(first[:2] == first[2])[0])


def weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Return the weights by name."""
    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}


def draw(panel: Panel, left: int) -> Iterator[str]:
    """Yield the elements of one panel."""
    inside = helper.make_tensor_value_info("h", onnx.TensorProto.FLOAT, None)
    seen = onnx.ModelProto.FromString(panel.model.SerializeToString())
    seen.graph.output.append(inside)
    y, h = (values.ravel() for values in ReferenceEvaluator(seen).run(None, {"x": X}))
    first, second = weights(panel.model)["first.weight"].ravel(), weights(panel.model)["second.weight"][:, :, 0, 0]
    channels = [70 + 210 * (place + 0.5) / len(h) for place in range(len(h))]
    outputs, middle = (95.0, 255.0), 175.0
    labels = []
    for place, at in enumerate(channels):
        new = " new" if f"h{place}" in panel.new else ""
        yield line(left + LEFT, middle, left + MIDDLE, at, new)
        labels.append(label(left + LEFT, middle, left + MIDDLE, at, 0.55, first[place], new))
        for output, to in enumerate(outputs):
            new = " new" if f"h{place}y{output}" in panel.new else ""
            yield line(left + MIDDLE, at, left + RIGHT, to, new)
            labels.append(label(left + MIDDLE, at, left + RIGHT, to, (0.31, 0.62)[output], second[output, place], new))
    yield dot(left + LEFT, middle, X.item(), "")
    yield from (dot(left + MIDDLE, at, h[n], " new" if f"h{n}" in panel.new else "") for n, at in enumerate(channels))
    yield from (dot(left + RIGHT, to, y[place], "") for place, to in enumerate(outputs))
    yield from labels
    for at, layers in ((LEFT + MIDDLE) / 2, "Conv, BN, Relu"), ((MIDDLE + RIGHT) / 2, "Conv"):
        yield f'<text class="soft" x="{left + at:.0f}" y="58" text-anchor="middle">{layers}</text>'
    yield f'<text class="title" x="{left + PANEL / 2:.0f}" y="30" text-anchor="middle">{panel.title}</text>'
    yield f'<text class="soft" x="{left + PANEL / 2:.0f}" y="308" text-anchor="middle">{panel.below}</text>'


def line(x: float, y: float, to_x: float, to_y: float, new: str) -> str:
    """Return a connection."""
    return f'<line class="line{new}" x1="{x:.0f}" y1="{y:.0f}" x2="{to_x:.0f}" y2="{to_y:.0f}"/>'


def label(x: float, y: float, to_x: float, to_y: float, part: float, weight: float, new: str) -> str:
    """Return a weight, written on its connection after a ``part`` of the way."""
    at_x, at_y = x + part * (to_x - x), y + part * (to_y - y) + 4
    return f'<text class="back{new}" x="{at_x:.0f}" y="{at_y:.0f}" text-anchor="middle">{number(weight)}</text>'


def dot(x: float, y: float, value: float, new: str) -> str:
    """Return a channel, with what it computes for an input of 1."""
    circle = f'<circle class="dot{new}" cx="{x:.0f}" cy="{y:.0f}" r="21"/>'
    return f'{circle}<text x="{x:.0f}" y="{y + 5:.0f}" text-anchor="middle">{number(value)}</text>'


def number(value: float) -> str:
    """Return a number with two digits behind the point at most."""
    return f"{value + 0.0:.2f}".rstrip("0").rstrip(".").replace("-", "−")


def picture() -> str:
    """Return the picture as SVG."""
    said = "A network of two channels, and two of three channels with the same outputs"
    elements = [element for at, panel in enumerate(panels()) for element in draw(panel, PANEL * at)]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{said}">',
        f"<style>{STYLE}</style>",
        f'<rect class="card" width="{WIDTH}" height="{HEIGHT}" rx="8"/>',
        *elements,
        "</svg>\n",
    ])  # fmt: skip


if __name__ == "__main__":
    sys.stdout.write(picture())
