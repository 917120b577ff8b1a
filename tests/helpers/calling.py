"""What tests of the command line share: calling it, and a small model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
from click.testing import CliRunner, Result

from helpers.graphs import model
from onnx_n2n.cli import main

MODELS = Path(__file__).parents[2] / "models"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), prog_name="onnx-n2n")


def files(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder, with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def net(body: str = "h = Conv(x, w) r = Relu(h) y = Conv(r, v)", **constants: Any) -> onnx.ModelProto:
    return model(body, "float[N,3,6,6] x", "y", w=(4, 3, 1, 1), v=(2, 4, 1, 1), **constants)


def rewritten(body: str) -> onnx.ModelProto:
    """The same small model by other nodes, with the same weights."""
    found = net(body)
    del found.graph.initializer[:]
    found.graph.initializer.extend(net().graph.initializer)
    return found
