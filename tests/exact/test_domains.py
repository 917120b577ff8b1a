"""Laws of domains: a student takes functions only where they are defined, whatever it multiplies them by."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper, parser

from helpers.exactly import cases, elements, over_doubles
from onnx_n2n.exact import check
from onnx_n2n.exact import operators as _registered
from onnx_n2n.exact.domains import Range
from onnx_n2n.exact.field import Field
from onnx_n2n.exact.files import File
from onnx_n2n.exact.functions import FUNCTIONS, domain_of, image
from onnx_n2n.exact.ranges import Ranges
from onnx_n2n.exact.tensor import Tensor
from onnx_n2n.exact.undecided import Undecided
from onnx_n2n.exact.watched import Watched
from onnx_n2n.exact.witness import inputs

assert _registered


def made(body: str, shape: str = "N,8", opset: int = 18, **constants: object) -> onnx.ModelProto:
    model = parser.parse_model(
        f'<ir_version: 9, opset_import: ["": {opset}]> g (float[{shape}] x) => (float[{shape}] y) {{ {body} }}'
    )
    arrays = ((name, np.asarray(array, "f4" if name != "i" else "i8")) for name, array in constants.items())
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays)
    return model


# Ranges


def ranges() -> st.SearchStrategy[tuple[Range, list[float]]]:
    """Draw a range with numbers that are in it."""
    ends = st.sampled_from([-math.inf, -1e30, -2.5, -1.0, -1e-30, 0.0, 1e-30, 0.1, 1.0, 3.0, 1e30, math.inf])

    def within(both: tuple[float, float]) -> st.SearchStrategy[tuple[Range, list[float]]]:
        low, high = (max(min(both), -1e35), min(max(both), 1e35))
        number = st.floats(low, high) if low < high else st.just(low)
        return st.tuples(st.lists(number, min_size=1, max_size=5), st.booleans()).map(
            lambda drawn: (Range(min(both), max(both), 0 in drawn[0] or drawn[1]), drawn[0])
        )

    return st.tuples(ends, ends).filter(lambda both: both[0] != both[1] or not math.isinf(both[0])).flatmap(within)


def assert_in(found: Range, number: Fraction) -> None:
    assert -math.inf < found.high
    assert found.low < math.inf
    assert math.isinf(found.low) or Fraction(found.low) <= number
    assert math.isinf(found.high) or number <= Fraction(found.high)
    assert found.zero or number != 0


@given(ranges(), ranges())
@settings(max_examples=50)
def test_what_is_calculated_of_numbers_is_in_the_range_that_is_calculated(
    one: tuple[Range, list[float]], two: tuple[Range, list[float]]
) -> None:
    for x in map(Fraction, one[1]):
        assert_in(one[0].squared(), x * x)
        assert_in(one[0].magnitude(), abs(x))
        assert_in(-one[0], -x)
        assert_in(one[0].joined(two[0]), x)
        assert_in(one[0].summed(3), 3 * x)
        if x:
            assert_in(one[0].inverse(), 1 / x)
        for y in map(Fraction, two[1]):
            assert_in(one[0] + two[0], x + y)
            assert_in(one[0] - two[0], x - y)
            assert_in(one[0] * two[0], x * y)
            assert_in(one[0].joined(two[0]), y)
    assert_in(one[0].summed(len(one[1])), sum(map(Fraction, one[1]), Fraction(0)))


@given(ranges())
@settings(max_examples=50)
def test_values_of_functions_are_in_the_range_of_their_image(one: tuple[Range, list[float]]) -> None:
    for name in PLAIN:
        function, domain = FUNCTIONS[name], domain_of(name, one[0])
        for x in one[1]:
            if domain is not None and not Range(x, x).within(domain.range):
                continue
            with np.errstate(all="ignore"):
                value = float(function.real(np.float64(x)))
            found = image(name, one[0])
            if math.isfinite(value):
                assert found.low <= value <= found.high, (name, x, one[0])
                assert found.zero or value != 0 or not function.range.zero, name  # where it is none, by rounding alone


PLAIN = """
    Abs Acos Acosh Asin Asinh Atan Atanh Cos Cosh Erf Exp IsNaN Log Normal NotZero Reciprocal Rsqrt Sign Sin Sinh
    Softplus Sqrt Tanh
""".split()  # noqa: SIM905


# Lies: numbers that the function may not be defined for, and a weight of 0. Truths: others, for which it is.

ANY, LARGE = "m = MatMul(x, w)", "n = MatMul(x, w) e = Exp(n) m = Add(e, one)"
SMALL = "n = MatMul(x, w) t = Tanh(n) m = Mul(t, half)"
PARTIAL = {
    "Log": ("l = Log(m)", LARGE),
    "Sqrt": ("l = Sqrt(m)", LARGE),
    "Reciprocal": ("l = Reciprocal(m)", LARGE),
    "Div": ("l = Div(one, m)", LARGE),
    "Acos": ("l = Acos(m)", SMALL),
    "Acosh": ("l = Acosh(m)", LARGE),
    "Asin": ("l = Asin(m)", SMALL),
    "Atanh": ("l = Atanh(m)", SMALL),
    "Pow": ("l = Pow(m, part)", LARGE),
    "Pow of a half": ("l = Pow(m, half)", LARGE),
    "Pow of less than nothing": ("l = Pow(m, less)", LARGE),
    "Pow of an input": ("c = Tanh(n2) l = Pow(m, c)", LARGE),
    "ReduceLogSum": ("l0 = ReduceLogSum<keepdims=1, axes=[1]>(m) l = Add(m, l0)", LARGE),
    "LayerNormalization": ("l = LayerNormalization<epsilon=0.0>(m, two)", None),
    "Softsign of less than nothing": ("l0 = Abs(m) l1 = Sub(l0, one) l = Div(m, l1)", None),
    "a root of a root": ("l0 = Sqrt(m) l1 = Sub(l0, one) l = Sqrt(l1)", None),
    "Mod": ("l = Mod<fmod=1>(m, m)", LARGE),
}  # fmt: skip
WEIGHTS = {
    "w": np.random.default_rng(0).normal(size=(8, 2)), "v": np.zeros((2, 8)), "one": 1.0, "half": 0.5, "part": 1.7,
    "less": -3.0, "two": np.ones(2), "even": 2.0, "i": np.array([1]),
}  # fmt: skip


def student(body: str) -> onnx.ModelProto:
    """Return a student of `TEACHER` with channels that have no weight."""
    opset = 17 if "axes=" in body else 18  # since then axes are inputs
    return made(f"n2 = MatMul(x, w) {body} z = MatMul(l, v) a = Relu(x) y = Add(a, z)", opset=opset, **WEIGHTS)


TEACHER = made("y = Relu(x)")


@pytest.mark.parametrize("name", PARTIAL)
def test_a_function_that_may_not_be_defined_is_undecided_and_named(name: str) -> None:
    verdict = check(TEACHER, student(f"{ANY} {PARTIAL[name][0]}"))
    assert verdict.state == "undecided"
    assert "the teacher" in verdict.reason
    assert "nothing shows that they are" in verdict.reason
    assert verdict.node.startswith("l")


@pytest.mark.parametrize("name", [name for name, (_, inside) in PARTIAL.items() if inside])
def test_a_function_that_is_shown_to_be_defined_is_equal(name: str) -> None:
    function, inside = PARTIAL[name]
    assert check(TEACHER, student(f"{inside} {function}"))


TRUTHS = {
    "Softsign": "l = Softsign(m)",
    "Sigmoid": "l = Sigmoid(m)",
    "a swish that is written out": "n = Neg(m) e = Exp(n) p = Add(e, one) l = Div(m, p)",
    "a softmax": "l = Softmax(m)",
    "a softmax that is written out": "e = Exp(m) s = ReduceSum(e, i) l = Div(e, s)",
    "the logarithm of a softmax": "l = LogSoftmax(m)",
    "a norm": "l = LayerNormalization(m, two)",
    "a norm that is written out": "c = ReduceMean<keepdims=1, axes=[1]>(m) d = Sub(m, c) q = Mul(d, d) "
    "r = ReduceMean<keepdims=1, axes=[1]>(q) s = Add(r, half) t = Sqrt(s) l = Div(d, t)",
    "a norm by powers": "q = Pow(m, even) r = ReduceMean<keepdims=1, axes=[1]>(q) s = Add(r, half) t = Sqrt(s) "
    "l = Div(m, t)",
    "a norm of one": "r = ReduceL2<keepdims=1, axes=[1]>(m) s = Max(r, half) l = Div(m, s)",
    "a Softplus": "p = Softplus(m) l = Log(p)",
    "a Relu": "p = Relu(m) l = Sqrt(p)",
    "moved numbers": "e = Exp(m) t = Transpose(e) s = Transpose(t) l = Log(s)",
    "what a Clip leaves": "p = Clip(m, half, one) l = Log(p)",
    "the sum of exponentials": "s = ReduceLogSumExp<keepdims=1, axes=[1]>(m) l = Add(m, s)",
}


@pytest.mark.parametrize("name", TRUTHS)
def test_what_is_defined_everywhere_is_equal(name: str) -> None:
    verdict = check(TEACHER, student(f"{ANY} {TRUTHS[name]}"))
    assert verdict, verdict


def test_numbers_that_the_teacher_takes_the_function_of_may_be_taken() -> None:
    teacher = made("p = Abs(x) a = Log(p) y = Relu(a)")
    longer = "p = Abs(x) b = Concat<axis=1>(p, p) a = Log(b) c = MatMul(a, h) y = Relu(c)"
    half = np.concatenate([np.eye(8), np.zeros((8, 8))])
    assert check(teacher, made(longer, h=half))
    verdict = check(
        teacher, made(longer.replace("b = Concat<axis=1>(p, p)", "f = Mul(p, p) b = Concat<axis=1>(p, f)"), h=half)
    )
    assert (verdict.state, verdict.operator) == ("undecided", "Log")


def test_a_stricter_function_of_the_teacher_is_enough_and_a_less_strict_one_is_not() -> None:
    """Where a logarithm is defined, so is a root; but 0 has a root and no logarithm."""
    one = "a = {}(x) b = {}(x) c = Mul(b, none) y = Add(a, c)"
    for first, second, equal in (("Log", "Sqrt", True), ("Sqrt", "Log", False), ("Log", "Reciprocal", True),
                                 ("Reciprocal", "Log", False), ("Acosh", "Sqrt", True)):  # fmt: skip
        teacher, wider = made(f"y = {first}(x)"), made(one.format(first, second), none=0.0)
        assert bool(check(teacher, wider)) is equal, (first, second)


def test_one_over_a_root_is_a_root_that_is_divided_by() -> None:
    """Both are defined above 0, and it does not matter which of the two ways either model writes."""
    ways = ["b = Abs(x) c = Sqrt(b) d = Reciprocal(c) y = Mul(x, d)", "b = Abs(x) c = Pow(b, p) y = Mul(x, c)"]
    models = [made(each, p=-0.5) for each in ways]
    assert check(*models)
    assert check(*models[::-1])
    wider = made(ways[1].replace("y = Mul(x, c)", "m = Mul(x, x) e = Pow(m, p) f = Mul(e, none) g = Mul(x, c) y = "
                 "Add(f, g)"), p=-0.5, none=0.0)  # fmt: skip
    assert check(models[0], wider).state == "undecided"
    root = "b = Abs(x) c = Sqrt(b) d = Add(c, p) e = Abs(d) f = Sqrt(e) "
    over = "g = Reciprocal(f) h = Mul(g, none) y = Add(f, h)"
    verdict = check(made(root + "y = Identity(f)", p=-0.5), made(root + over, p=-0.5, none=0.0))
    assert (verdict.state, verdict.node) == ("undecided", "g")  # a root may be 0
    assert check(made(root + over, p=-0.5, none=0.0), made(root + "y = Identity(f)", p=-0.5))


def test_what_may_overflow_is_named_and_still_equal() -> None:
    for function in ("Exp", "Sinh", "Cosh"):
        verdict = check(TEACHER, student(f"{ANY} l = {function}(m)"))
        assert verdict
        assert [(each.node, each.operator) for each in verdict.beyond] == [("l", function)]
        assert f"{function} node 'l'" in verdict.overflow
        assert verdict.to_json()["beyond"] == [{"node": "l", "operator": function}]
        bounded = check(TEACHER, student(f"{SMALL} l = {function}(m)"))
        assert bounded
        assert (bounded.beyond, bounded.overflow) == ((), "")


def test_what_the_teacher_takes_does_not_count_as_overflow() -> None:
    model = made("a = Exp(x) y = Sinh(a)")
    assert check(model, model).beyond == ()


@pytest.mark.parametrize("name", list(PARTIAL)[::4])
def test_every_model_is_equal_to_itself_wherever_it_is_defined(name: str) -> None:
    model = student(f"{ANY} {PARTIAL[name][0]}")
    assert check(model, model)


# The run over ranges visits what the run over residues visits.


OPERATORS = """
    Attention BatchNormalization Celu Elu Gelu GroupNormalization InstanceNormalization LayerNormalization LogSoftmax
    LpNormalization LpPool LRN MeanVarianceNormalization Mish Pow ReduceL2 ReduceLogSumExp RMSNormalization Softmax
    Softplus Softsign Sqrt Swish
""".split()  # noqa: SIM905


@pytest.mark.parametrize("operator", OPERATORS)
def test_what_a_model_gives_over_doubles_is_in_the_range_that_is_found(operator: str) -> None:
    for case in cases(operator):
        names = [each.name for each in case.model.graph.input]
        feeds = {name: np.asarray(each) for name, each in zip(names, case.data_sets[0][0], strict=True)}
        try:
            results = over_doubles(case.model, feeds, names[1:])
        except Undecided:
            continue
        world = Ranges()
        run = Watched(world, File(case.model))
        first = names[0], Tensor(1, None, world.given(names[0], 1, feeds[names[0]].shape))
        rest = ((name, run.constant(name, feeds[name])) for name in names[1:])
        for found, expected in zip(run.outputs(dict([first, *rest])).values(), results, strict=True):
            if isinstance(found, Tensor) and found.numbers is not None:
                values, within = elements(expected), found.numbers.range  # type: ignore[attr-defined]
                values = values[np.isfinite(values)]
                assert (values >= within.low - 1e-9).all()
                assert (values <= within.high + 1e-9).all()


class Everything:
    """What notes all functions that are not defined everywhere."""

    def __contains__(self, key: object) -> bool:
        return key[1] in FUNCTIONS and FUNCTIONS[key[1]].domain is not None  # type: ignore[index]


@pytest.mark.parametrize("body", [*TRUTHS.values(), *(each for each, _ in PARTIAL.values())])
def test_a_run_over_ranges_asks_for_all_that_a_run_over_residues_takes(
    body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    met = set()

    def ask(self: Ranges, taken: str, name: str, *ranges: Range) -> None:
        met.add((self.node, taken))

    monkeypatch.setattr(Ranges, "_ask", ask)
    file, field = File(student(f"{ANY} {body}")), Field(2)
    field.wanted = Everything()  # type: ignore[assignment]
    for world in (Ranges(), field):
        Watched(world, file).outputs(inputs(world, file, {"x": (2, 8)}))
    assert {each for each in field.asked if each[1] != "root"} <= met
    assert field.asked
