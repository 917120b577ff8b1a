"""Starting is quick: the help loads click alone, and a command what it works with."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from helpers.calling import MODELS
from helpers.commands import SECONDS
from onnx_n2n.cli.commands import COMMANDS, loaded, main

LIBRARIES = {
    "google", "jax", "joblib", "keras", "ml_dtypes", "numpy", "onnx", "onnx.reference", "onnx_graphsurgeon", "onnx_ir",
    "onnxruntime", "onnxscript", "rich", "safetensors", "scipy", "sympy", "torch",
}  # fmt: skip
LATER = {f"onnx_n2n.{name}" for name in ("checkpoint", "exact.checking", "export", "search", "verification.verdict")}
PARTS = {"onnx_n2n.exact", "onnx_n2n.passes", "onnx_n2n.verification", *LATER}
IR = {"google", "ml_dtypes", "numpy", "onnx", "onnx_graphsurgeon", "onnx_ir", "sympy"}  # what onnx_ir needs, and graphs

RUNS = {"numpy", "onnx_n2n.verification"}
HELP: dict[str, set[str]] = {
    "": set(), "diff": set(), "inspect": set(), "log": set(), "join": set(), "grow-checkpoint": RUNS, "export": RUNS,
    "verify": RUNS,
}  # fmt: skip
"""What the help of commands may load: of all together, and of those that state no options of passes."""

OPTIONS_OF_PASSES = IR | {"safetensors"} | PARTS - LATER
WORK = {
    ("inspect", "resnet.onnx"): IR | {"rich"},
    ("log", "resnet.onnx"): IR | {"rich"},
}

LOADED = """
import contextlib, io, json, sys
from onnx_n2n.cli import main
found = []
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            main(arguments)
        except SystemExit as end:
            assert not end.code, arguments
    found.append(sorted(sys.modules))
print(json.dumps(found))
"""


def modules(*lines: list[str]) -> list[set[str]]:
    """What we look for of what is loaded after each of several command lines in one fresh process."""
    command = [sys.executable, "-c", LOADED, json.dumps(lines)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS, cwd=MODELS)
    return [set(each) & (LIBRARIES | PARTS) for each in json.loads(done.stdout)]


def test_help_loads_what_states_the_options() -> None:
    names = [*HELP, *(name for name in COMMANDS if name not in HELP)]  # the light ones first
    found = modules(*([*filter(None, [name]), "--help"] for name in names))
    for name, there in zip(names, found, strict=True):
        assert there <= HELP.get(name, OPTIONS_OF_PASSES), name


@pytest.mark.parametrize("line", WORK)
def test_a_command_loads_what_it_works_with(line: tuple[str, ...]) -> None:
    assert modules(list(line))[0] <= WORK[line]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("limit", [45, 1000])
def test_the_table_of_commands_is_true(name: str, limit: int) -> None:
    command = loaded(name)
    assert command.name == name
    assert main.commands[name].get_short_help_str(limit) == command.get_short_help_str(limit)
