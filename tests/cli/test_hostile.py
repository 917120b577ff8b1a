"""A damaged model ends every command in a result or in one sentence: no traceback, no hang, no half-written file.

``N2N_MUTATIONS`` sets how many damaged models there are. Each goes through all commands in forks of this process, which
has everything imported already, with 4 GB of memory and 60 s of computing for each command.
"""

from __future__ import annotations

import json
import os
import resource
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers.calling import call, files
from helpers.forking import fork
from helpers.mutations import mutated
from helpers.sound_models import sound
from onnx_n2n.cli import main
from onnx_n2n.errors import ModelError
from onnx_n2n.io.model import load

NUMBER = int(os.environ.get("N2N_MUTATIONS", "100"))
SECONDS, MEMORY = 60, 4 * 2**30
STANDSTILL = 600  # seconds after which a command that does not compute hangs, however busy the machine is
SMALL = 100_000  # bytes of a model that explore, which makes many students, is quick with

UNPROVEN = "-o OUT --no-verify"
COMMANDS = [
    "inspect MODEL",
    "inspect --json MODEL",
    "inspect --clones MODEL",
    "log MODEL",
    "verify MODEL MODEL --provider cpu",
    "diff sound.onnx MODEL",
    "diff MODEL MODEL --html OUT",
    "widen MODEL -o OUT --provider cpu --record RECORD",
    f"widen MODEL {UNPROVEN} --factor 1.5 --init net2net",
    f"deepen MODEL {UNPROVEN}",
    f"enlarge MODEL {UNPROVEN}",
    f"run MODEL -p enlarge,deepen{{count=2}},widen{{factor=1.3}} {UNPROVEN}",
    f"explore MODEL --budget params=1.5x {UNPROVEN}",
    f"export MODEL --to safetensors {UNPROVEN}",
    f"export MODEL --to torch {UNPROVEN}",
    f"export MODEL --to jax {UNPROVEN}",
    "grow-checkpoint checkpoint.safetensors --record sound.json -o OUT --teacher MODEL --student MODEL --no-verify",
]


@dataclass(frozen=True)
class Ending:
    """How a command ended: its exit code (below 0 the signal that killed it), and what it said on stderr."""

    command: str
    code: int
    stderr: str = ""

    @property
    def well(self) -> bool:
        said = self.stderr.strip()
        if "Traceback" in said or self.code not in (0, 1, 2, 3):
            return False
        return self.code == 0 or (said.startswith("Error: ") and "\n" not in said)


@pytest.fixture(scope="session")
def beside(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files that stand beside every model: a checkpoint and the record of a sound one; and everything imported."""
    folder = tmp_path_factory.mktemp("sound")
    model = folder / "m.onnx"
    model.write_bytes(sound()["dense"]["m.onnx"])
    for framework in ("torch", "jax"):
        call("export", model, "--to", framework, "-o", folder / framework, "--no-verify")
    assert call("export", model, "--to", "safetensors", "-o", folder / "weights", "--no-verify").exit_code == 0
    line = ["widen", model, "-o", folder / "student.onnx", "--record", folder / "sound.json", "--no-verify"]
    assert call(*line).exit_code == 0
    weights = next((folder / "weights").glob("*.safetensors"))
    found = {"checkpoint.safetensors": weights, "sound.json": folder / "sound.json", "sound.onnx": model}
    return {name: path.read_bytes() for name, path in found.items()}


@pytest.mark.filterwarnings("ignore:os.fork")
@pytest.mark.parametrize("number", range(NUMBER))
def test_a_damaged_model_ends_every_command_in_a_result_or_a_sentence(
    number: int, tmp_path: Path, beside: dict[str, bytes]
) -> None:
    damaged = mutated(number)
    for name, content in {**damaged.files, **beside}.items():
        (tmp_path / name).write_bytes(content)
    there = files(tmp_path)
    small = len(damaged.files["m.onnx"]) < SMALL
    for ending in _endings(tmp_path, [each for each in COMMANDS if small or not each.startswith("explore")]):
        assert ending.well, (damaged.changes, ending)
    assert files(tmp_path) == there


def _endings(folder: Path, commands: Sequence[str]) -> Iterator[Ending]:
    """Run commands one after the other in one fork; where one kills it, go on with the next in another fork."""
    commands = list(commands)
    while commands:
        reader, writer = os.pipe()
        child = fork()
        if child == 0:
            os.close(reader)
            _run_all(folder, commands, writer)
        os.close(writer)
        with os.fdopen(reader) as lines:
            while commands:
                ready, _, _ = select.select([lines], [], [], STANDSTILL)
                if not ready:
                    os.kill(child, signal.SIGKILL)
                line = lines.readline() if ready else ""
                if not line:
                    break
                yield Ending(**json.loads(line))
                commands.pop(0)
        _, status = os.waitpid(child, 0)
        if commands:
            yield Ending(commands.pop(0), os.waitstatus_to_exitcode(status))


def _run_all(folder: Path, commands: Sequence[str], writer: int) -> None:
    """Run commands and write how each ended; never return."""
    try:
        os.chdir(folder)
        os.environ["TMPDIR"] = str(folder)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with os.fdopen(writer, "w") as results:
            for command in commands:
                print(json.dumps(vars(_run(command))), file=results, flush=True)
    finally:
        os._exit(9)


def _run(command: str) -> Ending:
    """Run one command with what it prints in files, so that what libraries print counts too; remove whole outputs."""
    words = command.replace("MODEL", "m.onnx").replace("OUT", "out").replace("RECORD", "out.json").split()
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + SECONDS, resource.RLIM_INFINITY))
    code = 0
    with Path("stdout").open("w+") as out, Path("stderr").open("w+") as err:
        for stream, number in ((out, 1), (err, 2)):
            os.dup2(stream.fileno(), number)
        sys.stdout, sys.stderr = out, err
        try:
            main.main(words, prog_name="onnx-n2n")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException as failure:
            err.write(f"Traceback of {failure!r}")
        out.flush()
        err.flush()
        err.seek(0)
        said = err.read()
    for name in ("stdout", "stderr"):
        Path(name).unlink()
    if code == 0:
        said += _take_away(words[0])
    elif left := sorted(map(str, Path().glob("out*"))):
        said = f"Traceback: {left} left behind. {said}"
    return Ending(command, code, said[:2000])


def _take_away(command: str) -> str:
    """Remove what a command that succeeded has written; return what is wrong with it."""
    wrong = ""
    if command in ("widen", "deepen", "enlarge", "run"):
        try:
            load("out")
        except ModelError as error:
            wrong = f"Traceback of the student: {error}"
    for path in Path().glob("out*"):  # a student, its data and record
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return wrong
