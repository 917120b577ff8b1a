"""A checkpoint follows a recurrent layer that was put behind another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import onnx_n2n
from helpers.graphs import run
from helpers.needing import needs

torch = needs("torch")
HIDDEN, READ, LENGTH = 5, 3, 6


class Stacked(torch.nn.Module):  # type: ignore[misc]
    """A network, and with ``deeper`` the one that a person writes for its checkpoint after ``deepen``."""

    def __init__(self, kind: str, *, both: bool, deeper: bool) -> None:
        super().__init__()
        ways = 1 + both
        self.r = getattr(torch.nn, kind)(READ, HIDDEN, batch_first=True, bidirectional=both)
        self.o = torch.nn.Linear(HIDDEN * ways, 4)
        if deeper:
            self.r_deeper = getattr(torch.nn, kind)(HIDDEN * ways, HIDDEN, batch_first=True, bidirectional=both)
            self.projection = torch.nn.Parameter(torch.zeros(ways, HIDDEN, HIDDEN))

    def forward(self, x: Any) -> Any:
        found, _ = self.r(x)
        if hasattr(self, "r_deeper"):
            more = self.r_deeper(found)[0].unflatten(-1, (-1, HIDDEN))
            found = found + torch.einsum("ntdh,dhk->ntdk", more, self.projection).flatten(-2)
        return self.o(found)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_a_checkpoint_follows(kind: str, both: bool, tmp_path: Path) -> None:
    """Trained further, the network with the grown checkpoint computes what the student does with the same weights."""
    old, new = Stacked(kind, both=both, deeper=False).eval(), Stacked(kind, both=both, deeper=True).eval()
    x = torch.randn(2, LENGTH, READ)
    path = tmp_path / "teacher.onnx"
    torch.onnx.export(old, (x,), path, dynamo=False, input_names=["x"], output_names=["y"])
    teacher = onnx.load(path)
    result = onnx_n2n.deepen(teacher, verify=False)
    own = {name: value.numpy() for name, value in old.state_dict().items()}
    found = onnx_n2n.grow_checkpoint(own, result.growth, student=result.model, teacher=teacher, verify=False)
    state = {name: torch.tensor(np.array(array)) for name, array in found.arrays.items()}
    (last,) = (name for name in state if name.endswith("projection"))
    state["projection"] = state.pop(last).reshape(1 + both, HIDDEN, HIDDEN) + torch.randn(1 + both, HIDDEN, HIDDEN)
    new.load_state_dict(state)
    for tensor in result.model.graph.initializer:
        if tensor.name.endswith("projection"):
            array = state["projection"].numpy().reshape(tuple(tensor.dims))
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    with torch.no_grad():
        expected = new(x).numpy()
    assert np.allclose(run(result.model, {"x": x.numpy()})[0], expected, atol=1e-5)
