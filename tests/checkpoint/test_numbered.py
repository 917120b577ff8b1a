"""Numbers of layers in names move, whatever stands before them, and no other numbers do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_n2n.checkpoint.numbered import block_of, following, renumbered
from onnx_n2n.errors import GrowthError

WORD = st.sampled_from(["net", "model", "h", "mlp", "w"])
NUMBER = st.integers(0, 2).map(str)
REST = st.lists(WORD | NUMBER, max_size=3).map(lambda parts: [*parts, "weight"])


@given(st.lists(WORD, max_size=3), st.lists(WORD, max_size=3), NUMBER, NUMBER, REST)
def test_a_number_moves_whatever_stands_in_front(
    front: list[str], other: list[str], number: str, to: str, rest: list[str]
) -> None:
    def name(stem: list[str], at: str) -> str:
        return ".".join([*stem, "layers", at, *rest])

    assert renumbered(name(front, number), name(other, number), name(other, to)) == name(front, to)


def test_a_number_behind_other_words_is_found_by_the_word_before_it() -> None:
    assert renumbered("layer.1.query.1", "encoder.layer.1.self.query.1", "encoder.layer.3.self.query.1") == (
        "layer.3.query.1"
    )
    with pytest.raises(GrowthError, match=r"'a.weight' has no number 1, which 'h.1.a.weight' has"):
        renumbered("a.weight", "h.1.a.weight", "h.2.a.weight")


def test_blocks_are_numbered_modules() -> None:
    assert block_of(["net.h.3.a.weight", "net.h.3.b.0.weight"]) == "net.h.3"
    assert block_of(["net.h.3.a.weight", "net.h.4.a.weight"]) == ""
    assert following("net.h.3") == "net.h.4"
