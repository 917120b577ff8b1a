"""Small documents in YAML, which people write: plain values, and the line of each.

Read as YAML 1.2 says, not 1.1 as PyYAML does: ``no`` and ``on`` are texts, ``010`` is ten, ``1e3`` is a number. JSON is
YAML, so the same reads JSON. A key is a text, and stands once; aliases and tags of one's own are refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnx_n2n.errors import OptionError
from onnx_n2n.io.sources import Source
from onnx_n2n.words import LINE, brief, in_bytes

if TYPE_CHECKING:
    import yaml

LARGEST = 1 << 20  # bytes
TAG = "tag:yaml.org,2002:"
FORMS = {  # of scalars without quotes, and what they begin with; all others are texts
    "null": (r"~|null|Null|NULL|", "~nN\0"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+", "-+0123456789"),
    "float": (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
              "-+.0123456789"),
}  # fmt: skip
VALUES: Mapping[str, Callable[[str], Any]] = {
    "null": lambda _: None,
    "bool": lambda text: text.lower() == "true",
    "int": int,
    "float": lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
    "str": lambda text: text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass"),  # of JSON: pairs
}  # fmt: skip

Route = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """A document.

    Attributes:
        values: What it says, in mappings, lists, texts, numbers, booleans and None.
        lines: The line of each value, by the keys and places that lead to it. Lines count from 1.
        source: The file.
    """

    values: Any
    lines: Mapping[Route, int]
    source: Source

    def line(self, path: Route) -> int:
        """Return the line of a value, or of what it is missing in."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]


def read(place: Path, what: str) -> Document:
    """Read a file.

    Args:
        place: Where it is.
        what: What it is to be: ``recipe``.

    Raises:
        ModelError: It is not there, or cannot be read.
        OptionError: It holds something else, or more than a megabyte.
    """
    import yaml

    source = Source.of(place)
    name = repr(str(place))
    if source.size > LARGEST:
        raise OptionError(f"{name} is no {what}: it has {in_bytes(source.size)}", hint="name a text in YAML or JSON")
    try:
        text = source.read().tobytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise OptionError(f"{name} is no {what}: it is no text", hint="name a text in YAML or JSON") from None
    if place.suffix == ".json":
        text = text.replace("\t", " ")  # which YAML does not take for indentation
    lines: dict[Route, int] = {}
    try:
        root = yaml.compose(text, _loader())
        found = None if root is None else _plain(root, (), lines)
    except yaml.MarkedYAMLError as failure:
        mark = failure.problem_mark or failure.context_mark
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise OptionError(f"{name}{where}: {brief(str(failure.problem or failure.context), 2 * LINE)}") from failure
    except yaml.YAMLError as failure:  # of a character that no text has
        raise OptionError(f"{name} is no {what}: {brief(str(failure))}") from failure
    except RecursionError:
        raise OptionError(f"{name} is no {what}: it is nested too deep") from None
    return Document(found, {(): 1, **lines}, source)


def written(values: Mapping[str, Any], place: Path) -> bytes:
    """Return the text of a document: JSON for a file that is called so, else YAML."""
    import yaml

    if place.suffix == ".json":
        return f"{json.dumps(values, indent=2, allow_nan=False)}\n".encode()

    class Dumper(yaml.SafeDumper):  # type: ignore[misc]
        """Puts quotes around a text that either version of YAML takes for something else."""

        def ignore_aliases(self, _data: Any) -> bool:
            return True

        def represent_str(self, text: str) -> yaml.ScalarNode:
            style = None if text.isprintable() else '"'  # of all styles only this one keeps every kind of line break
            return self.represent_scalar(f"{TAG}str", text, style)

    Dumper.add_representer(str, Dumper.represent_str)
    _add_forms(Dumper)
    text = yaml.dump(
        values, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None
    )
    return str(text).encode()


def _loader() -> type[yaml.SafeLoader]:
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """Reads scalars as YAML 1.2 does."""

        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the other loader's are not wanted

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                mark = self.peek_event().start_mark
                raise yaml.composer.ComposerError(problem="an alias (*) stands for nothing here", problem_mark=mark)
            return super().compose_node(parent, index)

    _add_forms(Loader)
    return Loader


def _add_forms(kind: Any) -> None:
    for name, (form, first) in FORMS.items():
        letters = ["" if letter == "\0" else letter for letter in first]
        kind.add_implicit_resolver(TAG + name, re.compile(rf"(?:{form})\Z"), letters)


def _plain(node: yaml.Node, path: Route, lines: dict[Route, int]) -> Any:
    """Return what a node stands for, and note its line."""
    import yaml

    lines.setdefault(path, node.start_mark.line + 1)
    kind = node.tag.removeprefix(TAG)
    if isinstance(node, yaml.MappingNode) and kind == "map":
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key is no text", problem_mark=key.start_mark)
            name = VALUES["str"](key.value)
            if name in found:
                problem = f"the key {brief(repr(name))} stands there twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            lines[*path, name] = key.start_mark.line + 1
            found[name] = _plain(value, (*path, name), lines)
        return found
    if isinstance(node, yaml.SequenceNode) and kind == "seq":
        return [_plain(value, (*path, place), lines) for place, value in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode) and kind in VALUES:
        try:
            return VALUES[kind](node.value)
        except ValueError:  # of a tag that does not fit, or more digits than Python reads
            problem = f"{brief(repr(node.value))} has no meaning"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None
    problem = f"the tag {brief(node.tag)} has no meaning"
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
