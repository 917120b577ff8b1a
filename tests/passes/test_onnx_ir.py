"""Our passes are passes of onnx_ir: they run in its sequences and managers, among its own."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_ir.passes import common

import onnx_n2n
from helpers.calling import net
from helpers.graphs import model
from onnx_n2n import Deepen, Enlarge, Outputs, Sequential, Widen

OURS = (Widen(2), Widen(1.5), Deepen(), Sequential(Widen(1.3), Deepen()), Widen(1))  # the last does nothing
THEIRS: tuple[Callable[[], ir.passes.PassBase], ...] = (
    common.CommonSubexpressionEliminationPass,
    common.ClearMetadataAndDocStringPass,
    common.IdentityEliminationPass,
    common.TopologicalSortPass,
    lambda: ir.passes.functionalize(common.LiftConstantsToInitializersPass()),
)


def written(found: ir.Model) -> bytes:
    return ir.to_proto(found).SerializeToString()


def teacher() -> ir.Model:
    return ir.from_proto(net())


@settings(max_examples=15)
@given(st.lists(st.sampled_from(OURS) | st.sampled_from(THEIRS), min_size=1, max_size=4), st.integers(0, 3))
def test_a_sequence_is_its_passes_one_after_the_other(chosen: list[object], nested: int) -> None:
    passes = [each if isinstance(each, Widen | Deepen | Sequential) else each() for each in chosen]  # type: ignore[operator]
    one, modified = teacher(), False
    for each in passes:
        result = each(one)
        one, modified = result.model, modified or result.modified
    inner = passes[nested:]
    whole = ir.passes.Sequential(*passes[:nested], *([ir.passes.PassManager(inner)] if inner else []))
    found = whole(teacher())
    assert written(found.model) == written(one)
    assert found.modified == modified


def test_onnx_n2n_runs_inside_a_manager_as_often_as_it_says() -> None:
    """Students grow again; what does nothing ends it."""
    found = ir.passes.PassManager([Widen(2), common.CommonSubexpressionEliminationPass()], steps=3)(teacher())
    assert [each.shape[0] for each in found.model.graph.initializers.values()] == [32, 2]
    idle = ir.passes.PassManager([Widen(1)], steps=3)
    assert idle(teacher()).modified is False


@pytest.mark.parametrize("change", [Widen(2), Deepen(), Enlarge("3x3"), Outputs(4), Sequential(Widen(2))])
def test_a_pass_is_functional(change: onnx_n2n.Pass) -> None:
    assert isinstance(change, ir.passes.FunctionalPass)
    assert (change.in_place, change.changes_input, change.destructive) == (False, False, False)
    given_ = teacher() if not isinstance(change, Outputs) else ir.from_proto(classifier())
    before = written(given_)
    for found in (change(given_), change.call(given_), ir.passes.functionalize(change)(given_)):
        assert isinstance(found, ir.passes.PassResult)
        assert isinstance(found, onnx_n2n.Result)
        assert found.modified
        assert found.report.verdict is not None
        assert found.report.verdict.ok
        assert written(found.model) != before
    assert written(given_) == before


def classifier() -> onnx.ModelProto:
    return model("y = MatMul(x, w)", "float[2,4] x", "y", w=(4, 3))


def test_what_does_nothing_returns_a_model_of_its_own() -> None:
    """So onnx_ir asks of a pass that is not in place, also inside a sequence."""
    given_ = teacher()
    for idle in (Widen(1), ir.passes.Sequential(Widen(1)), ir.passes.functionalize(Widen(1))):
        found = idle(given_)
        assert not found.modified
        assert found.model is not given_
        assert written(found.model) == written(given_)
        found.model.graph[0].op_type = "Other"
        assert given_.graph[0].op_type == "Conv"


def test_a_result_is_a_model_for_the_next_pass() -> None:
    once = Widen(2)(teacher())
    assert written(Deepen()(once).model) == written(Deepen()(once.model).model)
    assert written(Widen(2)(common.TopologicalSortPass()(teacher())).model) == written(once.model)
    assert isinstance(Deepen()(Widen(2)(net())).model, onnx.ModelProto)


def test_an_error_inside_is_the_cause() -> None:
    with pytest.raises(ir.passes.PassError, match=r"the .widen\{factor=2.0,only=nothing\}. pass") as caught:
        ir.passes.Sequential(common.TopologicalSortPass(), Widen(2, only=("nothing",)))(teacher())
    assert isinstance(caught.value.__cause__, onnx_n2n.GrowthError)


def test_our_sequence_takes_our_passes() -> None:
    """Its student is proven against the first teacher, with a record of every weight."""
    with pytest.raises(onnx_n2n.OptionError, match=r"TopologicalSortPass is no pass of onnx-n2n.*takes ours too"):
        Sequential(Widen(2), common.TopologicalSortPass())(teacher())  # type: ignore[arg-type]
