"""Two models compute the same, or an AssertionError says where they do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import onnx_n2n
from helpers.calling import net, rewritten
from helpers.graphs import model
from onnx_n2n.errors import InputError, ModelError, N2NError, OptionError
from onnx_n2n.testing import assert_same_function

WRONG = "h = Conv(x, w) r = Sigmoid(h) y = Conv(r, v)"


@pytest.mark.parametrize("exact", [False, True])
def test_the_same_function_passes(exact: bool, folder: Path) -> None:
    again = rewritten("h = Conv(x, w) r = Relu(h) s = Relu(r) y = Conv(s, v)")
    onnx_n2n.testing.assert_same_function("net.onnx", again, exact=exact)


def test_another_function_fails_with_all_that_is_known() -> None:
    with pytest.raises(AssertionError) as failure:
        assert_same_function(net(), rewritten(WRONG))
    assert not isinstance(failure.value, N2NError)
    for part in ("output 'y' is off by", "allowed", "rounding error", "on CPU", "inputs drawn",
                 "first tensor that differs: r (from a Relu node)"):  # fmt: skip
        assert part in str(failure.value)


def test_the_exact_check_fails_with_the_node() -> None:
    with pytest.raises(AssertionError, match=r"Different at output 'y'.* at Conv|Different at output 'y'"):
        assert_same_function(net(), rewritten(WRONG), exact=True)


def test_what_is_not_decided_does_not_pass() -> None:
    drawn = model("z = Bernoulli(x)", "float[2,3] x", "z")
    with pytest.raises(AssertionError, match=r"cannot be told(.|\n)*Undecided at .*no rule"):
        assert_same_function(drawn, drawn, exact=True)


def test_another_interface_is_told_first() -> None:
    student = net()
    student.graph.node[-1].output[0] = student.graph.output[0].name = "z"
    with pytest.raises(AssertionError) as failure:
        assert_same_function(net(), student)
    assert str(failure.value).splitlines()[1] == "  output 'y' (float[N,2,6,6]) is missing"
    assert "output 'y' is off" not in str(failure.value)


def test_inputs_may_be_given(folder: Path) -> None:
    negative = {"x": -np.ones((1, 3, 6, 6), np.float32)}
    teacher, student = (model(body, "float[N,3,6,6] x", "y") for body in ("y = Relu(x)", "y = Clip(x, o, m)"))
    for name, value in (("o", 0.0), ("m", 0.5)):
        student.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(value), name))
    assert_same_function(teacher, student, inputs=[negative, {"x": -2 * negative["x"] * 0.1}])
    with pytest.raises(AssertionError, match="given"):
        assert_same_function(teacher, student, inputs={"x": -negative["x"]})


def test_a_wrong_call_is_no_wrong_student(folder: Path) -> None:
    with pytest.raises(ModelError):
        assert_same_function("missing.onnx", net())
    with pytest.raises(InputError):
        assert_same_function(net(), net(), inputs={"y": np.zeros(3, np.float32)})
    with pytest.raises(OptionError, match="inputs"):
        assert_same_function(net(), net(), inputs={"x": np.zeros(3, np.float32)}, exact=True)
