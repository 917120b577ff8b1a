"""The operators that the check knows, by domain, name and version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from onnx_n2n.exact.site import Site
from onnx_n2n.exact.undecided import Undecided

MICROSOFT = "com.microsoft"
NEWEST = {"": 28, MICROSOFT: 1, "ai.onnx.ml": 5}  # versions whose operators have been read
OLDEST = 7

Rule = Callable[[Site], Any]


@dataclass(frozen=True)
class Entry:
    """A rule, and the versions of its operator that it holds for."""

    rule: Rule
    since: int
    until: int


_RULES: dict[tuple[str, str], list[Entry]] = {}


def rule(*names: str, domain: str = "", since: int = 1, until: int | None = None) -> Callable[[Rule], Rule]:
    """Register what an operator does: for versions of its domain from ``since`` to ``until``, or the newest."""

    def registered(function: Rule) -> Rule:
        for name in names:
            entry = Entry(function, since, NEWEST[domain] if until is None else until)
            _RULES.setdefault((domain, name), []).append(entry)
        return function

    return registered


def find(domain: str, name: str, version: int) -> Rule:
    """Return an operator's rule.

    Raises:
        Undecided: If there is none for that version.
    """
    if domain in NEWEST and not (1 if domain else OLDEST) <= version <= NEWEST[domain]:
        raise Undecided(f"version {version} of the operators of {domain or 'ai.onnx'} is not known here")
    for entry in _RULES.get((domain, name), []):
        if entry.since <= version <= entry.until:
            return entry.rule
    raise Undecided(f"there is no rule for {f'{domain}.' if domain else ''}{name}")


def operators() -> list[tuple[str, str]]:
    """Return the operators that have rules, by domain and name."""
    return sorted(_RULES)
