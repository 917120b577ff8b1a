"""The command line: what it prints where, and what it writes."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from rich.console import Console

import onnx_n2n
from helpers.calling import MODELS, call, files, net
from helpers.graphs import model
from onnx_n2n.cli import tables

GOLDEN = sorted(file.name for file in MODELS.glob("*.onnx"))
PROGRAM = Path(sys.executable).with_name("onnx-n2n")


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
    assert (verdict.exit_code, json.loads(verdict.stdout)["verification"]["ok"]) == (0, True)
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
    monkeypatch.setattr(importlib.import_module("onnx_n2n.verification"), "verify", None)
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
    assert document["grown"] == [{"group": "w", "before": 4, "after": 8, "note": "", "copies": ""}]
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
    assert "moves it further than rounding does" in " ".join(result.stderr.split())


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


def test_inspect_says_first_what_keeps_most_parameters_from_growing(folder: Path) -> None:
    """Whatever the order of layers in the graph; a weight that has two such axes counts once."""
    large, small = "a = my.own.Large(x, w)", "b = my.own.Small(x, v)"
    for body in (f"{large} {small}", f"{small} {large}"):
        onnx.save(model(body, "float[2,3] x", "float[2] a, float[2] b", w=(40, 40), v=(30, 4)), "net.onnx")
        rows = [line.split() for line in call("inspect", "net.onnx").stdout.splitlines() if "no rule for" in line]
        assert [row[1:3] for row in rows] == [["1,600", "w"], ["120", "v"]]


def test_inspect_explains_the_words_that_its_tables_have_and_no_others(folder: Path) -> None:
    """Of each kind of place, and of each way to grow that is not free."""
    files = [MODELS / "resnet.onnx", Path("net.onnx")]
    body = "h = MatMul(x, w) e = Exp(h) f = Exp(e) y = MatMul(f, v)"
    onnx.save(model(body, "float[N,3] x", "y", w=(3, 8), v=(8, 2)), files[1])
    found = set()
    for file in files:
        document = json.loads(call("inspect", "--json", file).stdout)
        said = {place["kind"] for place in document["depth"]["places"]} | {each["grows"] for each in document["groups"]}
        lines = call("inspect", file).stdout.splitlines()
        words = (*tables.KINDS, *tables.WAYS)
        explained = {word for word in words if any(line.startswith(f"{word}: ") for line in lines)}
        assert explained == said - {"freely"}, lines
        found |= explained
    assert {"by copies", "block", "identity"} <= found


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
    said = "No redundant channels: gradients differ for all 4 channels.\n"
    assert call("inspect", "--clones", "net.onnx").stdout == said
    widened = call("widen", "net.onnx", "-o", "noisy.onnx", "--init", "net2net")
    assert "differ for all 8 channels; 8 start with the incoming weights of another." in widened.stderr
    widened = call("widen", "net.onnx", "-o", "plain.onnx", "--init", "net2net", "--noise", "0", "--factor", "1.5")
    assert "Redundant channels: 4 of 6 channels have the weights of another" in widened.stderr
    listed = call("inspect", "--clones", "plain.onnx")
    assert (listed.exit_code, listed.stderr) == (0, "")
    assert "4 of 6 channels have the weights of another" in listed.stdout
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
