"""What ``diff`` prints."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from onnx_n2n.cli.words import count, first, listed, new_table, print_rest
from onnx_n2n.reporting.difference import Diff, NodeChange, Part, WeightChange
from onnx_n2n.reporting.stated import Changed
from onnx_n2n.words import brief

KINDS = {
    "shape": "another shape", "type": "another type", "values": "other values", "name": "another name",
    "added": "added", "removed": "removed",
}  # fmt: skip


def print_diff(console: Console, found: Diff) -> None:
    """Print what differs between two models."""
    if found.passes:
        made = (entry.text + ("" if entry.seed is None else f", seed {entry.seed}") for entry in found.passes)
        console.print(f"Made of this teacher by {', then '.join(made)}.", soft_wrap=True)
    if found.same:
        console.print(f"Nothing differs: {count(found.nodes_after, 'node')}, {found.parameters_after:,} parameters.")
        return
    _print_groups(console, found)
    _print_nodes(console, found.nodes)
    _print_weights(console, found.weights)
    for each in found.interface:
        said = f"the order of {each.where}s differs" if each.what == "order" else str(each)
        console.print(f"{said[:1].upper()}{said[1:]}.", soft_wrap=True)
    kinds = {"Header": found.header, "Opset": found.opsets, "Function": found.functions, "Metadata": found.metadata}
    for kind, entries in kinds.items():
        for entry in first(entries):
            console.print(f"{kind} {entry.name or 'ai.onnx'!r}: {_sides(entry)}.", soft_wrap=True)
        print_rest(console, len(entries), f"{kind.lower()} entry")
    times = found.parameters_after / max(found.parameters_before, 1)
    sizes = found.parameters_before, found.parameters_after
    console.print(f"Parameters: {sizes[0]:,} -> {sizes[1]:,} (x{times:.2f}).")
    console.print(f"Nodes: {found.nodes_before:,} -> {found.nodes_after:,}.")


def _print_groups(console: Console, found: Diff) -> None:
    names: dict[tuple[int, int | None], list[str]] = {}
    for group in found.grown:
        names.setdefault((group.before, group.after), []).append(group.name)
    if names:
        table = new_table("from>", "to>", "groups>", "")
        for (before, after), alike in first(sorted(names.items(), key=lambda each: (each[0][0], each[0][1] or 0))):
            table.add_row(str(before), str(after), str(len(alike)), listed(alike))
        _print_table(console, table, len(names), "size")
    unknown = [group.name for group in found.groups if group.after is None]
    if unknown:
        console.print(f"The weights do not tell the size of {listed(unknown)}.")


def _print_table(console: Console, table: Table, rows: int, what: str) -> None:
    console.print(table)
    print_rest(console, rows, what)
    console.print()


def _print_nodes(console: Console, nodes: Iterable[NodeChange]) -> None:
    kinds: dict[tuple[str, str], list[NodeChange]] = {}
    for node in nodes:
        kinds.setdefault((node.what, node.operator), []).append(node)
    if not kinds:
        return
    table = new_table("nodes>", "", "operator", "", "what has changed")
    for (what, operator), alike in first(kinds.items()):
        part = next((part for node in alike for part in node.parts), None)
        said = "" if part is None else f"{part.what} {part.name}".rstrip() + f": {_sides(part)}"
        table.add_row(str(len(alike)), what, operator, listed(node.name for node in alike), said)
    _print_table(console, table, len(kinds), "kind")


def _print_weights(console: Console, weights: Iterable[WeightChange]) -> None:
    kinds: dict[str, list[WeightChange]] = {}
    for weight in weights:
        kinds.setdefault(weight.what, []).append(weight)
    if not kinds:
        return
    table = new_table("weights>", "", "", "largest difference>")
    for what, said in KINDS.items():
        if what in kinds:
            alike = kinds[what]
            table.add_row(str(len(alike)), said, listed(weight.name for weight in alike), _largest(alike))
    console.print(table, "", sep="\n")
    if "shape" in kinds:
        console.print("largest difference: of numbers at places that both shapes have\n")


def _largest(weights: Iterable[WeightChange]) -> str:
    found = [w.values.largest for w in weights if w.values is not None and w.values.largest is not None]
    if not found:
        return "-"
    if not all(map(math.isfinite, found)):
        return "not finite"
    return f"{max(found):.1e}" if any(found) else "0"


def _sides(entry: Changed | Part) -> str:
    return f"{_shown(entry.before)} -> {_shown(entry.after)}"


def _shown(text: str | None) -> str:
    return "none" if text is None else brief(text)
