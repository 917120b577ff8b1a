"""Every rule is probed: small graphs around each operator grow, and ONNX Runtime says whether they compute the same.

In each graph a first layer makes 12 channels ``h`` from a pinned input ``x``, the operator under test turns them into
``z``, and a last layer sums what came of the channels back into a pinned output.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper

from helpers.graphs import TOLERANCE, WRONG, Judge, apply, grow, model, opened
from helpers.probes import CASES, PINNED, Case, rows
from helpers.probes.reduction import PRODUCTS
from onnx_n2n import rules
from onnx_n2n.analysis.groups import Group
from onnx_n2n.analysis.walk import Analysis, analyze
from onnx_n2n.axes.algebra import Limit, leaves
from onnx_n2n.errors import GrowthError
from onnx_n2n.graph.operators import plain
from onnx_n2n.width.growth import Channels, Copies, Growth, Quieted, shares
from onnx_n2n.width.plan import plan
from onnx_n2n.width.request import Request

Rule = tuple[str, str, int]  # domain, operator, and the version since which it holds
NAMED = {f"{operator}-{number}": probe for operator, probes in CASES.items() for number, probe in enumerate(probes)}
every_case = pytest.mark.parametrize("probe", NAMED.values(), ids=NAMED)


def groups_in(analysis: Analysis) -> list[Group]:
    return [group for group in analysis.groups if group.members]


def sizes_for(groups: list[Group], times: float) -> dict[str, int]:
    """Return sizes that the limits allow: whole multiples where every channel must occur equally often."""
    whole = any(group.limit is Limit.UNIFORM for group in groups)
    return {group.name: round(group.size * (np.ceil(times) if whole else times)) for group in groups}


def grow_named(
    teacher: onnx.ModelProto, sizes: dict[str, int], init: str = "net2net"
) -> tuple[onnx.ModelProto, Growth]:
    return grow(teacher, groups=sizes, exclude=("*",), init=init)


def forced(analysis: Analysis, wanted: int, channels: Channels) -> onnx.ModelProto:
    """Grow every factor of size ``wanted`` in ``h`` and ``z`` by ``channels``, whatever its limits say."""
    axes = [axis for value, axes in analysis.axes.items() if value.name in {"h", "z"} for axis in axes]
    factors = {factor for axis in axes for factor in leaves(axis) if factor.size == wanted}
    assert factors
    return apply(analysis, Growth(dict.fromkeys(factors, channels), (), ()))


@every_case
def test_groups_are_found(probe: Case) -> None:
    assert probe.judge.meaningful
    assert tuple(sorted(group.size for group in groups_in(probe.analysis()))) == probe.groups


@every_case
@pytest.mark.parametrize("init", ["net2net", "zero", "drawn"])
def test_student_computes_what_its_teacher_computes(probe: Case, init: str) -> None:
    groups = groups_in(probe.analysis())
    choices = [groups] if probe.together or len(groups) == 1 else [groups, *([group] for group in groups)]
    for chosen in choices if groups else []:
        for times in (1.5, 2.0, np.random.default_rng(len(probe.body)).uniform(1.1, 3)):
            sizes = sizes_for(chosen, times)
            student, growth = grow_named(probe.teacher, sizes, init)
            assert {grown.name: grown.after for grown in growth.grown} == {
                group.name: sizes[group.name] for group in chosen if sizes[group.name] > group.size
            }
            assert probe.judge.error(student) < TOLERANCE, sizes


@every_case
def test_shares_matter_exactly_where_an_axis_that_grew_is_summed_over(probe: Case) -> None:
    """The comparison could have failed; only maxima, means and what is zero in new channels need no shares."""
    analysis = probe.analysis()
    growth = plan(analysis, Request(groups=sizes_for(groups_in(analysis), 2), exclude=("*",)))
    parts = [part for found in analysis.ledger.contractions for summand in found.summands for part in summand.parts]
    loud = {factor for factor, channels in growth.channels.items() if not isinstance(channels, Quieted)}
    needed = any(summed and not loud.isdisjoint(leaves(axis)) for axis, summed in parts)
    analysis.ledger.contractions.clear()
    assert (probe.judge.error(apply(analysis, growth)) > WRONG) == needed


@pytest.mark.parametrize("name", [name for name in NAMED if "Attention" in name])
def test_the_scale_of_attention_is_written_out_exactly_where_it_would_change(name: str) -> None:
    """Without an attribute it is one over the root of the head dimension, which would be wrong once that has grown."""
    probe = NAMED[name]
    analysis = probe.analysis()
    growth = plan(analysis, Request(groups=sizes_for(groups_in(analysis), 1.5), exclude=("*",)))
    defaults = analysis.ledger.defaults
    needed = any(growth.touches(default.axis) for default in defaults)
    defaults[:] = [replace(default, value=1 / math.sqrt(growth.length(default.axis))) for default in defaults]
    assert (probe.judge.error(apply(analysis, growth)) > WRONG) == needed


@pytest.mark.parametrize(
    "body",
    [
        "a = MatMul(h, w) b = Relu(a) z = MatMul(b, w)",
        "u = Transpose(w) a = MatMul(h, w) b = Relu(a) z = MatMul(b, u)",
        "e = Gather(w, i) a = Add(h, e) u = Transpose(w) z = MatMul(a, u)",
        "p = Shape(w) z = MatMul(h, w)",
    ],
)
def test_a_matrix_with_several_uses_stays_one_matrix(body: str) -> None:
    teacher = rows(body, w=(12, 12), i=[3, 1, 1, 6, 0]).teacher
    student, growth = grow(teacher)
    assert growth.grown
    matrices = [tensor.name for tensor in student.graph.initializer if len(tensor.dims) == 2]
    assert matrices == [tensor.name for tensor in teacher.graph.initializer if len(tensor.dims) == 2]


def test_in_double_precision_only_rounding_differs() -> None:
    rng = np.random.default_rng(0)
    weights = {name: rng.standard_normal(shape) for name, shape in [("v", (3, 8)), ("w", (8, 8)), ("u", (8, 3))]}
    body = (
        "h = MatMul(x, v) k = MatMul(h, w) t = Transpose<perm=[0,2,1]>(k) a = MatMul(h, t) b = Softmax(a) "
        "c = MatMul(b, h) l = ReduceL2<axes=[2]>(c) d = Div(c, l) s = ReduceSum(d, axes) e = Mul(d, s) y = MatMul(e, u)"
    )
    teacher = model(body, "double[2,5,3] x", "y", axes=np.array([2]), **weights)
    (group,) = (group.name for group in groups_in(analyze(opened(teacher))) if group.size == 8)
    for init in ("net2net", "zero"):
        student, growth = grow_named(teacher, {group: 13}, init)
        assert [(group.before, group.after) for group in growth.grown] == [(8, 13)]
        assert Judge(teacher).error(student) < 1e-12


def test_a_rounded_length_is_what_rounding_makes_of_it() -> None:
    """The target says 2 x 12 x ceil(0.6 * 6) x -1; only 12 may change when the channels grow."""
    body = (
        "h = Conv(x, W) p = Shape(h) f = Cast<to=1>(p) g = Gather(f, i) d = Mul(g, s) e = Ceil(d) r = Cast<to=7>(e) "
        "q = Concat<axis=0>(n, c, r, m) z = Reshape(h, q) y = Conv(z, V)"
    )
    shapes = {"W": (12, 3, 1, 1), "V": (3, 12, 1, 1)}
    teacher = model(body, "float[2,3,4,6] x", "y", i=[3], s=0.6, n=[2], c=[12], m=[-1], **shapes)
    teacher.graph.value_info.append(helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, [2, 12, 4, 6]))
    assert Judge(teacher).error(grow_named(teacher, {"W": 18})[0]) < TOLERANCE


def channels_of(index: list[int]) -> Copies:
    return Copies(np.array(index), shares(np.array(index), max(index) + 1))


UNEVEN12 = channels_of([*range(12), 0, 1, 2, 3, 0, 1])
UNEVEN3 = channels_of([0, 1, 2, 0])
FORCED = {  # the case, and which factors are forced to grow how
    "GroupNormalization-0": (3, UNEVEN3),
    "GroupNormalization-2": (12, UNEVEN12),
    "InstanceNormalization-1": (3, UNEVEN3),
    "GroupNorm-0": (3, UNEVEN3),
    "GroupNorm-2": (12, UNEVEN12),
    "LayerNormalization-5": (12, UNEVEN12),
    "RMSNormalization-2": (12, UNEVEN12),
    "SimplifiedLayerNormalization-2": (12, UNEVEN12),
    "GlobalAveragePool-1": (12, UNEVEN12),
    "GlobalLpPool-1": (12, UNEVEN12),
    **{
        f"{operator}-0": (12, UNEVEN12)
        for operator in ["Attention", "BiasSoftmax", "LpNormalization", "MultiHeadAttention"]
    },
    **{f"{operator}-0": (12, UNEVEN12) for operator in ["Softmax", "LogSoftmax", "Hardmax", "LRN", *PRODUCTS]},
}


@pytest.mark.parametrize("name", FORCED)
def test_growth_that_is_refused_would_be_wrong(name: str) -> None:
    probe, (size, channels) = NAMED[name], FORCED[name]
    group = next((group.name for group in groups_in(probe.analysis()) if group.size == size), "W")
    with pytest.raises(GrowthError):
        grow_named(probe.teacher, {group: len(channels.index)})
    assert probe.judge.error(forced(probe.analysis(), size, channels)) > WRONG


@pytest.mark.parametrize(("factor", "after"), [(1.4, 3), (1.5, 6), (1.9, 6), (2.4, 6), (2.6, 9)])
def test_where_only_whole_factors_are_possible_the_nearest_is_taken(factor: float, after: int) -> None:
    teacher = NAMED["InstanceNormalization-1"].teacher
    group = next(group for group in groups_in(analyze(opened(teacher))) if group.size == 3)
    _, growth = grow(teacher, factor=factor, include=(group.name,))
    assert {grown.after for grown in growth.grown} == {after} - {3}
    asked = round(3 * factor)
    assert all(bool(grown.note) == (asked != after) for grown in growth.grown)


@pytest.mark.parametrize("factor", [1.3, 1.9, 2.0, 2.6])
@pytest.mark.parametrize("number", range(len(CASES["ReduceMean"])))
def test_means_do_not_notice_growth_by_any_factor(number: int, factor: float) -> None:
    probe = CASES["ReduceMean"][number]
    student, growth = grow(probe.teacher, factor=factor)
    assert growth.grown
    assert probe.judge.error(student) < TOLERANCE


@pytest.mark.parametrize(
    "body",
    [
        "z = RandomNormalLike(h)",
        "z = Bernoulli(h)",
    ],
)
def test_what_throws_dice_is_pinned(body: str) -> None:
    constants = {"W": (12, 3, 1, 1), "V": (3, 12, 1, 1)}
    teacher = model(f"h = Conv(x, W) {body} y = Conv(z, V)", "float[2,3,4,6] x", "y", **constants)
    assert not groups_in(analyze(opened(teacher)))


def met_by_growth(probe: Case) -> Iterator[Rule]:
    """Yield the rules of the nodes behind the first one that have an axis which may grow."""
    analysis = probe.analysis()
    free = {group.factor for group in groups_in(analysis)}
    for node in list(analysis.model.graph)[1:]:
        tensors = [analysis.axes_of_use(node, slot) for slot in range(len(node.inputs))]
        tensors += [analysis.axes.get(output) for output in node.outputs]
        if not free.isdisjoint(factor for axes in tensors for axis in axes or () for factor in leaves(axis)):
            opset, operator = (
                analysis.model.opset_imports[plain(node.domain)],
                (plain(node.domain), node.op_type),
            )
            found = [rule for rule in rules.known() if rule[:2] == operator and rule[2] <= opset]
            yield from found[-1:]


def test_every_rule_is_probed_by_a_case_in_which_what_it_handles_grows() -> None:
    known = set(rules.known())
    assert {operator for _, operator, _ in known} == CASES.keys()
    probed = {rule for probe in NAMED.values() for rule in met_by_growth(probe)}
    pinned = {rule for rule in known if rule[1] in PINNED}
    assert known - probed == pinned


@pytest.mark.parametrize("operator", sorted(PINNED))
def test_what_cannot_grow_leaves_alone_what_grows_beside_it(operator: str) -> None:
    assert any(groups_in(probe.analysis()) for probe in CASES[operator])


def test_every_rule_for_small_integer_tensors_is_probed() -> None:
    inside = {node.op_type for probe in NAMED.values() for node in probe.teacher.graph.node}
    operators = {schema.name for schema in onnx.defs.get_all_schemas() if rules.shape_rule_for("", schema.name)}
    assert not operators - inside
