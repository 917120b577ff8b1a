"""One node under analysis: what a rule may ask about it, and what it may say."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import onnx_ir as ir

from onnx_n2n.axes.algebra import (
    RUNTIME,
    UNIT,
    Axis,
    Factor,
    Limit,
    Product,
    Reason,
    Sum,
    as_long,
    axis_of,
    blame,
    is_cut,
    is_unit,
    leaves,
    limit,
    parts_of,
    pin,
    resolve,
    same,
    singled,
    size,
    spelled,
    total,
)
from onnx_n2n.axes.symbolic import ShapeDim, ShapeValue, always_equal
from onnx_n2n.axes.unify import unify
from onnx_n2n.graph.names import reported
from onnx_n2n.graph.operators import operator_of
from onnx_n2n.graph.passthrough import EXPANDERS
from onnx_n2n.graph.quantised import is_quantised
from onnx_n2n.rules.facts import Facts, Known
from onnx_n2n.rules.floors import Floor
from onnx_n2n.rules.obligations import Contraction, Default, Evenness, Ledger, Literal, Mean, Norm, Picks, Summand

T = TypeVar("T")


class Refusal(Exception):  # noqa: N818 - not an error: it ends as a pin with this reason
    """A rule does not cover this node; everything the node touches is pinned.

    Args:
        text: Why.
        cause: Where that comes from, if another node is to blame: it is then the reason of the pin.
    """

    def __init__(self, text: str, cause: Reason | None = None) -> None:
        super().__init__(text)
        self.cause = cause


class Context:
    """A node with its inputs' axes, for the rule of its operator."""

    def __init__(self, node: ir.Node, version: int, facts: Facts) -> None:
        self.node, self.version, self._facts = node, version, facts
        self.ledger = Ledger.empty()
        self.results: dict[int, tuple[Axis, ...]] = {}
        self.sequences: dict[int, Sequence[tuple[Axis, ...]]] = {}
        self.contents: dict[int, ShapeValue] = {}
        self.dtypes: dict[int, ir.DataType] = {}
        self.consumed: set[int] = set()
        self.unknown: dict[int, Reason | None] = {}  # outputs of unknown rank, and who lost it

    def reason(self, text: str) -> Reason:
        """Return a reason that names this node and its operator."""
        return Reason(f"{self.node.op_type}: {text}", reported(self.node))

    # --- questions

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return the value of an attribute, or ``default``.

        Raises:
            Refusal: If the attribute is a reference to an attribute of the enclosing function, or not of the kind of
                ``default``: a number, a text or a list.
        """
        found = self.node.attributes.get(name)
        if found is None:
            return default
        if found.is_ref():
            raise Refusal(f"attribute {name!r} is set by the enclosing function")
        if default is not None and _kind(found.value) is not _kind(default):
            raise Refusal(f"attribute {name!r} is {found.value!r}")
        return found.value

    def required(self, name: str, kind: type[T]) -> T:
        """Return the value of an attribute that must be there, and of a kind.

        Raises:
            Refusal: If it is not, or as :meth:`attribute` does.
        """
        found = self.attribute(name)
        if not isinstance(found, kind):
            raise Refusal(f"attribute {name!r} is {'missing' if found is None else repr(found)}")
        return found

    def has(self, slot: int) -> bool:
        """Say whether the node has an input at ``slot``."""
        return slot < len(self.node.inputs) and self.node.inputs[slot] is not None

    def given_out(self, slot: int) -> bool:
        """Say whether something reads the output at ``slot``, or the graph gives it out."""
        value = self.node.outputs[slot] if slot < len(self.node.outputs) else None
        return value is not None and (bool(value.uses()) or value.is_graph_output())

    def value(self, slot: int) -> ir.Value:
        """Return the tensor at an input slot.

        Raises:
            Refusal: If there is none.
        """
        found = self.node.inputs[slot] if slot < len(self.node.inputs) else None
        if found is None:
            raise Refusal(f"input {slot} is missing")
        return found

    def rank_known(self, slot: int) -> bool:
        """Say whether the rank of an input is known."""
        return self._facts.axes(self.node, slot) is not None

    def axes(self, slot: int, rank: int | None = None) -> tuple[Axis, ...]:
        """Return the axes of an input, which must be ``rank`` if that is given.

        Raises:
            Refusal: If the input is missing, or its rank is unknown or another one.
        """
        value = self.value(slot)
        found = self._facts.axes(self.node, slot)
        if found is None:
            raise self.unknown_rank(slot)
        if rank is not None and len(found) != rank:
            raise Refusal(f"{value.name!r} has rank {len(found)}, not {rank}")
        return found

    def unknown_rank(self, slot: int) -> Refusal:
        """Return the refusal of an input because its rank is unknown; the node that lost it is to blame."""
        value = self.value(slot)
        return Refusal(f"the rank of {value.name!r} is not known", self._facts.lost(value))

    def position(self, slot: int, axis: int) -> int:
        """Return ``axis`` of an input as a number from 0, counted from the end when negative."""
        rank = len(self.axes(slot))
        if not isinstance(axis, int):
            raise Refusal(f"{axis!r} is not the number of an axis")
        if not -rank <= axis < rank:
            raise Refusal(f"axis {axis} does not exist in a tensor of rank {rank}")
        return axis % rank

    def sequence(self, slot: int) -> Sequence[tuple[Axis, ...]]:
        """Return the axes of each tensor of an input that is a sequence.

        Raises:
            Refusal: If they are not known.
        """
        found = self._facts.sequence(self.value(slot))
        if found is None:
            value = self.value(slot)
            raise Refusal(f"what the sequence {value.name!r} holds is not known", self._facts.lost(value))
        return found

    def content(self, slot: int) -> ShapeValue | None:
        """Return what a small input of rank 0 or 1 says, without taking responsibility for it."""
        found = self.table(slot)
        return found if found is not None and found.width is None else None

    def table(self, slot: int) -> ShapeValue | None:
        """Return what a small input says, of rank 2 too, without taking responsibility for it."""
        return self._facts.content(self.value(slot)) if self.has(slot) else None

    def content_of(self, value: ir.Value) -> ShapeValue | None:
        """Return what a small tensor inside a body says."""
        return self._facts.content(value)

    def parameter(self, slot: int, count: int | None = None) -> tuple[ShapeDim, ...]:
        """Return the elements of an input that steers the node; the rule answers for what they measure.

        Raises:
            Refusal: If they are not known, or not ``count`` of them where that is given.
        """
        found = self.content(slot)
        if found is None:
            value = self.value(slot)
            raise Refusal(f"{value.name!r} is computed from data", self._facts.obscured(value))
        if count is not None and len(found.elements) != count:
            raise Refusal(f"{self.value(slot).name!r} has {len(found.elements)} elements, not {count}")
        for axis in self._facts.axes(self.node, slot) or ():  # it may be a weight that was cast
            self.pin(axis, "its elements steer the operator")
        self.consumed.add(slot)
        return found.elements

    def numbers(self, slot: int) -> tuple[float, ...]:
        """Return the elements of an input that steers the node, none of which growth may move.

        Raises:
            Refusal: If one is not.
        """
        elements = self.parameter(slot)
        found = tuple(element.value for element in elements if element.fixed and element.value is not None)
        if len(found) < len(elements):
            self.consumed.discard(slot)
            cause = next((element.cause for element in elements if not element.literal), None)
            raise Refusal(f"{self.value(slot).name!r} is not constant", cause)
        return found

    def constant(self, slot: int) -> np.ndarray | None:
        """Return the elements of a constant input, or None when it is not constant."""
        return self._facts.constant(self.value(slot))

    def own_axes(self, slot: int) -> tuple[Axis, ...]:
        """Return the axes along which an input may differ: those from before it was expanded."""
        node, place = self.node, slot
        while (made := self._maker(node, place)) is not None:
            node, place = made, 0
        return self._facts.axes(node, place) or ()

    def _maker(self, node: ir.Node, slot: int) -> ir.Node | None:
        value = node.inputs[slot]
        made = value.producer() if value is not None else None
        return made if made is not None and operator_of(made) in EXPANDERS else None

    def real(self, slot: int) -> bool:
        """Say whether an input is known to hold floating-point numbers."""
        return self._facts.floating(self.value(slot))

    def floor(self, slot: int) -> Floor:
        """Return how small the numbers of an operand can be; who relies on it calls :meth:`hold`."""
        return self._facts.floor(self.node, slot)

    def inferred(self, slot: int = 0) -> tuple[int | None, ...] | None:
        """Return the shape of an output as shape inference found it."""
        return self._facts.inferred(self.node.outputs[slot])

    def known(self, slot: int) -> Known:
        """Return all that is known of an input; the rule answers for what it measures."""
        value = self.value(slot)
        self.consumed.add(slot)
        axes, sequence = self._facts.axes(self.node, slot), self._facts.sequence(value)
        lost = self._facts.lost(value) if axes is None and sequence is None else None
        return Known(axes, self._facts.content(value), sequence, lost=lost)

    def walk(self, body: ir.Graph, given: Sequence[Known]) -> tuple[list[Known], Ledger]:
        """Walk a graph inside the node; its obligations are the node's once they are in the node's ledger."""
        return self._facts.walk(body, given)

    def given(self, count: int) -> list[Known]:
        """Return what a function with ``count`` inputs is given; the function answers for what it measures."""
        return [self.known(slot) if self.has(slot) else Known() for slot in range(count)]

    def passed(self, slot: int) -> Hashable:
        """Return all that a function can learn of an input, besides what :meth:`known` says."""
        return self._facts.passed(self.value(slot))

    def call(self, body: ir.Graph, given: Sequence[Known]) -> tuple[list[Known], Ledger]:
        """Walk a private copy of a function's body, whose inputs stand for the node's."""
        self._facts.adopt(body, self.node)
        return self._facts.walk(body, given)

    def described(self, axis: Axis) -> str:
        """Return what an axis is made of, and by which node or input: ``4 + 2 (Concat 'c')``."""
        unknown = (factor.limits.get(Limit.PINNED) for factor in leaves(axis) if factor.size is None)
        given = next((why for why in unknown if why is not None and why != RUNTIME and not why.node), None)
        if given is not None:
            return f"{spelled(axis)} ({given.text})"
        maker = self._facts.maker(self.node, axis)
        return spelled(axis) if maker is None else f"{spelled(axis)} ({maker.op_type} {reported(maker)!r})"

    def crossing(self, axis: Axis, meant: str = "") -> Reason:
        """Return the reason why parts of an axis keep their lengths where groups end inside of them."""
        joined = next((part for part in parts_of(axis) if isinstance(part, Sum)), None)
        if joined is None:
            return self.reason(f"it makes groups{meant} that end inside of others: {self.described(axis)}")
        return self.reason(f"it makes groups{meant} across a border in {self.described(joined)}")

    def laid(self, axes: Iterable[Axis]) -> Axis:
        """Return axes laid end to end; of single places among them that nobody cut out, this node says so."""
        single = Product((), self.reason("it joins single channels, which cannot move"))
        return total(*(single if same(axis, UNIT) and singled(axis) is None else axis for axis in axes))

    # --- statements

    def tie(self, one: Axis, other: Axis, text: str = "axes that must be equal do not line up") -> None:
        """Make two axes equal."""
        one, other = resolve(one), resolve(other)
        apart = not isinstance(one, Factor) and not isinstance(other, Factor) and not same(one, other)
        if apart or (size(one) is None) is not (size(other) is None):
            text = f"{text}: {self.described(one)} and {self.described(other)}"
        unify(one, other, self.reason(text))

    def pin(self, axis: Axis, text: str, cause: Reason | None = None) -> None:
        """Forbid an axis to grow, because of what ``text`` says, or for the reason ``cause`` that lies behind it."""
        pin(axis, cause or self.reason(text))

    def pin_measured(self, element: ShapeDim, text: str) -> None:
        """Forbid what an element measures to grow: the node cannot follow it."""
        if element.axis is not None:
            self.pin(element.axis, text)

    def require_copies(self, axis: Axis, text: str) -> None:
        """Allow only copies of old channels on an axis."""
        limit(axis, Limit.COPIES, self.reason(text))

    def hold(self, floor: Floor, text: str) -> None:
        """Let the constants that a floor hangs on keep to their numbers: what is new in them is copied."""
        for node, slot in floor.kept:
            for axis in self._facts.axes(node, slot) or ():
                self.require_copies(axis, text)

    def require_even(self, axis: Axis, text: str, by: Norm | Mean | None = None) -> None:
        """Require every channel of an axis to occur equally often, unless growth finds a way around ``by``.

        There is none where the axis has a part whose length only run time knows.
        """
        by = None if size(axis) is None else by
        self.ledger.evenness.append(Evenness(axis, self.reason(text), by))

    def contract(self, summands: Sequence[Summand], power: float | None = None, scale: str | None = None) -> None:
        """Say that the node sums over an axis of its operands, one of which must be able to carry shares."""
        known = [each for each in summands if all(size(axis) is not None for axis, _ in each.parts)]
        if any(is_quantised(self.node, each.slot) for each in known):
            whole = tuple(each for each in known if self._facts.divisible(self.node, each.slot))
            if whole:
                self.ledger.contractions.append(Contraction(self.node, whole, whole=True))
                return
            known = []
        if known and any(self._facts.floating(self.value(each.slot)) for each in summands):
            self.ledger.contractions.append(Contraction(self.node, tuple(known), power, scale))
            return
        summed = [axis for each in summands for axis, _ in each.parts]
        cause = next((reason for axis in summed if size(axis) is None and (reason := blame(axis))), None)
        for axis in summed:
            self.pin(axis, "it sums computed whole numbers, or over an axis of a length known only at run time", cause)

    def require_default(self, attribute: str, value: float, axis: Axis) -> None:
        """Say that an attribute, when it is missing, is ``value`` because of the length of ``axis``."""
        if self.attribute(attribute) is None:
            self.ledger.defaults.append(Default(self.node, attribute, value, axis))

    def pick(
        self, slot: int, axis: Axis, runs: Sequence[tuple[Axis, Axis]], shuffled: tuple[Axis, Axis] | None = None
    ) -> None:
        """Say that constant indices read these runs of an axis."""
        self.ledger.picks.append(Picks(self.node, slot, axis, tuple(runs), shuffled))

    def require_length(self, place: int | str, position: int | None, axis: Axis, *, negative: bool = False) -> None:
        """Say that a number, in an input or an attribute, is the length of ``axis``."""
        stated = isinstance(place, str) or not self.has(place)  # an input that is not there can be written out
        element = ShapeDim(0) if stated else self.parameter(int(place))[position or 0]
        text = "a length computed at run time does not follow the axis it stands for"
        if element.axis is None and element.value is None:
            self.pin(axis, text, element.cause)
        elif element.axis is None or (element.value is not None and not always_equal(element.axis, axis)):
            # Written in the model, or the length of something else: growth changes it by what the two differ then.
            if size(axis) is None:
                unknown = "a length is stated for this axis, of which a part is not known before run time"
                self.pin(axis, unknown, blame(axis))
                self.pin_measured(element, unknown)
            self.ledger.literals.append(Literal(self.node, place, position, axis, negative))
        elif negative:
            self.pin(axis, text)
            self.pin(element.axis, text)
        elif not always_equal(element.axis, axis):
            self.tie(element.axis, axis, text)

    def pinned_axis(self, length: int | None, text: str, cause: Reason | None = None) -> Axis:
        """Return a fresh axis that is pinned, with a reason as :meth:`pin` has it."""
        reason = cause or self.reason(text)
        axis = axis_of(length, reason)
        pin(axis, reason)
        return axis

    def result(self, axes: Sequence[Axis], slot: int = 0) -> None:
        """Set the axes of an output.

        Raises:
            Refusal: If shape inference knows better.
        """
        known = self._facts.inferred(self.node.outputs[slot]) if slot < len(self.node.outputs) else None
        if known:  # some old exporters declare rank 0 where they do not know the shape
            lengths = [size(axis) for axis in axes]
            wrong = len(known) != len(axes) or any(
                None not in pair and pair[0] != pair[1] for pair in zip(known, lengths, strict=True)
            )
            if wrong:
                raise Refusal(f"the declared shape {list(known)} is not the computed one {lengths}")
        for axis in axes:
            if is_unit(axis):  # it may be broadcast
                self.pin(axis, "it has length 1")
        self.results[slot] = tuple(axes)

    def give(self, slot: int, known: Known) -> None:
        """Set all that is known of an output; one of unknown rank is pinned as far as shape inference knows it.

        Raises:
            Refusal: If shape inference knows better.
        """
        if slot >= len(self.node.outputs):
            return
        if known.dtype is not None:
            self.dtypes[slot] = known.dtype
        if known.content is not None:
            self.contents[slot] = known.content
        if known.sequence is not None:
            self.sequences[slot] = known.sequence
        elif known.axes is not None:
            self.result(known.axes, slot)
        elif (lengths := self.inferred(slot)) is not None:
            axes = [self.pinned_axis(length, "its rank is not known", known.lost) for length in lengths]
            self.result(axes, slot)
        else:
            self.unknown[slot] = known.lost

    def align(self, one: Sequence[Axis], other: Sequence[Axis]) -> list[Axis]:
        """Return the axes of two operands broadcast against each other, aligned at the right."""
        if len(one) < len(other):
            one, other = other, one
        found = list(one)
        offset = len(one) - len(other)
        for position, axis in enumerate(other, offset):
            if is_unit(found[position]):
                found[position] = axis
            elif not is_unit(axis):
                self._meet(found, position, axis)
        return found

    def _meet(self, found: list[Axis], position: int, axis: Axis) -> None:
        ours = size(found[position])
        theirs = size(axis)
        if (ours is not None and theirs is not None) or as_long(found[position], axis):
            self.tie(found[position], axis, "broadcast operands do not line up")
            return
        if is_cut(axis, found[position]):
            return
        if is_cut(found[position], axis):
            found[position] = axis
            return
        # One of the two might be 1 at run time: neither is the other.
        unknown = self.described(axis if theirs is None else found[position])
        text = f"it meets an axis whose length is not known before run time: {unknown}"
        causes = blame(axis), blame(found[position])
        for part, cause in zip((found[position], axis), causes, strict=True):
            self.pin(part, text, cause)
        if ours is None:
            found[position] = axis if theirs is not None else self.pinned_axis(None, text, causes[0])


def _kind(value: object) -> object:
    """Return of what kind an attribute is: a text, a list, a number, or something else."""
    if isinstance(value, int | float):
        return float
    return next((kind for kind in (str, Sequence) if isinstance(value, kind)), type(value))
