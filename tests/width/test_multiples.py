"""Laws of groups that grow by whole factors only: the total comes near what was asked for, and one line says so."""

from __future__ import annotations

import io
import itertools
import math
from collections import Counter
from collections.abc import Sequence

import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rich.console import Console

import onnx_n2n
from helpers.graphs import STABLE, TOLERANCE, Judge, grow, model, opened
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.cli.reports import print_report
from onnx_n2n.graph.constants import parameters
from onnx_n2n.width.multiples import FAR, NEAR
from onnx_n2n.width.plan import ways

WIDTHS = st.lists(st.integers(3, 8), min_size=1, max_size=5)


def normalised(widths: Sequence[int], free: int = 0) -> onnx.ModelProto:
    """Layers that are normalised behind an activation, so that they grow by whole factors only; and one that is not."""
    body, last = "", "x"
    weights = {}
    for k, (before, after) in enumerate(itertools.pairwise([3, *widths])):
        body += f"h{k} = MatMul({last}, w{k}) a{k} = Tanh(h{k}) n{k} = LayerNormalization(a{k}, g{k}) "
        weights |= {f"w{k}": (before, after), f"g{k}": (after,)}
        last = f"n{k}"
    if free:
        body += f"f0 = MatMul({last}, u) f = Relu(f0) "
        weights |= {"u": (widths[-1], free)}
        last = "f"
    return model(f"{body} y = MatMul({last}, o)", "float[4,3] x", "y", o=(free or widths[-1], 2), **weights)


def totals(teacher: onnx.ModelProto, times: float, sizes: dict[str, float]) -> float:
    """Return how many parameters a teacher would have with all groups at a factor, but for those of other sizes."""
    analysis = analyze(opened(teacher))
    lengths = {group.factor: sizes.get(group.name, group.size * times) for group in analysis.weighty}
    return parameters(analysis.model) + analysis.gain(lengths)


@given(WIDTHS, st.sampled_from([0, 6]), st.floats(1, 4), st.sampled_from(["zero", "net2net"]))
@settings(STABLE, max_examples=40)
def test_the_total_is_near_or_no_other_group_brings_it_nearer(
    widths: list[int], free: int, factor: float, init: str
) -> None:
    factor = round(factor, 2)
    teacher = normalised(widths, free)
    groups = {group.name: group.size for group in analyze(opened(teacher)).weighty}
    student, growth = grow(teacher, factor=factor, init=init)
    after = groups | {grown.name: grown.after for grown in growth.grown}
    judge = Judge(teacher)
    assume(judge.meaningful)
    assert judge.error(student) < TOLERANCE

    aim = totals(teacher, 1, {name: math.floor(size * factor + 0.5) for name, size in groups.items()})

    def apart(**changed: int) -> float:
        return abs(math.log(totals(teacher, 1, after | changed) / aim))

    whole = {name: size for name, size in groups.items() if name != "u"}
    assert apart() <= apart(**{name: size * math.ceil(factor) for name, size in whole.items()}) + 1e-9
    for name, size in whole.items():
        assert after[name] % size == 0
        assert after[name] // size in {math.floor(factor), math.ceil(factor), round(factor * size) / size}
    for size in set(whole.values()):
        alike = [name for name, own in whole.items() if own == size]
        less = {name: max(math.floor(factor), 1) * size for name in alike}
        assert apart() <= NEAR or apart(**less) >= apart() - 1e-9
        most = max(after[name] for name in alike)
        assert all(after[name] == most for name in alike) or apart(**dict.fromkeys(alike, most)) > FAR


def test_many_such_groups_come_near_the_total() -> None:
    """By 2, twelve layers would have 4 times as many parameters, where 2.25 times are asked for."""
    teacher = normalised([8] * 12)
    _, growth = grow(teacher, factor=1.5)
    after = {group.name: group.after for group in growth.grown}
    stays = {kept.name: kept.size for kept in growth.kept if kept.whole}
    assert len(after) + len(stays) == 12
    assert 2 <= totals(teacher, 1, stays | after) / totals(teacher, 1, {}) <= 2.5


@pytest.mark.parametrize(("widths", "options"), [([4, 4], {}), ([8] * 12, {"multiple_of": 16})])
def test_multiples_are_as_asked_where_they_can_be(widths: list[int], options: dict[str, int]) -> None:
    _, growth = grow(normalised(widths), factor=2, **options)
    assert {(grown.before, grown.after, grown.note) for grown in growth.grown} == {(widths[0], 2 * widths[0], "")}


@pytest.mark.parametrize(("multiple_of", "after"), [(1, [18]), (4, [12]), (5, [])])
def test_multiples_fit_what_sizes_must_be_multiples_of(multiple_of: int, after: list[int]) -> None:
    """By 2.9, a group of 6 triples, or doubles where 18 does not fit; where neither does, it stays."""
    _, growth = grow(normalised([6]), factor=2.9, multiple_of=multiple_of)
    assert [grown.after for grown in growth.grown] == after


def test_parts_of_one_axis_grow_alike() -> None:
    """What is normalised across a concatenation must not grow in one part only."""
    teacher = model(
        "a0 = MatMul(x, u) a = Relu(a0) b0 = MatMul(x, v) b = Relu(b0) c = Concat<axis = 1>(a, b) "
        "n = LayerNormalization(c, g) y = MatMul(n, o)",
        "float[4,3] x", "y", u=(3, 2), v=(3, 40), g=(42,), o=(42, 2),
    )  # fmt: skip
    assert set(ways(analyze(opened(teacher))).values()) == {"by whole factors"}
    for factor in (1.2, 1.4, 1.5, 1.7, 2.3):
        student, growth = grow(teacher, factor=factor)
        assert len({grown.after // grown.before for grown in growth.grown}) <= 1
        assert len(growth.grown) in {0, 2}
        assert Judge(teacher).error(student) < TOLERANCE


def test_one_line_tells_of_all_of_them() -> None:
    result = onnx_n2n.widen(normalised([8] * 12), 1.5, verify=False)
    text = io.StringIO()
    print_report(Console(file=text, width=10_000), result.report)
    lines = [line for line in text.getvalue().splitlines() if "whole" in line]
    assert len(lines) == 1
    assert lines[0].startswith("12 groups could grow by a whole factor only: ")
    assert "so that the total is near what was asked for" in lines[0]


def straddled(widths: Sequence[int]) -> onnx.ModelProto:
    """Layers whose norm makes groups across a concatenation's border: they grow by copies beside each channel only."""
    body, last, weights = "", "x", {}
    for k, (before, after) in enumerate(itertools.pairwise([3, *widths])):
        body += f"a{k} = MatMul({last}, u{k}) p{k} = Relu(a{k}) b{k} = MatMul({last}, v{k}) q{k} = Tanh(b{k}) "
        body += f"c{k} = Concat<axis=1>(p{k}, q{k}) g{k} = Reshape(c{k}, to) m{k} = InstanceNormalization(g{k}, s, s) "
        body += f"z{k} = Reshape(m{k}, t{k}) "
        weights |= {f"u{k}": (before, after - 2), f"v{k}": (before, 2), f"t{k}": [0, after]}
        last = f"z{k}"
    weights |= {"o": (widths[-1], 2), "s": (2,), "to": [0, 2, -1]}
    return model(f"{body} y = MatMul({last}, o)", "float[4,3] x", "y", **weights)


@pytest.mark.parametrize("multiple_of", [1, 16])
@pytest.mark.parametrize(
    ("factor", "counts"), [(1.2, {}), (1.5, {2: 4}), (1.8, {2: 6}), (2, {2: 6}), (2.3, {2: 6}), (3, {3: 6})]
)
def test_copies_side_by_side_take_part(factor: float, counts: dict[int, int], multiple_of: int) -> None:
    """They are none of the channels that sizes must be multiples of, and their total counts as any other."""
    teacher = straddled([6] * 6)
    student, growth = grow(teacher, factor=factor, multiple_of=multiple_of)
    assert Judge(teacher).error(student) < TOLERANCE
    assert Counter(grown.after // grown.before for grown in growth.grown) == counts
    assert all(kept.whole for kept in growth.kept)
    assert len(growth.grown) + len(growth.kept) == 6
    assert all(bool(grown.note) is (factor != int(factor)) for grown in growth.grown)


def test_copies_side_by_side_of_as_many_channels_grow_alike() -> None:
    """Layers of other widths need not do as they do."""
    _, growth = grow(straddled([6, 6, 6, 10, 10, 10]), factor=1.5)
    assert {grown.name for grown in growth.grown} in ({"u0", "u1", "u2"}, {"u3", "u4", "u5"})


def test_named_copies_side_by_side_are_what_is_asked_for() -> None:
    _, growth = grow(straddled([6] * 2), factor=1.5, groups={"u1": 3})
    assert {grown.name: (grown.after, grown.note) for grown in growth.grown}["u1"] == (3, "")
