"""A bug in the analysis of ranges costs fresh channels, not the command; in tests it is raised."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import onnx
import pytest

from helpers.calling import call
from helpers.graphs import grow, model, opened
from onnx_n2n.analysis.failures import RAISE
from onnx_n2n.analysis.walk import Analysis, analyze
from onnx_n2n.errors import ModelError
from onnx_n2n.rules import registry
from onnx_n2n.rules.ranges import RANGES, Kind
from onnx_n2n.width.growth import Fresh, Growth
from onnx_n2n.width.plan import ways
from onnx_n2n.width.reach import formulas

BODY = "h = MatMul(x, W) k = MatMul(h, U) s = Add(k, c) a = Relu(s) y = MatMul(a, V)"
SIZES = (4, 8)
Break = Callable[[pytest.MonkeyPatch, Callable[..., NoReturn]], None]


def net() -> onnx.ModelProto:
    return model(BODY, "float[5,3] x", "y", W=(3, 4), U=(4, 8), c=(8,), V=(8, 2))


def _bound(patch: pytest.MonkeyPatch, fail: Callable[..., NoReturn]) -> None:
    patch.setitem(formulas.BOUNDS, "add", fail)


def _reach(patch: pytest.MonkeyPatch, fail: Callable[..., NoReturn]) -> None:
    patch.setitem(formulas.FRESH, "add", fail)


def _range(patch: pytest.MonkeyPatch, fail: Callable[..., NoReturn]) -> None:
    patch.setitem(registry._RANGES, ("", "Add"), fail)


BROKEN: dict[str, tuple[Break, dict[int, bool]]] = {  # with which groups have fresh channels, by their size
    "the bounds, which all groups share": (_bound, {4: False, 8: False}),
    "what an operator says of its range": (_range, {4: False, 8: False}),
    "the walk of the one group that is added to": (_reach, {4: True, 8: False}),
}


def broken(patch: pytest.MonkeyPatch, name: str, error: type[BaseException] = KeyError) -> dict[int, bool]:
    """Break a part of the analysis; return which groups have fresh channels none the less, by their size."""

    def fail(*_: Any) -> NoReturn:
        raise error("alpha")

    breaks, fresh = BROKEN[name]
    breaks(patch, fail)
    return fresh


def widened() -> Growth:
    return grow(net(), factor=1.5, init="zero")[1]


def has_fresh(growth: Growth) -> dict[int, bool]:
    return {int(each.index.max()) + 1: isinstance(each, Fresh) for each in growth.channels.values()}


def by_size(analysis: Analysis) -> dict[int, str]:
    found = ways(analysis)
    return {group.size: found[group.factor] for group in analysis.weighty}


def test_without_a_bug_all_groups_have_fresh_channels() -> None:
    assert has_fresh(widened()) == dict.fromkeys(SIZES, True)
    assert by_size(analyze(opened(net()))) == dict.fromkeys(SIZES, "freely")


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("error", [KeyError, ZeroDivisionError, AssertionError])
def test_a_group_whose_ranges_fail_gets_copies_and_is_told_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, error: type[Exception]
) -> None:
    fresh = broken(monkeypatch, name, error)
    monkeypatch.delenv(RAISE)
    caplog.set_level(logging.DEBUG, "onnx_n2n")
    growth = widened()
    said = f"the analysis of ranges failed, which is a bug ({error.__name__}: {error('alpha')})"
    assert {grown.before: grown.copies for grown in growth.grown} == {n: "" if fresh[n] else said for n in SIZES}
    assert has_fresh(growth) == fresh
    warned = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert [each.getMessage() for each in warned] == [f"{said}; groups get copies instead of fresh channels"]
    assert all(each.exc_info for each in caplog.records if each.levelno == logging.DEBUG and said in each.getMessage())


@pytest.mark.parametrize("name", BROKEN)
def test_inspect_survives(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    fresh = broken(monkeypatch, name)
    monkeypatch.delenv(RAISE)
    assert by_size(analyze(opened(net()))) == {n: "freely" if fresh[n] else "by copies" for n in SIZES}


@pytest.mark.parametrize("name", BROKEN)
def test_in_tests_the_bug_is_raised(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    broken(monkeypatch, name)
    with pytest.raises(KeyError, match="alpha"):
        widened()
    with pytest.raises(KeyError, match="alpha"):
        ways(analyze(opened(net())))


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("error", [ModelError, OSError, MemoryError, KeyboardInterrupt])
def test_what_is_no_bug_is_raised(monkeypatch: pytest.MonkeyPatch, name: str, error: type[BaseException]) -> None:
    broken(monkeypatch, name, error)
    monkeypatch.delenv(RAISE)
    with pytest.raises(error):
        widened()


def test_what_is_nested_too_deep_gets_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, "the bounds, which all groups share", RecursionError)
    said = "the model is nested too deep for its ranges to be followed"
    assert {grown.copies for grown in widened().grown} == {said}


def test_the_command_says_it_and_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In the report, in ``--json`` and in ``inspect``; the student is verified as any other."""
    monkeypatch.chdir(tmp_path)
    onnx.save(net(), "net.onnx")
    broken(monkeypatch, "the walk of the one group that is added to")
    monkeypatch.delenv(RAISE)
    said = "the analysis of ranges failed, which is a bug (KeyError: 'alpha')"
    printed = call("widen", "net.onnx", "-o", "wider.onnx", "--factor", 1.5)
    assert printed.exit_code == 0, printed.output
    assert said in printed.output
    document = json.loads(call("widen", "net.onnx", "-o", "other.onnx", "--factor", 1.5, "--json").stdout)
    assert {each["before"]: each["copies"] for each in document["grown"]} == {4: "", 8: said}
    assert document["verification"]["ok"]
    shown = call("inspect", "net.onnx")
    assert (shown.exit_code, "by copies" in shown.stdout) == (0, True), shown.output


def test_every_kind_of_range_has_its_formulas() -> None:
    """But those of operators with bodies, which are walked through."""
    kinds = {said.name for said in RANGES.values() if isinstance(said, Kind)}
    assert kinds - {"branch", "repeat"} == formulas.FORMULAS.keys()
