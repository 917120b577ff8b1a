"""The command line: what it prints where, how it exits, and that nothing lies about after an error."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from click.testing import CliRunner, Result
from graphs import model
from onnx_n2n.passes import widen as widen_module
from rich.console import Console

import onnx_n2n
from onnx_n2n.analysis import Analysis
from onnx_n2n.cli import main, tables
from onnx_n2n.growth import Growth

MODELS = Path(__file__).parent.parent / "models"
GOLDEN = sorted(file.name for file in MODELS.glob("*.onnx"))
README = (MODELS.parent / "README.md").read_text("utf-8")
PROGRAM = Path(sys.executable).with_name("onnx-n2n")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), prog_name="onnx-n2n")


def files(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder, with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def net(body: str = "h = Conv(x, w) r = Relu(h) y = Conv(r, v)", **constants: Any) -> onnx.ModelProto:
    return model(body, "float[N,3,6,6] x", "y", w=(4, 3, 1, 1), v=(2, 4, 1, 1), **constants)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a small model, in which the group ``w`` can grow."""
    monkeypatch.chdir(tmp_path)
    onnx.save(net(), "net.onnx")
    return tmp_path


# --- what can be wrong


def external(location: str) -> None:
    proto = net()
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((64, 64), np.float32), "big"))
    onnx.save(proto, "net.onnx", save_as_external_data=True, location="weights.bin", size_threshold=100)
    proto = onnx.load("net.onnx", load_external_data=False)
    proto.graph.initializer[-1].external_data[0].value = location
    onnx.save(proto, "net.onnx")


def truncated() -> None:
    whole = (MODELS / "resnet.onnx").read_bytes()
    Path("net.onnx").write_bytes(whole[: len(whole) // 2])


def arrays(**values: np.ndarray) -> Callable[[], None]:
    return lambda: np.savez("data.npz", **values)


def text(name: str, content: str) -> Callable[[], object]:
    return lambda: Path(name).write_text(content)


def saved(body: str) -> Callable[[], None]:
    return lambda: onnx.save(net(body), "net.onnx")


WRONG = [  # what is done first, the command line, its exit code, and what the error must say
    (None, "widen nope.onnx", 3, ["'nope.onnx' does not exist", "looked for in"]),
    (None, "widen .", 3, ["is not a file"]),
    (text("net.onnx", ""), "widen net.onnx", 3, ["is empty"]),
    (text("net.onnx", "weights, here and there"), "widen net.onnx", 3, ["is not an ONNX file"]),
    (text("net.onnx", "weights, here and there"), "inspect net.onnx", 3, ["is not an ONNX file"]),
    (text("net.onnx", "weights, here and there"), "inspect --json net.onnx", 3, ["is not an ONNX file"]),
    (text("a.onnx", "weights, here and there"), "verify net.onnx a.onnx", 3, ["'a.onnx' is not an ONNX file"]),
    (None, "verify net.onnx nope.onnx", 3, ["'nope.onnx' does not exist"]),
    (truncated, "widen net.onnx", 3, ["is cut short"]),
    (lambda: external("gone.bin"), "widen net.onnx", 3, ["'gone.bin'", "does not exist"]),
    (lambda: external("../weights.bin"), "widen net.onnx", 3, ["outside of the model's folder", "Copy it"]),
    (lambda: external("/etc/hostname"), "inspect net.onnx", 3, ["outside of the model's folder", "Copy it"]),
    (saved("h = Conv(x, w) r = Unheard(h) y = Conv(r, v)"), "widen net.onnx", 3, ["no rule for Unheard", "inspect"]),
    (saved("h = Conv(x, w) r = my.Relu(h) y = Conv(r, v)"), "widen net.onnx", 3, ["no rule for my::Relu", "inspect"]),
    (saved("a = my.Relu(x) h = Conv(a, w) r = Relu(h) y = Conv(r, v)"), "widen net.onnx", 3, ["cannot open the model"]),
    (None, "widen net.onnx --factor 0.5", 2, ["factor must be a finite number of at least 1, not 0.5"]),
    (None, "widen net.onnx --factor -2", 2, ["at least 1, not -2"]),
    (None, "widen net.onnx --factor nan", 2, ["must be a finite number"]),
    (None, "widen net.onnx --factor inf", 2, ["must be a finite number"]),
    (None, "widen net.onnx --factor two", 2, ["'two' is not a valid float", "onnx-n2n widen -h"]),
    (None, "widen net.onnx --factor 1", 3, ["nothing is asked to grow", "--factor above 1"]),
    (None, "widen net.onnx --factor 1.01", 3, ["not even one channel", "larger --factor"]),
    (None, "widen net.onnx --multiple-of 0", 2, ["at least 1, not 0"]),
    (None, "widen net.onnx --noise nan", 2, ["noise must be a finite number"]),
    (None, "widen net.onnx --group V=8", 3, ["no group named 'V'", "inspect"]),
    (None, "widen net.onnx --group v=8", 3, ["'v' is pinned", "graph output 'y'", "inspect"]),
    (None, "widen net.onnx --group w=4", 3, ["nothing is asked to grow", "larger --group"]),
    (None, "widen net.onnx --group w=3", 2, ["has 4 channels already and cannot shrink"]),
    (None, "widen net.onnx --group w", 2, ["NAME=SIZE", "onnx-n2n widen -h"]),
    (None, "widen net.onnx --group w=²", 2, ["NAME=SIZE"]),
    (None, "widen net.onnx --include V*", 3, ["--include", "inspect"]),
    (None, "widen net.onnx --exclude *", 3, ["--exclude", "inspect"]),
    (text("out.onnx", "mine"), "widen net.onnx -o out.onnx", 2, ["'out.onnx' exists already", "--force"]),
    (text("net.widened.onnx", "mine"), "widen net.onnx", 2, ["exists already", "--force"]),
    (None, "widen net.onnx -o net.onnx --force", 2, ["is the teacher itself", "-o"]),
    (None, "widen net.onnx -o ../{name}/net.onnx --force", 2, ["is the teacher itself", "-o"]),
    (None, "widen net.onnx -o nope/out.onnx", 2, ["the folder 'nope' does not exist"]),
    (None, "widen net.onnx -o net.onnx/out.onnx", 2, ["the folder 'net.onnx' does not exist"]),
    (None, "widen net.onnx -o .. --force", 2, ["is a folder"]),
    (None, "widen net.onnx --input x:1,4,6,6", 3, ["cannot have the shape [1, 4, 6, 6]", "[N,3,6,6]"]),
    (None, "widen net.onnx --input x:1,3", 3, ["cannot have the shape [1, 3]"]),
    (None, "widen net.onnx --input z:1,3,6,6", 3, ["no input 'z'", "inputs are x"]),
    (None, "widen net.onnx --input x=1,3,6,6", 2, ["'x=1,3,6,6'", "name:1,3,224,224"]),
    (None, "widen net.onnx --inputs data.npz", 3, ["data.npz", "does not exist"]),
    (text("data.npz", "numbers"), "widen net.onnx --inputs data.npz", 3, ["is no npz file", "numpy.savez"]),
    (arrays(z=np.ones(3)), "widen net.onnx --inputs data.npz", 3, ["no input 'z'", "inputs are x"]),
    (arrays(x=np.ones((1, 3), np.float32)), "widen net.onnx --inputs data.npz", 3, ["wrong shape", "[N, 3, 6, 6]"]),
    (arrays(x=np.ones((1, 3, 6, 6))), "verify net.onnx net.onnx --inputs data.npz", 3, ["float64", "wants float32"]),
    (None, "widen", 2, ["Missing argument 'MODEL'", "onnx-n2n widen -h"]),
    (None, "widen net.onnx --fast", 2, ["No such option", "--fast", "onnx-n2n widen -h"]),
    (None, "shrink net.onnx", 2, ["No such command 'shrink'", "onnx-n2n -h"]),
]


@pytest.mark.parametrize(
    ("before", "line", "code", "says"), [pytest.param(*row, id=f"{i}-{row[1]}") for i, row in enumerate(WRONG)]
)
def test_what_is_wrong_ends_in_one_paragraph_and_no_file(
    folder: Path, before: Callable[[], object] | None, line: str, code: int, says: list[str]
) -> None:
    if before is not None:
        before()
    there = files(folder)
    result = call(*line.format(name=folder.name).split())
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.endswith(".\n")
    assert result.stderr.count("\n") == 1
    for part in says:
        assert part in result.stderr
    assert files(folder) == there


def test_verbose_adds_the_traceback(folder: Path) -> None:
    result = call("widen", "net.onnx", "--factor", "nan", "-v")
    assert result.exit_code == 2
    assert result.stderr.startswith("Traceback")
    assert "OptionError" in result.stderr


@pytest.mark.parametrize(
    ("failure", "code", "says"),
    [
        (ZeroDivisionError("by\nzero"), 4, "a bug in onnx-n2n (ZeroDivisionError: by zero). Please report it"),
        (MemoryError(), 3, "not enough memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_whatever_happens_on_the_way_leaves_no_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, code: int, says: str
) -> None:
    def verify(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(importlib.import_module("onnx_n2n.verify"), "verify", verify)
    there = files(folder)
    result = call("widen", "net.onnx")
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert files(folder) == there
    assert "Traceback" in call("widen", "net.onnx", "-v").stderr


def test_wrong_student_is_not_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite = widen_module.rewrite

    def rewrite_wrongly(analysis: Analysis, growth: Growth, **options: Any) -> Any:
        found = rewrite(analysis, growth, **options)
        weight = analysis.model.graph.initializers["w"]
        weight.const_value = ir.tensor(weight.const_value.numpy() * np.float32(1.01), name="w")
        return found

    monkeypatch.setattr(widen_module, "rewrite", rewrite_wrongly)
    there = files(folder)
    result = call("widen", "net.onnx")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "does not compute what the teacher computes" in result.stderr
    assert "the first tensor that is wrong is h (from a Conv node)" in result.stderr
    assert result.stderr.count("\n") == 1
    assert files(folder) == there
    assert call("widen", "net.onnx", "--no-verify").exit_code == 0  # as asked
    assert call("verify", "net.onnx", "net.widened.onnx").exit_code == 1


# --- what is written


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_models_widen_beside_the_model(tmp_path: Path, name: str) -> None:
    shutil.copy(MODELS / name, tmp_path)
    result = call("widen", tmp_path / name, "--factor", 1.5)
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    student = tmp_path / name.replace(".onnx", ".widened.onnx")
    assert set(files(tmp_path)) == {name, student.name}
    assert (tmp_path / name).read_bytes() == (MODELS / name).read_bytes()
    assert "Verified: error" in result.stderr
    assert f"Written to {student}\n" in result.stderr
    verdict = call("verify", "--json", MODELS / name, student)
    assert (verdict.exit_code, json.loads(verdict.stdout)["ok"]) == (0, True)
    assert call("verify", MODELS / name, student).stdout == ""


def test_output_is_overwritten_only_by_force_and_same_seed_gives_same_bytes(folder: Path) -> None:
    assert call("widen", "net.onnx", "-o", "out.onnx").exit_code == 0
    first = files(folder)
    assert call("widen", "net.onnx", "-o", "out.onnx", "--seed", 1).exit_code == 2
    assert files(folder) == first
    assert call("widen", "net.onnx", "-o", "out.onnx", "--force").exit_code == 0
    assert files(folder) == first
    assert call("widen", "net.onnx", "-o", "out.onnx", "--force", "--seed", 1).exit_code == 0
    assert files(folder) != first


def test_no_verify_runs_nothing_and_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("onnx_n2n.verify"), "verify", None)
    result = call("widen", "net.onnx", "--no-verify")
    assert result.exit_code == 0
    assert "Not verified." in result.stderr


def test_named_group_grows_alone_unless_a_factor_is_given(tmp_path: Path) -> None:
    def grown(*options: object) -> dict[str, int]:
        result = call("widen", MODELS / "resnet.onnx", "-o", tmp_path / "out.onnx", "--force", "--json", *options)
        return {entry["group"]: entry["after"] for entry in json.loads(result.stdout)["grown"]}

    assert grown("--group", "stem.0=20") == {"stem.0": 20}
    everything = grown("--group", "stem.0=20", "--factor", 2)
    assert everything.pop("stem.0") == 20
    assert everything["stages.5.first.0"] == 104
    assert grown("--include", "stages.[01].first.0") == {"stages.0.first.0": 28, "stages.1.first.0": 28}
    assert "stages.5.first.0" not in grown("--exclude", "stages.5.*")


def test_json_is_the_only_thing_on_stdout_and_nothing_is_on_stderr(folder: Path) -> None:
    result = call("widen", "net.onnx", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    assert document["teacher"] == "net.onnx"
    assert document["student"] == "net.widened.onnx"
    assert document["pass"] == "widen"
    assert document["grown"] == [{"group": "w", "before": 4, "after": 8, "note": ""}]
    assert document["parameters"] == {"before": 20, "after": 40}
    assert document["verification"]["ok"]
    counts = {"channels": 8, "incoming_clones": 0, "outgoing_clones": 4, "twins": 0}
    assert document["clones"] == {**counts, "groups": [{"group": "w", **counts}]}


def test_proof_that_could_not_have_failed_is_none(folder: Path) -> None:
    onnx.save(net("h = Conv(x, w) r = Relu(h) c = Conv(r, v) y = Mul(c, zero)", zero=0.0), "net.onnx")
    result = call("widen", "net.onnx")
    assert result.exit_code == 0
    assert "Verified" not in result.stderr
    assert "Warning: comparing 'y' proves nothing" in result.stderr


def test_shapes_and_arrays_of_inputs_are_used(folder: Path) -> None:
    assert "x float32[2,3,6,6]" in call("widen", "net.onnx", "-o", "a.onnx", "--input", "x:2,3,6,6").stderr
    np.savez("data.npz", x=np.random.default_rng(0).standard_normal((5, 3, 6, 6), np.float32))
    assert "x float32[5,3,6,6]" in call("widen", "net.onnx", "-o", "b.onnx", "--inputs", "data.npz").stderr


# --- what is read


@pytest.mark.parametrize("name", GOLDEN)
def test_inspect_lists_every_group_and_every_reason(name: str) -> None:
    analysis = onnx_n2n.analyze(MODELS / name)
    result = call("inspect", MODELS / name)
    assert (result.exit_code, result.stderr) == (0, "")
    starts = [line.split(" ")[0] for line in result.stdout.splitlines()]
    assert all(starts.count(group.name) == 1 for group in analysis.groups if group.members)
    assert all(pinned.reason.text in result.stdout for pinned in analysis.pins)


@pytest.mark.parametrize("width", [80, 200])
def test_tables_fit_the_terminal(width: int) -> None:
    analysis = onnx_n2n.analyze(MODELS / "resnet.onnx")
    console = Console(width=width, markup=False, record=True, file=io.StringIO())
    tables.print_groups(console, analysis)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)
    assert all(any(line.startswith(f"{group.name} ") for line in lines) for group in analysis.groups)


def test_inspect_counts_what_a_doubled_group_really_adds() -> None:
    file = MODELS / "densenet.onnx"  # concatenated channels: a weight's axis belongs to several groups
    document = json.loads(call("inspect", "--json", file).stdout)
    for group in document["groups"][:9]:
        sizes = {group["name"]: 2 * group["size"]}
        report = onnx_n2n.widen(onnx.load(file), 1, groups=sizes, verify=False).report
        assert report.parameters_after - document["parameters"] == group["parameters_to_double"]


def test_unknown_operators_pin_with_a_reason(folder: Path) -> None:
    onnx.save(net("h = Conv(x, w) r = my.own.Relu(h) y = Conv(r, v)"), "net.onnx")
    result = call("inspect", "net.onnx")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("0 groups can grow")
    assert "no rule for my.own::Relu at version 1" in result.stdout
    document = json.loads(call("inspect", "--json", "net.onnx").stdout)
    assert document["groups"] == []
    assert {"weight": "w", "axis": 0, "size": 4} in [
        {key: pin[key] for key in ("weight", "axis", "size")} for pin in document["pinned"]
    ]


def test_clones_are_counted_after_growing_and_on_request(folder: Path) -> None:
    assert call("inspect", "--clones", "net.onnx").stdout == "Clones: training can tell all 4 channels apart.\n"
    widened = call("widen", "net.onnx", "-o", "noisy.onnx", "--init", "net2net")
    assert "tell all 8 channels apart; 8 start with the incoming weights of another." in widened.stderr
    widened = call("widen", "net.onnx", "-o", "plain.onnx", "--init", "net2net", "--noise", "0", "--factor", "1.5")
    assert "training can never tell 4 of 6 channels from another, because all" in widened.stderr
    listed = call("inspect", "--clones", "plain.onnx")
    assert (listed.exit_code, listed.stderr) == (0, "")
    assert "never tell 4 of 6 channels from another" in listed.stdout
    assert re.search(r"^w +6 +4 +4 +4$", listed.stdout, re.MULTILINE)
    document = json.loads(call("inspect", "--clones", "--json", "plain.onnx").stdout)
    assert (document["clones"]["twins"], document["groups"][0]["name"]) == (4, "w")


def test_names_are_printed_as_they_are(folder: Path) -> None:
    proto = net()
    proto.graph.initializer[0].name = proto.graph.node[0].input[1] = "[bold]:smile:"
    onnx.save(proto, "net.onnx")
    assert "[bold]:smile:" in call("inspect", "net.onnx").stdout
    assert "[bold]:smile:" in call("widen", "net.onnx").stderr


@pytest.mark.parametrize("command", ["", "inspect", "widen", "verify"])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(command: str, option: str) -> None:
    result = call(*command.split(), option)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: onnx-n2n {command}".strip())


# --- as a program


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *map(str, arguments)], text=True, check=False, timeout=60, **options)


def test_program_pipes(tmp_path: Path) -> None:
    done = run("widen", MODELS / "unet.onnx", "-o", tmp_path / "out.onnx", "--json", capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["verification"]["ok"]
    done = run("inspect", MODELS / "unet.onnx", capture_output=True)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    done = run("widen", tmp_path / "out.onnx", "-o", tmp_path / "out.onnx", capture_output=True)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_progress_is_for_terminals(tmp_path: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    shutil.copy(MODELS / "unet.onnx", tmp_path)
    done = run("widen", tmp_path / "unet.onnx", stdout=subprocess.PIPE, stderr=theirs, env=environment)
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # Linux says so at the end of a pseudo-terminal
        while piece := os.read(ours, 4096):
            seen += piece
    os.close(ours)
    assert (done.returncode, done.stdout) == (0, "")
    assert b"verifying ..." in seen
    assert b"Written to" in seen


def test_import_is_light() -> None:
    code = "import sys, onnx_n2n; print(sorted({'onnxruntime', 'tensorflow', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def session() -> list[tuple[str, str]]:
    """The commands that README.md shows, each with what it prints there."""
    text = "\n".join(line[4:] if line.startswith("    ") or not line else "\0" for line in README.splitlines())
    parts = [part.split("\0")[0] for part in text.split("$ onnx-n2n ")[1:]]
    return [(part.split("\n")[0], part.split("\n", 1)[1].strip()) for part in parts]


@pytest.mark.parametrize(("command", "shown"), session())
def test_readme_shows_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, shown: str
) -> None:
    """Three dots stand for anything; rounding differs from machine to machine."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(MODELS, "models")
    result = call(*shlex.split(command))
    printed = "\n".join(line.rstrip() for line in result.output.splitlines())
    wanted = re.sub(r"\d\\\.\de\\-\d\d", r"\\d\\.\\de-\\d\\d", re.escape(shown)).replace(r"\.\.\.", ".*")
    assert re.fullmatch(wanted.replace("on\\ CPU", "on\\ (CPU|CUDA)"), printed, re.DOTALL), printed


def test_readme_names_every_option() -> None:
    options = [parameter for command in main.commands.values() for parameter in command.params]
    named = set(re.findall(r"-[-a-z]+", README))
    assert all(named & {*option.opts, *option.secondary_opts} for option in options if option.opts[0].startswith("-"))


def test_readme_calls_the_library_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(MODELS, "models")
    code = "\n".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("True ")
    assert "widen{factor=1.5,multiple_of=8}" in done.stdout
