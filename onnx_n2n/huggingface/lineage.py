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
    own: dict[str, list[Origin]] = {}
    for name, first in names.items():
        own.setdefault(first, []).append(Origin((name,), SAME, "", "metadata"))
    steps = (each.teacher for step in record.steps for each in (*step.remade, *step.apart))
    weights = dict.fromkeys((*steps, *record.origins))
    return replace(record, origins={**record.origins, **{name: tuple(own[name]) for name in weights if name in own}})
