"""A growth record that an earlier version has stored: it is read, and written byte for byte the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnx_n2n.record.layouts import Layout
from onnx_n2n.record.record import from_file

STORED = Path(__file__).with_name("stored.growth").read_bytes()
LAYOUTS = (
    "same", "transposed", "part", "even", "channels:0", "gates:LSTM", "biases:GRU", "columns:RNN", "bias:LSTM",
    "permuted:3201", "permuted:-0-", "permuted:(0,1=2)", "permuted:0(2,1=4)-", "permuted:(0)", "permuted:(1=3,0)",
)  # fmt: skip


def test_a_stored_record_is_written_byte_for_byte_the_same() -> None:
    record = from_file(STORED)
    assert record.to_bytes() == STORED
    layouts = [str(record.origins[f"w{number}"][0].layout) for number in range(len(LAYOUTS))]
    assert layouts == list(LAYOUTS)


@pytest.mark.parametrize("text", LAYOUTS)
def test_a_layout_is_written_as_it_is_read(text: str) -> None:
    layout = Layout.read(text)
    assert str(layout) == text
    assert layout == Layout.read(text)
    assert {hash(layout), hash(Layout.read(text))} == {hash(layout)}


@pytest.mark.parametrize("text", ["", "Same", "same:1", "channels", "channels:12", "gates:CNN", "permuted:", "bias"])
def test_other_layouts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="there is no layout"):
        Layout.read(text)
