"""Other tools before and after ours: each student is right, and grows again. docs/toolchains.md shows the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest

import onnx_n2n
from helpers.calling import MODELS, net
from helpers.needing import needs
from helpers.toolchains import EXACT, TOOLS, Tool, quantiser


@pytest.fixture(scope="module")
def teacher() -> onnx.ModelProto:
    return onnx.load(MODELS / "unet.onnx")


@pytest.fixture(scope="module")
def student(teacher: onnx.ModelProto) -> onnx.ModelProto:
    found: onnx.ModelProto = onnx_n2n.widen(teacher, 1.5, verify=False).model
    return found


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy: some tools change what they get."""
    return onnx.load_model_from_string(model.SerializeToString())


@pytest.mark.parametrize("tool", EXACT.values(), ids=EXACT.keys())
def test_after_ours_the_student_computes_the_same(
    tool: Tool, teacher: onnx.ModelProto, student: onnx.ModelProto, tmp_path: Path
) -> None:
    assert onnx_n2n.verify(teacher, tool(copied(student), tmp_path))


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS.keys())
def test_before_ours_as_much_grows(
    tool: Tool, teacher: onnx.ModelProto, student: onnx.ModelProto, tmp_path: Path
) -> None:
    result = onnx_n2n.widen(tool(copied(teacher), tmp_path), 1.5)
    assert result.report.verdict.ok
    assert len(result.change.grown) == len(onnx_n2n.analyze(teacher).groups)


def test_quantised_after_ours_the_student_is_as_near_as_the_teacher(
    teacher: onnx.ModelProto, student: onnx.ModelProto, tmp_path: Path
) -> None:
    errors = [onnx_n2n.verify(teacher, quantiser(copied(each), tmp_path)).error for each in (teacher, student)]
    assert errors[1] < 2 * errors[0]


def test_polygraphy_loads_a_student() -> None:
    needs("polygraphy")
    from polygraphy.backend.onnx import BytesFromOnnx

    from onnx_n2n.toolchains.polygraphy import GrowOnnx

    wanted = onnx_n2n.widen(net(), 2).model.SerializeToString()
    calls = []

    def load() -> onnx.ModelProto:
        calls.append(1)
        return net()

    for passes in ("widen{factor=2}", onnx_n2n.Widen(2)):
        for teacher in (net(), load):
            assert BytesFromOnnx(GrowOnnx(teacher, passes))() == wanted
    assert len(calls) == 2  # when it is called, and not before
    loader = GrowOnnx(net(), "widen{only=nothing}", strict=True)
    with pytest.raises(onnx_n2n.GrowthError, match="nothing"):
        loader()
    with pytest.raises(onnx_n2n.OptionError, match="no provider 'nowhere'"):
        GrowOnnx(net(), "widen{factor=2}", provider="nowhere")()


def test_polygraphy_takes_a_path(tmp_path: Path) -> None:
    needs("polygraphy")
    from onnx_n2n.toolchains.polygraphy import GrowOnnx

    onnx.save(net(), tmp_path / "model.onnx")
    for path in (tmp_path / "model.onnx", str(tmp_path / "model.onnx")):
        assert GrowOnnx(path, "widen{factor=2}", verify=False)().graph.initializer[0].dims[0] == 8
    assert [each.name for each in tmp_path.iterdir()] == ["model.onnx"]


def workflow(folder: Path, *passes: dict[str, Any]) -> dict[str, Any]:
    onnx.save(net(), folder / "net.onnx")
    return {
        "input_model": {"type": "ONNXModel", "model_path": str(folder / "net.onnx")},
        "passes": {f"pass{n}": each for n, each in enumerate(passes)},
        "output_dir": str(folder / "out"), "cache_dir": str(folder / "cache"), "log_severity_level": 4,
    }  # fmt: skip


@pytest.fixture
def olive(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("OLIVE_DISABLE_TELEMETRY", "1")
    needs("olive")
    from onnx_n2n.toolchains import olive as ours

    return ours


def test_olive_runs_our_pass_among_its_own(olive: Any, tmp_path: Path) -> None:
    from olive.workflows import run

    grow = {"type": "OnnxN2N", "passes": "widen{factor=2}", "provider": "cpu"}
    found = run(workflow(tmp_path, grow, {"type": "OnnxPeepholeOptimizer"}), package_config=olive.package_config())
    output = found.get_best_candidate()
    assert onnx_n2n.verify(net(), Path(output.model_path) / "model.onnx")
    record = onnx_n2n.record.load(tmp_path / "out" / "growth.safetensors")
    assert record.student == onnx_n2n.widen(net(), 2, verify=False).growth.student
    attributes = json.loads((tmp_path / "out" / "model_config.json").read_text())["config"]["model_attributes"]
    assert attributes["onnx_n2n"] == {"passes": "widen{factor=2.0}", "parameters": {"before": 20, "after": 40}}


def test_olive_takes_the_options_of_run(olive: Any) -> None:
    from olive.hardware import DEFAULT_CPU_ACCELERATOR

    known = olive.OnnxN2N.default_config(DEFAULT_CPU_ACCELERATOR)
    assert {"passes", "recipe", "exact", "verify", "strict", "provider", "shapes", "time_limit"} <= known.keys()
    assert not {"output", "record", "force"} & known.keys()
    assert known["verify"].default_value is True


def by_olive(olive: Any, folder: Path, **options: Any) -> Any:
    from olive.hardware import DEFAULT_CPU_ACCELERATOR
    from olive.model import ONNXModelHandler

    onnx.save(net(), folder / "net.onnx")
    config = olive.OnnxN2N.generate_config(DEFAULT_CPU_ACCELERATOR, options, disable_search=True)
    return olive.OnnxN2N(DEFAULT_CPU_ACCELERATOR, config).run(ONNXModelHandler(folder / "net.onnx"), folder / "out")


@pytest.mark.parametrize(
    ("options", "match"), [({"passes": "widen{factor=1}", "verify": False}, "factor"), ({}, "which passes to apply")]
)
def test_olive_says_why_nothing_grew(olive: Any, tmp_path: Path, options: dict[str, Any], match: str) -> None:
    with pytest.raises(onnx_n2n.N2NError, match=match):
        by_olive(olive, tmp_path, **options)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("in_a_file", [False, True])
def test_olive_takes_a_recipe_that_its_own_options_beat(olive: Any, tmp_path: Path, *, in_a_file: bool) -> None:
    recipe: Any = {"passes": [{"widen": {"factor": 2}}], "verify": False, "budget": "params=1.1x"}
    if in_a_file:
        place = tmp_path / "recipe.json"
        place.write_text(json.dumps(recipe))
        recipe = str(place)
    with pytest.raises(onnx_n2n.GrowthError, match="budget"):
        by_olive(olive, tmp_path, recipe=recipe)
    made = by_olive(olive, tmp_path, recipe=recipe, budget="params=3x")
    assert made.model_attributes["onnx_n2n"]["passes"] == "widen{factor=2.0}"


def test_the_package_config_has_olives_own_passes_too(olive: Any) -> None:
    """Olive takes such a file in place of its own."""
    found = olive.package_config()
    assert {"OnnxN2N", "OnnxDynamicQuantization"} <= found["passes"].keys()
    assert found["extra_dependencies"]
    json.dumps(found)
