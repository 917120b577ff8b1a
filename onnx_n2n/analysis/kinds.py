"""Kinds of calls: two calls of a function do the same to their axes when what goes in looks alike.

A body sees nothing but what it is given. So its walk depends on the *form* of that alone: which axes are made of which
factors, how long these are, what limits them, and what constants and small tensors say. Where the forms of two calls
are equal, a one-to-one map takes the factors of one to those of the other. The same map takes what the walk of one did
to what a walk of the other would do. A :class:`Summary` is what one walk did; renaming its factors applies it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import onnx_ir as ir

from onnx_n2n.axes.algebra import Axis, Factor, Limit, Product, Reason, Sum, bind, resolve
from onnx_n2n.graph.names import reported
from onnx_n2n.rules.facts import Known
from onnx_n2n.rules.obligations import Ledger

T = TypeVar("T")


class CallForm:
    """What a call is given, with its factors and the reasons that limit them numbered as they come."""

    def __init__(self, given: Sequence[Known]) -> None:
        self.factors: dict[Factor, int] = {}
        self.limits: list[dict[Limit, Reason]] = []  # of each factor, as they are now
        self._reasons: dict[int, int] = {}
        self._described: list[Hashable] = []
        self.key: Hashable = (tuple(map(self._of, given)), tuple(self._described))

    def _of(self, value: Any) -> Hashable:
        if isinstance(value, Factor | Product | Sum):
            return self._axis(resolve(value))
        if isinstance(value, tuple | list):
            return tuple(map(self._of, value))
        if is_dataclass(value):
            return (type(value), *(self._of(getattr(value, field.name)) for field in fields(value)))
        return (type(value), value)

    def _axis(self, axis: Axis) -> Hashable:
        if not isinstance(axis, Factor):
            return (type(axis), *map(self._axis, axis.parts))
        if axis not in self.factors:
            self.factors[axis] = len(self.factors)
            self.limits.append(dict(axis.limits))
            numbers = [(kind, self._reasons.setdefault(id(r), len(self._reasons))) for kind, r in axis.limits.items()]
            self._described.append((axis.size, tuple(numbers)))
        return self.factors[axis]


@dataclass(frozen=True)
class Summary:
    """What the walk of one call did, in factors of its own that nobody else has.

    Attributes:
        node: The call that was walked.
        inner: What the names of the nodes in it began with.
        given: The factors that went in, with their limits after the walk.
        refined: What each of them was found to be made of, if it was.
        passed: Where a reason came in with what was given: by its id, the number of a factor and the limit.
        reasons: All of these, so that no other gets the id of one.
        outputs: What is known of what the call gives.
        ledger: What it owes.
    """

    node: ir.Node
    inner: str
    given: tuple[Factor, ...]
    refined: tuple[Axis | None, ...]
    passed: Mapping[int, tuple[int, Limit]]
    reasons: tuple[Reason, ...]
    outputs: Sequence[Known]
    ledger: Ledger

    @classmethod
    def of(cls, node: ir.Node, inner: str, form: CallForm, outputs: Sequence[Known], ledger: Ledger) -> Summary:
        """Write down what a walk did to what it was given, now that it has been done."""
        given = {factor: Factor(factor.size, dict(factor.limits)) for factor in form.factors}
        copied = _Renaming(dict(given), lambda reason: reason, node)
        passed: dict[int, tuple[int, Limit]] = {}
        for number, limits in enumerate(form.limits):
            for kind, reason in limits.items():
                passed.setdefault(id(reason), (number, kind))
        return cls(
            node=node,
            inner=inner,
            given=tuple(given.values()),
            refined=tuple(copied(resolve(factor)) if factor.bound is not None else None for factor in given),
            passed=passed,
            reasons=tuple(reason for limits in form.limits for reason in limits.values()),
            outputs=copied(outputs),
            ledger=copied(ledger),
        )

    def apply(self, node: ir.Node, inner: str, form: CallForm) -> tuple[Sequence[Known], Ledger]:
        """Do to what another call of this kind is given what the walk did; return its outputs and what it owes.

        Args:
            node: The other call.
            inner: What the names of nodes in it would begin with.
            form: What it is given.
        """
        ours, own = reported(self.node), reported(node)

        told: dict[int, Reason] = {at: form.limits[number][kind] for at, (number, kind) in self.passed.items()}

        def tell(reason: Reason) -> Reason:
            """Return a reason as another call would have it, the same one whenever it is the same."""
            if id(reason) not in told:
                inside = reason.node.startswith(self.inner)
                name = own if reason.node == ours else inner + reason.node[len(self.inner) :] if inside else reason.node
                told[id(reason)] = replace(reason, node=name)
            return told[id(reason)]

        renamed = _Renaming(dict(zip(self.given, form.factors, strict=True)), tell, node)
        for factor, ends, refined in zip(form.factors, self.given, self.refined, strict=True):
            for kind, reason in ends.limits.items():
                factor.limits.setdefault(kind, tell(reason))
            bind(factor, None if refined is None else renamed(refined))
        return renamed(self.outputs), renamed(self.ledger)


class _Renaming:
    """Copies values with other factors, reasons and node in them; a factor that has no counterpart gets a fresh one."""

    def __init__(self, factors: dict[Factor, Factor], reason: Callable[[Reason], Reason], node: ir.Node) -> None:
        self._factors, self._reason, self._node = factors, reason, node

    def __call__(self, value: T) -> T:
        found: Any = value
        if isinstance(value, Factor | Product | Sum):
            found = self._axis(resolve(value))
        elif isinstance(value, Reason):
            found = self._reason(value)
        elif isinstance(value, ir.Node):
            found = self._node
        elif isinstance(value, tuple | list):
            found = type(value)(map(self, value))
        elif is_dataclass(value) and not isinstance(value, type):
            found = replace(value, **{field.name: self(getattr(value, field.name)) for field in fields(value)})
        return found  # type: ignore[no-any-return]

    def _axis(self, axis: Axis) -> Axis:
        if not isinstance(axis, Factor):
            return type(axis)(tuple(map(self._axis, axis.parts))) if axis.parts else axis
        if axis not in self._factors:
            limits = {kind: self._reason(reason) for kind, reason in axis.limits.items()}
            self._factors[axis] = Factor(axis.size, limits)
        return self._factors[axis]
