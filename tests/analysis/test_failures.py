"""A bug in a rule is logged, costs the axes that its node touches, and is raised in tests."""

from __future__ import annotations

import logging
from typing import NoReturn

import pytest

from helpers.graphs import model, opened
from onnx_n2n.analysis.failures import RAISE
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.errors import ModelError
from onnx_n2n.rules import Context, registry

BODY = "h = MatMul(x, w) a = Relu(h) b = Relu(a) k = MatMul(b, v) e = Tanh(k) y = MatMul(e, u)"
TEACHER = opened(model(BODY, "float[2,3] x", "y", w=(3, 4), v=(4, 5), u=(5, 2)))
PROGRAM = opened(model("s = Shape(x) i = Identity(s) y = Reshape(x, i)", "float[2,3] x", "y"))


def fail(_site: Context, error: type[Exception] = KeyError) -> NoReturn:
    raise error("alpha")


def break_rule(monkeypatch: pytest.MonkeyPatch, error: type[Exception] = KeyError) -> None:
    def broken(context: Context) -> None:
        fail(context, error)

    monkeypatch.setitem(registry._RULES, ("", "Relu"), ((1, broken),))


def test_in_tests_a_bug_in_a_rule_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    break_rule(monkeypatch)
    with pytest.raises(KeyError, match="alpha"):
        analyze(TEACHER)


@pytest.mark.parametrize("error", [KeyError, AttributeError, ZeroDivisionError, AssertionError])
def test_a_bug_in_a_rule_is_logged_once_and_said_in_the_pin(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: type[Exception]
) -> None:
    break_rule(monkeypatch, error)
    monkeypatch.delenv(RAISE)
    caplog.set_level(logging.DEBUG, "onnx_n2n")
    analysis = analyze(TEACHER)
    said = f"Relu: its rule failed, which is a bug ({error.__name__}: {error('alpha')})"
    assert [group.size for group in analysis.groups if group.members] == [5]
    assert {pin.reason.text for pin in analysis.pins if pin.size == 4} == {said}
    warned = [each for each in caplog.records if each.levelno == logging.WARNING]
    traced = [each for each in caplog.records if each.levelno == logging.DEBUG]
    assert len(warned) == 1
    assert said in warned[0].getMessage()
    assert "'-> a'" in warned[0].getMessage()
    assert [each.exc_info is not None for each in traced] == [True, True]


@pytest.mark.parametrize("error", [ModelError, OSError, MemoryError])
def test_what_is_no_bug_of_the_rule_is_raised(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    break_rule(monkeypatch, error)
    monkeypatch.delenv(RAISE)
    with pytest.raises(error):
        analyze(TEACHER)


def test_a_bug_in_a_content_rule_is_treated_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(registry._CONTENTS, ("", "Identity"), fail)
    with pytest.raises(KeyError, match="alpha"):
        analyze(PROGRAM)
    monkeypatch.delenv(RAISE)
    analyze(PROGRAM)
    assert "Identity: its rule failed" in caplog.text
