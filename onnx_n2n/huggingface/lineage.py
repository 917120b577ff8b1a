"""The growth record of a folder names parameters as its class does, so that checkpoints and optimizers can follow.

It goes from one folder to the other, and not from graph to graph. So records of folders that grew one after the other
can be joined.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import replace

from onnx_n2n.huggingface.folder import Folder
from onnx_n2n.huggingface.layers import Deeper
from onnx_n2n.huggingface.network import Network
from onnx_n2n.huggingface.writing import BLOCK
from onnx_n2n.record.layouts import SAME
from onnx_n2n.record.obstacles import Obstacle, obstacles
from onnx_n2n.record.provenance import Origin
from onnx_n2n.record.recipe import Recipe
from onnx_n2n.record.record import New, Record, Remade
from onnx_n2n.record.steps import LAYER


def owned(record: Record, names: Mapping[str, str]) -> Record:
    """Return a record in which each weight of a class is known to be the parameter of that name, as it lies there.

    Args:
        record: What became of the weights of the class' graph, which have the names of its parameters.
        names: All names of parameters and buffers of the class, each with the first name of the same one.
    """
    own: dict[str, list[Origin]] = {}
    for name, first in names.items():
        own.setdefault(first, []).append(Origin((name,), SAME, "", "metadata"))
    return replace(record, origins={**record.origins, **{name: tuple(found) for name, found in own.items()}})


def between(record: Record, before: str, after: str) -> Record:
    """Return the record of one pass as one from a folder to another, by their digests."""
    (step,) = record.steps
    return replace(record, steps=(replace(step, parent=before),), student=after)


def deepened(record: Record, text: str, network: Network, deeper: Deeper, made: Mapping[str, str]) -> Record:
    """Return the record of a class with more layers, which gives all layers behind a new one another number.

    Args:
        record: What became of the graph.
        text: The pass with its options.
        network: The class.
        deeper: The same with more layers.
        made: How the tensors of new layers are made, by the first of their names.
    """
    moved, new = [], []
    for name, shape in deeper.network.shapes.items():
        source = network.one.get(deeper.sources[name], deeper.sources[name])
        if deeper.network.one.get(name, name) != name:
            continue
        if name in deeper.added:
            new.append(New(name, shape, source, kind=LAYER, place=deeper.added[name], made=made[name]))
        elif name != source:
            moved.append(Remade(source, name, shape, Recipe((None,) * len(shape)), (None,) * len(shape)))
    (step,) = record.steps
    new.sort(key=lambda each: each.place)
    return replace(record, steps=(replace(step, text=text, remade=tuple(moved), new=tuple(new)),))


def digest(folder: Folder, unread: Collection[str] = ()) -> str:
    """Return the SHA-256 of what a model in a folder is: its class, and its tensors by key, whichever file has them.

    Args:
        folder: The model.
        unread: Keys of tensors that its class does not have.
    """
    found = hashlib.sha256(json.dumps(folder.config.get("architectures")).encode())
    for key in sorted(folder.tensors.keys() - set(unread)):
        stored = folder.tensors[key]
        found.update(json.dumps([key, stored.dtype, list(stored.shape)]).encode())
        for start in range(0, stored.length, BLOCK):
            found.update(folder.bytes_of(key, start, BLOCK).data)
    return found.hexdigest()


def unfollowed(record: Record, network: Network) -> tuple[Obstacle, ...]:
    """Return what keeps a checkpoint of a class from following."""
    return obstacles(record, lambda origin: all(name in network.shapes for name in origin.names))
