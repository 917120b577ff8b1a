"""The exact check reads files as they are written: it imports nothing of ours but errors, and little else."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import onnx_n2n.exact

FOLDER = Path(onnx_n2n.exact.__file__).parent
OTHERS = {"numpy", "onnx", "safetensors"}
OURS = {"onnx_n2n.errors", "onnx_n2n.exact"}


def imported() -> set[tuple[str, str]]:
    """Return each module of the check with what it imports."""
    found = set()
    for file in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {(file.name, alias.name) for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0
                found.add((file.name, str(node.module)))
                if node.module == "onnx_n2n":
                    found |= {(file.name, f"onnx_n2n.{alias.name}") for alias in node.names}
    return found


def test_it_imports_numpy_onnx_safetensors_and_errors_alone() -> None:
    wrong = {
        (file, name)
        for file, name in imported()
        if name.split(".")[0] not in OTHERS | set(sys.stdlib_module_names)
        and not any(name == each or name.startswith(f"{each}.") for each in OURS)
    }
    assert wrong == set()


def test_it_is_there_to_be_looked_at() -> None:
    names = {name.split(".")[0] for _, name in imported()}
    assert names >= {"numpy", "onnx", "onnx_n2n"}
