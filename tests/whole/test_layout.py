"""The layout of the installed package: imports go downwards only, and in no circle, lazily and for types too."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import onnx_n2n
import onnx_n2n.passes
from helpers.imports import Imports, circle
from helpers.needing import needs

FLOORS = (
    "version", "words", "progress", "collector", "errors", "lazily", "exact", "options", "plugins", "axes", "graph",
    "io", "record", "rules", "analysis", "verification", "costs", "width", "depth", "kernels", "cutting", "passes",
    "checkpoint", "search", "export", "huggingface", "reporting", "testing", "toolchains", "onnx_n2n", "cli",
    "__main__",
)  # fmt: skip
"""What lies directly in the package, each above all that it may import."""

FRAMEWORKS = ("jax", "keras", "torch")  # of exports: extras

IMPORTS = Imports.of(
    *((package.__name__, Path(str(package.__file__)).parent) for package in (onnx_n2n, onnx_n2n.passes))
)


def test_no_package_imports_upwards() -> None:
    floor = {name: FLOORS.index(IMPORTS.top(name)) for name in IMPORTS.files}
    upwards = [f"{one} imports {other}" for one, other in IMPORTS.arrows if floor[one] < floor[other]]
    assert upwards == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    arrows: dict[str, set[str]] = {}
    for one, other in IMPORTS.arrows:
        arrows.setdefault(one, set()).add(other)
    assert circle(arrows) == []


@pytest.mark.parametrize("name", sorted(IMPORTS.packages))
def test_every_package_says_what_it_is_and_hides_no_module_by_what_it_hands_on(name: str) -> None:
    if name.removeprefix("onnx_n2n.export.") in FRAMEWORKS:
        needs(name.rpartition(".")[2])
    package = importlib.import_module(name)
    assert (package.__doc__ or "").strip().splitlines()[0].endswith(".")
    public = set(getattr(package, "__all__", ()))
    assert all(hasattr(package, each) for each in public)
    assert not public & {info.name for info in pkgutil.iter_modules(package.__path__)}


def test_the_map_in_the_documents_is_the_layout() -> None:
    """docs/how-it-works.md lists the packages from the lowest floor to the highest, each with its first sentence."""
    page = Path(__file__).parents[2] / "docs" / "how-it-works.md"
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", page.read_text("utf-8"), re.MULTILINE)
    packages = [name for name in FLOORS if f"onnx_n2n.{name}" in IMPORTS.packages]
    assert [name for name, _ in rows] == packages
    for name, sentence in rows:
        said = (importlib.import_module(f"onnx_n2n.{name}").__doc__ or "").partition("\n\n")[0].replace("\n", " ")
        assert said.partition(". ")[0].removesuffix(".") == sentence.removesuffix("."), name
