"""Checks of a document, put together from smaller ones, and the error that says where one fails.

A check takes a value with the words that lead to it, and raises :class:`Damage` or passes. A function that returns a
check is called like what it checks, so that a schema reads as a table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np

from onnx_n2n.io.tensorfile import shown

Arrays = Mapping[str, np.ndarray]


class Damage(Exception):  # noqa: N818 - reads as what it is
    """A record is not as one must be; the text says where and why."""


@dataclass(frozen=True)
class At:
    """A value of the document, with the words that say where it is, and the arrays that it may name."""

    value: Any
    arrays: Arrays
    path: tuple[str, ...] = ()

    def inside(self, value: Any, word: str) -> At:
        """Return a value that is in this one."""
        return At(value, self.arrays, (*self.path, word))

    def unnamed(self) -> At:
        """Return this value without the last word, for a list whose entries say by themselves what they are."""
        return replace(self, path=self.path[:-1])

    def wrong(self, reason: str) -> NoReturn:
        """Say that this is damaged."""
        raise Damage(f"{', '.join(self.path)}: {reason}" if self.path else reason)


Check = Callable[[At], None]


def plain(name: str, holds: Callable[[Any], bool]) -> Check:
    """Return the check that a value is of a kind."""

    def check(at: At) -> None:
        if not holds(at.value):
            at.wrong(f"{shown(at.value)} is no {name}")

    return check


def maybe(inner: Check) -> Check:
    """Return a check that null passes too."""
    return lambda at: None if at.value is None else inner(at)


def many(inner: Check, word: Callable[[int, Any], str] | None = None) -> Check:
    """Return the check of a list; a word that calls its entries by their place and value replaces the list's own."""

    def check(at: At) -> None:
        at = at.unnamed() if word else at
        if not isinstance(at.value, list):
            at.wrong(f"{shown(at.value)} is no list")
        for place, value in enumerate(at.value):
            inner(at.inside(value, word(place, value) if word else f"entry {place}"))

    return check


def named(inner: Check, word: str) -> Check:
    """Return the check of values by names; the word for one of them replaces that of all."""

    def check(at: At) -> None:
        at = at.unnamed()
        if not isinstance(at.value, dict):
            at.wrong(f"{shown(at.value)} is no dictionary")
        for name, value in at.value.items():
            TEXT(at.inside(name, "a name"))
            inner(at.inside(value, f"{word} {shown(name)}"))

    return check


def table(needed: Mapping[str, Check], also: Mapping[str, Check] | None = None) -> Check:
    """Return the check of a dictionary with these keys, and perhaps those ``also``."""
    fields = {**needed, **(also or {})}

    def check(at: At) -> None:
        if not isinstance(at.value, dict):
            at.wrong(f"{shown(at.value)} is no dictionary")
        for key in sorted(at.value.keys() - fields.keys()):
            at.wrong(f"there is a key {shown(key)}, which means nothing")
        for key in needed:
            if key not in at.value:
                at.wrong(f"{key!r} is missing")
        for key, value in at.value.items():
            fields[key](at.inside(value, repr(key)))

    return check


def array(dtype: str, rank: int | None = 1) -> Check:
    """Return the check that a value names an array of a type and rank, of finite numbers."""

    def check(at: At) -> None:
        TEXT(at)
        found = at.arrays.get(at.value)
        if found is None:
            at.wrong(f"there is no array {shown(at.value)}")
        if found.dtype != dtype or rank not in {None, found.ndim}:
            at.wrong(f"the array is {found.dtype}{list(found.shape)}, and must be {dtype} of {rank} axes")
        if not np.isfinite(found).all():
            at.wrong("there is a number that is not finite")

    return check


def one_of(*words: str) -> Check:
    """Return the check that a value is one of some words."""
    return plain(" or ".join(map(repr, words)), lambda value: isinstance(value, str) and value in words)


def called(kind: str, key: str) -> Callable[[int, Any], str]:
    """Return how entries of a list are called that say under a key which one they are."""

    def word(place: int, value: Any) -> str:
        own = value.get(key) if isinstance(value, dict) else None
        return f"{kind} {shown(own)}" if isinstance(own, int | str) else f"{kind} number {place + 1}"

    return word


def _unicode(value: Any) -> bool:
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)


TEXT = plain("text", _unicode)
