"""A node while its rule runs: what it reads, and that all of it is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import onnx
from onnx import helper

from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.roots import Scaled
from onnx_n2n.exact.running import Running
from onnx_n2n.exact.scope import Scope
from onnx_n2n.exact.tensor import BOOL, Tensor, Value
from onnx_n2n.exact.undecided import Undecided
from onnx_n2n.exact.world import World

TEXTS = {"doc_string", "name"}
SHAPED = {"ConstantOfShape", "Expand", "Reshape"}  # operators with an input that says the lengths of their result
DECIDING = ("axes", "axis", "largest", "mode", "upper")  # attributes that say what is decided by lengths
FLAGS = {
    "ceil_mode", "count_include_pad", "do_rotary", "interleaved", "is_causal", "keepdims", "largest", "layout",
    "linear_before_reset", "noop_with_empty_axes", "sorted", "training_mode", "transA", "transB", "unidirectional",
}  # fmt: skip


class Site:
    """A node with its inputs.

    Args:
        run: The run that it is part of.
        scope: The names that its subgraphs see.
        node: The node.
        inputs: What its inputs stand for; None for one that is not given.
        version: The version of its domain's operators.
        attributes: Attributes of the function that the node stands in, for those that refer to them.
    """

    def __init__(
        self, run: Running, scope: Scope, node: onnx.NodeProto, inputs: Sequence[Value], version: int,
        attributes: Mapping[str, onnx.AttributeProto],
    ) -> None:  # fmt: skip
        self.visit = run.trail.visit(node, inputs)
        self.run, self.scope, self.node, self.inputs, self.version = run, scope, node, inputs, version
        self._attributes: dict[str, onnx.AttributeProto] = {}
        for each in node.attribute:
            if not each.ref_attr_name:
                self._attributes[each.name] = each
            elif each.ref_attr_name in attributes:
                self._attributes[each.name] = attributes[each.ref_attr_name]
        self._read: set[str] = set()
        self._slots: set[int] = set()

    # What is calculated with

    @property
    def world(self) -> World[Any]:
        """What numbers are; roots are taken as a record says that they can be."""
        names = (self.node.name, *self.node.output)
        scales = (self.run.exact.scales[name] for name in names if name in self.run.exact.scales)
        found = next((Scaled(self.run.world, scale) for scale in scales), self.run.world)
        return cast("World[Any]", found)  # what `Scaled` has no method for, it hands on

    @property
    def operator(self) -> str:
        """The node's operator."""
        return self.node.op_type

    @property
    def place(self) -> str:
        """The node's name, or that of its first output."""
        return self.node.name or next(iter(self.node.output), "")

    @property
    def count(self) -> int:
        """The number of inputs that the node lists, with those that are not given."""
        return len(self.inputs)

    @property
    def outputs(self) -> int:
        """The number of outputs that the node lists."""
        return len(self.node.output)

    def wants(self, slot: int) -> bool:
        """Return whether an output is asked for."""
        return slot < len(self.node.output) and bool(self.node.output[slot])

    # Attributes

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute's value: a number, text, list, tensor or graph.

        A number that a record has a form for is returned as `Numbers` by `setting`; this returns it as it is written.
        """
        self._read.add(name)
        if name not in self._attributes:
            return default
        value = helper.get_attribute_value(self._attributes[name])
        if name in FLAGS and value not in {0, 1}:
            raise Undecided(f"{name} is {value}, which is neither 0 nor 1")
        return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value

    def setting(self, name: str, default: float | None = None) -> Numbers:
        """Return a number among the attributes as a number to calculate with: what it was before it was rounded.

        Raises:
            Undecided: If it is not given and has no default.
        """
        value = self.attribute(name, default)
        if value is None:
            raise Undecided(f"{name!r} is not given")
        exact = self.run.exact_setting(self.node, name) if self.scope.written else None
        number: Numbers = self.world.enter(np.float32(value)) if exact is None else exact
        return number

    def constants(self) -> list[onnx.AttributeProto]:
        """Return all attributes, as they are where the node stands in a function."""
        found = []
        for name, each in self._attributes.items():
            copy = onnx.AttributeProto()
            copy.CopyFrom(each)
            copy.name = name
            found.append(copy)
        return found

    def ignore(self, *names: str) -> None:
        """Say that attributes make no difference to what the node computes."""
        self._read |= set(names)

    # Inputs

    def given(self, slot: int) -> bool:
        """Return whether an input is given."""
        return slot < len(self.inputs) and self.inputs[slot] is not None

    def value(self, slot: int) -> Value:
        """Return what an input stands for; that its elements are read is for the rule to say."""
        self._slots.add(slot)
        if not self.given(slot):
            return None
        return self.inputs[slot]

    def tensor(self, slot: int) -> Tensor:
        """Return an input that has to be a tensor.

        Raises:
            Undecided: If it is not given, or something else.
        """
        value = self.value(slot)
        if not isinstance(value, Tensor):
            raise Undecided(f"input {slot} is {'not given' if value is None else 'a sequence'}")
        return value

    def numbers(self, slot: int) -> Numbers:
        """Return an input as numbers, all of which are read."""
        tensor = self.tensor(slot)
        self.run.read(tensor)
        return self.run.numbers(tensor)

    def optional(self, slot: int) -> Numbers | None:
        """Return an input as numbers, or None where it is not given."""
        self._slots.add(slot)
        return self.numbers(slot) if self.given(slot) else None

    def known(self, slot: int) -> np.ndarray:
        """Return an input whose elements have to be known: it says how long or where something is.

        Raises:
            Undecided: If they depend on the model's inputs.
        """
        tensor = self.tensor(slot)
        if tensor.known is None:
            raise Undecided(f"input {slot} says how long or where something is, and depends on the model's inputs")
        self.run.read(tensor)
        if tensor.sized and not (self.operator in SHAPED and self._fits(tensor)):
            deciding = (f"{name}={self.attribute(name)}" for name in DECIDING if name in self._attributes)
            self.run.decide_by(tensor, (self.operator, slot, *deciding), self.place)
        return tensor.known

    def _fits(self, lengths: Tensor) -> bool:
        """Return whether lengths of a result are shown to fit whatever lengths are drawn, so that they decide nothing.

        They are multiples of lengths, which two sets of shapes show to fit. One that is left open has to be fixed: all
        lengths that the first input hangs on are in the others.
        """
        assert lengths.known is not None
        measured = self.world.measured(self.run.numbers(lengths), lengths.known)
        if (lengths.known == 0).any() or not measured.all():
            return False
        open_ = bool((lengths.known < 0).any())
        return not open_ or np.prod(np.array(self.shape(0))[self.free(0)]) == np.prod(measured)

    def shape(self, slot: int) -> tuple[int, ...]:
        """Return the lengths of an input's axes."""
        value = self.inputs[slot]
        return value.shape if isinstance(value, Tensor) else ()

    def free(self, slot: int) -> np.ndarray:
        """Return which axes of an input are as long as the lengths that were drawn make them, bool[n]."""
        return self.run.lengths.free(self.visit, slot, self.shape(slot))

    def known_optional(self, slot: int) -> np.ndarray | None:
        """Return an input whose elements have to be known, or None where it is not given."""
        self._slots.add(slot)
        return self.known(slot) if self.given(slot) else None

    def axes(self, slot: int | None, ndim: int, name: str = "axes") -> list[int] | None:
        """Return axes, from 0: an attribute in older versions, an input in newer ones; None if not given."""
        found = self.attribute(name)
        if found is None and slot is not None and self.given(slot):
            found = self.known(slot).reshape(-1).tolist()
        if found is None:
            return None
        return [_axis(int(each), ndim) for each in ([found] if isinstance(found, int) else found)]

    def axis(self, default: int, ndim: int, name: str = "axis") -> int:
        """Return an axis, from 0."""
        return _axis(int(self.attribute(name, default)), ndim)

    # Outputs

    def result(self, numbers: Numbers, type_: int | None = None) -> Tensor:
        """Return numbers as a tensor, of the type of the first input if none is given."""
        return Tensor(self.tensor(0).type if type_ is None else type_, None, numbers)

    def decision(self, numbers: Numbers) -> Tensor:
        """Return numbers that are 1 where something holds, and 0 elsewhere, as a tensor."""
        return Tensor(BOOL, None, numbers)

    def left(self) -> str:
        """Say what the rule has not looked at, or return nothing."""
        attributes: Iterable[str] = (each for each in self._attributes if each not in self._read | TEXTS)
        slots = (f"input {slot}" for slot in range(len(self.inputs)) if self.given(slot) and slot not in self._slots)
        return ", ".join([*(f"attribute {each!r}" for each in attributes), *slots])


def _axis(axis: int, ndim: int) -> int:
    if not -ndim <= axis < max(ndim, 1):
        raise Undecided(f"there is no axis {axis} among {ndim}")
    return axis % max(ndim, 1)
