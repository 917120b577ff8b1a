"""Recipes: passes with their options, how their student is verified, and what it may cost, as files in YAML hold them.

passes: [{widen: {factor: 1.5}}, deepen]
provider: cpu
budget: params=3x
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, get_origin

from onnx_n2n.errors import OptionError
from onnx_n2n.io import yaml_files
from onnx_n2n.io.sources import Source
from onnx_n2n.options import Option, option, options
from onnx_n2n.passes.base import Pass
from onnx_n2n.passes.by_name import pass_named
from onnx_n2n.passes.sequential import PASSES, Sequential, parse
from onnx_n2n.verification.asking import Verifying
from onnx_n2n.words import brief, perhaps

EXAMPLE = "passes: [{widen: {factor: 1.5}}, deepen]"


@dataclass(frozen=True, kw_only=True)
class Checking(Verifying):
    """What is asked of a student, whichever passes make it."""

    verify: bool = option(True, "Run both models before writing.")
    exact: bool = option(
        False, "Also say it for every input, in exact arithmetic, however long that takes.", usual="if that is cheap"
    )
    strict: bool = option(False, "Fail if a student is wrong, instead of leaving out what makes it wrong.")
    budget: str | None = option(
        None, "Refuse a student that costs more than params=2x, params=1.5M, macs=2x or macs=300M.", metavar="params=2x"
    )


KEYS: Mapping[str, Option] = {each.name: each for each in options(Checking) if each.said.typed}
"""What a recipe may say beside its passes."""


@dataclass(frozen=True)
class Instructions:
    """What a recipe says.

    Attributes:
        passes: The passes.
        settings: What else it says, by the names in ``KEYS``.
        source: The file that it was read from, if any.
    """

    passes: Sequential
    settings: Mapping[str, Any]
    source: Source | None = None


def from_recipe(recipe: str | os.PathLike[str] | Mapping[str, Any]) -> Sequential:
    """Return the passes of a recipe; ``onnx_n2n.run(model, recipe=...)`` also heeds what else it says.

    >>> print(onnx_n2n.passes.from_recipe({"passes": [{"widen": {"factor": 1.5}}, "deepen"]}))
    widen{factor=1.5},deepen

    Args:
        recipe: The path of a file in YAML or JSON, or what such a file holds.

    Raises:
        ModelError: The file cannot be read.
        OptionError: It is no recipe.
    """
    return instructions(recipe).passes


def to_recipe(passes: Pass | str, **settings: Any) -> dict[str, Any]:
    """Return the recipe of passes, as JSON and YAML can hold it.

    >>> onnx_n2n.passes.to_recipe("widen{factor=1.5},deepen", provider="cpu")
    {'passes': [{'widen': {'factor': 1.5}}, 'deepen'], 'provider': 'cpu'}

    Args:
        passes: The passes, or their text.
        settings: What else it is to say: keywords of ``onnx_n2n.run`` that say how a student is verified, and what it
            may cost. What is usual does not stand in a recipe.

    Raises:
        OptionError: A recipe has no such key, or cannot hold the value.
    """
    asked = parse(passes) if isinstance(passes, str) else passes
    entries = []
    for each in asked.flat() if isinstance(asked, Sequential) else [asked]:
        given = {one.word: _plain(value) for one, value in _unusual(options(type(each)), vars(each))}
        name = type(each).__name__.lower()
        entries.append({name: given} if given else name)
    if unknown := [name for name in settings if name not in KEYS]:
        raise _no_key(unknown[0])
    if not isinstance(settings.get("inputs"), str | os.PathLike | None):
        raise OptionError("a recipe cannot hold arrays", hint="write them to an npz file, and name that with `inputs=`")
    found = {name: _valued(KEYS[name], value) for name, value in settings.items()}
    return {"passes": entries, **{one.name: _plain(value) for one, value in _unusual(KEYS.values(), found)}}


def instructions(recipe: str | os.PathLike[str] | Mapping[str, Any]) -> Instructions:
    """Return what a recipe says; see :func:`from_recipe`."""
    if not isinstance(recipe, str | os.PathLike | Mapping):
        raise OptionError(f"a recipe is the path of a file or a mapping, not {type(recipe)}")
    document = None if isinstance(recipe, Mapping) else yaml_files.read(Path(recipe), "recipe")
    try:
        found = _read(recipe if document is None else document.values)
    except _Refused as refusal:
        keys = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in refusal.route).removeprefix(".")
        where = f"the recipe{keys and f' at {brief(keys)}'}"
        if document is not None:
            where = f"{str(document.source.path)!r}, line {document.line(refusal.route)}"
        raise OptionError(f"{where}: {refusal.error.reason}", hint=refusal.error.hint) from refusal.error
    return Instructions(*found, None if document is None else document.source)


class _Refused(Exception):  # noqa: N818 - becomes an OptionError
    """What stands at a place in a recipe has no meaning."""

    def __init__(self, route: yaml_files.Route, error: OptionError) -> None:
        super().__init__(route, error)
        self.route, self.error = route, error


@contextmanager
def _at(*route: str | int) -> Iterator[None]:
    """Say of errors where in the recipe they are."""
    try:
        yield
    except _Refused as inner:
        raise _Refused((*route, *inner.route), inner.error) from inner.error
    except OptionError as failure:
        raise _Refused(route, failure) from failure


def _read(values: Any) -> tuple[Sequential, dict[str, Any]]:
    with _at():
        if not isinstance(values, Mapping) or not values:
            raise OptionError(f"{_what(values)} is no recipe", hint=f"a recipe is as {EXAMPLE}")
        settings = {}
        for key, value in values.items():
            with _at(key):
                if key != "passes" and key not in KEYS:
                    raise _no_key(str(key))
                if key != "passes":
                    settings[key] = _value(KEYS[key], value)
        if "passes" not in values:
            raise OptionError("the recipe has no passes", hint=f"write them as {EXAMPLE}")
        with _at("passes"):
            return Sequential(*_passes(values["passes"])), settings


def _no_key(key: str) -> OptionError:
    known = ["passes", *KEYS]
    hint = perhaps(key, known, f"keys of a recipe are {', '.join(known)}")
    return OptionError(f"a recipe has no key {brief(repr(key))}", hint=hint)


def _passes(values: Any) -> Iterator[Pass]:
    if isinstance(values, str):
        yield from parse(values).passes
    elif isinstance(values, list | tuple):
        for place, entry in enumerate(values):
            with _at(place):
                yield from parse(entry).passes if isinstance(entry, str) else (_pass(entry),)
    else:
        raise OptionError(f"{_what(values)} is no list of passes", hint=f"write them as {EXAMPLE}")


def _pass(entry: Any) -> Pass:
    if not isinstance(entry, Mapping):
        raise OptionError(f"{_what(entry)} is no pass", hint=f"write passes as {EXAMPLE}")
    if len(entry) != 1:
        keys = ", ".join(map(str, entry)) or "nothing"
        raise OptionError(
            f"one pass with its options inside is an entry, and here is {brief(keys)}",
            hint="write it as widen: {factor: 1.5}, or put its options further to the right than its name",
        )
    [(name, given)] = entry.items()
    with _at(name):
        kind = pass_named(str(name), PASSES)
        known = {each.word: each for each in options(kind)}
        found = {}
        if not isinstance(given, Mapping | None):
            raise OptionError(f"{_what(given)} are no options of {name}", hint="write them as {option: value}")
        for word, value in (given or {}).items():
            with _at(word):
                if word not in known:
                    hint = perhaps(str(word), known, f"options of {name} are {', '.join(known)}")
                    raise OptionError(f"{name} has no option {brief(repr(word))}", hint=hint)
                found[known[word].name] = _value(known[word], value)
        return kind(**found)


def _value(each: Option, value: Any) -> Any:
    """Return the value of an option that stands in a recipe: no more than a command or a text could say."""
    if value is None:
        raise OptionError(f"{each.word} has no value", hint="write one, or leave it out")
    origin = get_origin(each.scalar)
    strange = each.is_path and not isinstance(value, str | os.PathLike)
    if origin in {Sequence, Collection}:
        value = value if isinstance(value, list | tuple) else [value]
    elif origin is Mapping:
        strange = not isinstance(value, Mapping)
    if strange:
        kind = "a mapping" if origin is Mapping else "a path"
        raise OptionError(f"{each.word} is {kind}, and not {_what(value)}")
    try:
        found = _valued(each, value)
        each.check(found)
    except OptionError as failure:
        entries = value if isinstance(value, list | tuple) else [value]
        of_texts = failure.hint == "it takes texts" and any(isinstance(one, int | float) for one in entries)
        hint = f"{failure.hint}; put quotes around it" if of_texts else failure.hint
        raise OptionError(failure.reason, hint=hint) from failure
    return found


def _valued(each: Option, value: Any) -> Any:
    """Return a value as the field has it; what may be a path is one, and no arrays."""
    return os.fspath(value) if each.is_path and value is not None else each.valued(value)


def _what(value: Any) -> str:
    """Return how an error calls a value."""
    if value is None or value in ({}, [], ""):
        return "nothing"
    kinds = {"a mapping": Mapping, "a list": list | tuple}
    return next((name for name, kind in kinds.items() if isinstance(value, kind)), brief(repr(value)))


def _unusual(known: Collection[Option], values: Mapping[str, Any]) -> Iterator[tuple[Option, Any]]:
    """Yield options with their values, but for those that have the usual one."""
    for each in known:
        if each.name in values and values[each.name] != each.default:
            yield each, values[each.name]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, bool | int | str):
        return value
    return value if isinstance(value, float) and isfinite(value) else str(value)
