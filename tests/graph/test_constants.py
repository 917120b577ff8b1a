"""Small constants: what nodes make of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from onnx_n2n.graph.constants import ARRANGED, evaluate

LENGTHS = st.lists(st.integers(0, 3), max_size=3)
OPERANDS = st.lists(st.integers(-4, 6), max_size=4)  # of which many have no meaning


def folded(
    operator: str, arrays: list[np.ndarray], version: int = 21, **attributes: Any
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """What a node makes of constants, and what the reference says; None where it fails."""
    names = [f"x{number}" for number in range(len(arrays))]
    proto = onnx.helper.make_node(operator, names, ["y"], **attributes)
    types = [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in (*names, "y")]
    graph = onnx.helper.make_graph([proto], "g", types[:-1], types[-1:])
    feeds = dict(zip(names, arrays, strict=True))
    try:
        opset = onnx.helper.make_opsetid("", version)
        wanted = ReferenceEvaluator(onnx.helper.make_model(graph, opset_imports=[opset])).run(None, feeds)[0]
    except Exception:
        wanted = None
    return evaluate(ir.serde.deserialize_node(proto), feeds, version), wanted


def same(found: np.ndarray | None, wanted: np.ndarray | None) -> bool:
    if found is None or wanted is None:
        return found is wanted
    return found.dtype == wanted.dtype and found.shape == wanted.shape and np.array_equal(found, wanted)


@given(lengths=LENGTHS, operand=OPERANDS, allowzero=st.sampled_from([{}, {"allowzero": 0}, {"allowzero": 1}]))
def test_what_is_reshaped_here_is_what_the_reference_makes(
    lengths: list[int], operand: list[int], allowzero: dict[str, int]
) -> None:
    data = np.arange(np.prod(lengths, dtype=int), dtype=np.int32).reshape(lengths)
    assert same(*folded("Reshape", [data, np.array(operand, np.int64)], **allowzero))


@given(lengths=LENGTHS, operand=OPERANDS)
def test_what_is_unsqueezed_here_is_what_the_reference_makes(lengths: list[int], operand: list[int]) -> None:
    data = np.arange(np.prod(lengths, dtype=int), dtype=np.int32).reshape(lengths)
    assert same(*folded("Unsqueeze", [data, np.array(operand, np.int64)]))


@pytest.mark.parametrize(
    ("operator", "lengths", "operand", "attributes", "shape"),
    [
        ("Reshape", [2, 3], [3, -1], {}, (3, 2)),
        ("Reshape", [2, 3], [0, -1], {}, (2, 3)),
        ("Reshape", [2, 3], [0, -1], {"allowzero": 0}, (2, 3)),
        ("Reshape", [2, 0], [0, 5], {"allowzero": 1}, (0, 5)),
        ("Reshape", [], [1], {}, (1,)),
        ("Unsqueeze", [2, 3], [-1, 0], {}, (1, 2, 3, 1)),
        ("Unsqueeze", [], [0], {}, (1,)),
    ],
)
def test_where_both_have_a_meaning(
    operator: str, lengths: list[int], operand: list[int], attributes: dict[str, int], shape: tuple[int, ...]
) -> None:
    data = np.arange(np.prod(lengths, dtype=int), dtype=np.float32).reshape(lengths)
    found, wanted = folded(operator, [data, np.array(operand, np.int64)], **attributes)
    assert found is not None
    assert found.shape == shape
    assert same(found, wanted)
    assert operator in ARRANGED


def test_axes_that_are_an_attribute_are_for_the_reference() -> None:
    found, wanted = folded("Unsqueeze", [np.arange(3)], version=11, axes=[1])
    assert found is not None
    assert found.shape == (3, 1)
    assert same(found, wanted)
