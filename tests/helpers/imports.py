"""Who imports whom in the package as it is installed: at the top of a module, lazily, or for types alone.

    python tests/helpers/imports.py [SITE-PACKAGES]     # prints the floors, arrows and circles of the packages
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = "onnx_n2n"


@dataclass(frozen=True)
class Imports:
    """The imports of a package.

    Attributes:
        files: The file of each module, by its full name.
        packages: Which of the modules are packages.
    """

    files: Mapping[str, Path]
    packages: frozenset[str]

    @classmethod
    def of(cls, *roots: tuple[str, Path]) -> Imports:
        """Read packages by name and folder: one installed from a clone has ``passes`` elsewhere."""
        found: dict[str, Path] = {}
        for package, folder in roots:
            for file in folder.rglob("*.py"):
                parts = file.relative_to(folder).with_suffix("").parts
                found[".".join((package, *parts)).removesuffix(".__init__")] = file
        return cls(found, frozenset(name for name, file in found.items() if file.name == "__init__.py"))

    @cached_property
    def arrows(self) -> tuple[tuple[str, str], ...]:
        """Each module with one that it imports."""
        return tuple((name, other) for name in self.files for other in {*self._imported(name)} - {name})

    def _imported(self, name: str) -> Iterator[str]:
        for node in ast.walk(ast.parse(self.files[name].read_text("utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in self.files)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name} imports relatively"
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    yield from [each for each in (full, node.module or "") if each in self.files][:1]

    def top(self, name: str) -> str:
        """Return what a module lies in, directly under the root."""
        return name.split(".")[1] if "." in name else name

    def between_tops(self) -> dict[str, set[str]]:
        """Return what each package, or module directly under the root, imports of the others."""
        found: dict[str, set[str]] = {}
        for one, other in self.arrows:
            if self.top(one) != self.top(other):
                found.setdefault(self.top(one), set()).add(self.top(other))
        return found


def circle(arrows: Mapping[str, set[str]]) -> list[str]:
    """Return one circle of a graph, or nothing."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def floors(arrows: Mapping[str, set[str]]) -> int:
    """Return the length of the longest way down."""
    order = TopologicalSorter(arrows).static_order()
    height: dict[str, int] = {}
    for name in order:
        height[name] = 1 + max((height[other] for other in arrows.get(name, ())), default=0)
    return max(height.values())


def main() -> None:
    """Print what the packages import of each other."""
    site = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parents[2]
    beside = [(f"{ROOT}.passes", site / "passes")] if (site / "passes").is_dir() else []
    imports = Imports.of((ROOT, site / ROOT), *beside)
    tops = imports.between_tops()
    found = circle(tops)
    sys.stdout.write(
        f"{len(imports.files)} modules, {len({imports.top(name) for name in imports.files})} packages and modules at "
        f"the top, {sum(map(len, tops.values()))} arrows between them, "
        f"{'a circle: ' + ', '.join(found) if found else f'{floors(tops)} floors, no circle'}\n"
    )


if __name__ == "__main__":
    main()
