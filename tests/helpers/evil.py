"""A model whose names are markup."""

from __future__ import annotations

import onnx

from helpers.calling import net

EVIL = "</script><img src=x onerror=alert(1)>"


def evil() -> onnx.ModelProto:
    """A model all of whose names end a script."""
    found = net()
    for number, node in enumerate(found.graph.node):
        node.name = f"{node.op_type}{number}{EVIL}"
        node.output[:] = [f"{name}{EVIL}" for name in node.output]
        node.input[:] = [f"{name}{EVIL}" for name in node.input]
    for entry in (*found.graph.input, *found.graph.output, *found.graph.initializer):
        entry.name = f"{entry.name}{EVIL}"
    found.metadata_props.add(key=EVIL, value=EVIL)
    found.graph.name = EVIL
    return found
