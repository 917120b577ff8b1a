"""Numbers that code may work out from a width that grew: a record says that they stay, and the command prints it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import save_file

import onnx_n2n
from helpers.calling import call
from helpers.graphs import model

WIDTH = 12


def network(scale: float, slope: float = 0.1) -> onnx.ModelProto:
    """Return a layer whose channels are scaled before they are read, as embeddings or queries are."""
    return model(
        f"h = MatMul(x, a) s = Mul(h, scale) r = LeakyRelu<alpha = {slope}>(s) y = MatMul(r, b)", "float[N,3] x",
        "float[N,4] y", a=(3, WIDTH), b=(WIDTH, 4), scale=np.array(scale, np.float32),
    )  # fmt: skip


def said(teacher: onnx.ModelProto, **options: object) -> list[tuple[float | None, float]]:
    record = onnx_n2n.widen(teacher, 1.5, **options).growth
    return [pair for step in record.steps for pair in step.settings.values()]


@pytest.mark.parametrize("power", [1, -1, 0.5, -0.5, 0.25, -0.25])
def test_a_power_of_a_width_that_grew_is_said_to_stay(power: float) -> None:
    ((before, after),) = said(network(WIDTH**power))
    assert before == after == pytest.approx(WIDTH**power)


@pytest.mark.parametrize("scale", [0.5, 2.0, 3.0, 0.7, 5.0**0.5, -(WIDTH**0.5)])
def test_other_numbers_are_not(scale: float) -> None:
    """Nor is the slope of an activation, whatever it is."""
    assert not said(network(scale, slope=1 / WIDTH))


def test_the_command_prints_it(tmp_path: Path) -> None:
    teacher = network(WIDTH**0.5)
    result = onnx_n2n.widen(teacher, 1.5)
    result.growth.save(tmp_path / "growth.safetensors")
    arrays = {each.name: onnx.numpy_helper.to_array(each) for each in teacher.graph.initializer}
    save_file({name: np.array(array) for name, array in arrays.items()}, tmp_path / "old.safetensors")
    found = call("grow-checkpoint", tmp_path / "old.safetensors", "--record", tmp_path / "growth.safetensors",
                 "-o", tmp_path / "new.safetensors")  # fmt: skip
    assert found.exit_code == 0, found.output
    assert "3.4641 stays, also where the code works it out from a width" in " ".join(found.output.split())
