"""A table and a head that are one parameter stay one: where copies would part them, quiet channels may not."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_n2n.analysis.groups import layer_name
from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import Factor, holds, same, size
from onnx_n2n.graph.uses import operand
from onnx_n2n.width.growth import Growth, added
from onnx_n2n.width.shares import place


def parts(analysis: Analysis, factor: Factor, after: int) -> bool:
    """Say whether copies of channels would make two of what is one parameter, since its head would carry shares."""
    if not any(holds(axis, factor) for value in analysis.twins.tied for axis in analysis.axes.get(value, ())):
        return False
    return any(parted(analysis, Growth({factor: added(factor.size or 0, after)}, (), ())))


def parted(analysis: Analysis, growth: Growth) -> Iterator[str]:
    """Say of each parameter that cannot stay one in code which one it is, and why."""
    for value, (table, _) in analysis.twins.tables.items():
        if longer := [axis for axis in analysis.axes.get(value, ()) if growth.touches(axis)
                      and not any(same(axis, other) for other in analysis.axes[table])]:  # fmt: skip
            yield (
                f"{str(value.name)!r} has the numbers of the table {str(table.name)!r}, and grows from "
                f"{size(longer[0])} to {growth.length(longer[0])} rows where the table does not"
            )
    if not analysis.twins.tied:
        return
    placement = place(analysis, growth)
    for node, slot in {**placement.weights, **placement.apart}:
        value = operand(node, slot)
        if value in analysis.twins.tied:
            yield (
                f"{str(value.name)!r} is a table too, and cannot stay one parameter with it: for {layer_name(node)!r} "
                "it must be scaled, since nothing in front of that can be, and as a table it must not"
            )
