"""Recurrent layers: as ONNX Runtime computes them, and never equal where one weight differs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper, parser

from helpers.exactly import as_expected, as_runtime, cases, one_node
from onnx_n2n.exact import check
from onnx_n2n.exact.operators.recurrent import ACTIVATIONS, GATES, WITHOUT_DEFAULTS

STEPS, BATCH, INPUTS, HIDDEN = 4, 3, 2, 5
LENGTHS = np.array([4, 2, 3], np.int32)
NAMES = ["W", "R", "B", "lengths", "h", "c", "P"]


def layer(
    operator: str, *, directions: int = 1, steps: int = STEPS, without: str = "lengths", opset: int = 22,
    **attributes: Any,
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:  # fmt: skip
    """Return a model of one layer with constant weights, and its feeds; without some of its inputs."""
    generator = np.random.default_rng(len(operator) + directions)
    rows, batch_first = GATES[operator] * HIDDEN, bool(attributes.get("layout"))
    state = (BATCH, directions, HIDDEN) if batch_first else (directions, BATCH, HIDDEN)
    shapes = {
        "W": (directions, rows, INPUTS), "R": (directions, rows, HIDDEN), "B": (directions, 2 * rows), "h": state,
        "c": state, "P": (directions, 3 * HIDDEN),
    }  # fmt: skip
    inputs: list[Any] = [generator.normal(size=(BATCH, steps, INPUTS) if batch_first else (steps, BATCH, INPUTS))]
    for name in NAMES[: 7 if operator == "LSTM" else 5]:
        array = LENGTHS if name == "lengths" else generator.normal(size=shapes[name]).astype("f4")
        inputs.append(None if name in without.split() else array)
    inputs[0] = inputs[0].astype("f4")
    outputs = 3 if operator == "LSTM" else 2
    return one_node(operator, inputs, outputs, opset=opset, hidden_size=HIDDEN, **attributes)


@pytest.mark.parametrize("operator", GATES)
@pytest.mark.parametrize("without", ["", "lengths", "lengths h c P", "lengths B", "h c B P", "lengths c", "lengths h"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_it_is_what_the_runtime_computes(operator: str, without: str, direction: str) -> None:
    as_runtime(*layer(operator, directions=1 + (direction == "bidirectional"), without=without, direction=direction))


@pytest.mark.parametrize("operator", GATES)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_lengths_as_an_input(operator: str, direction: str) -> None:
    """Over doubles, decisions about lengths are 0 and 1."""
    made, feeds = layer(operator, directions=1 + (direction == "bidirectional"), without="", direction=direction)
    (lengths,) = (each for each in made.graph.initializer if each.name == "in4")
    made.graph.initializer.remove(lengths)
    made.graph.input.append(onnx.helper.make_tensor_value_info("in4", onnx.TensorProto.INT32, [BATCH]))
    as_runtime(made, {**feeds, "in4": LENGTHS})


@pytest.mark.parametrize("operator", GATES)
@pytest.mark.parametrize("attributes", [{"clip": 0.3}, {"layout": 1}, {"layout": 1, "direction": "reverse"}])
@pytest.mark.parametrize("opset", [14, 22])
def test_its_attributes(operator: str, attributes: dict[str, Any], opset: int) -> None:
    as_runtime(*layer(operator, opset=opset, **attributes))


@pytest.mark.parametrize("attributes", [{"linear_before_reset": 1}, {"linear_before_reset": 1, "clip": 0.3}])
@pytest.mark.parametrize("without", ["lengths", "lengths h", "lengths h B"])
def test_a_gru_that_is_linear_before_its_reset(attributes: dict[str, Any], without: str) -> None:
    as_runtime(*layer("GRU", without=without, **attributes))


@pytest.mark.parametrize("without", ["lengths", "lengths P", "lengths c"])
def test_an_lstm_whose_gates_are_coupled(without: str) -> None:
    as_runtime(*layer("LSTM", without=without, input_forget=1))


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("operator", GATES)
def test_its_activations(operator: str, name: str) -> None:
    others = {"RNN": [name], "GRU": ["Sigmoid", name], "LSTM": ["Sigmoid", name, "Tanh"]}[operator]
    given_ = {f"activation_{what}": [0.7] for what in ACTIVATIONS[name]}
    as_runtime(*layer(operator, activations=others, **given_))
    if name not in WITHOUT_DEFAULTS:
        as_runtime(*layer(operator, activations=others))


@pytest.mark.parametrize("case", cases(*GATES), ids=lambda case: case.name)
def test_the_node_tests(case: Any) -> None:
    assert as_expected(case) == ""


# What differs is not equal.


def free(operator: str, seed: int = 0, lengths: bool = False, **attributes: Any) -> onnx.ModelProto:
    """Return a layer over any number of steps, without initial states."""
    inputs = f"x, W, R, B{', lengths' * lengths}"
    text = f"(float[T, N, 3] x, int32[N] lengths) => (float[T, D, N, H] y) {{ y = {operator}({inputs}) }}"
    made = parser.parse_model(f'<ir_version: 9, opset_import: ["": 22]> g {text}')
    made.graph.node[0].attribute.extend(onnx.helper.make_attribute(name, value) for name, value in attributes.items())
    if not lengths:
        made.graph.input.pop()
    generator, gates = np.random.default_rng(seed), GATES[operator]
    for name, shape in (("W", (1, gates * 4, 3)), ("R", (1, gates * 4, 4)), ("B", (1, gates * 8))):
        made.graph.initializer.append(numpy_helper.from_array(generator.normal(size=shape).astype("f4"), name))
    return made


def off(model: onnx.ModelProto, name: str, place: int, exponent: int = -10) -> onnx.ModelProto:
    """Return a copy of a model with one element of a constant off."""
    wrong = onnx.ModelProto()
    wrong.CopyFrom(model)
    (tensor,) = (each for each in wrong.graph.initializer if each.name == name)
    array = numpy_helper.to_array(tensor).copy()
    flat = array.reshape(-1)
    flat[place % flat.size] += max(2.0**exponent, float(np.spacing(abs(flat[place % flat.size]))))
    tensor.CopyFrom(numpy_helper.from_array(array, name))
    return wrong


@given(st.sampled_from(sorted(GATES)), st.sampled_from(["W", "R", "B"]), st.integers(0, 1000), st.integers(-30, 2))
@settings(deadline=None, max_examples=10)
def test_one_weight_that_is_off_is_never_equal(operator: str, name: str, place: int, exponent: int) -> None:
    right = free(operator)
    assert check(right, off(right, name, place, exponent)).state != "equal"


@pytest.mark.parametrize("operator", GATES)
@pytest.mark.parametrize("lengths", [False, True])
def test_a_layer_is_equal_to_itself(operator: str, lengths: bool) -> None:
    verdict = check(free(operator, lengths=lengths), free(operator, lengths=lengths))
    assert verdict.state == "equal", verdict
    assert verdict.chance is not None
    assert verdict.chance < 1e-12


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("GRU", {"linear_before_reset": 1}), ("LSTM", {"input_forget": 1}), ("LSTM", {"clip": 1.0}),
        ("RNN", {"direction": "reverse"}), ("RNN", {"activations": ["Relu"]}),
        ("RNN", {"activations": ["Affine"], "activation_alpha": [2.0], "activation_beta": [0.5]}),
        ("LSTM", {"activations": ["Sigmoid", "Tanh", "Relu"]}), ("GRU", {"activations": ["Tanh", "Sigmoid"]}),
    ],
)  # fmt: skip
def test_an_attribute_more_is_not_equal(operator: str, attributes: dict[str, Any]) -> None:
    plain, changed = free(operator), free(operator, **attributes)
    assert check(changed, changed).state == "equal"
    assert check(plain, changed).state != "equal"


@given(st.floats(0.125, 4, width=16), st.floats(0.125, 4, width=16), st.sampled_from(sorted(ACTIVATIONS)))
@settings(deadline=None, max_examples=10)
def test_another_alpha_is_not_equal(one: float, two: float, name: str) -> None:
    models = [
        free("RNN", activations=[name], **{f"activation_{what}": [alpha] for what in ACTIVATIONS[name]})
        for alpha in (one, two)
    ]
    assert (check(*models).state == "equal") == (one == two or not ACTIVATIONS[name])


def test_lengths_as_an_input_are_not_ignored() -> None:
    padded = free("GRU", lengths=True)
    ignored = free("GRU", lengths=True)
    del ignored.graph.node[0].input[4:]
    assert check(padded, ignored).state != "equal"


def fixed(operator: str, *, steps: int, zeros: bool = False) -> onnx.ModelProto:
    model = free(operator)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = steps
    if zeros:
        model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 2
        model.graph.node[0].input.extend(["", "h"])
        model.graph.initializer.append(numpy_helper.from_array(np.zeros((1, 2, 4), "f4"), "h"))
    return model


@pytest.mark.parametrize("operator", GATES)
@pytest.mark.parametrize("zeros", [False, True])
def test_a_single_step_from_zero_does_not_read_the_recurrent_weights(operator: str, zeros: bool) -> None:
    one = fixed(operator, steps=1, zeros=zeros)
    # With all lengths fixed there is none at which they could be read.
    assert check(one, off(one, "R", 3)).state == ("equal" if zeros else "undecided")
    two = fixed(operator, steps=2, zeros=zeros)
    assert check(two, two).state == "equal"
    assert check(two, off(two, "R", 3)).state != "equal"


def test_a_single_step_of_free_length_is_tried_with_more() -> None:
    """What a slice leaves of two steps is one; with more steps the difference is seen."""
    text = "(float[T, N, 3] x) => (float[T, D, N, H] y) { s = Slice(x, one, end) y = RNN(s, W, R, B) }"
    model = parser.parse_model(f'<ir_version: 9, opset_import: ["": 22]> g {text}')
    model.graph.initializer.extend(free("RNN").graph.initializer)
    for name, value in (("one", 1), ("end", 1000)):
        model.graph.initializer.append(numpy_helper.from_array(np.array([value]), name))
    assert check(model, off(model, "R", 5)).state != "equal"


def test_an_lstm_equals_its_steps_as_operators() -> None:
    """One step with given states, written out, is what the operator computes."""
    generator = np.random.default_rng(3)
    weights = {"W": generator.normal(size=(1, 16, 3)), "R": generator.normal(size=(1, 16, 4))}
    head = "(float[1, N, 3] x, float[1, N, 4] h, float[1, N, 4] c) => (float[1, N, 4] y)"
    texts = (
        head + " { a, y = LSTM(x, W, R, , , h, c) }",
        head
        + """ {
            WT = Transpose<perm = [0, 2, 1]>(W) RT = Transpose<perm = [0, 2, 1]>(R)
            p = MatMul(x, WT) q = MatMul(h, RT) s = Add(p, q)
            i, o, f, g = Split<axis = 2, num_outputs = 4>(s)
            si = Sigmoid(i) so = Sigmoid(o) sf = Sigmoid(f) tg = Tanh(g)
            k = Mul(sf, c) n = Mul(si, tg) cell = Add(k, n) t = Tanh(cell) y = Mul(so, t)
        }""",
    )
    models = []
    for text in texts:
        model = parser.parse_model(f'<ir_version: 9, opset_import: ["": 22]> g {text}')
        for name, array in weights.items():
            model.graph.initializer.append(numpy_helper.from_array(array.astype("f4"), name))
        models.append(model)
    assert check(*models).state == "equal"
    assert check(models[0], off(models[1], "R", 17)).state != "equal"
