"""Branches and loops, and operators that ONNX defines as functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper, parser

from helpers.exactly import as_expected, as_runtime, cases
from onnx_n2n.exact import check, registry

UNDECIDED = {  # by name of the node test, and why
    "test_if_opt": "sequences of different lengths",
    "test_loop11": "depends on the model's inputs",
    "test_loop13_seq": "depends on the model's inputs",
    "test_loop16_seq_none": "depends on the model's inputs",
}
OPERATORS = ("If", "Loop", "Scan", "SequenceMap", "LinearAttention", "MeanVarianceNormalization", "AffineGrid")


def model(text: str, opset: int = 21, **weights: Any) -> onnx.ModelProto:
    """Return a model from ONNX's text and its constants."""
    made = parser.parse_model(f'<ir_version: 10, opset_import: ["": {opset}]> g {text}')
    arrays = {name: np.asarray(value) for name, value in weights.items()}
    made.graph.initializer.extend(
        numpy_helper.from_array(each.astype("f4") if each.dtype == np.float64 else each, name)
        for name, each in arrays.items()
    )
    return made


@pytest.mark.parametrize("case", cases(*OPERATORS), ids=lambda case: case.name)
def test_the_node_tests(case: Any) -> None:
    reason = as_expected(case)
    assert UNDECIDED.get(case.name, "") in reason
    assert bool(reason) == (case.name in UNDECIDED)


# Branches

BRANCHES = """(float[N, 4] x, {given}) => (float[N, 4] y) {{
    {decision}
    y = If (d) <
        then_branch = t () => (float[N, 4] p) {{ k = Constant<value = float {{{one}}}>() p = Mul(x, k) }},
        else_branch = e () => (float[N, 4] q) {{ k = Constant<value = float {{{two}}}>() q = {operator}(x, k) }}
    >
}}"""


def branches(
    one: float = 2, two: float = 3, operator: str = "Add", given: str = "bool[1] d", decision: str = "", **weights: Any
) -> onnx.ModelProto:  # fmt: skip
    return model(BRANCHES.format(one=one, two=two, operator=operator, given=given, decision=decision), **weights)


@pytest.mark.parametrize("taken", [False, True])
def test_a_branch_is_what_the_runtime_computes(taken: bool) -> None:
    as_runtime(branches(), {"x": np.ones((2, 4), "f4"), "d": np.array([taken])})


@pytest.mark.parametrize("change", [{"one": 2.5}, {"two": 3.5}, {"operator": "Sub"}, {"one": 3, "two": 2}])
def test_both_branches_of_a_decision_matter(change: dict[str, Any]) -> None:
    assert check(branches(), branches()).state == "equal"
    assert check(branches(), branches(**change)).state != "equal"
    assert check(branches(**change), branches(**change)).state == "equal"


def test_branches_that_are_exchanged_with_their_decision_are_equal() -> None:
    turned = branches(decision="d = Not(c)", given="bool[1] c")
    exchanged = branches(given="bool[1] c", decision="d = Identity(c)")
    sides = exchanged.graph.node[1].attribute
    sides[0].name, sides[1].name = sides[1].name, sides[0].name
    assert check(turned, exchanged).state == "equal"
    assert check(turned, branches(given="bool[1] c", decision="d = Identity(c)")).state != "equal"


def test_of_a_known_decision_only_one_branch_matters() -> None:
    made = {two: branches(two=two, given="float z", decision="d = Identity(c)", c=np.array(True)) for two in (3, 4)}
    assert check(made[3], made[4]).state == "equal"
    assert (
        check(made[3], branches(one=5, given="float z", decision="d = Identity(c)", c=np.array(True))).state != "equal"
    )


BY_LENGTH = {"given": "float z", "decision": "s = Shape<end = 1>(x) d = Equal(s, five)", "five": np.array([5])}


@pytest.mark.parametrize("change", [{"one": 2.5}, {"two": 3.5}, {"operator": "Sub"}, {"five": np.array([6])}])
def test_a_branch_for_other_lengths_matters(change: dict[str, Any]) -> None:
    assert check(branches(**BY_LENGTH), branches(**BY_LENGTH)).state == "equal"
    assert check(branches(**BY_LENGTH), branches(**{**BY_LENGTH, **change})).state != "equal"


def test_an_unlikely_branch_of_another_shape_is_not_ignored() -> None:
    """Where branches cannot be mixed, the constants of the one that is not taken remain unread, inside and outside."""
    text = """(float[N, 4] x) => (y) {
        s = Shape<end = 1>(x) d = Equal(s, five)
        y = If (d) <
            then_branch = t () => (float[N, 4] p) { %s p = Mul(x, k) },
            else_branch = e () => (float[N] q) { q = ReduceSum<keepdims = 0>(x, one) }
        >
    }"""
    numbers = {"five": np.array([5]), "one": np.array([1])}
    for k in (2, 3):
        for other in (
            model(text % f"k = Constant<value = float {{{k}}}>()", **numbers),
            model(text % "", k=np.float32(k), **numbers),
        ):
            verdict = check(other, other)
            assert verdict.state == "undecided"
            assert "'k' have no part" in verdict.reason


@pytest.mark.parametrize("other", ["q = Squeeze(x, two)", "r = Neg(x) q = Squeeze(r, one)"])
def test_an_unlikely_branch_of_another_shape_that_is_written_otherwise_is_not_equal(other: str) -> None:
    """With one place the axis is left out, as it is written for images of PyTorch."""
    text = """(float[N, T, 4] x) => (y) {
        s = Shape<start = 1, end = 2>(x) d = Equal(s, one)
        y = If (d) <then_branch = t () => (q) { %s }, else_branch = e () => (p) { p = Identity(x) }>
    }"""
    numbers = {"one": np.array([1]), "two": np.array([2])}
    right, renamed, wrong = (
        model(text % each, **{name: value for name, value in numbers.items() if name in text % each})
        for each in ("q = Squeeze(x, one)", "k = Identity(x) q = Squeeze(k, one)", other)
    )
    assert check(right, right).state == "equal"
    assert check(renamed, renamed).state == "equal"
    assert check(right, wrong).state != "equal"


# Loops

LOOP = """(float[N, 4] x) => (float[N, 4] y, float[T, N, 4] all) {{
    y, all = Loop (trips, go, x) <body = b (int64 i, bool c, float[N, 4] h) => (bool d, float[N, 4] n, float[N, 4] o) {{
        d = {goes}
        f = Cast<to = 1>(i) s = Add(h, f) m = MatMul(s, W) n = Tanh(m) o = Identity(h)
    }}>
}}"""


def loop(trips: int = 3, goes: str = "Identity(c)", **weights: Any) -> onnx.ModelProto:
    matrix = np.random.default_rng(1).normal(size=(4, 4))
    return model(
        LOOP.format(goes=goes), **{"trips": np.array(trips), "go": np.array(True), "W": matrix, **weights}
    )  # fmt: skip


@pytest.mark.parametrize("goes", ["Identity(c)", "Less(i, stop)"])
def test_a_loop_is_what_the_runtime_computes(goes: str) -> None:
    stop = {"stop": np.array(1)} if "stop" in goes else {}
    as_runtime(loop(goes=goes, **stop), {"x": np.linspace(-1, 1, 8, dtype="f4").reshape(2, 4)})


def test_how_often_a_loop_runs_matters() -> None:
    stopped = loop(5, "Less(i, stop)", stop=np.array(2))
    assert check(loop(3), stopped).state == "equal"  # three trips each
    assert check(stopped, loop(4)).state != "equal"
    assert check(stopped, loop(5, "Less(i, stop)", stop=np.array(1))).state != "equal"


@given(st.integers(0, 15), st.integers(-30, 2))
@settings(deadline=None, max_examples=8)
def test_one_weight_of_a_body_that_is_off_is_never_equal(place: int, exponent: int) -> None:
    wrong = np.random.default_rng(1).normal(size=(4, 4)).astype("f4")
    flat = wrong.reshape(-1)
    flat[place] += max(2.0**exponent, float(np.spacing(abs(flat[place]))))
    assert check(loop(), loop(W=wrong)).state != "equal"


def test_a_loop_that_hangs_on_data_is_undecided() -> None:
    for goes in ("Less(z, z)", "Less(s, z)"):
        text = LOOP.format(goes=goes).replace("d = ", "z = ReduceSum<keepdims = 0>(h) s = Identity(z) d = ")
        made = model(text, trips=np.array(3), go=np.array(True), W=np.eye(4))
        verdict = check(made, made)
        assert verdict.state == "undecided"
        assert "depends on the model's inputs" in verdict.reason


@pytest.mark.parametrize("less", [1, 2, 3])
def test_a_single_trip_does_not_hide_what_is_carried_over(less: int) -> None:
    """With the fewest rows only one trip or none is made; more are tried then."""
    text = """(float[N, T, 4] batch) => (float[4] y) {
        x = ReduceSum<keepdims = 0>(batch, first) s = Shape<end = 1>(x) l = Sub(s, less) t = Squeeze(l)
        y = Loop (t, , zero) <body = b (int64 i, bool c, float[4] h) => (bool d, float[4] n) {
            d = Identity(c) r = Gather(x, i) m = MatMul(h, W) n = Add(m, r)
        }>
    }"""
    weights = {"less": np.array([less]), "first": np.array([0]), "zero": np.zeros(4)}
    one, two = (model(text, W=each, **weights) for each in (np.eye(4), 2 * np.eye(4)))
    assert check(one, one).state == "equal"
    assert check(one, two).state != "equal"


# Scan

SCAN = """(float[T, 4] x, float[T, 3] z) => (float[4] y, float[{out}] all) {{
    y, all = Scan<num_scan_inputs = 2, {attributes} body = b (float[4] h, float[4] p, float[3] q) => (n, o) {{
        m = MatMul(h, W) k = MatMul(q, V) a = Add(m, p) n = Add(a, k) o = Tanh(n)
    }}> (start, x, z)
}}"""


def scan(attributes: str = "", out: str = "T, 4", **weights: Any) -> onnx.ModelProto:
    generator = np.random.default_rng(2)
    drawn = {"W": generator.normal(size=(4, 4)), "V": generator.normal(size=(3, 4)), "start": np.zeros(4)}
    return model(SCAN.format(attributes=attributes, out=out), **{**drawn, **weights})


@pytest.mark.parametrize(
    ("attributes", "out"),
    [
        ("", "T, 4"), ("scan_input_directions = [1, 0],", "T, 4"), ("scan_output_directions = [1],", "T, 4"),
        ("scan_output_axes = [1],", "4, T"), ("scan_output_axes = [-1], scan_input_directions = [1, 1],", "4, T"),
    ],
)  # fmt: skip
def test_a_scan_is_what_the_runtime_computes(attributes: str, out: str) -> None:
    generator = np.random.default_rng(0)
    feeds = {"x": generator.normal(size=(3, 4)).astype("f4"), "z": generator.normal(size=(3, 3)).astype("f4")}
    as_runtime(scan(attributes, out), feeds)
    assert check(scan(attributes, out), scan(attributes, out)).state == "equal"
    if attributes:
        assert check(scan(), scan(attributes, "T, 4")).state != "equal"


def test_weights_of_a_scan_matter() -> None:
    assert check(scan(), scan(W=np.eye(4))).state != "equal"
    assert check(scan(), scan(start=np.ones(4))).state != "equal"


# Functions

FUNCTIONS = """
<ir_version: 10, opset_import: ["": 21, "own": 1]>
g (float[N, 4] x) => (float[N, 4] y) {{
    a = own.scaled<alpha = {one}>(x) b = own.scaled<alpha = {two}>(x) y = Sub(a, b)
}}
<domain: "own", opset_import: ["": 21]>
scaled<alpha>(x) => (y) {{ k = Constant<value_float: float = @alpha>() y = Mul(x, k) }}
"""


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
@settings(deadline=None, max_examples=8)
def test_a_function_is_what_it_is_called_with(one: int, two: int, three: int, four: int) -> None:
    models = [parser.parse_model(FUNCTIONS.format(one=float(a), two=float(b))) for a, b in ((one, two), (three, four))]
    assert (check(*models).state == "equal") == (one - two == three - four)


def test_a_function_of_onnx_is_what_it_is_written_as() -> None:
    plain = model("(float[N, 4, 3] x) => (float[N, 4, 3] y) { y = MeanVarianceNormalization(x) }")
    axes = model("(float[N, 4, 3] x) => (float[N, 4, 3] y) { y = MeanVarianceNormalization<axes = [0, 2]>(x) }")
    other = model("(float[N, 4, 3] x) => (float[N, 4, 3] y) { y = MeanVarianceNormalization<axes = [0, 1]>(x) }")
    unknown = model("(float[N, 4, 3] x) => (float[N, 4, 3] y) { y = MeanVarianceNormalization<axis = 1>(x) }")
    assert check(axes, axes).state == "equal"
    assert check(axes, other).state != "equal"
    assert check(unknown, unknown).state == "undecided"
    assert check(plain, plain).state == "undecided"  # its default axes are those of images


WRITTEN = """
    Celu CenterCropPad Clip Elu GreaterOrEqual HardSigmoid HardSwish LeakyRelu LessOrEqual Mish PRelu ReduceL1
    ReduceL2 ReduceLogSum ReduceLogSumExp ReduceSumSquare Relu Selu Shrink Softplus Softsign Swish ThresholdedRelu
""".split()  # noqa: SIM905


@pytest.mark.parametrize("operator", WRITTEN)
def test_without_its_rule_an_operator_is_the_function_of_onnx(operator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(registry._RULES, ("", operator))
    reasons = {case.name: as_expected(case, rtol=1e-2) for case in cases(operator)}
    assert reasons
    assert {name: why for name, why in reasons.items() if why and "no rule" not in why} == {}
    assert "" in reasons.values()


def test_an_operator_of_no_known_version_has_no_function() -> None:
    made = model("(float[N, 4] x) => (float[N, 4] y) { y = MeanVarianceNormalization<axes = [0]>(x) }", opset=29)
    assert "version 29" in check(made, made).reason


# Constants of bodies that have one name

NAMESAKES = """(float[N, 2] x, bool c) => (float[N, 2] y) {{
    a = If(c) <
        then_branch = t () => (p) <float[2] k = {{{0}, 1}}> {{ p = Mul(x, k) }},
        else_branch = e () => (p) <float[2] k = {{{1}, 1}}> {{ p = Add(x, k) }}
    >
    y = If(c) <
        then_branch = t () => (p) <float[2] k = {{{2}, 1}}> {{ p = Mul(a, k) }},
        else_branch = e () => (p) <float[2] k = {{{3}, 1}}> {{ p = Add(a, k) }}
    >
}}"""


@given(st.permutations([2, 3, 4, 5]))
@settings(deadline=None, max_examples=6)
def test_constants_of_one_name_in_different_bodies_are_not_taken_for_each_other(order: list[int]) -> None:
    verdict = check(model(NAMESAKES.format(2, 3, 4, 5)), model(NAMESAKES.format(*order)))
    assert (verdict.state == "equal") == (order == [2, 3, 4, 5])


# Loops that are written otherwise

UNROLLED = "(float[N, 4] x) => (float[N, 4] y) { a = MatMul(x, W) b = Tanh(a) c = MatMul(b, W) d = Tanh(c) %s }"
WHILE = """(float[N, 4] x) => (float[N, 4] y) {
    n, y = Loop(, go, zero, x) <body = b (int64 i, bool c, int64 k, float[N, 4] p) => (bool d, int64 m, float[N, 4] u) {
        m = Add(k, one) d = Less(m, limit) q = MatMul(p, W) u = Tanh(q)
    }>
}"""


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_loop_that_counts_is_equal_to_its_trips(limit: int) -> None:
    matrix = np.random.default_rng(5).normal(size=(4, 4))
    numbers = {"zero": np.array(0), "one": np.array(1), "limit": np.array(limit), "go": np.array(True)}
    counted = model(WHILE, W=matrix, **numbers)
    for trips, rest in ((2, "y = Identity(d)"), (3, "e = MatMul(d, W) y = Tanh(e)")):
        unrolled = model(UNROLLED % rest, W=matrix)
        assert (check(counted, unrolled).state == "equal") == (trips == limit)


def test_a_scan_is_equal_to_the_layer_that_it_computes() -> None:
    generator = np.random.default_rng(6)
    w, r = generator.normal(size=(1, 4, 3)), generator.normal(size=(1, 4, 4))
    text = "(float[N, T, 3] x) => (float[1, N, 4] h) { z = Transpose<perm = [1, 0, 2]>(x) all, h = RNN(z, W, R) }"
    layer = model(text, W=w, R=r)
    text = """(float[N, T, 3] x) => (float[1, N, 4] h) {
        n = Mul(x, nothing) s = ReduceSum<keepdims = 0>(n, one) start = MatMul(s, V)
        last, all = Scan<num_scan_inputs = 1, scan_input_axes = [1], body = b (float[N, 4] p, float[N, 3] q) => (u, o) {
            a = MatMul(q, V) m = MatMul(p, Q) k = Add(a, m) u = FUNCTION(k) o = Identity(u)
        }>(start, x)
        h = Unsqueeze(last, zero)
    }"""
    given_ = {"V": w[0].T, "Q": r[0].T, "one": np.array([1]), "nothing": np.float32(0), "zero": np.array([0])}
    assert check(layer, model(text.replace("FUNCTION", "Tanh"), **given_)).state == "equal"
    assert check(layer, model(text.replace("FUNCTION", "Sin"), **given_)).state != "equal"
    assert check(layer, model(text.replace("FUNCTION", "Tanh"), **{**given_, "Q": r[0]})).state != "equal"


FAR = """(float[N, T, 4] x) => (float[N, 4] y) {
    s = Shape<start = 1, end = 2>(x) t = Squeeze(s) first = ReduceSum<keepdims = 0>(x, one)
    y = Loop(t, , first) <body = b (int64 i, bool c, float[N, 4] p) => (bool d, float[N, 4] u) {
        d = Identity(c) r = Gather(E, i) a = MatMul(p, W) u = Add(a, r)
    }>
}"""


def test_a_row_that_only_a_longer_input_reaches_matters() -> None:
    table, other = np.ones((50, 4)), np.ones((50, 4))
    other[40, 1] = 2
    one, two = (model(FAR, W=np.eye(4), E=each, one=np.array([1])) for each in (table, other))
    assert check(one, one).state == "equal"
    assert check(one, two).state != "equal"


SHAPED = """(float[N, T, 4] x) => (y) {
    most = ReduceMax<keepdims = 0>(x) c = Greater(most, one)
    s = If(c) <then_branch = t () => (int64[3] p) { p = Shape(x) }, else_branch = e () => (int64[3] q) { OTHER }>
    m = ReduceMean<axes = [0, 1], keepdims = 1>(x) y = Expand(m, s)
}"""


@pytest.mark.parametrize(
    ("other", "state"),
    [("q = Shape(x)", {"equal"}), ("a = Identity(x) q = Shape(a)", {"equal"}),
     ("q = Constant<value_ints = [2, 3, 4]>()", {"different", "undecided"})],
)  # fmt: skip
def test_a_shape_that_both_branches_say_is_known(other: str, state: set[str]) -> None:
    teacher = model(SHAPED.replace("OTHER", "q = Shape(x)"), one=np.float32(1))
    assert check(teacher, model(SHAPED.replace("OTHER", other), one=np.float32(1))).state in state
