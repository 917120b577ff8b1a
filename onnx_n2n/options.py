"""Options, each said once: as a field with its help. Command line, text, functions and docs are made of these."""

from __future__ import annotations

import inspect
import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from functools import cache, wraps
from numbers import Integral, Real
from string import Template
from types import NoneType, SimpleNamespace, UnionType
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from onnx_n2n.errors import OptionError
from onnx_n2n.words import brief

QUOTED = re.compile(r'[,{}"\\]|^\s|\s$')  # what an option's text must be quoted for
ENTRY = re.compile(r"(?:[^\s\\]|\\.)+", re.DOTALL)  # of an option that is a list
TAKES = {int: "whole numbers", float: "numbers", bool: "True or False", str: "texts", os.PathLike: "paths"}
NUMBERS: dict[Any, Any] = {int: Integral, float: Real}
BOOLEANS = {"False": False, "True": True, 0: False, 1: True}
P = ParamSpec("P")
R = TypeVar("R")
Entry = Callable[[str], tuple[str, Any]]


@dataclass(frozen=True)
class Said:
    """What is said of an option beside its name, type and default.

    Attributes:
        help: What it does, for people.
        usual: What happens without it, where the default does not say that.
        word: Its name in the text of a pass; that of the field if not given.
        flags: Its names on the command line; ``--its-name`` if not given.
        metavar: How its value is written there.
        least: The least number that it may be.
        most: The greatest number that it may be.
        above: A number that it must be above.
        entry: How an entry of a mapping is read from the command line; ``NAME=SIZE`` if not given.
        typed: Whether it can be typed; else only functions have it.
    """

    help: str = ""
    usual: str = ""
    word: str = ""
    flags: tuple[str, ...] = ()
    metavar: str = ""
    least: float | None = None
    most: float | None = None
    above: float | None = None
    entry: Entry | None = None
    typed: bool = True

    @property
    def sentence(self) -> str:
        """What it does, and what happens without it."""
        return f"{self.help}  [default: {self.usual}]" if self.usual else self.help


def option(default: Any, meaning: str, **said: Any) -> Any:
    """Declare an option of a dataclass.

    As in ``every: int = option(1, "Take only every n-th place.", least=1)``.

    Args:
        default: Its value where nobody says otherwise; ``MISSING`` if somebody has to.
        meaning: What it does, for people.
        said: What else there is to say, as attributes of :class:`Said`.
    """
    metadata = {"said": Said(meaning, **said)}
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Option:
    """An option of a class.

    Attributes:
        name: The name of the field.
        kind: Its type.
        default: Its default; ``MISSING`` if there is none.
        said: What else is said of it.
    """

    name: str
    kind: Any
    default: Any
    said: Said

    @property
    def word(self) -> str:
        """Its name in the text of a pass."""
        return self.said.word or self.name

    @property
    def flags(self) -> tuple[str, ...]:
        """Its names on the command line."""
        return self.said.flags or (f"--{self.name.replace('_', '-')}",)

    @property
    def choices(self) -> tuple[str, ...]:
        """What it may be, where that is a list."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    @property
    def is_path(self) -> bool:
        """Whether it may be a path."""
        return any((get_origin(each) or each) is os.PathLike for each in get_args(self.kind))

    def check(self, value: Any) -> None:
        """Make sure that a value has a meaning.

        Raises:
            OptionError: It has none.
        """
        if self.choices and not (isinstance(value, str) and value in self.choices):
            raise OptionError(f"`{self.name}=` must be one of {', '.join(self.choices)}, not {brief(repr(value))}")
        least, most, above = self.said.least, self.said.most, self.said.above
        if least is not None and value is not None and not least <= value < math.inf:
            finite = "a finite number of " if self.scalar is float else ""
            raise OptionError(f"`{self.name}=` must be {finite}at least {least}, not {value}")
        if most is not None and value > most:
            raise OptionError(f"`{self.name}=` must be at most {most}, not {brief(str(value))}")
        if above is not None and not value > above:
            raise OptionError(f"`{self.name}=` must be above {above}, not {value}")

    @property
    def scalar(self) -> Any:
        """Its type, where it has no value by default: that of the values it may have."""
        kinds = [each for each in get_args(self.kind) if each is not NoneType]
        return kinds[0] if get_origin(self.kind) in {Union, UnionType} and len(kinds) == 1 else self.kind

    def written(self, value: Any) -> str:
        """Return the text of a value, as it stands in the text of a pass."""
        if isinstance(value, Mapping):
            text = " ".join(_entry(f"{name}:{size}") for name, size in value.items())
        else:
            text = " ".join(_entry(str(each)) for each in value) if isinstance(value, tuple) else str(value)
        return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"' if QUOTED.search(text) else text

    def read(self, text: str) -> Any:
        """Return the value that a text stands for, as far as that does not depend on the types of its entries.

        Raises:
            OptionError: A name is given twice.
        """
        if get_origin(self.kind) is Mapping:
            return named((name, size) for name, _, size in (each.rpartition(":") for each in _entries(text)))
        return _entries(text) if get_origin(self.kind) is Sequence else text

    def valued(self, value: Any) -> Any:
        """Return a value as the field has it: a tuple of a list, text of a path; for None the default.

        Raises:
            OptionError: It has no meaning.
        """
        if value is None and self.default is not MISSING:
            return self.default
        try:
            return _valued(self.kind, value)
        except (ValueError, TypeError, KeyError, OverflowError):
            inner = os.PathLike if self.is_path else (get_args(self.scalar) or (self.scalar,))[-1]
            hint = f"it takes {TAKES[inner]}" if inner in TAKES else ""
            raise OptionError(f"{self.name}={brief(str(value))} has no meaning", hint=hint) from None


class Options:
    """What has options: a frozen dataclass, whose fields they are."""

    def __post_init__(self) -> None:
        """Take all values as their fields have them."""
        for each in options(type(self)):
            object.__setattr__(self, each.name, each.valued(getattr(self, each.name)))

    def check(self) -> None:
        """Check what can be checked without a model.

        Raises:
            OptionError: If a value has no meaning.
        """
        for each in options(type(self)):
            each.check(getattr(self, each.name))


def options(kind: type[Any]) -> tuple[Option, ...]:
    """Return the options of a dataclass: its own first, then those of its bases.

    What is said of an option may name texts of the class, as ``$suffix``.
    """
    return tuple(
        Option(each.name, hint, each.default if each.default_factory is MISSING else each.default_factory(), said)
        for each, hint, said in _stated(kind)  # type: ignore[arg-type]  # a class has a hash
    )


@cache
def _stated(kind: type[Any]) -> tuple[tuple[Field[Any], Any, Said], ...]:
    """Return what a class says of its options: the field, its type, and the rest."""
    types, there = get_type_hints(kind), {each.name: each for each in fields(kind)}
    names = dict.fromkeys(name for base in kind.__mro__ for name in inspect.get_annotations(base) if name in there)
    words = {name: getattr(kind, name) for name in dir(kind) if isinstance(getattr(kind, name), str)}
    found = []
    for each in map(there.__getitem__, names):
        said = each.metadata.get("said", Said())
        texts = {name: Template(getattr(said, name)).safe_substitute(words) for name in ("help", "usual")}
        found.append((each, types[each.name], replace(said, **texts)))
    return tuple(found)


def named(pairs: Iterable[tuple[str, R]]) -> dict[str, R]:
    """Return values by name.

    Raises:
        OptionError: A name is given twice.
    """
    found: dict[str, R] = {}
    for name, value in pairs:
        if name in found:
            raise OptionError(f"{brief(repr(name))} is given twice", hint="give it once")
        found[name] = value
    return found


def whole(text: str) -> int | None:
    """Return the whole number that digits stand for; None if there is something else, or more than Python reads."""
    with suppress(ValueError):
        return int(text) if text.isdecimal() else None
    return None


def check_seed(seed: int) -> None:
    """Make sure that numbers can be drawn from a seed.

    Raises:
        OptionError: It is below 0.
    """
    if seed < 0:
        raise OptionError(f"the seed must be at least 0, not {seed}")


def part_of(whole: Options, kind: type[Any]) -> dict[str, Any]:
    """Return the values of the options of a class that are among those of another, by name."""
    return {each.name: getattr(whole, each.name) for each in options(kind)}


def taken(*names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function take these arguments as options are taken: by the types that it states, else as an OptionError."""

    def taking(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            bound = signature.bind(*args, **kwargs)
            stated = SimpleNamespace(__annotations__={name: signature.parameters[name].annotation for name in names})
            for name, kind in get_type_hints(stated, function.__globals__).items():
                if name in bound.arguments:
                    default = signature.parameters[name].default
                    each = Option(name, kind, MISSING if default is inspect.Parameter.empty else default, Said())
                    bound.arguments[name] = each.valued(bound.arguments[name])
                    each.check(bound.arguments[name])
            return function(*bound.args, **bound.kwargs)

        return called

    return taking


def _entry(text: str) -> str:
    """Write an entry of a list, in which blanks are part of it."""
    return re.sub(r"([\s\\])", r"\\\1", text)


def _entries(text: str) -> list[str]:
    return [re.sub(r"\\(.)", r"\1", entry, flags=re.DOTALL) for entry in ENTRY.findall(text)]


def _valued(kind: Any, value: Any) -> Any:
    """Return a value as a type has it, or raise one of several errors. What is no type of options takes anything."""
    origin, inside = get_origin(kind) or kind, get_args(kind)
    if origin in {Union, UnionType}:
        return _any_valued(inside, value)
    if origin is Mapping:
        pairs = value.items() if isinstance(value, Mapping) else [_instance(each, tuple) for each in value]
        return named((_valued(inside[0], name), _valued(inside[1], each)) for name, each in pairs)
    if origin in {Sequence, Collection, Iterable}:
        return tuple(_valued(inside[0], each) for each in ([value] if isinstance(value, str) else value))
    if origin is tuple:
        return tuple(_valued(inside[0], each) for each in _instance(value, tuple, list))
    if origin is bool:
        return BOOLEANS[value.capitalize() if isinstance(value, str) else value]
    if origin in NUMBERS:
        return origin(_instance(value, str, NUMBERS[origin], but=bool))
    if origin is os.PathLike:
        return os.fspath(_instance(value, origin))
    return _instance(value, origin) if origin in {str, NoneType} else value


def _any_valued(kinds: Sequence[Any], value: Any) -> Any:
    """Return a value as the first of several types that can be had of it has it."""
    for kind in kinds:
        with suppress(ValueError, TypeError, KeyError, OverflowError):
            return _valued(kind, value)
    raise TypeError


def _instance(value: Any, *kinds: type[Any], but: type[Any] | tuple[()] = ()) -> Any:
    if not isinstance(value, kinds) or isinstance(value, but):
        raise TypeError
    return value
