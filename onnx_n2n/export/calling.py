"""Operators as functions: how a table of them is read.

An operator is a function that takes the inputs in order, and the attributes by name. Since ONNX turns attributes into
inputs from one version to the next (``axes``, ``split``, ``pads``), a parameter may come either way, and one function
serves both versions. Where the meaning changed, the table has one function per version from which on it holds.

Some parameters are given by the program: ``outputs`` is how many outputs are wanted, ``like`` a tensor that says where
new tensors belong.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from onnx_n2n.errors import ExportError

Function = Callable[..., Any]
Table = Mapping[str, Function | Mapping[int, Function]]
"""Functions by operator; a mapping has them by the version of the operator set from which on they hold."""

F = TypeVar("F", bound=Function)

# Attributes that do not change what is computed from what a model of a trained network gives.
IGNORED = frozenset(
    {
        "consumed_inputs",
        "is_test",
        "spatial",
        "storage_order",
        "seed",
        "stash_type",
        "sm_count",
        "do_rotary_interleaved",
    }
)


def several(function: F) -> F:
    """Mark a function that returns a tuple of outputs, also where there is only one."""
    function.several = True  # type: ignore[attr-defined]
    return function


def refusing(reason: Callable[[Mapping[str, Any]], str]) -> Callable[[F], F]:
    """Mark a function that cannot do everything; ``reason`` says of a node's attributes why not, or nothing."""

    def mark(function: F) -> F:
        function.refusing = reason  # type: ignore[attr-defined]
        return function

    return mark


@dataclass(frozen=True)
class Call:
    """A function with the attributes of one node.

    Attributes:
        function: What to call with the inputs.
        keywords: What to pass by name.
        several: Whether a tuple comes back.
        like: Whether it takes a tensor that says where new tensors belong.
    """

    function: Function
    keywords: Mapping[str, Any]
    several: bool
    like: bool


def find(table: Table, operator: str, version: int) -> Function | None:
    """Return the function of an operator at a version of its operator set."""
    entry = table.get(operator)
    if entry is None or callable(entry):
        return entry
    return entry[max((since for since in entry if since <= version), default=min(entry))]


def bind(table: Table, operator: str, version: int, name: str, attributes: Mapping[str, Any], outputs: int = 1) -> Call:
    """Find the function of a node, and give it the node's attributes.

    Raises:
        ExportError: There is no function, or it does not know an attribute, or cannot do what an attribute says.
    """
    function = find(table, operator, version)
    if function is None:
        raise ExportError("the operator has no counterpart in the framework yet", node=name, operator=operator)
    known = _parameters(function)
    unknown = [key for key in attributes if key not in known and key not in IGNORED]
    if unknown:
        reason = f"the operator's counterpart does not know its attribute {unknown[0]!r}"
        raise ExportError(reason, node=name, operator=operator)
    reason = getattr(function, "refusing", lambda _: "")(attributes)
    if reason:
        raise ExportError(reason, node=name, operator=operator)
    keywords = {key: value for key, value in attributes.items() if key in known}
    if "outputs" in known:
        keywords["outputs"] = outputs
    return Call(function, keywords, getattr(function, "several", False), "like" in known)


@functools.cache
def _parameters(function: Function) -> frozenset[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):  # a function of the framework itself: it takes inputs and nothing else
        return frozenset()
    if any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters):
        return frozenset()
    return frozenset(parameter.name for parameter in parameters)
