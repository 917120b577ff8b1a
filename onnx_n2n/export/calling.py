"""Operators as functions: how a table of them is read.

An operator is a function that takes the inputs in order, and the attributes by name. Since ONNX turns attributes into
inputs from one version to the next (``axes``, ``split``, ``pads``), a parameter may come either way, and one function
serves both versions. Where the meaning changed, the table has one function per version from which on it holds.

Some parameters are given by the program: ``outputs`` is how many outputs are wanted, ``like`` a tensor that says where
new tensors belong, ``known_shapes`` the shapes of the inputs, None where one is not known beforehand.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import onnx_ir as ir

from onnx_n2n.errors import ExportError
from onnx_n2n.export.program import ProgramStep

Function = Callable[..., Any]
Table = Mapping[str, Function | Mapping[int, Function]]
"""Functions by operator; a mapping has them by the version of the operator set from which on they hold."""

F = TypeVar("F", bound=Function)

UNMADE = frozenset(kind.value for kind in ir.DataType if kind.name.startswith(("FLOAT8", "FLOAT4", "STRING")))
UNCAST = UNMADE | {kind.value for kind in ir.DataType if kind.name.lstrip("U") in {"INT4", "INT2"}}
"""Types that nothing is turned into, or only by quantisation: numbers beyond their ends would not be ONNX Runtime's."""

IGNORED = frozenset({
    "consumed_inputs", "sm_count", "stash_type",  # how to compute: in place, on how many cores, sums of which type
    "hidden_size", "kernel_shape",  # where weights say it too
    "output_sequence",  # whether a recurrent cell has an output that the node names or leaves out
})  # fmt: skip
"""Attributes that a function need not know: they do not say what to compute."""

NO_TURN = "a loop that takes no turn has outputs of unknown shape"
ANY = 2**31
"""As many inputs or outputs as there are."""


def several(most: int) -> Callable[[F], F]:
    """Mark a function that returns a tuple of outputs, also where there is only one, and say how many it has."""

    def mark(function: F) -> F:
        function.several = most  # type: ignore[attr-defined]
        return function

    return mark


def refusing(reason: Callable[[Mapping[str, Any]], str]) -> Callable[[F], F]:
    """Mark a function that cannot do everything; ``reason`` says why not by a node's attributes, empty if it can."""

    def mark(function: F) -> F:
        function.refusing = reason  # type: ignore[attr-defined]
        return function

    return mark


def passing(other: Function) -> Callable[[F], F]:
    """Mark a function that passes attributes on to another one, as ``**settings``."""

    def mark(function: F) -> F:
        function.passing = other  # type: ignore[attr-defined]
        return function

    return mark


@dataclass(frozen=True)
class Call:
    """A function with the attributes of one step.

    Attributes:
        function: What to call with the inputs.
        keywords: What to pass by name.
        several: Whether a tuple comes back.
        known_shapes: Whether it takes what is known beforehand of the shapes of its inputs.
        like: Whether it takes a tensor that says where new tensors belong.
        takes_numbers: For every input whether it is wanted as a number, or a list of them.
        gives_numbers: Whether numbers come back.
    """

    function: Function
    keywords: Mapping[str, Any]
    several: bool
    like: bool
    known_shapes: bool
    takes_numbers: tuple[bool, ...]
    gives_numbers: bool


def find(table: Table, operator: str, version: int) -> Function | None:
    """Return the function of an operator at a version of its operator set."""
    entry = table.get(operator)
    if entry is None or callable(entry):
        return entry
    return entry[max((since for since in entry if since <= version), default=min(entry))]


def bind(table: Table, step: ProgramStep, takes_numbers: Iterable[bool], gives_numbers: bool) -> Call:
    """Find the function of a step, and give it the step's attributes.

    Raises:
        ExportError: There is no function, or it does not know an attribute, an input or an output, or cannot do what an
            attribute says.
    """

    def refused(reason: str) -> ExportError:
        return ExportError(reason, node=step.name, operator=step.operator)

    function = find(table, step.operator, step.version)
    if function is None:
        raise refused("the operator has no counterpart in the framework yet")
    known, outputs = _parameters(function), len(step.outputs)
    if unknown := [key for key in step.attributes if key not in known and key not in IGNORED]:
        raise refused(f"the operator's counterpart does not know its attribute {unknown[0]!r}")
    for what, wanted, most in (
        ("input", len(step.inputs), _most_inputs(function)),
        ("output", outputs, getattr(function, "several", 1)),
    ):
        if wanted > most:
            raise refused(f"the operator's counterpart has no {what} number {wanted}")
    if reason := getattr(function, "refusing", lambda _: "")(step.attributes):
        raise refused(reason)
    keywords = {key: value for key, value in step.attributes.items() if key in known}
    if "outputs" in known:
        keywords["outputs"] = outputs
    return Call(
        function=function,
        keywords=keywords,
        several=hasattr(function, "several"),
        like="like" in known,
        known_shapes="known_shapes" in known,
        takes_numbers=tuple(takes_numbers),
        gives_numbers=gives_numbers,
    )


@functools.cache
def _parameters(function: Function) -> frozenset[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):  # a function of the framework itself: it takes inputs and nothing else
        return frozenset()
    if not any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters):
        return frozenset(parameter.name for parameter in parameters)
    if (other := getattr(function, "passing", None)) is None:
        return frozenset()
    own = frozenset(parameter.name for parameter in parameters if parameter.kind != parameter.VAR_KEYWORD)
    settings = inspect.signature(other).parameters.values()
    return own | {parameter.name for parameter in settings if parameter.kind == parameter.KEYWORD_ONLY}


@functools.cache
def _most_inputs(function: Function) -> int:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return ANY
    if any(parameter.kind == parameter.VAR_POSITIONAL for parameter in parameters):
        return ANY
    return sum(parameter.kind not in {parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD} for parameter in parameters)


def refuse(step: ProgramStep) -> None:
    """Refuse steps that no framework can take yet, where attributes alone do not show it.

    Raises:
        ExportError: No framework can take the step.
    """
    reason = hint = ""
    if step.operator == "BatchNormalization":
        if step.attributes.get("training_mode"):
            reason = "the file says that it trains, so that ONNX Runtime normalises by the batch"
            hint = "Export the model in evaluation mode"
        elif not step.attributes.get("spatial", 1):
            reason = "statistics of every entry, not of every channel, have no counterpart in the framework yet"
        elif len(step.outputs) > 1:
            reason = "statistics of the batch that are used in the graph have no counterpart in the framework yet"
    elif step.operator == "Scan" and step.version < 9:
        reason = "a Scan of the operator sets before 9 runs over a batch as well"
    elif (UNCAST if step.operator in {"Cast", "CastLike"} else UNMADE).intersection(made(step)):
        reason = "the type that it makes has no counterpart in the framework yet"
    if reason:
        raise ExportError(reason, node=step.name, operator=step.operator, hint=hint)


def made(step: ProgramStep) -> set[int]:
    """Return the types that a step states for its results."""
    made = {step.attributes[name] for name in ("to", "dtype", "output_dtype") if name in step.attributes}
    like = {"CastLike": 1, "QuantizeLinear": 2}.get(step.operator, len(step.types))
    return made | set(step.types[like : like + 1])
