"""Constants: what nodes make of nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.graphs import model, opened
from onnx_n2n.graph.constants import Constants

ELSE = "else_branch = ff () => (float[3] s) {{ s = {} }}"
INNER = f"p = If <then_branch = tt () => (float[3] r) {{{{ r = Neg(w) }}}}, {ELSE}> (c)"
BODIES = {
    "k = Mul(w, w) p = Neg(k)": True,
    "k = Mul(w, w) p = Add(k, x)": False,
    INNER.format("Abs(w)"): True,
    INNER.format("Abs(x)"): False,
}


@pytest.mark.parametrize(("body", "computed"), BODIES.items())
def test_a_branch_computes_with_what_its_nodes_read(body: str, computed: bool) -> None:
    other = "else_branch = f () => (float[3] q) { q = Abs(w) }"
    made = f"z = If <then_branch = t () => (float[3] p) {{ {body} }}, {other}> (c)"
    proto = model(f"{made} v = Exp(z) y = Mul(x, v)", "float[3] x", "y", w=np.ones(3, np.float32), c=np.array(True))
    opened_model = opened(proto)
    constants = Constants(opened_model)
    values = {str(value.name): value for node in opened_model.graph for value in node.outputs}
    assert [constants.computed(values[name]) for name in ("z", "v", "y")] == [computed, computed, False]
    assert not any(map(constants.computed, (None, *opened_model.graph.inputs, *constants)))
