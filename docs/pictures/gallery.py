"""Draw growth in real networks: ``python docs/pictures/gallery.py [unet ...]`` writes ``docs/pictures/gallery/*.svg``.

Each picture is the layers of one golden model, from left to right, read from the student that ``onnx_n2n.run`` makes.
A box is a layer with weights, as high as it has output channels. Grey is the teacher's part, blue is what is new.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

import onnx_n2n

HERE = Path(__file__).parent
MODELS = HERE.parents[1] / "models"
PASSES = {
    "resnet": "deepen{count=2},widen{factor=1.5}",
    "inception_bn": "widen{factor=1.5}",
    "mobile_se": "widen{factor=1.5}",
    "densenet": "widen{factor=1.5}",
    "unet": "widen{factor=1.5}",
}
"""What is done to each golden model of models/."""

JOINS = {"Add": "+", "Concat": "‖", "Mul": "×"}
WIDTH, HIGHEST, GAP, MARGIN = 960, 72.0, 10.0, 26.0  # of the picture, the widest layer, and what is between
STYLE = """
  text { font-family: system-ui, sans-serif; font-size: 13px; }
  .card { fill: #ffffff; } text { fill: #1f2328; } .soft { fill: #59636e; }
  .line { fill: none; stroke: #818b98; stroke-width: 1; }
  .join { fill: #ffffff; stroke: #818b98; } .sign { font-size: 10px; }
  .old { fill: #afb8c1; } .new { fill: #0969da; }
  @media (prefers-color-scheme: dark) {
    .card, .join { fill: #0d1117; } text { fill: #e6edf3; } .soft { fill: #9198a1; }
    .line, .join { stroke: #656c76; } .old { fill: #656c76; } .new { fill: #4493f8; }
  }
"""


@dataclass(frozen=True)
class Layer:
    """A layer with weights, or a place where several tensors come together; ``sources`` are the layers it reads."""

    name: str
    operator: str
    channels: int
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """Where a layer stands: its column, and the middle and the height of its box."""

    column: int
    y: float
    height: float


def layers(model: onnx.ModelProto) -> dict[str, Layer]:
    """Return the layers of a model in order, by name; what lies between them is left out."""
    weights = {each.name: tuple(each.dims) for each in model.graph.initializer}
    behind: dict[str, tuple[str, ...]] = {each.name: () for each in model.graph.input}  # layers that make a tensor
    found: dict[str, Layer] = {}
    for node in model.graph.node:
        sources = tuple(dict.fromkeys(name for tensor in node.input for name in behind.get(tensor, ())))
        channels = made(node, weights)
        if channels or (len(sources) > 1 and node.op_type in JOINS):
            found[node.name] = Layer(node.name, node.op_type, channels, sources)
            sources = (node.name,)
        behind.update(dict.fromkeys(node.output, sources))
    return found


def made(node: onnx.NodeProto, weights: Mapping[str, tuple[int, ...]]) -> int:
    """Return how many channels a layer makes; 0 if the node has no weights."""
    shape = weights.get(node.input[1], ()) if len(node.input) > 1 else ()
    attributes = {each.name: each.i for each in node.attribute}
    if node.op_type == "ConvTranspose":
        return shape[1] * attributes.get("group", 1)
    if node.op_type == "Conv" or (node.op_type == "Gemm" and attributes.get("transB")):
        return shape[0]
    return shape[-1] if node.op_type in ("Gemm", "MatMul") and len(shape) > 1 else 0


def places(found: Mapping[str, Layer]) -> dict[str, Place]:
    """Put every layer one column behind the last that it reads, and the layers of a column one below the other."""
    scale = HIGHEST / max(layer.channels for layer in found.values())
    columns: dict[str, int] = {}
    for layer in found.values():
        columns[layer.name] = 1 + max((columns[source] for source in layer.sources), default=-1)
    put: dict[str, Place] = {}
    for column in range(max(columns.values()) + 1):
        here = [layer for layer in found.values() if columns[layer.name] == column]
        heights = [max(layer.channels * scale, 3.0) if layer.channels else 14.0 for layer in here]
        y = -(sum(heights) + GAP * (len(here) - 1)) / 2
        for layer, height in zip(here, heights, strict=True):
            put[layer.name] = Place(column, y + height / 2, height)
            y += height + GAP
    return put


def draw(teacher: Mapping[str, Layer], student: Mapping[str, Layer]) -> tuple[float, list[str]]:
    """Return the height of a picture of the student, and its elements."""
    put = places(student)
    pitch = (WIDTH - 2 * MARGIN) / (1 + max(place.column for place in put.values()))
    lanes = max(put[name].column - put[source].column for name, layer in student.items() for source in layer.sources)
    top = max(place.height / 2 - place.y for place in put.values()) + (8 + 3 * lanes if lanes > 1 else 0)
    bottom = max(place.height / 2 + place.y for place in put.values())
    at = {name: (MARGIN + pitch * (place.column + 0.5), 44 + top + place.y) for name, place in put.items()}
    lines, boxes = [], []
    for name, layer in student.items():
        lines += [curve(*at[source], *at[name], pitch, put[name].column - put[source].column, 44 + top)
                  for source in layer.sources]  # fmt: skip
        boxes += box(layer, teacher.get(name), *at[name], put[name].height, min(pitch * 0.55, 16))
    return 44 + top + bottom + 40, lines + boxes


def curve(x: float, y: float, to_x: float, to_y: float, pitch: float, far: int, middle: float) -> str:
    """Return a line from layer to layer; one that passes others by goes above them."""
    if far == 1:
        half = (x + to_x) / 2
        bend = f"{half:.0f} {y:.0f} {half:.0f} {to_y:.0f}"
        return f'<path class="line" d="M{x:.0f} {y:.0f}C{bend} {to_x:.0f} {to_y:.0f}"/>'
    lift = min(y, to_y, middle) - (HIGHEST * 0.7 + 4 * far)
    return (
        f'<path class="line" d="M{x:.0f} {y:.0f}C{x + pitch * 0.7:.0f} {lift:.0f} {to_x - pitch * 0.7:.0f} {lift:.0f} '
        f'{to_x:.0f} {to_y:.0f}"/>'
    )


def box(layer: Layer, before: Layer | None, x: float, y: float, height: float, width: float) -> Iterator[str]:
    """Yield the box of a layer, its grey part below and what is new above; or the sign of a join."""
    if not layer.channels:
        yield f'<circle class="join" cx="{x:.0f}" cy="{y:.0f}" r="7"/>'
        yield f'<text class="sign" x="{x:.0f}" y="{y + 3.5:.1f}" text-anchor="middle">{JOINS[layer.operator]}</text>'
        return
    old = height * (before.channels if before else 0) / layer.channels
    left, top = x - width / 2, y - height / 2
    said = f"{layer.operator}: {before.channels if before else 'new,'} to {layer.channels} channels"
    said = said.replace("new, to ", "new, ")
    for name, start, part in ("new", top, height - old), ("old", top + height - old, old):
        if part:
            yield (
                f'<rect class="{name}" x="{left:.1f}" y="{start:.1f}" width="{width:.1f}" height="{part:.1f}">'
                f"<title>{said}</title></rect>"
            )


def picture(name: str) -> str:
    """Return the picture of one golden model, as SVG."""
    teacher = onnx.load(MODELS / f"{name}.onnx")
    result = onnx_n2n.run(teacher, PASSES[name], verify=False)
    height, elements = draw(layers(teacher), layers(result.model))
    before, after = result.report.parameters_before, result.report.parameters_after
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="The layers of {name}, and what {PASSES[name]} adds to them">',
        f"<style>{STYLE}</style>",
        f'<rect class="card" width="{WIDTH}" height="{height:.0f}" rx="8"/>',
        f'<text x="{MARGIN:.0f}" y="26" font-weight="600">{name}</text>',
        f'<text class="soft" x="{WIDTH - MARGIN:.0f}" y="26" text-anchor="end">{PASSES[name]}</text>',
        *elements,
        f'<text class="soft" x="{MARGIN:.0f}" y="{height - 12:.0f}">{before:,} parameters → {after:,}</text>',
        "</svg>\n",
    ])  # fmt: skip


if __name__ == "__main__":
    (HERE / "gallery").mkdir(exist_ok=True)
    for chosen in sys.argv[1:] or PASSES:
        (HERE / "gallery" / f"{chosen}.svg").write_text(picture(chosen), "utf-8")
