"""Whichever build of ONNX Runtime there is runs models; what needs none works without any."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from packaging.requirements import Requirement
from safetensors.numpy import load_file, save_file

import onnx_n2n
from helpers.calling import MODELS, call, net
from helpers.needing import needs
from onnx_n2n.errors import EnvironmentWarning, N2NError, OptionError
from onnx_n2n.verification import runtime as finding
from onnx_n2n.verification import sessions

ROOT = MODELS.parent
CPU = "CPUExecutionProvider"


# --- what is installed


def installed(folder: Path, **builds: str) -> None:
    """Make distributions that bring the module onnxruntime, without the module."""
    for name, version in builds.items():
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n")
        (info / "top_level.txt").write_text("onnxruntime\n")


def module(version: str) -> types.ModuleType:
    found = types.ModuleType("onnxruntime")
    found.__dict__.update(__version__=version, InferenceSession=object)
    return found


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which distributions are looked for, and nowhere else."""
    everywhere = importlib.metadata.distributions
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: everywhere(path=[str(tmp_path)]))
    monkeypatch.setattr(importlib.metadata, "version", lambda name: next(
        found.version for found in everywhere(path=[str(tmp_path)]) if found.name == name
    ))  # fmt: skip
    return tmp_path


def found(monkeypatch: pytest.MonkeyPatch, module: types.ModuleType | None) -> object:
    """What is made of a module onnxruntime; None is none."""
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    return finding.runtime.__wrapped__()


def test_one_build_by_whatever_name_is_used_in_silence(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(alone, onnxruntime_openvino="1.24.1")
    build = module("1.24.1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert found(monkeypatch, build) is build


def test_all_builds_that_are_installed_together_are_named(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(alone, onnxruntime="1.30.0", onnxruntime_directml="1.24.4", onnxruntime_training="1.23.0")
    every = "onnxruntime onnxruntime-directml onnxruntime-training"
    with pytest.warns(RuntimeWarning, match=f"overwrite each other.*pip uninstall -y {every} && pip install onnxr"):
        found(monkeypatch, module("1.30.0"))


def test_a_build_without_a_distribution_is_used(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, module("1.27.0+own"))


@pytest.mark.parametrize("version", ["1.22.1", "1.9.0", "0.5"])
def test_an_old_build_is_named(alone: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    with pytest.raises(N2NError, match=f"onnxruntime {version} is too old.*{finding.OLDEST}"):
        found(monkeypatch, module(version))
    installed(alone, onnxruntime_gpu=version)
    with pytest.raises(N2NError, match=f"onnxruntime-gpu {version} is too old.*--upgrade onnxruntime-gpu"):
        found(monkeypatch, None)


def test_an_empty_module_is_named_with_its_mend(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = types.ModuleType("onnxruntime")
    with pytest.raises(N2NError, match=r"empty.*pip install 'onnx-n2n\[gpu\]'"):
        found(monkeypatch, empty)
    installed(alone, onnxruntime_openvino="1.24.1")
    with pytest.raises(N2NError, match=r"empty.* onnxruntime-openvino && pip install onnxruntime-openvino"):
        found(monkeypatch, empty)


def test_a_build_that_does_not_import_is_named(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(N2NError, match=r"no build.*'onnx-n2n\[gpu\]'.*'onnx-n2n\[cpu\]'"):
        found(monkeypatch, None)
    installed(alone, onnxruntime_gpu="1.31.0")
    with pytest.raises(N2NError, match=r"onnxruntime-gpu 1\.31\.0 cannot be imported: import of onnxruntime halted"):
        found(monkeypatch, None)


def test_the_command_line_says_it_in_a_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def warned() -> object:
        warnings.warn("two builds.", EnvironmentWarning, stacklevel=2)
        return finding.runtime()

    monkeypatch.setattr(sessions, "runtime", warned)
    assert "\nWarning: two builds.\n" in "\n" + call("widen", "net.onnx").stderr


def test_no_extra_but_two_brings_a_build() -> None:
    """Neither what they require does, nor what that requires in turn, as far as it is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = dict(project["optional-dependencies"])
    assert all("onnxruntime" in line for extra in ("gpu", "cpu") for line in extras.pop(extra))
    wanted, seen = [project["dependencies"], *extras.values()], set()
    while wanted:
        for need in map(Requirement, wanted.pop()):
            build = re.match(r"onnxruntime(?!-extensions)|ort-", need.name, re.IGNORECASE)
            assert not build, need
            if str(need) not in seen and need.name != project["name"]:
                seen.add(str(need))
                with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                    wanted.append(_required(need))
    assert {"onnx", "numpy", "protobuf"} <= {Requirement(text).name for text in seen}


def _required(need: Requirement) -> list[str]:
    """What a distribution requires here, with the extras that are asked for."""
    lines = map(Requirement, importlib.metadata.requires(need.name) or [])
    cases = [{"extra": extra} for extra in need.extras or {""}]
    return [str(each) for each in lines if each.marker is None or any(map(each.marker.evaluate, cases))]


# --- providers


def test_every_provider_is_real_or_refused() -> None:
    """Whatever this build lists: a session on it runs there, or the reason is said."""
    for name in sessions.runtime().get_available_providers():
        if name != CPU and sessions.refusal(name):
            with pytest.raises(OptionError, match=f"cannot use {sessions.short(name)} here: "):
                sessions.providers(name)
            continue
        for spelling in (name, sessions.short(name), sessions.short(name).upper()):
            assert sessions.providers(spelling) == (name,)
        assert onnx_n2n.verify(net(), net(), provider=sessions.short(name)).provider == name


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_runs_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime lists CUDA where no device is, and Azure, which runs no layers, and gives the CPU for both."""
    offered = [*sessions.runtime().get_available_providers(), "HollowExecutionProvider"]
    monkeypatch.setattr(sessions.runtime(), "get_available_providers", lambda: offered)
    with pytest.raises(OptionError, match=r"cannot use Hollow here: .*`provider='cpu'`"):
        sessions.providers("hollow")


def test_a_session_that_opens_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ort, source = sessions.runtime(), sessions.SessionModel(net().SerializeToString(), None)
    falls_back = functools.partial(ort.InferenceSession, source.data)
    monkeypatch.setattr(ort, "InferenceSession", lambda *_, **__: falls_back(providers=[CPU]))
    assert sessions.session(source, CPU)
    with pytest.raises(onnx_n2n.ModelError, match="on CPU, and not on CUDA"):
        sessions.session(source, sessions.CUDA)


def test_a_provider_that_is_not_there_lists_what_is(folder: Path) -> None:
    result = call("widen", "net.onnx", "--provider", "abacus")
    assert result.exit_code == 2
    assert "'abacus'. Choose one of auto, " in result.stderr
    assert "cpu" in result.stderr
    assert call("widen", "net.onnx", "--provider", "abacus", "--no-verify").exit_code == 0


def test_auto_is_cuda_where_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions.runtime(), "get_available_providers", lambda: [sessions.CUDA, CPU])
    monkeypatch.setattr(sessions, "refusal", lambda provider: "no device")
    assert sessions.providers("auto") == (CPU,)
    with pytest.raises(OptionError, match=r"no device.*`provider='cpu'`"):
        sessions.providers("cuda")
    monkeypatch.setattr(sessions, "refusal", lambda provider: "")
    assert sessions.providers("Auto") == (sessions.CUDA, CPU)


# --- without any build


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages that are installed here, but for builds of ONNX Runtime, as links in a folder."""
    site = tmp_path_factory.mktemp("site")
    names = {re.sub(r"\W", "_", name) for name in importlib.metadata.packages_distributions().get("onnxruntime", [])}
    for folder in (Path(entry) for entry in sys.path if entry.endswith("-packages")):
        for item in folder.iterdir():
            hidden = item.name == "onnxruntime" or item.name.partition("-")[0] in names
            if not hidden and not item.name.startswith("__editable__") and not (site / item.name).exists():
                (site / item.name).symlink_to(item)
    (site / "onnx_n2n").unlink(missing_ok=True)
    (site / "onnx_n2n").mkdir()
    for item in Path(onnx_n2n.__file__).parent.iterdir():
        (site / "onnx_n2n" / item.name).symlink_to(item)
    if not (site / "onnx_n2n" / "passes").exists():
        (site / "onnx_n2n" / "passes").symlink_to(Path(str(sys.modules["onnx_n2n.passes"].__file__)).parent)
    return site


def without(bare: Path, code: str, *arguments: str) -> Any:
    """Run code where there is no build of ONNX Runtime, and return the JSON that it prints."""
    command = [sys.executable, "-S", "-P", "-c", code, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(bare), "KERAS_BACKEND": "jax"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def called(bare: Path, *commands: str) -> list[tuple[int, str, str]]:
    """Exit code, stdout and stderr of commands where there is no build of ONNX Runtime."""
    code = """
import json, sys
from click.testing import CliRunner
from onnx_n2n.cli import main
done = [CliRunner().invoke(main, command.split()) for command in sys.argv[1:]]
print(json.dumps([[each.exit_code, each.stdout, each.stderr] for each in done]))
"""
    return [tuple(each) for each in without(bare, code, *commands)]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege")
def test_every_module_imports_without_a_build(bare: Path) -> None:
    code = """
import importlib, json, pkgutil, sys
sys.modules |= dict.fromkeys(["torch", "jax", "keras", "olive", "polygraphy"])  # what needs them halts, they take long
import onnx_n2n
lacking = {}
for found in pkgutil.walk_packages(onnx_n2n.__path__, "onnx_n2n.", onerror=lambda name: None):
    try:
        importlib.import_module(found.name)
    except ModuleNotFoundError as failure:
        lacking[found.name] = failure.name.partition(".")[0]
print(json.dumps(lacking))
"""
    lacking = without(bare, code)
    assert set(lacking.values()) <= {"torch", "jax", "keras", "olive", "polygraphy"}
    assert all(name.split(".")[1] in {"export", "toolchains"} for name in lacking)
    sources = {path: path.read_text("utf-8") for top in ("onnx_n2n", "passes") for path in (ROOT / top).rglob("*.py")}
    assert not [path for path, text in sources.items() if re.search("^(import|from) onnxruntime", text, re.MULTILINE)]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege")
def test_what_runs_nothing_works_without_a_build(bare: Path, folder: Path) -> None:
    save_file({each.name: numpy_helper.to_array(each) for each in net().graph.initializer}, "last.safetensors")
    done = called(
        bare,
        "inspect net.onnx",
        "widen net.onnx --no-verify -o wide.onnx --record growth.safetensors",
        "log wide.onnx",
        "grow-checkpoint last.safetensors --record growth.safetensors -o grown.safetensors",
        "export wide.onnx --to safetensors --no-verify -o exported",
    )
    assert [code for code, _, _ in done] == [0] * len(done), done
    grown, student = load_file("grown.safetensors"), onnx.load("wide.onnx").graph.initializer
    assert all(np.array_equal(grown[each.name], numpy_helper.to_array(each)) for each in student)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege")
def test_what_must_run_says_what_to_install(bare: Path, folder: Path) -> None:
    commands = "verify net.onnx net.onnx", "explore net.onnx --budget params=2x"
    for code, out, err in called(bare, *commands):
        assert (code, out) == (3, "")
        assert err.startswith("Error: ")
        assert "pip install 'onnx-n2n[gpu]', or 'onnx-n2n[cpu]'" in err
    assert sorted(path.name for path in folder.iterdir()) == ["net.onnx"]


# --- what tests need


def test_what_a_test_needs_is_skipped_but_in_continuous_integration(monkeypatch: pytest.MonkeyPatch) -> None:
    assert needs("json") is json
    monkeypatch.delenv("N2N_CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="abacus is not installed"):
        needs("abacus")
    monkeypatch.setenv("N2N_CI", "1")
    with pytest.raises(pytest.fail.Exception, match="abacus is not installed"):
        needs("abacus")
