"""A model as a list of steps that any framework can take: what is computed, in which lane, with which weights.

All of it is immutable, and holds no nodes of the model. :mod:`onnx_n2n.export.build` makes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnx_n2n.export.choice import Kind
from onnx_n2n.record.layouts import Layout
from onnx_n2n.record.provenance import Source


@dataclass(frozen=True)
class ProgramStep:
    """One operator at work.

    Attributes:
        operator: Its type, with its domain unless that is ONNX's own: ``Conv``, ``com.microsoft.BiasGelu``.
        version: The version of its operator set.
        name: The name of the node, for people.
        inputs: Names of values; empty for what is left out.
        outputs: Names of values; empty for what nobody wants.
        attributes: Numbers, texts, lists of them and arrays, by name.
        blocks: The graphs inside of it, by attribute.
        types: The types of the inputs as ONNX numbers them, 0 where they are not known.
    """

    operator: str
    version: int
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    blocks: Mapping[str, Block]
    types: tuple[int, ...] = ()


@dataclass(frozen=True)
class Block:
    """Steps, one after the other: of the main graph, or of one inside of a step.

    Attributes:
        inputs: Names of the values that come in.
        outputs: Names of the values that go out.
        steps: What is done.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    steps: tuple[ProgramStep, ...]

    def walk(self) -> Iterator[ProgramStep]:
        """Go through all steps, also of the blocks inside of steps, in the order in which they are taken."""
        for step in self.steps:
            for inner in step.blocks.values():
                yield from inner.walk()
            yield step


@dataclass(frozen=True)
class Tensor:
    """A tensor of the framework.

    Attributes:
        name: Its dotted name.
        array: Its values, as the framework has them.
        trained: Whether it is a parameter; else a buffer.
        source: Where its name comes from.
        initializers: Names of the initializers that it is in.
        because: Why it is a parameter or a buffer, for people.
        guess: Whether that is a guess.
    """

    name: str
    array: np.ndarray
    trained: bool
    source: Source
    initializers: tuple[str, ...]
    because: str = ""
    guess: bool = False


@dataclass(frozen=True)
class Weight:
    """A value of the graph, made of the framework's tensors.

    Attributes:
        parts: Names of the tensors.
        layout: How it is made of them.
        initializer: Name of the initializer that it is in the file.
    """

    parts: tuple[str, ...]
    layout: Layout
    initializer: str


@dataclass(frozen=True)
class Account:
    """What became of a tensor.

    Attributes:
        name: Its name in the file.
        kind: ``trained``, ``state`` or ``constant``.
        because: Why, for people.
        guess: Whether that is read off what it looks like.
        shape: Its lengths.
        dtype: Its type, as ONNX calls it.
        tensors: The framework's tensors that it became; none of a constant.
    """

    name: str
    kind: Kind
    because: str
    guess: bool
    shape: tuple[int, ...]
    dtype: str
    tensors: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The same as JSON takes it, without what the framework's tensors say themselves."""
        return {"name": self.name, "shape": list(self.shape), "type": self.dtype, "because": self.because}


@dataclass(frozen=True)
class Program:
    """Everything that a framework needs to know of a model.

    Attributes:
        main: The main graph.
        tensors: The framework's own tensors, by name: what is trained, and what goes with it.
        weights: How values of the graph are made of those, by name of the value.
        constants: Values that never change.
        host: Values that are worked out on the host.
        outputs: What the outputs are called in the file; a block may know them by other names, or two by one.
        accounts: What became of every floating-point tensor of the file; empty where that is not known any more.
    """

    main: Block
    tensors: Mapping[str, Tensor]
    weights: Mapping[str, Weight]
    constants: Mapping[str, np.ndarray]
    host: frozenset[str]
    outputs: tuple[str, ...]
    accounts: tuple[Account, ...] = ()
