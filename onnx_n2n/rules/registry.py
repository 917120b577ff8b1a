"""Where rules are kept: by operator domain, operator and the version since which they hold."""

from __future__ import annotations

import threading
import types
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import onnx_ir as ir

from onnx_n2n import plugins
from onnx_n2n.axes.symbolic import ShapeValue
from onnx_n2n.errors import EnvironmentWarning, OptionError
from onnx_n2n.graph.operators import operator_of, plain
from onnx_n2n.rules.context import Context
from onnx_n2n.rules.declaration import Declaration
from onnx_n2n.rules.ranges import RANGES, Range, Ranged

Rule = Callable[[Context], None]
ShapeRule = Callable[[Context], ShapeValue | None]

_RULES: dict[tuple[str, str], tuple[tuple[int, Rule], ...]] = {}
_CONTENTS: dict[tuple[str, str], ShapeRule] = {}
_RANGES: dict[tuple[str, str], Ranged] = dict(RANGES)
_BUILT_IN: set[tuple[str, str]] = set()  # operators that only onnx-n2n may have rules for

_PLUGINS = threading.RLock()  # a plug-in may ask for a rule while it registers its own
_asked = False  # whether plug-ins have registered theirs


def register(operators: str, rule: Rule, *, since: int = 1, domain: str = "") -> None:
    """Register ``rule`` for operators (names separated by blanks) from opset ``since`` on.

    Raises:
        ValueError: If the operator has a rule since that version already, or one that is built in.
    """
    for operator in operators.split():
        key = _open(domain, operator)
        versions = _RULES.get(key, ())
        if any(known == since for known, _ in versions):
            raise ValueError(f"{operator} has a rule since version {since} already")
        _RULES[key] = tuple(sorted((*versions, (since, rule)), key=lambda entry: entry[0]))


def declare(operators: str, pattern: str, *, since: int = 1, domain: str = "", **meaning: Any) -> None:
    """Declare operators by a pattern; ``notation.py`` has the notation, :class:`Declaration` the other keywords."""
    register(operators, Declaration.parse(pattern, **meaning), since=since, domain=domain)


def rule(operators: str, *, since: int = 1, domain: str = "") -> Callable[[Rule], Rule]:
    """Register the decorated function as the rule of operators that a pattern cannot say."""

    def keep(function: Rule) -> Rule:
        register(operators, function, since=since, domain=domain)
        return function

    return keep


def content(operators: str, *, domain: str = "") -> Callable[[ShapeRule], ShapeRule]:
    """Register the decorated function as what operators do to small integer tensors.

    Raises:
        ValueError: If there is such a function already, or the operator has a rule that is built in.
    """

    def keep(function: ShapeRule) -> ShapeRule:
        for operator in operators.split():
            key = _open(domain, operator)
            if key in _CONTENTS:
                raise ValueError(f"{operator} has a content rule already")
            _CONTENTS[key] = function
        return function

    return keep


def ranged(operators: str, said: Ranged, *, domain: str = "") -> None:
    """Say what bounds the results of operators, names separated by blanks.

    Raises:
        ValueError: If that has been said already.
    """
    for operator in operators.split():
        key = plain(domain), operator
        if key in _RANGES:
            raise ValueError(f"the range of {operator} is known already")
        _RANGES[key] = said


def range_of(node: ir.Node) -> Range | None:
    """Return what bounds the results of a node, or None if nothing is known to."""
    _ask_plugins()
    found = _RANGES.get(operator_of(node))
    return found(node) if callable(found) else found


def range_said(domain: str, operator: str) -> str:
    """Return in words what bounds the results of an operator; nothing if nothing is known to."""
    found = _RANGES.get((plain(domain), operator))
    return "" if found is None else str(found) if isinstance(found, Range) else "by its attributes"


def rule_for(domain: str, operator: str, version: int) -> Rule | None:
    """Return the rule of an operator at an opset version, or None."""
    _ask_plugins()
    found = None
    for since, candidate in _RULES.get((plain(domain), operator), ()):
        if since <= version:
            found = candidate
    return found


def shape_rule_for(domain: str, operator: str) -> ShapeRule | None:
    """Return what an operator does to small integer tensors, or None."""
    _ask_plugins()
    return _CONTENTS.get((plain(domain), operator))


def known() -> Iterable[tuple[str, str, int]]:
    """Yield domain, operator and version of every rule, sorted."""
    return sorted((domain, operator, since) for (domain, operator), rules in _RULES.items() for since, _ in rules)


def close() -> None:
    """Let nobody else register rules for the operators that have some by now."""
    _BUILT_IN.update(_RULES, _CONTENTS)


def _open(domain: str, operator: str) -> tuple[str, str]:
    """Return the key of an operator for which a rule may be registered."""
    key = plain(domain), operator
    if key in _BUILT_IN:
        raise ValueError(f"{operator} has a built-in rule, which cannot be replaced")
    return key


def _ask_plugins() -> None:
    """Let other packages register their rules, once; one that fails registers nothing, and a warning says so."""
    global _RULES, _CONTENTS, _RANGES, _asked
    if _asked:
        return
    with _PLUGINS:
        waiting = [] if _asked else plugins.declared(plugins.RULES)
        _asked = True
        for entry in waiting:
            before = dict(_RULES), dict(_CONTENTS), dict(_RANGES)
            try:
                _register_all(plugins.load(entry))
            except Exception as error:
                _RULES, _CONTENTS, _RANGES = before
                said = error if isinstance(error, OptionError) else plugins.broken(entry, error)
                warnings.warn(str(said), EnvironmentWarning, stacklevel=2)


def _register_all(plugin: object) -> None:
    """Register the rules of a plug-in: a module has done that on import, a function does it when it is called."""
    if callable(plugin):
        plugin()
    elif not isinstance(plugin, types.ModuleType):
        raise TypeError(f"it names neither a module nor a function, but {plugin!r}")
