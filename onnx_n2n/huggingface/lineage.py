"""The growth record of a folder names parameters as its class does, so that checkpoints and optimizers can follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from onnx_n2n.record.layouts import SAME
from onnx_n2n.record.provenance import Origin
from onnx_n2n.record.record import Record


def owned(record: Record, names: Mapping[str, str]) -> Record:
    """Return a record in which each weight of a class is known to be the parameter of that name, as it lies there.

    Args:
        record: What became of the weights of the class' graph, which have the names of its parameters.
        names: All names of parameters and buffers of the class, each with the first name of the same one.
    """
    others: dict[str, str] = {}
    for name, first in names.items():
        if name != first:
            others.setdefault(first, name)
    steps = (each.teacher for step in record.steps for each in (*step.remade, *step.apart))
    weights = [name for name in dict.fromkeys((*steps, *record.origins)) if name in names]
    found = {name: (Origin((name,), SAME, "", "metadata", others.get(name, "")),) for name in weights}
    return replace(record, origins={**record.origins, **found})
