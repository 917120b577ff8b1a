"""Every option of every command, with values that it cannot have: a result or one sentence, and no file beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import onnx
import pytest
from safetensors.numpy import save_file

import onnx_n2n
from helpers.calling import call, files, net
from onnx_n2n.cli.commands import COMMANDS, loaded

LONG = "9" * 5000  # more digits than Python reads as a number, and more letters than a file's name has
VALUES = ["", "-1", "nan", "9" * 30, "é\n[", "=", "/"]
VALUES += [LONG, f"w={LONG}", f"x:1,{LONG}", f"{LONG}x3", f"params={LONG}x"]
NEEDED = {
    "run": {"--passes": "widen"},
    "grow-checkpoint": {"--record": "net.growth", "--output": "out"},
    "join": {"--output": "out"},
    "explore": {"--budget": "params=3x"},
    "export": {"--to": "safetensors", "--output": "out"},
}
ARGUMENTS = {"checkpoint": "net.safetensors", "records": "net.growth"}  # all others are models
RUNS = {"inputs", "shapes", "provider", "time_limit", "seed"}  # of which some show in a run only


def parameters() -> Iterator[tuple[str, str]]:
    for name in COMMANDS:
        for each in loaded(name).params:
            if not (isinstance(each, click.Option) and each.is_flag):
                yield name, str(each.name)


def line(command: str, name: str, value: str) -> list[str]:
    """A command line that would do, but for one value."""
    known = loaded(command).params
    arguments = [str(each.name) for each in known if isinstance(each, click.Argument)]
    needed, flags = NEEDED.get(command, {}), {str(each.name): each.opts[-1] for each in known}
    given = needed if name in arguments else {**needed, flags[name]: value}
    unproven = ["--no-verify"] * (name not in RUNS and any("--no-verify" in each.secondary_opts for each in known))
    places = [value if each == name else ARGUMENTS.get(each, "net.onnx") for each in arguments]
    return [command, *(f"{flag}={each}" for flag, each in given.items()), *unproven, "--", *places]


@pytest.mark.parametrize(("command", "name"), [*parameters()])
def test_whatever_an_option_is_given_ends_in_a_result_or_a_sentence(folder: Path, command: str, name: str) -> None:
    if command in {"grow-checkpoint", "join"}:
        onnx_n2n.widen(net(), verify=False).growth.save("net.growth")
        weights = {each.name: onnx.numpy_helper.to_array(each) for each in net().graph.initializer}
        save_file(weights, "net.safetensors")
    there = files(folder)
    for value in VALUES:
        done = call(*line(command, name, value))
        assert isinstance(done.exception, SystemExit | None), (value, done.exception)
        assert done.exit_code in {0, 2, 3}, (value, done.stderr)
        if done.exit_code:
            assert done.stdout == "", value
            assert done.stderr.startswith("Error: "), value
            assert done.stderr.endswith(".\n"), value
            assert done.stderr.count("\n") == 1, value
            assert files(folder) == there, value
        there = files(folder)
