"""Nested documents, as ``torch.save`` writes them: dictionaries and lists of tensors, each by its path."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AnySet
from typing import Any

Path = tuple[Any, ...]


def leaves(document: Any, wanted: Callable[[Any], bool], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield whatever is wanted, with its path; nothing inside of that is looked at."""
    if wanted(document):
        yield path, document
        return
    if isinstance(document, Mapping):
        entries: Any = document.items()
    elif isinstance(document, list | tuple | AnySet):
        entries = enumerate(document)
    else:
        return
    for key, each in entries:
        yield from leaves(each, wanted, (*path, key))


def dotted(path: Path) -> str:
    """Return a path as people read and write it: ``ema.module.fc.weight``."""
    return ".".join(map(str, path))


def at(document: Any, path: Path) -> Any:
    """Return what is at a path."""
    for key in path:
        document = document[key]
    return document


def replaced(document: Any, found: Mapping[Path, Any]) -> Any:
    """Return a document with other things at some paths; what holds none of these is not copied."""
    above = {path[:length] for path in found for length in range(len(path))}

    def visit(node: Any, path: Path) -> Any:
        if path in found:
            return found[path]
        if path not in above:
            return node
        if isinstance(node, Mapping):
            return refilled(node, {key: visit(each, (*path, key)) for key, each in node.items()})
        return type(node)(visit(each, (*path, key)) for key, each in enumerate(node))

    return visit(document, ())


def refilled(mapping: Mapping[Any, Any], entries: Mapping[Any, Any]) -> Any:
    """Return a mapping of the same kind, and with the same attributes, that has other entries."""
    found: Any = copy.copy(mapping)
    found.clear()
    found.update(entries)
    return found
