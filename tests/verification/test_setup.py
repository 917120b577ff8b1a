"""Models with operators of somebody else's run, and callers set up sessions as they like."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import onnx_n2n
from helpers.calling import call
from helpers.graphs import model
from helpers.needing import needs
from onnx_n2n.errors import ModelError, N2NError, OptionError
from onnx_n2n.passes import Deepen
from onnx_n2n.verification.options import Proof
from onnx_n2n.verification.runtime import runtime
from onnx_n2n.verification.setup import Setup

BODY = """
    h = MatMul(x, w) r = Relu(h) k = MatMul(r, v) i = ai.onnx.contrib.Inverse(s) a = MatMul(k, i) b = Tanh(a)
    y = MatMul(b, u)
"""


def net() -> onnx.ModelProto:
    """A network that needs onnxruntime-extensions in its middle: rows go through the inverse of a matrix."""
    return model(BODY, "float[2,6] x", "float[2,5] y", w=(6, 8), v=(8, 4), s=(4, 4), u=(4, 5))


@pytest.fixture
def library() -> str:
    path: str = needs("onnxruntime_extensions").get_library_path()
    return path


# --- custom operators


def test_growth_around_a_custom_operator_is_verified(library: str) -> None:
    for function, options in (
        (onnx_n2n.widen, {"factor": 2.0}),
        (onnx_n2n.deepen, {"count": 1}),
        (onnx_n2n.cut, {"after": ["b"]}),
        (onnx_n2n.cut, {"free_batch": True}),
        (onnx_n2n.run, {"passes": "cut{after=b},widen{factor=2}"}),
    ):
        result = function(net(), custom_ops=[library], **options)
        assert result.modified
        assert result.report.verdict.ok
    grown = onnx_n2n.widen(net(), 2.0, custom_ops=[Path(library)])
    assert [each.before for each in grown.change.grown] == [8]  # what the operator touches keeps its size
    assert onnx_n2n.verify(net(), grown.model, custom_ops=[library])


def test_a_tensor_behind_a_custom_operator_gets_the_type_that_onnx_runtime_knows(library: str) -> None:
    (output,) = onnx_n2n.cut(net(), after=["b"], custom_ops=[library]).model.graph.output
    assert output.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_real_inputs_are_measured_with_the_library(library: str, tmp_path: Path) -> None:
    body = BODY.replace("r = Relu(h)", "n = BatchNormalization(h, t, z, z, t) r = Relu(n)")
    vector = {"t": np.ones(8, np.float32), "z": np.zeros(8, np.float32)}
    teacher = model(body, "float[2,6] x", "float[2,5] y", w=(6, 8), v=(8, 4), s=(4, 4), u=(4, 5), **vector)
    np.savez(tmp_path / "real.npz", x=np.random.default_rng(0).standard_normal((2, 6)).astype(np.float32))
    proof = Proof.asked(custom_ops=[library])
    result = Deepen("identity", calibrate=tmp_path / "real.npz")(teacher, proof=proof)
    assert result.report.verdict.ok


def test_every_command_that_runs_a_model_takes_the_library(library: str, tmp_path: Path) -> None:
    onnx.save(net(), tmp_path / "net.onnx")
    shutil.copy(library, tmp_path / "ops.so")
    options = ["--custom-ops", str(tmp_path / "ops.so")]
    place, student = str(tmp_path / "net.onnx"), str(tmp_path / "net.widened.onnx")
    assert call("widen", place, *options).exit_code == 0
    assert call("verify", place, student, *options).exit_code == 0
    assert call("explore", place, "--budget", "params=2x", *options).exit_code == 0
    failed = call("verify", place, student)
    assert failed.exit_code == 3
    assert "Inverse" in failed.stderr
    assert "--custom-ops" in failed.stderr


def test_the_command_that_makes_a_wrong_student_again_names_the_library() -> None:
    proof = Proof(setup=Setup(("/ops.so", "/more.so")))
    assert proof.options == ("--custom-ops", "/ops.so", "--custom-ops", "/more.so")
    assert not proof.replaceable  # whoever names a library wants the models to run


def test_libraries_that_are_none_are_refused_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "text.so").write_text("no library")
    teacher = model("y = MatMul(x, w)", "float[2,6] x", "y", w=(6, 8))
    onnx.save(teacher, tmp_path / "net.onnx")
    for name, said in (("text.so", "cannot load custom operators"), ("nothing.so", "there is no library")):
        with pytest.raises(N2NError, match=said) as refusal:
            onnx_n2n.widen(tmp_path / "net.onnx", custom_ops=[tmp_path / name])
        assert refusal.value.exit_code == 3
        assert "[ONNXRuntimeError]" not in str(refusal.value)
        with pytest.raises(N2NError, match=said):
            onnx_n2n.verify(teacher, teacher, custom_ops=[tmp_path / name])
        failed = call("widen", str(tmp_path / "net.onnx"), "--custom-ops", str(tmp_path / name))
        assert failed.exit_code == 3
    assert not (tmp_path / "net.widened.onnx").exists()


def test_paths_of_libraries_are_those_of_the_folder_where_they_were_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Setup.asked(["ops.so"]).libraries == (str(tmp_path / "ops.so"),)


# --- the hook


def test_a_hook_gets_the_options_of_every_session_and_is_called_last() -> None:
    teacher = model("h = MatMul(x, w) r = Relu(h) y = MatMul(r, v)", "float[2,6] x", "y", w=(6, 8), v=(8, 4))
    seen: list[Any] = []

    def hook(options: Any) -> None:
        assert options.use_deterministic_compute
        options.intra_op_num_threads = 1
        seen.append(options)

    result = onnx_n2n.widen(teacher, 2.0, session_options=hook)
    assert len(seen) >= 2  # one session of each model
    assert all(isinstance(each, runtime().SessionOptions) for each in seen)
    before = len(seen)
    assert onnx_n2n.verify(teacher, result.model, session_options=hook)
    assert len(seen) > before


def test_a_hook_that_fails_is_named_with_its_error_behind_it() -> None:
    def hook(_options: Any) -> None:
        raise ValueError("not here\nnor there")

    def refusing(_options: Any) -> None:
        raise ModelError("the caller says no")

    teacher = model("h = MatMul(x, w) r = Relu(h) y = MatMul(r, v)", "float[2,6] x", "y", w=(6, 8), v=(8, 4))
    calls: Any = ((onnx_n2n.verify, [teacher, teacher], {}), (onnx_n2n.widen, [teacher], {"factor": 2}))
    for function, models, options in calls:
        said = r"the hook for session options fails: .*hook raises ValueError: not here\."
        with pytest.raises(OptionError, match=said) as failure:
            function(*models, session_options=hook, **options)
        assert isinstance(failure.value.__cause__, ValueError)
        with pytest.raises(ModelError, match="the caller says no"):
            function(*models, session_options=refusing, **options)


def test_neither_goes_with_the_exact_check_of_verify() -> None:
    teacher = model("y = MatMul(x, w)", "float[2,6] x", "y", w=(6, 8))
    for name, value in (("custom_ops", ["ops.so"]), ("session_options", print), ("rows", True)):
        with pytest.raises(OptionError, match=f"`{name}=` does not go with"):
            onnx_n2n.verify(teacher, teacher, exact=True, **{name: value})
    with pytest.raises(OptionError, match="must be a function"):
        onnx_n2n.widen(teacher, session_options=3)


def test_an_operator_that_nobody_knows_names_the_option() -> None:
    teacher = model("y = nowhere.Strange(x)", "float[2,6] x", "float[2,6] y")
    with pytest.raises(ModelError, match="custom_ops="):
        onnx_n2n.verify(teacher, teacher)
