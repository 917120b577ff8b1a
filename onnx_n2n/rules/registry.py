"""Where rules are kept: by operator domain, operator and the version since which they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from onnx_n2n.axes.symbolic import Content
from onnx_n2n.rules.context import Site
from onnx_n2n.rules.declaration import Declaration

Rule = Callable[[Site], None]
ContentRule = Callable[[Site], Content | None]

_RULES: dict[tuple[str, str], list[tuple[int, Rule]]] = {}
_CONTENTS: dict[tuple[str, str], ContentRule] = {}


def register(operators: str, rule: Rule, *, since: int = 1, domain: str = "") -> None:
    """Register ``rule`` for operators (names separated by blanks) from opset ``since`` on.

    Raises:
        ValueError: If the operator has a rule since that version already.
    """
    for operator in operators.split():
        versions = _RULES.setdefault((plain(domain), operator), [])
        if any(known == since for known, _ in versions):
            raise ValueError(f"{operator} has a rule since version {since} already")
        versions.append((since, rule))
        versions.sort(key=lambda entry: entry[0])


def declare(operators: str, pattern: str, *, since: int = 1, domain: str = "", **meaning: Any) -> None:
    """Declare operators by a pattern; ``pattern.py`` has the notation, :class:`Declaration` the other keywords."""
    register(operators, Declaration.parse(pattern, **meaning), since=since, domain=domain)


def rule(operators: str, *, since: int = 1, domain: str = "") -> Callable[[Rule], Rule]:
    """Register the decorated function as the rule of operators that a pattern cannot say."""

    def keep(function: Rule) -> Rule:
        register(operators, function, since=since, domain=domain)
        return function

    return keep


def content(operators: str, *, domain: str = "") -> Callable[[ContentRule], ContentRule]:
    """Register the decorated function as what operators do to small integer tensors."""

    def keep(function: ContentRule) -> ContentRule:
        for operator in operators.split():
            _CONTENTS[plain(domain), operator] = function
        return function

    return keep


def rule_for(domain: str, operator: str, version: int) -> Rule | None:
    """Return the rule of an operator at an opset version, or None."""
    found = None
    for since, candidate in _RULES.get((plain(domain), operator), ()):
        if since <= version:
            found = candidate
    return found


def content_rule_for(domain: str, operator: str) -> ContentRule | None:
    """Return what an operator does to small integer tensors, or None."""
    return _CONTENTS.get((plain(domain), operator))


def known() -> Iterable[tuple[str, str, int]]:
    """Yield domain, operator and version of every rule, sorted."""
    return sorted((domain, operator, since) for (domain, operator), rules in _RULES.items() for since, _ in rules)


def plain(domain: str) -> str:
    """Return the name of an operator domain; the default one has two."""
    return "" if domain == "ai.onnx" else domain
