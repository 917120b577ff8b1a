"""The layout of the installed package: imports go downwards only, and in no circle, lazily and for types too."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import onnx_n2n
import onnx_n2n.passes

FLOORS = (
    "errors", "options", "axes", "graph", "io", "record", "rules", "analysis", "verification", "width", "depth",
    "kernels", "passes", "checkpoint", "search", "export", "onnx_n2n", "cli", "__main__",
)  # fmt: skip
"""What lies directly in the package, each above all that it may import."""


@cache
def modules() -> dict[str, tuple[Path, bool]]:
    """Every module by its full name: its file, and whether it is a package."""
    found = {"onnx_n2n": (Path(str(onnx_n2n.__file__)), True)}
    for package in ("onnx_n2n", "onnx_n2n.passes"):  # installed editable, passes/ lies elsewhere
        root = Path(str(importlib.import_module(package).__file__)).parent
        for file in root.rglob("*.py"):
            parts = file.relative_to(root).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            found[".".join((package, *(parts[:-1] if is_package else parts)))] = file, is_package
    return found


def imports(name: str) -> Iterator[str]:
    """The modules of this project that a module imports: at its top, lazily, or for types alone."""
    for node in ast.walk(ast.parse(modules()[name][0].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules())
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield from [each for each in (full, node.module or "") if each in modules()][:1]


def floor(name: str) -> str:
    return name.split(".")[1] if "." in name else name


def arrows() -> Iterator[tuple[str, str]]:
    for name in modules():
        yield from ((name, other) for other in imports(name) if other != name)


def test_no_package_imports_upwards() -> None:
    upwards = [
        f"{one} imports {other}"
        for one, other in arrows()
        if FLOORS.index(floor(one)) < FLOORS.index(floor(other))
    ]
    assert upwards == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for one, other in arrows():
        graph.setdefault(one, set()).add(other)
    TopologicalSorter(graph).prepare()  # raises graphlib.CycleError, with the circle


@pytest.mark.parametrize("name", [name for name, (_, is_package) in modules().items() if is_package])
def test_every_package_says_what_it_is_and_hands_on_what_it_names(name: str) -> None:
    package = importlib.import_module(name)
    first = (package.__doc__ or "").strip().splitlines()[0]
    assert first.endswith(".")
    for public in getattr(package, "__all__", ()):
        assert getattr(package, public) is not None


def test_no_package_hides_a_module_by_what_it_hands_on() -> None:
    for name, (_, is_package) in modules().items():
        if is_package:
            package = importlib.import_module(name)
            inside = {info.name for info in pkgutil.iter_modules(package.__path__)}
            assert not inside & set(getattr(package, "__all__", ())), name
