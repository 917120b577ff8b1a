"""No pass is dropped in silence: one that can do nothing is named with its reason, in report, JSON and history."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import helper

from helpers.calling import call, files
from helpers.graphs import STABLE, model, opened
from onnx_n2n.io.history import digest, history
from onnx_n2n.passes import Sequential, parse
from onnx_n2n.record.record import from_file

NO_PLACE = "nothing can be added to the model: it has no activations, no recurrent layers and no residual sums"
NO_KERNEL = "no kernel can grow: there is no convolution in the model"


def linear() -> onnx.ModelProto:
    """A model that can be wider, and neither deeper nor larger."""
    return model("h = MatMul(x, w) y = MatMul(h, v)", "float[N,3] x", "y", w=(3, 4), v=(4, 2))


@pytest.mark.parametrize("passes", ["widen{factor=1.5},deepen", "deepen,widen{factor=1.5}"])
def test_a_pass_that_does_nothing_is_named(passes: str, folder: Path) -> None:
    onnx.save(linear(), "net.onnx")
    done = call("run", "net.onnx", "-p", passes, "--record", "growth.safetensors")
    assert done.exit_code == 0, done.stderr
    assert f"deepen did nothing: {NO_PLACE}." in done.stderr
    report = json.loads(call("run", "net.onnx", "-p", passes, "--json", "--force").stdout)
    (idle,) = report["idle"]
    assert (idle["pass"], idle["reason"]) == ("deepen", NO_PLACE)
    assert "inspect" in idle["hint"]
    assert report["pass"] == passes
    # The history says it, in order, and nobody who follows digests is led astray.
    log = call("log", "net.grown.onnx")
    assert f"deepen did nothing: {NO_PLACE}" in log.stdout
    entries = json.loads(call("log", "net.grown.onnx", "--json").stdout)["history"]
    assert ",".join(entry["text"] for entry in entries) == passes
    assert [entry["idle"] for entry in entries if entry["text"] == "deepen"] == [NO_PLACE]
    assert [entry["idle"] for entry in entries if entry["text"] != "deepen"] == [""]
    record = from_file(Path("growth.safetensors").read_bytes())
    assert [step.text for step in record.steps] == ["widen{factor=1.5}"]
    assert record.steps[0].parent == digest(opened(linear()))
    assert record.student == digest(opened(onnx.load("net.grown.onnx")))


def test_where_all_passes_do_nothing_that_is_an_error(folder: Path) -> None:
    onnx.save(linear(), "net.onnx")
    there = files(folder)
    done = call("run", "net.onnx", "-p", "deepen,enlarge")
    assert (done.exit_code, files(folder)) == (3, there)
    assert f"deepen: {NO_PLACE}; enlarge: {NO_KERNEL}" in done.stderr
    for name, reason in {"deepen": NO_PLACE, "enlarge": NO_KERNEL}.items():
        alone = call(name, "net.onnx")
        assert (alone.exit_code, files(folder)) == (3, there)
        assert alone.stderr.startswith(f"Error: {reason}")


def test_an_exploration_says_which_pass_can_do_nothing(folder: Path) -> None:
    onnx.save(linear(), "net.onnx")
    found = json.loads(call("explore", "net.onnx", "--budget", "params=2x", "--json").stdout)["candidates"]
    failures = {each["name"]: each["failure"] for each in found}
    assert failures["wider"] is None
    assert failures["wider-deeper"] == f"deepen: {NO_PLACE}"
    assert all(each["idle"] == [] for each in found)


DOES = ["widen{factor=1.5}", "widen{init=net2net,factor=1.3,multiple_of=3}", "outputs{size=9}"]
DOES_NOT = ["deepen", "enlarge", "widen{factor=1.0}", "outputs{size=2}"]


@settings(STABLE, max_examples=30)
@given(st.lists(st.sampled_from(DOES) | st.sampled_from(DOES_NOT), min_size=1, max_size=5), st.integers(0, 4))
def test_every_pass_is_in_the_history_or_in_the_error(texts: list[str], cut: int) -> None:
    """Whatever order they come in, also when some of them are a sequence of their own."""
    teacher = linear()
    flat = parse(",".join(texts)).passes
    passes = Sequential(*flat[:cut], *([Sequential(*flat[cut:])] if flat[cut:] else []))
    outputs = [text for text in texts if text.startswith("outputs")]
    assume(outputs == sorted(outputs))  # no output shrinks
    result = passes(teacher)
    idle = [each.text for each in result.change.idle]
    if not result.modified:
        assert idle == [str(each) for each in flat]
        assert all(each.text in result.change.nothing.reason or len(idle) == 1 for each in result.change.idle)
        assert result.model is teacher
        return
    entries = history(opened(result.model))
    assert [entry.text for entry in entries] == [str(each) for each in flat]
    assert [entry.text for entry in entries if entry.idle] == idle
    assert [entry.text for entry in entries if not entry.idle] == [step.text for step in result.change.steps]
    assert [entry.parent for entry in entries if not entry.idle] == [step.parent for step in result.change.steps]
    first = next(n for n, entry in enumerate(entries) if not entry.idle)
    assert {entry.parent for entry in entries[: first + 1]} == {digest(opened(teacher))}
    assert passes(teacher).model.SerializeToString() == result.model.SerializeToString()


@pytest.mark.parametrize(("idle", "count"), [({}, 1), ({"idle": "no place"}, 1), ({"idle": 3}, 0), ({"idle": None}, 0)])
def test_histories_that_are_read(idle: dict[str, object], count: int) -> None:
    teacher = linear()
    entry = {"pass": "deepen", "seed": 0, "parent": "0", "version": "0.1.0", **idle}
    helper.set_model_props(teacher, {"onnx_n2n.lineage": json.dumps([entry])})
    assert len(history(opened(teacher))) == count
