"""Laws of verification: what is equal passes, what is wrong fails, and what proves nothing is said to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper, parser

from onnx_n2n import save
from onnx_n2n.errors import InputError, ModelError
from onnx_n2n.verification import Verdict, sessions, verify


def model(inputs: str, outputs: str, body: str, *, opset: int = 17, **weights: np.ndarray) -> onnx.ModelProto:
    graph = parser.parse_graph(f"g ({inputs}) => ({outputs}) {{ {body} }}")
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def normal(*shape: int, seed: int = 0, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


A, B = normal(6, 8), normal(8, 4, seed=1)


def net(a: np.ndarray = A, b: np.ndarray = B) -> onnx.ModelProto:
    """Two layers; the rows of ``b`` and the columns of ``a`` are the hidden channels."""
    body = "first = MatMul(x, a)\n hidden = Relu(first)\n y = MatMul(hidden, b)"
    return model("float[N,6] x", "float[N,4] y", body, a=a, b=b)


def one_output(outputs: str, body: str, inputs: str = "float[2,6] x", **weights: np.ndarray) -> onnx.ModelProto:
    return model(inputs, outputs, body, **weights)


# What is equal


@pytest.mark.parametrize(
    "kind", [lambda proto: proto, onnx.ModelProto.SerializeToString, ir.from_proto], ids=["proto", "bytes", "ir"]
)
def test_a_model_equals_itself_whatever_holds_it(kind: Any, tmp_path: Path) -> None:
    onnx.save(net(), tmp_path / "model.onnx")
    verdict = verify(tmp_path / "model.onnx", kind(net()))
    assert verdict.ok
    assert verdict.error == 0
    assert not verdict.vacuous
    assert verdict.first_wrong is None
    assert [output.name for output in verdict.outputs] == ["y"]
    assert verdict == verify(str(tmp_path / "model.onnx"), kind(net()))


@given(st.lists(st.integers(0, 7), min_size=1, max_size=9), st.integers(0, 9))
@settings(max_examples=15)
def test_copies_with_shares_that_sum_to_one_pass_and_others_fail(copied: list[int], seed: int) -> None:
    index = np.concatenate([np.arange(8), copied])
    share = np.random.default_rng(seed).uniform(0.1, 1, len(index))
    share /= np.bincount(index, share)[index]
    trace = {"hidden": (None, index)}
    assert verify(net(), net(A[:, index], B[index] * share[:, None].astype(np.float32)), trace=trace).ok
    wrong = verify(net(), net(A[:, index], B[index]), trace={**trace, "y": (None, None)})
    assert not wrong.ok
    assert wrong.wrong is not None
    assert (wrong.wrong.tensor, wrong.wrong.operator, wrong.to_json()["wrong"]["tensor"]) == ("y", "MatMul", "y")
    assert wrong.first_wrong is not None
    assert wrong.first_wrong.startswith("y (from a MatMul node)")


def test_a_verdict_is_true_when_the_student_is_right() -> None:
    assert verify(net(), net())
    assert not verify(net(), net(A * np.float32(1.1)))


def test_external_data_is_found_beside_a_file_and_in_a_folder(tmp_path: Path) -> None:
    onnx.save(net(), tmp_path / "model.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    hollow = onnx.load(tmp_path / "model.onnx", load_external_data=False)
    assert verify(tmp_path / "model.onnx", net()).ok
    assert verify(hollow, hollow.SerializeToString(), folder=tmp_path).ok
    assert verify(net(), ir.load(tmp_path / "model.onnx")).ok
    trace = {"first": (None, None)}
    failed = verify(tmp_path / "model.onnx", net(A * np.float32(1.01)), trace=trace)
    assert failed.first_wrong is not None
    assert failed.first_wrong.startswith("first ")


def test_sparse_weights_survive_the_way_to_the_runtime(tmp_path: Path) -> None:
    proto = net()
    values = numpy_helper.from_array(np.array([2, 3], np.float32), "s")
    proto.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([1, 2])), [4])
    )
    proto.graph.node.append(helper.make_node("Add", ["y", "s"], ["z"]))
    proto.graph.output[0].name = "z"
    save(proto, tmp_path / "model.onnx")
    assert verify(proto, onnx.load(tmp_path / "model.onnx")).ok


@pytest.mark.parametrize(
    ("dtype", "kind"), [(np.float16, "float16"), (np.float64, "double"), (np.float32, "float")], ids=str
)
def test_every_width_of_float_has_its_own_tolerance(dtype: Any, kind: str) -> None:
    def halved(*scales: float) -> onnx.ModelProto:
        a = normal(6, 64, dtype=dtype)
        parts = np.concatenate([a * dtype(scale) for scale in scales], axis=1)
        b = np.concatenate([normal(64, 4, dtype=dtype)] * len(scales))
        return model(f"{kind}[2,6] x", f"{kind}[2,4] y", "h = MatMul(x, a)\n y = MatMul(h, b)", a=parts, b=b)

    verdict = verify(halved(1), halved(0.25, 0.75))
    assert verdict.ok
    assert verdict.outputs[0].dtype == np.dtype(dtype).name
    assert verdict.outputs[0].tolerance < 0.5
    assert not verify(halved(1), halved(0.25, 0.85)).ok


def test_bfloat16_goes_in_and_out_although_numpy_does_not_know_it() -> None:
    body = "f = Cast<to=1>(x)\n h = MatMul(f, a)\n y = Cast<to=16>(h)"
    teacher = model("bfloat16[2,6] x", "bfloat16[2,8] y", body, a=A)
    verdict = verify(teacher, teacher)
    assert verdict.ok
    assert verdict.outputs[0].dtype == "bfloat16"
    assert verdict.outputs[0].movement > 0.1
    assert not verify(teacher, model("bfloat16[2,6] x", "bfloat16[2,8] y", body, a=A * np.float32(1.5))).ok


# What is asked of a student


def test_the_optimiser_shows_noise_where_no_input_is_real() -> None:
    body = "f = Cast<to=1>(x)\n c = Conv(f, w)\n y = BatchNormalization(c, s, s, s, s)"
    folded = model("int64[1,3,8,8] x", "float[1,8,6,6] y", body, w=normal(8, 3, 3, 3), s=normal(8) ** 2)
    assert 0 < verify(folded, folded).rounding_error < 1e-5


# What is wrong


@pytest.mark.parametrize(("which", "tensor"), [("a", "first"), ("b", "y")])
def test_a_weight_off_by_a_hundredth_fails_and_is_located(which: str, tensor: str) -> None:
    student = net(**{"a": A, "b": B, which: {"a": A, "b": B}[which] * np.float32(1.01)})
    trace = {"first": (None, None), "hidden": (None, None), "y": (None, None), "elsewhere": (None,)}
    verdict = verify(net(), student, trace=trace)
    assert not verdict.ok
    assert 1e-3 < verdict.error < 1e-1
    assert verdict.first_wrong is not None
    assert verdict.first_wrong.startswith(f"{tensor} (from a MatMul node): off by ")
    assert verify(net(), student).first_wrong is None


def test_entries_without_a_counterpart_are_not_compared_and_wrong_lengths_are_wrong() -> None:
    index = np.array([0, 1, 2, 3, 4, 5, 6, 7, -1])
    student = net(np.concatenate([A, A[:, :1] * 5], axis=1), np.concatenate([B * np.float32(1.1), B[:1] * 0]))
    trace = {"first": (None, index), "y": (None, None)}
    assert str(verify(net(), student, trace=trace).first_wrong).startswith("y ")
    shorter = str(verify(net(), student, trace={"first": (None, index[:-1])}).first_wrong)
    assert shorter.startswith("first ")
    assert "shape" in shorter


def test_a_tensor_that_is_only_noise_is_not_blamed() -> None:
    def waves(first: float, second: float, factor: float) -> onnx.ModelProto:
        body = "a = Mul(x, f)\n b = Mul(a, g)\n c = Sin(b)\n z = Mul(x, k)"
        weights = {"f": first, "g": second, "k": factor}
        arrays = {name: np.array([value], np.float32) for name, value in weights.items()}
        return one_output("float[2,6] c, float[2,6] z", body, **arrays)

    trace = {"c": (None, None), "z": (None, None)}
    assert verify(waves(1e3, 1e2, 1), waves(3e3, 1e2 / 3, 1), trace=trace).ok
    assert str(verify(waves(1e3, 1e2, 1), waves(3e3, 1e2 / 3, 1.01), trace=trace).first_wrong).startswith("z ")


def test_a_tensor_that_a_branch_reads_from_around_it_is_compared() -> None:
    body = """
        z = If(yes) <then_branch = t () => (float[2,6] u) { u = Mul(x, k) },
                     else_branch = e () => (float[2,6] v) { v = Identity(x) }>
        y = Exp(z)"""
    teacher, student = (
        one_output("float[2,6] y", body, yes=np.array(True), k=np.array([k], np.float32)) for k in (1, 1.1)
    )
    verdict = verify(teacher, student, trace={"y": (None, None), "z": (None, None)})
    assert str(verdict.first_wrong).startswith("z (from a If node)")


def test_what_a_trace_cannot_say_anything_of_is_not_compared() -> None:
    """Weights that hold shares, integers that are sizes, and axes that the trace knows nothing about."""
    body = "s = Shape(x)\n v = Identity(w)\n h = MatMul(x, v)\n y = Mul(h, k)"
    one = np.ones(1, np.float32)
    teacher = model("float[2,6] x", "float[2,8] y", body, w=A, k=one)
    student = model("float[2,6] x", "float[2,8] y", body.replace("Shape(x)", "Size(x)"), w=A / 2, k=one * 2)
    assert verify(teacher, student, trace={"s": (None,), "v": (None, None)}).ok
    student.graph.initializer[1].CopyFrom(numpy_helper.from_array(one * 3, "k"))
    trace = {"s": (None,), "v": (None, None), "h": (None, np.array([], int)), "y": (None, None)}
    assert str(verify(teacher, student, trace=trace).first_wrong).startswith("y ")
    assert verify(teacher, student, trace={**trace, "y": (None, np.arange(9))}).first_wrong is None
    assert verify(teacher, student, trace={**trace, "y": (None,)}).first_wrong is None


def test_nodes_are_named_in_the_order_of_the_graph() -> None:
    teacher, student = net(), net(A * np.float32(2))
    for name, proto in (("t", teacher), ("s", student)):
        for number, node in enumerate(proto.graph.node):
            node.name = f"{name}{number}"
    trace = {"y": (None, None), "hidden": (None, None), "first": (None, None)}
    assert "MatMul node 't0'" in str(verify(teacher, student, trace=trace).first_wrong)


@pytest.mark.parametrize(
    "student",
    [
        one_output("float[2,8] y", "h = MatMul(x, a)\n y = Concat<axis=1>(h, h)", a=A[:, :4]),
        one_output("double[2,4] y", "h = MatMul(x, a)\n y = Cast<to=11>(h)", a=A[:, :4]),
    ],
    ids=["shape", "type"],
)
def test_another_shape_or_type_is_infinitely_wrong(student: onnx.ModelProto) -> None:
    verdict = verify(one_output("float[2,4] y", "y = MatMul(x, a)", a=A[:, :4]), student)
    assert not verdict.ok
    assert verdict.error == np.inf
    assert json.loads(json.dumps(verdict.to_json(), allow_nan=False))["error"] is None


@pytest.mark.parametrize(
    ("student", "said"),
    [
        (one_output("float[2,4] y", "y = MatMul(x, a)", a=A[:5]), "Incompatible dimensions"),
        (one_output("float[N,M] y", "s = Shape(a)\n y = Reshape(x, s)", a=A), "cannot be reshaped"),
        (one_output("float[2,6] z", "z = Relu(x)"), "y"),
        (b"no model at all", "protobuf"),
    ],
    ids=["graph", "run", "output", "file"],
)
def test_a_student_that_does_not_run_is_a_verdict_and_no_crash(student: Any, said: str) -> None:
    verdict = verify(one_output("float[2,8] y", "y = MatMul(x, a)", a=A), student, trace={"y": (None, None)})
    assert not verdict.ok
    assert verdict.error == np.inf
    assert said in str(verdict.first_wrong)
    nothing = one_output(
        "double[N] y",
        "d = Cast<to=11>(x)\n f = Flatten<axis=0>(d)\n r = Squeeze(f)\n y = Slice(r, k, k)",
        k=np.array([0]),
    )
    assert verify(nothing, nothing).ok
    assert not verify(nothing, student).ok  # although no entry differs


def test_a_teacher_that_is_no_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        verify(b"no model at all", net())
    with pytest.raises(ModelError, match="does not exist"):
        verify(tmp_path / "none.onnx", net())


# What proves nothing, and what only seems to


def test_saturation_hides_nothing() -> None:
    def saturated(factor: float) -> onnx.ModelProto:
        body = "logits = MatMul(x, a)\n sharp = Mul(logits, f)\n y = Softmax(sharp)"
        return one_output("float[2,8] y", body, a=A, f=np.array(factor, np.float32))

    assert verify(saturated(40), saturated(40)).ok
    verdict = verify(saturated(40), saturated(44))
    assert not verdict.ok
    assert not verdict.vacuous


def test_a_constant_output_is_vacuous_and_still_has_to_be_right() -> None:
    def constant(value: float, scale: float = 0.0) -> onnx.ModelProto:
        weights = {"k": np.array(scale, np.float32), "c": np.array(value, np.float32)}
        return one_output("float[2,6] y, float[2,6] z", "h = Mul(x, k)\n y = Add(h, c)\n z = Exp(x)", **weights)

    same, other = verify(constant(3), constant(3)), verify(constant(3), constant(3.1))
    assert (same.ok, same.vacuous) == (True, ("y",))
    assert (other.ok, other.vacuous) == (False, ("y",))
    assert verify(constant(0, 1), constant(0, 1)).vacuous == ()


def test_when_every_output_is_vacuous_only_equality_will_do() -> None:
    def chaotic(outputs: str, extra: str = "", factors: tuple[float, float] = (3e8, 4e8)) -> Verdict:
        """A rounding step of the input moves the output anywhere, so that no student can be told from the teacher."""
        models = [
            one_output(outputs, f"h = Mul(x, k)\n y = Sin(h)\n {extra}", k=np.array(factor, np.float32))
            for factor in factors
        ]
        return verify(*models)

    beside, equal = chaotic("float[2,6] y, float[2,6] z", "z = Exp(x)"), chaotic("float[2,6] y", factors=(3e8, 3e8))
    assert (beside.ok, beside.vacuous) == (equal.ok, equal.vacuous) == (True, ("y",))
    with pytest.raises(InputError, match="cannot be told from rounding"):
        chaotic("float[2,6] y")


def test_entries_that_are_not_finite_have_to_agree() -> None:
    def roots(shift: float) -> onnx.ModelProto:
        return one_output("float[2,6] y", "h = Add(x, s)\n y = Sqrt(h)", s=np.array(shift, np.float32))

    feeds = [{"x": np.array([[-3, -2, -1, 1, 2, 3]] * 2, np.float32) * scale} for scale in (1, 2)]
    assert verify(roots(0), roots(0), inputs=feeds).ok
    assert verify(roots(0), roots(-1.5), inputs=feeds).error == np.inf
    never = verify(roots(-100), roots(-100), inputs=feeds)
    assert (never.ok, never.vacuous) == (True, ("y",))


def test_outputs_that_are_no_real_numbers_have_to_be_equal() -> None:
    def best(scale: float) -> onnx.ModelProto:
        a = A * np.array([1, scale, 1, 1, 1, 1], np.float32)[:, None]
        return one_output(
            "int64[2] y, bool[2,8] z",
            "h = MatMul(x, a)\n y = ArgMax<axis=1, keepdims=0>(h)\n z = Less(h, k)",
            a=a,
            k=np.zeros(1, np.float32),
        )

    same, other = verify(best(1), best(1)), verify(best(1), best(-1))
    assert same.ok
    assert not same.vacuous
    assert not other.ok
    assert [output.dtype for output in other.outputs] == ["int64", "bool"]
    assert all(0 < output.error < 1 for output in other.outputs)


def test_sequences_are_compared_by_what_is_in_them() -> None:
    def halves(scale: float) -> onnx.ModelProto:
        body = "h = Mul(x, k)\n y = SplitToSequence<axis=1>(h)"
        return one_output("seq(float[2,1]) y", body, k=np.array(scale, np.float32))

    assert verify(halves(1), halves(1)).ok
    assert not verify(halves(1), halves(1.1)).ok


# The runtime


@pytest.mark.cuda
@pytest.mark.skipif(sessions.CUDA not in sessions.providers("auto"), reason="ONNX Runtime finds no CUDA device")
def test_cuda_is_used_and_repeats_itself() -> None:
    image = model("float[1,3,32,32] x", "float[1,8,32,32] y", "y = Conv<pads=[1,1,1,1]>(x, w)", w=normal(8, 3, 3, 3))
    for teacher in (net(), image):
        verdict = verify(teacher, teacher)
        assert verdict.provider == "CUDAExecutionProvider"
        assert verdict.ok
        assert verdict.error < 1e-6
        assert verdict.rounding_error < 1e-5  # TF32 is a thousand times coarser
    assert not verify(net(), net(A * np.float32(1.01)), provider="cuda").ok
    assert verify(net(), net(), provider="cpu").provider == "CPUExecutionProvider"


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    sessions.refusal.cache_clear()
    verify(net(), one_output("float[N,M] y", "s = Shape(a)\n y = Reshape(x, s)", "float[N,6] x", a=A))
    assert capfd.readouterr() == ("", "")


def test_importing_the_package_does_not_import_the_runtime() -> None:
    code = "import sys, onnx_n2n.verification; sys.exit('onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_verdict_is_json(tmp_path: Path) -> None:
    verdict = verify(net(), net())
    document = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
    assert set(document) == set(Verdict.__dataclass_fields__)
    assert document["outputs"][0]["name"] == "y"
    assert "x float32[1,6]" in document["inputs"]
