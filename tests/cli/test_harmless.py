"""Names in a model reach the terminal as text: they do nothing to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper, parser

from helpers.calling import call
from onnx_n2n.words import harmless

EVIL = "\x1b[2J\x9b31m\x07\u202e\r"


@given(st.text())
def test_a_harmless_text_has_no_controls_and_others_stay(text: str) -> None:
    shown = harmless(text)
    assert not any((ord(each) < 32 and each not in "\n\t") or 127 <= ord(each) < 160 for each in shown)
    assert harmless(shown) == shown
    assert text.isprintable() is False or "\u202e" in text or shown == text


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    head = '<ir_version: 9, opset_import: ["": 18]>'
    body = "{ a = MatMul(x, V) b = Relu(a) y = MatMul(b, W) }"
    proto = parser.parse_model(f"{head} g (float[N,4] x) => (float[N,3] y) {body}")
    for name, shape in (("V", (4, 6)), ("W", (6, 3))):
        array = np.random.default_rng(0).standard_normal(shape).astype("f4")
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    for node in proto.graph.node:
        node.name = f"{EVIL}node of {node.output[0]}"
        for names in (node.input, node.output):
            names[:] = [each if each in "xy" else f"{EVIL}{each}" for each in names]
    for tensor in proto.graph.initializer:
        tensor.name = f"{EVIL}{tensor.name}"
    place = tmp_path / "evil.onnx"
    onnx.save(proto, place)
    return place


def test_no_command_lets_a_name_act_on_the_terminal(evil: Path) -> None:
    student = evil.with_name("student.onnx")
    lines = (
        ["inspect", evil], ["widen", evil, "-o", student], ["diff", evil, student], ["log", student],
        ["verify", evil, student], ["verify", "--exact", "--trace", evil, student], ["inspect", "--clones", student],
        ["deepen", evil, "-o", evil.with_name("deeper.onnx")], ["cut", evil, "--after", f"{EVIL}b"],
        ["cut", evil, "--force", "--after", f"{EVIL}none"], ["widen", evil, "--force", "--group", f"{EVIL}=7"],
    )  # fmt: skip
    for line in lines:
        done = call(*map(str, line))
        assert "\\x1b[2J" in done.output or line[0] in {"verify", "log"}, (line[0], done.output)
        assert not set(EVIL).difference("[2J31m") & set(done.output), line[0]
