"""A classifier that gains outputs says of its old classes what it said before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from helpers.graphs import STABLE, TOLERANCE, WRONG, model, run
from helpers.needing import needs
from onnx_n2n import verify
from onnx_n2n.cli import main
from onnx_n2n.cli.keywords import spoken
from onnx_n2n.errors import GrowthError, N2NError, OptionError, VerificationError
from onnx_n2n.passes import Outputs, Sequential, Widen, parse
from onnx_n2n.passes.driver import Target
from onnx_n2n.passes.report import Result
from onnx_n2n.record.record import load
from onnx_n2n.verification.options import Proof
from onnx_n2n.width.growth import averaged

MODELS = Path(__file__).parents[2] / "models"
X = "float[N,6] x"
HEAD = "h = Relu(g) y = Gemm<transB=1>(h, w, b)"


def classifier(body: str = f"g = MatMul(x, v) {HEAD}", outputs: str = "float[N,5] y", **constants: Any) -> Any:
    return model(body, X, outputs, **{"v": (6, 8), "w": (5, 8), "b": (5,), **constants})


def gain(teacher: onnx.ModelProto, size: int, output: str = "", **options: Any) -> Result[onnx.ModelProto]:
    result = Outputs(size, output)(teacher, **options)
    onnx.checker.check_model(result.model, full_check=True)
    return result


def said(proto: onnx.ModelProto, seed: int = 0) -> np.ndarray:
    return run(proto, {"x": np.random.default_rng(seed).standard_normal((7, 6), np.float32)})[0]


def weights(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}


# --- laws


@STABLE
@given(st.integers(6, 40), st.integers(0, 2**16))
def test_old_entries_stay_and_the_largest_stays_the_largest(size: int, seed: int) -> None:
    teacher = classifier()
    before, after = said(teacher, seed), said(gain(teacher, size).model, seed)
    assert after.shape == (7, size)
    assert np.array_equal(after[:, :5], before)
    np.testing.assert_allclose(after[:, 5:], before.mean(1, keepdims=True).repeat(size - 5, 1), atol=1e-5)
    assert np.array_equal(after.argmax(1), before.argmax(1))


@pytest.mark.parametrize("name", ["resnet", "densenet", "mobile_se", "inception_bn"])
def test_real_models_gain_outputs_and_grow_wider_in_one_go(name: str, tmp_path: Path) -> None:
    passes = parse("outputs{size=13},widen{factor=1.5}")
    result = passes(MODELS / f"{name}.onnx", output=Target(tmp_path / "student.onnx"))
    found, verdict = onnx.load(result.model), result.report.verdict
    assert verdict is not None
    assert verdict.ok
    assert found.graph.output[0].type.tensor_type.shape.dim[1].dim_value == 13
    assert not verify(MODELS / f"{name}.onnx", result.model).ok
    assert verify(MODELS / f"{name}.onnx", result.model, gained=["logits"]).ok


@pytest.mark.parametrize(
    ("body", "constants"),
    [
        (f"g = MatMul(x, v) {HEAD}", {}),
        ("h = MatMul(x, v) z = MatMul(h, u) y = Add(z, b)", {"u": (8, 5)}),
        ("h = MatMul(x, v) g = Gemm<transB=1>(h, w, b) y = Sigmoid(g)", {}),
        ("h = MatMul(x, v) g = Gemm<transB=1>(h, w, b) y = BatchNormalization(g, b, b, b, s)", {"s": [0.5] * 5}),
        ("h = MatMul(x, v) g = Gemm<transB=1>(h, w, b) k = Relu(g) z = MatMul(k, r) y = Add(z, k)", {"r": (5, 5)}),
        ("h = MatMul(x, v) g = Gemm<transB=1>(h, w, b) y = Div(g, d)", {"d": [1.0, -1.0, 2.0, -2.0, 0.5]}),
    ],
    ids=["gemm", "matmul", "sigmoid", "norm", "read inside", "division"],
)
def test_layers_that_make_an_output(body: str, constants: dict[str, Any]) -> None:
    teacher = classifier(body, **constants)
    before, after = said(teacher), said(gain(teacher, 9).model)
    assert after.shape == (7, 9)
    np.testing.assert_allclose(after[:, :5], before, atol=1e-5)


# --- what can go wrong


def test_a_student_that_says_something_else_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: Any, **__: Any) -> Any:
        channels = averaged(5, 9)
        channels.index[:5] = channels.index[4::-1]
        return channels

    monkeypatch.setattr("onnx_n2n.passes.outputs.averaged", wrong)
    with pytest.raises(VerificationError, match=r"does not compute what the teacher computes"):
        Outputs(9)(classifier())


@pytest.mark.parametrize(
    ("body", "outputs", "why"),
    [
        (f"g = MatMul(x, v) {HEAD.replace('y', 'z')} y = Softmax(z)", "float[N,5] y", "Softmax: it normalises over"),
        ("y = Relu(x)", "float[N,6] y", "graph input 'x' has them too"),
        (f"g = MatMul(x, v) {HEAD.replace('y', 'z')} y = ReduceMax<axes=[1]>(z)", "float[N,1] y", "a single one"),
        (f"g = MatMul(x, v) {HEAD.replace('y', 'z')} y = Gather<axis=1>(z, o)", "float[N,5] y", "in another order"),
        (f"g = MatMul(x, v) {HEAD.replace('y', 'z')} y = Concat<axis=1>(z, z)", "float[N,10] y", "several layers"),
        (f"g = MatMul(x, v) {HEAD} z = Sigmoid(y)", "float[N,5] y, float[N,5] z", "graph output 'z' has"),
    ],
    ids=["softmax", "input", "single", "order", "joined", "another output"],
)
def test_what_cannot_gain_says_why(body: str, outputs: str, why: str) -> None:
    with pytest.raises(GrowthError, match=why) as caught:
        Outputs(9)(classifier(body, outputs, o=[3, 1, 4, 0, 2]))
    assert "the pass 'cut' first (a Softmax with --softmax)" in spoken(str(caught.value))


def test_several_outputs_have_to_be_told_apart() -> None:
    teacher = classifier("h = MatMul(x, v) y = Gemm<transB=1>(h, w, b) z = MatMul(h, u)", "float[N,5] y, float[N,4] z",
                         u=(8, 4))  # fmt: skip
    with pytest.raises(GrowthError, match=r"Say which one with `name=`: 'y' or 'z'") as caught:
        Outputs(9)(teacher)
    assert "Say which one with --outputs NAME=SIZE: 'y' or 'z'" in spoken(str(caught.value))
    student = gain(teacher, 9, "z").model
    before, after = (run(each, {"x": np.ones((1, 6), np.float32)}) for each in (teacher, student))
    assert [array.shape for array in after] == [(1, 5), (1, 9)]
    assert all(np.array_equal(old, new[:, : old.shape[1]]) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("options", "kind"), [((0, ""), OptionError), ((3, ""), OptionError), ((9, "logits"), GrowthError)]
)
def test_what_has_no_meaning_is_refused(options: tuple[int, str], kind: type[N2NError]) -> None:
    with pytest.raises(kind):
        Outputs(*options)(classifier())


def test_a_quantised_head_gets_copies() -> None:
    whole = np.random.default_rng(0).integers(-100, 100, (8, 5), np.int8)
    teacher = classifier(
        "q = DequantizeLinear<axis=1>(m, s, o) h = MatMul(x, v) z = MatMul(h, q) y = Add(z, b)",
        m=whole, s=np.linspace(0.01, 0.05, 5, dtype=np.float32), o=np.zeros(5, np.int8),
    )  # fmt: skip
    before, after = said(teacher), said(gain(teacher, 8).model)
    assert np.array_equal(after, before[:, [0, 1, 2, 3, 4, 0, 1, 2]])


# --- record, command line


def test_the_record_makes_the_students_weights_and_says_what_gained(tmp_path: Path) -> None:
    result = parse("outputs{size=9},widen")(classifier(), proof=Proof(wanted=False))
    result.growth.save(tmp_path / "record")
    record = load(tmp_path / "record")
    assert record.gained == {"y"}
    before, after = map(weights, (classifier(), result.model))
    for name, array in before.items():
        for grown, line in record.lines(name):
            found = array
            for remade in line:
                found = remade.recipe.make(found)
            assert np.array_equal(found, after[grown])
    moments = next(each for each in record.steps[0].remade if each.teacher == "b").gradient(np.ones(5))
    assert np.array_equal(moments, [1] * 5 + [0] * 4)  # what is new has had no gradient


def test_a_checkpoint_gains_with_its_proof(tmp_path: Path) -> None:
    torch = needs("torch")
    teacher = classifier("h = MatMul(x, v) y = Gemm<transB=1>(h, w, b)")
    onnx.save(teacher, tmp_path / "teacher.onnx")
    arrays = {name: torch.tensor(array) for name, array in weights(teacher).items()}
    torch.save(arrays, tmp_path / "teacher.pt")
    files = [str(tmp_path / name) for name in ("teacher.onnx", "student.onnx", "growth", "teacher.pt", "student.pt")]
    call = CliRunner().invoke
    done = call(main, ["widen", files[0], "--outputs", "9", "--record", files[2], "-o", files[1]])
    assert done.exit_code == 0, done.output
    options = ["--record", files[2], "--teacher", files[0], "--student", files[1], "-o", files[4], "--json"]
    done = call(main, ["grow-checkpoint", files[3], *options])
    assert done.exit_code == 0, done.output
    proof = json.loads(done.stdout)["proof"]
    assert proof["outputs"] < TOLERANCE
    assert proof["gradients"] < WRONG
    found = torch.load(tmp_path / "student.pt")
    assert found["w"].shape == (9, 8)
    assert torch.equal(found["w"][:5], arrays["w"])


def test_the_command_line_grows_outputs_alone_or_with_the_rest(tmp_path: Path) -> None:
    onnx.save(classifier(), tmp_path / "m.onnx")

    def student(*options: str) -> dict[str, tuple[int, ...]]:
        target = tmp_path / "s.onnx"
        done = CliRunner().invoke(main, ["widen", str(tmp_path / "m.onnx"), "-o", str(target), "--force", *options])
        assert done.exit_code == 0, done.output
        return {tensor.name: tuple(tensor.dims) for tensor in onnx.load(target).graph.initializer}

    assert student("--outputs", "9") == {"v": (6, 8), "w": (9, 8), "b": (9,)}
    assert student("--outputs", "y=9", "--factor", "2") == {"v": (6, 16), "w": (9, 16), "b": (9,)}
    files = [str(tmp_path / name) for name in ("m.onnx", "s.onnx")]
    codes = [CliRunner().invoke(main, ["verify", *files, *more]).exit_code for more in ((), ("--gained", "y"))]
    assert codes == [1, 0]
    for wrong, code in (("many", 2), ("y=3", 2), ("z=9", 3), ("5", 3)):
        done = CliRunner().invoke(main, ["widen", str(tmp_path / "m.onnx"), "--outputs", wrong])
        assert done.exit_code == code, done.output
        assert done.output.startswith("Error: ")


def test_passes_print_and_parse_back() -> None:
    passes = Sequential(Outputs(9, "y"), Widen(1.5))
    assert str(passes) == "outputs{size=9,output=y},widen{factor=1.5}"
    assert parse(str(passes)) == passes
