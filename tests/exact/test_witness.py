"""Laws of the witness: `different` only where an input shows it, by more than any rounding explains."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper, parser

from onnx_n2n.exact import Verdict, check
from onnx_n2n.exact.reals import UNITS, RealLine, Rounding

RIGHT = {
    "twice the rectifier": "a = MatMul(x, W) b = Relu(a) c = Relu(b) y = MatMul(c, V)",
    "by halves": "a = MatMul(x, W) n = Neg(a) p = Relu(a) q = Relu(n) r = Sub(p, q) s = Relu(r) y = MatMul(s, V)",
    "another order": "a = MatMul(x, W) b = Relu(a) c = Add(b, a) d = Sub(c, a) y = MatMul(d, V)",
    "a root of a square": "a = MatMul(x, W) b = Relu(a) c = Abs(b) y = MatMul(c, V)",
}


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {"W": generator.normal(size=(8, 8)).astype("f4"), "V": generator.normal(size=(8, 5)).astype("f4")}


def made(
    body: str, inputs: str = "float[N,8] x", outputs: str = "float[N,5] y", **constants: np.ndarray
) -> onnx.ModelProto:
    model = parser.parse_model(f'<ir_version: 9, opset_import: ["": 18]> g ({inputs}) => ({outputs}) {{ {body} }}')
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    return model


def perceptron(**changed: np.ndarray) -> onnx.ModelProto:
    return made("a = MatMul(x, W) b = Relu(a) y = MatMul(b, V)", **weights() | changed)


@pytest.mark.parametrize("body", RIGHT.values(), ids=RIGHT.keys())
def test_what_is_right_is_never_different(body: str) -> None:
    assert check(perceptron(), made(body, **weights())).state != "different"


def test_a_property_that_is_not_known_is_named() -> None:
    verdict = check(perceptron(), made(RIGHT["by halves"], **weights()))
    assert (verdict.state, verdict.output, verdict.node, verdict.operator) == ("undecided", "y", "q", "Relu")
    assert "a law of Relu" in verdict.reason


@given(st.integers(0, 7), st.integers(0, 7), st.floats(0.01, 100), st.booleans())
@settings(max_examples=6)
def test_a_weight_that_is_off_by_much_is_different(row: int, column: int, by: float, first: bool) -> None:
    name = "W" if first else "V"
    wrong = weights()[name]
    wrong[row, column % wrong.shape[1]] += by
    verdict = check(perceptron(), perceptron(**{name: wrong}))
    assert verdict.state == "different"
    assert verdict.output == "y"
    assert verdict.node == ("a" if first else "y")


@given(st.sampled_from(["W", "V"]), st.integers(0, 2**32 - 1), st.sampled_from(["each", "all"]))
@settings(max_examples=6)
def test_what_rounding_of_constants_explains_is_undecided(name: str, seed: int, how: str) -> None:
    """Each weight one unit in the last place away, all in one direction or in any: it may be rounding."""
    stored = weights()[name]
    signs = np.random.default_rng(seed).choice([-1, 1], stored.shape) if how == "each" else 1
    rounded = np.nextafter(stored, np.where(signs > 0, np.inf, -np.inf).astype("f4"))
    verdict = check(perceptron(), perceptron(**{name: rounded}))
    assert verdict.state == "undecided"
    assert "a growth record may say what it rounds" in verdict.reason


def test_sums_that_cancel_are_no_witness() -> None:
    """The difference of two large equal numbers is rounding alone, and so is what comes of it."""
    large = np.float32(2.0**40)
    one = made("a = Add(x, c) b = Sub(a, c) y = MatMul(b, V)", c=large, V=weights()["V"])
    two = made("y = MatMul(x, V)", V=weights()["V"])
    assert check(two, one).state == "equal"


def test_where_the_teacher_says_nothing_a_student_may_say_anything() -> None:
    """Logarithms of negative numbers: NaN in one and not in the other is no difference."""
    teacher = made("m = Abs(x) z = Neg(m) y = Log(z)", outputs="float[N,8] y")
    student = made("m = Abs(x) l = Log(m) y = Neg(l)", outputs="float[N,8] y")
    assert check(teacher, student).state == "undecided"


INTERFACES = {
    "another name": ({"inputs": "float[N,8] z", "body": "y = Relu(z)"}, "inputs"),
    "another type": ({"inputs": "double[N,8] x"}, "double"),
    "another rank": ({"inputs": "float[N,8,1] x"}, "[N,8,1]"),
    "a free axis that became fixed": ({"inputs": "float[4,8] x"}, "[4,8]"),
    "one input more": ({"inputs": "float[N,8] x, float[N,8] z"}, "'z'"),
    "one output more": ({"outputs": "float[N,8] y, float[N,8] z", "body": "y = Relu(x) z = Relu(x)"}, "'z'"),
    "a type of an output": ({"outputs": "double[N,8] y"}, "double"),
}


@pytest.mark.parametrize(("changed", "said"), INTERFACES.values(), ids=INTERFACES.keys())
def test_interfaces_that_differ_are_different(changed: dict[str, str], said: str) -> None:
    usual = {"body": "y = Relu(x)", "inputs": "float[N,8] x", "outputs": "float[N,8] y"}
    verdict = check(made(**usual), made(**usual | changed))
    assert verdict.state == "different"
    assert said in verdict.reason


def test_a_student_may_take_more_than_its_teacher() -> None:
    usual = {"body": "y = Relu(x)", "outputs": "float[N,8] y"}
    assert check(made(inputs="float[4,8] x", **usual), made(inputs="float[N,8] x", **usual))


def test_an_input_that_a_constant_shadows_is_none() -> None:
    teacher, student = (
        made("y = Add(x, z)", "float[N,8] x, float[8] z"),
        made("y = Add(x, z)", "float[N,8] x, float[8] z"),
    )
    student.graph.initializer.append(numpy_helper.from_array(np.ones(8, "f4"), "z"))
    assert check(teacher, student).state == "different"
    assert check(student, teacher).state == "different"


def test_a_constant_that_nothing_reads_changes_nothing() -> None:
    student = perceptron(unused=np.ones(3, "f4"))
    assert check(perceptron(), student)
    assert check(student, perceptron())


def test_outputs_that_gained_are_compared_in_the_part_of_the_teacher() -> None:
    more = np.concatenate([weights()["V"], np.ones((8, 3), "f4")], 1)
    student = perceptron(V=more)
    student.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 8
    assert check(perceptron(), student).state == "different"
    assert check(perceptron(), student, gained=["y"])
    wrong = perceptron(V=more[:, ::-1].copy())
    assert check(perceptron(), wrong, gained=["y"]).state == "different"


@given(st.sampled_from(sorted(UNITS)), st.integers(0, 1000), st.sampled_from(["none", "all", "first", "last"]))
def test_constants_move_by_a_unit_in_the_last_place_at_most(kind: str, seed: int, together: str) -> None:
    type_ = next(
        each for each in map(helper.tensor_dtype_to_np_dtype, (1, 10, 16, 17, 18, 19, 20, 23)) if each.name == kind
    )
    array = np.random.default_rng(seed).normal(size=(3, 4)).astype(type_)
    exact = array.astype(np.float64)
    moved = RealLine(0, rounding=Rounding(seed, together)).enter(array).values  # type: ignore[arg-type]
    unit, least = UNITS[kind]
    assert (np.abs(moved - exact) <= np.maximum(np.abs(exact) * unit, least)).all()
    assert (moved[exact == 0] == 0).all()
    assert kind == "float4_e2m1fn" or (moved != exact).any()


@pytest.mark.parametrize("state", ["equal", "different", "undecided"])
def test_a_verdict_is_a_sentence_and_a_document(state: str) -> None:
    verdict = Verdict(
        state, 1e-13, 5, 1.25, ({"x": (2, 3)},), 12, 6e-8, "y", "node", "Conv", "why not"  # type: ignore[arg-type]
    )  # fmt: skip
    text, document = str(verdict), verdict.to_json()
    assert text.endswith(".")
    assert document["shapes"] == [{"x": [2, 3]}]
    if state == "equal":
        assert text == (
            "Equal for every input of these shapes, in exact arithmetic (chance of error below 1e-13; 5 primes, 1.2 s; "
            "12 constants taken before rounding, largest 6e-08)."
        )
    else:
        assert all(each in text for each in (state.capitalize(), "'y'", "'node'", "Conv", "why not"))
