"""Which weight axes of a corpus grow by a factor, and for what reasons the others stay.

    python benchmarks/reach.py CORPUS --factor 1.5 [--only GLOB] [--json TABLE.json]

CORPUS is a folder with models.json, whose keys are the models' paths. Counted are the axes longer than 1 of
floating-point constants of rank 2 or more, without the kernel axes of plain convolutions. Reasons are counted without
their names and numbers. Nothing is written and nothing verified: only what would grow is asked.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import onnx

import onnx_n2n
from onnx_n2n.analysis.result import Analysis
from onnx_n2n.axes.algebra import leaves
from onnx_n2n.errors import GrowthError
from onnx_n2n.width.growth import Growth
from onnx_n2n.width.plan import plan
from onnx_n2n.width.request import Request

FLOATS = {1, 10, 11, 16}  # float, half, double, bfloat16
CONVOLUTIONS = {"Conv", "ConvTranspose", "DeformConv"}
NODES, NAMES, NUMBERS = re.compile(r" \(node '[^']*'\)"), re.compile(r"\B'[^']*'"), re.compile(r"\d[\d.e+]*")
GROWN = "grown"

Axis = tuple[str, int]


def graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and all graphs inside its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from graphs(inner)


def axes_of(model: onnx.ModelProto) -> list[Axis]:
    """Return the weight axes that count, with the names of their weights."""
    weights: dict[str, tuple[int, ...]] = {}
    kernels: set[str] = set()
    for graph in graphs(model.graph):
        weights |= {tensor.name: tuple(tensor.dims) for tensor in graph.initializer if tensor.data_type in FLOATS}
        for node in graph.node:
            if node.op_type == "Constant":
                tensors = [each.t for each in node.attribute if each.name == "value" and each.t.data_type in FLOATS]
                weights |= dict.fromkeys(node.output, tuple(tensors[0].dims)) if tensors else {}
            elif node.op_type in CONVOLUTIONS and len(node.input) > 1:
                kernels.add(node.input[1])
    return [
        (name, axis)
        for name, shape in weights.items()
        for axis, length in enumerate(shape)
        if len(shape) > 1 and length > 1 and (axis < 2 or name not in kernels)
    ]


def fates(analysis: Analysis, growth: Growth) -> dict[Axis, str]:
    """Return for each weight axis that an analysis knows whether it grows, or why not."""
    kept = {group.factor: each.reason for each in growth.kept for group in analysis.groups if group.name == each.name}
    found: dict[Axis, str] = {}
    for node in analysis.model.graph.all_nodes():
        for slot, value in enumerate(node.inputs):
            if value is None or value not in analysis.constants:
                continue
            for position, axis in enumerate(analysis.axes_of_use(node, slot) or ()):
                reason = next((kept[leaf] for leaf in leaves(axis) if leaf in kept), None)
                said = GROWN if growth.touches(axis) else reason
                if said is not None and found.get((str(value.name), position)) != GROWN:
                    found[str(value.name), position] = said
    for pinned in analysis.pins:
        found.setdefault((pinned.weight, pinned.axis), pinned.reason.text)
    return found


def alike(reason: str) -> str:
    """Return a reason without what differs from node to node."""
    return NUMBERS.sub("#", NAMES.sub("''", NODES.sub("", reason)))


def main() -> None:
    """Print what grows, and how much stays for each reason."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--factor", type=float, default=1.5)
    parser.add_argument("--only", default="*", metavar="GLOB")
    parser.add_argument("--json", type=Path, help="where to write the axes of each model by reason")
    args = parser.parse_args()
    axes, copies = Counter[str](), Counter[str]()
    models: dict[str, set[str]] = defaultdict(set)
    table: dict[str, dict[str, list[str]]] = {}
    grown_groups = 0
    for name in json.loads((args.corpus / "models.json").read_text()):
        if not fnmatch.fnmatch(name, args.only):
            continue
        analysis = onnx_n2n.analyze(args.corpus / name)
        try:
            growth = plan(analysis, Request(args.factor))
        except GrowthError as refused:
            growth = Growth({}, (), ())
            print(f"{name}: {refused}")
        known = fates(analysis, growth)
        row = table[name] = defaultdict(list)
        for axis in axes_of(onnx.load(args.corpus / name)):
            why = alike(known.get(axis, "no node reads it as a weight"))
            axes[why] += 1
            models[why].add(name)
            row[why].append(f"{axis[0]}[{axis[1]}]")
        grown_groups += len(growth.grown)
        copies.update(alike(grown.copies) for grown in growth.grown if grown.copies)
    print(f"{axes[GROWN]} of {axes.total()} weight axes grow by {args.factor:g}; the others, by reason (axes, models):")
    for why, count in axes.most_common():
        if why != GROWN:
            print(f"{count:5} {len(models[why]):4}  {why}")
    print(f"\n{copies.total()} of {grown_groups} groups get copies, by reason:")
    for why, count in copies.most_common():
        print(f"{count:5}  {why}")
    if args.json:
        args.json.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
