"""Passes compose, are made from text, and leave a history."""

from __future__ import annotations

import json

import pytest
from onnx import helper

import onnx_n2n
from helpers.deepening import resnet, transformer
from helpers.graphs import TOLERANCE, Judge, opened
from onnx_n2n.passes import Deepen, Sequential, Widen, parse


@pytest.mark.parametrize(
    "text",
    ["widen{factor=1.5},deepen", "deepen,widen{factor=1.5}", "deepen{every=2},deepen{kind=identity},widen",
     "widen{init=zero},deepen{kernel=5x5,kind=identity},widen{factor=1.3}"],
)  # fmt: skip
def test_passes_compose(text: str) -> None:
    for teacher in (resnet(2), transformer()):
        if "kernel" in text and teacher.graph.node[0].op_type != "Conv":
            continue
        passes = parse(text)
        assert parse(str(passes)) == passes
        result = passes(teacher)
        assert result.report.verdict is not None
        assert Judge(teacher).error(result.model) < TOLERANCE
        assert len(result.change.growths) == text.count("widen")
        assert bool(result.change.added)


def test_a_model_grown_five_times_still_computes_what_the_first_teacher_computes() -> None:
    teacher = resnet(2)
    judge, model_ = Judge(teacher), teacher
    steps = [Widen(factor=1.3), Deepen(kind="identity", count=2), Widen(factor=1.5, init="zero"), Deepen(count=1),
             Sequential(Widen(factor=1.2, seed=5), Deepen(kind="identity", count=1))]  # fmt: skip
    digests = []
    for step in steps:
        digests.append(onnx_n2n.io.history.digest(opened(model_)))
        model_ = step(model_).model
        assert judge.error(model_) < TOLERANCE
    history = onnx_n2n.io.history.history(opened(model_))
    assert [entry.text.split("{")[0] for entry in history] == ["widen", "deepen", "widen", "deepen", "widen", "deepen"]
    assert [entry.parent for entry in history][:5] == digests
    assert history[4].seed == 5
    assert len({entry.parent for entry in history}) == 6


def test_a_history_that_is_not_one_is_left_out() -> None:
    teacher = resnet(1)
    helper.set_model_props(teacher, {"onnx_n2n.lineage": json.dumps({"not": "a list"})})
    assert onnx_n2n.io.history.history(opened(teacher)) == ()
    assert len(onnx_n2n.io.history.history(opened(Deepen()(teacher).model))) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [("wider", "no pass 'wider'"), ("widen{factr=2}", "no option 'factr'"), ("widen{factor=much}", "has no meaning"),
     ("widen{factor=2", "not of the form"), ("", "no pass to run"), ("widen{factor}", "option=value")],
)  # fmt: skip
def test_texts_that_are_no_passes(text: str, reason: str) -> None:
    with pytest.raises(onnx_n2n.OptionError, match=reason):
        parse(text)(resnet(1))
