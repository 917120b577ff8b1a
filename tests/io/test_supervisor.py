"""The command in a process of its own: stopped, crashed, or with nobody to read what it prints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.numpy_helper import from_array

from helpers.calling import MODELS
from helpers.commands import COMMAND, SECONDS, begin, names, run
from onnx_n2n.io.rooms import PREFIX


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a model that never ends, but by its time limit."""
    endless = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[N,4] x) => (float[N,3] y) {'
        " trips = Constant<value = int64 {1000000000000000000}>() yes = Constant<value = bool {1}>()"
        " z = Loop(trips, yes, x) <body = b (int64 i, bool c, float[N,4] s) => (bool d, float[N,4] t)"
        " { d = Identity(c) t = Tanh(s) }> h = MatMul(z, v) r = Relu(h) y = MatMul(r, w) }"
    )
    rng = np.random.default_rng(0)
    endless.graph.initializer.extend(
        from_array(rng.standard_normal(shape, np.float32), name) for name, shape in (("v", (4, 5)), ("w", (5, 3)))
    )
    onnx.save(endless, tmp_path / "net.onnx")
    return tmp_path


def waiting_for_room(folder: Path) -> None:
    end = time.monotonic() + SECONDS
    while not list(folder.glob(f"{PREFIX}*/new/*.onnx")):
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_command_and_leaves_nothing(folder: Path, name: str) -> None:
    number = getattr(signal, name)
    with begin(folder, "widen", "net.onnx", "--record", "growth") as process:
        waiting_for_room(folder)
        process.send_signal(number)
        _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + number
    assert said.decode() == "Error: stopped; what was not finished has been cleared away.\n"
    assert names(folder) == ["net.onnx"]


def test_the_workers_of_an_exploration_go_with_it(folder: Path) -> None:
    with begin(folder, "explore", "net.onnx", "--budget", "params=2x", "--jobs", "2", "-o", "out") as process:
        waiting_for_room(folder / "out")
        process.terminate()
        process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + signal.SIGTERM
    time.sleep(1.0)
    assert names(folder) == ["net.onnx"]


def test_what_a_killed_command_leaves_is_swept_by_the_next(folder: Path) -> None:
    with begin(folder, "widen", "net.onnx", start_new_session=True) as process:
        waiting_for_room(folder)
        process.kill()
    assert len(names(folder)) == 2
    time.sleep(0.2)  # for the child to go with its parent
    found = run(folder, "widen", "net.onnx", "--no-verify")
    assert found.returncode == 0, found.stderr
    assert names(folder) == ["net.onnx", "net.widened.onnx"]


def test_the_command_ends_in_time(folder: Path) -> None:
    found = run(folder, "widen", "net.onnx", "--time-limit", "0.5")
    assert (found.returncode, found.stdout) == (3, b"")
    assert b"was stopped after 0.5 seconds" in found.stderr
    assert names(folder) == ["net.onnx"]


CRASH = """
import os, sys
from pathlib import Path
from onnx_n2n.io.rooms import room
from onnx_n2n.io.supervisor import supervised
def work():
    with room(Path(".")):
        os.kill(os.getpid(), {number})
sys.exit(supervised(work, lambda error, code: print(error, file=sys.stderr)))
"""


@pytest.mark.parametrize(
    ("name", "says"), [("SIGSEGV", "a library crashed"), ("SIGBUS", "became shorter"), ("SIGKILL", "memory ran out")]
)
def test_a_crash_is_a_sentence_and_leaves_nothing(tmp_path: Path, name: str, says: str) -> None:
    script = CRASH.format(number=int(getattr(signal, name)))
    found = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, timeout=SECONDS, capture_output=True)
    assert found.returncode == 3
    assert says in found.stderr.decode()
    assert found.stderr.count(b"\n") == 1
    assert names(tmp_path) == []


@pytest.fixture
def resnet(tmp_path: Path) -> Iterator[Path]:
    """A folder with a model that is as it was in the end."""
    whole = (MODELS / "resnet.onnx").read_bytes()
    (tmp_path / "net.onnx").write_bytes(whole)
    yield tmp_path
    assert (tmp_path / "net.onnx").read_bytes() == whole


@pytest.mark.parametrize("line", ["inspect net.onnx", "inspect --json net.onnx", "inspect -h", "log net.onnx"])
def test_a_reader_may_leave_early(resnet: Path, line: str) -> None:
    receiver, sender = os.pipe()
    os.close(receiver)
    with begin(resnet, *line.split(), stdout=sender) as process:
        os.close(sender)
        _, said = process.communicate(timeout=SECONDS)
    assert (process.returncode, said) == (0, b"")


def test_a_wrong_student_is_wrong_for_whoever_left_early(resnet: Path) -> None:
    (resnet / "other.onnx").write_bytes((MODELS / "resnet.onnx").read_bytes())
    model = onnx.load(resnet / "other.onnx")
    weight = next(each for each in model.graph.initializer if each.name == "head.weight")
    weight.CopyFrom(from_array(2 * onnx.numpy_helper.to_array(weight), weight.name))
    onnx.save(model, resnet / "other.onnx")
    receiver, sender = os.pipe()
    os.close(receiver)
    with begin(resnet, "verify", "net.onnx", "other.onnx", "--json", stdout=sender) as process:
        os.close(sender)
        process.communicate(timeout=SECONDS)
    assert process.returncode == 1


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_closed_stream_never_costs_the_student(resnet: Path, closed: int) -> None:
    line = " ".join([*COMMAND, "widen", "net.onnx", "--no-verify", "--json", "-o", "student.onnx"])
    redirect = f"{closed}{'<' if closed == 0 else '>'}&-"
    found = subprocess.run(["sh", "-c", f"{line} {redirect}"], cwd=resnet, timeout=SECONDS, capture_output=True)
    assert found.returncode == (3 if closed == 1 else 0)
    assert (b"the report cannot be printed" in found.stderr) == (closed == 1)
    onnx.checker.check_model(resnet / "student.onnx")
    assert names(resnet) == ["net.onnx", "student.onnx"]


def test_a_model_comes_on_stdin_and_goes_to_stdout(resnet: Path) -> None:
    found = run(resnet, "widen", "-", "-o", "-", "--no-verify", input=(resnet / "net.onnx").read_bytes())
    assert found.returncode == 0
    assert found.stderr.endswith(b"Written to stdout\n")
    assert run(resnet, "widen", "net.onnx", "-o", "student.onnx", "--no-verify").returncode == 0
    assert found.stdout == (resnet / "student.onnx").read_bytes()
    told = run(resnet, "widen", "-", "-o", "student.onnx", "--no-verify", "--force", "--json", input=found.stdout)
    assert json.loads(told.stdout)["digest"]  # also what is read of the teacher for the report
    assert run(resnet, "widen", "net.onnx", "-o", "student.onnx", "--no-verify", "--force").returncode == 0
    assert run(resnet, "verify", "net.onnx", "-", input=found.stdout).returncode == 0
    assert run(resnet, "inspect", "-", input=found.stdout).stdout == run(resnet, "inspect", "student.onnx").stdout
    assert names(resnet) == ["net.onnx", "student.onnx"]


@pytest.mark.parametrize(
    "line",
    ["widen -", "widen net.onnx -o - --json", "verify - -", "explore - --budget params=2x", "explore net.onnx -o - "
     "--budget params=2x", "export net.onnx --to safetensors -o -", "widen net.onnx -o - --record -"],
)  # fmt: skip
def test_only_a_model_and_only_one_goes_through_a_stream(resnet: Path, line: str) -> None:
    found = run(resnet, *line.split(), stdin=subprocess.DEVNULL)
    assert found.returncode == 2
    assert found.stdout == b"" or json.loads(found.stdout)["error"]["code"] == 2
    assert found.stderr.startswith(b"Error: ")
    assert found.stderr.count(b"\n") == 1
    assert names(resnet) == ["net.onnx"]


def test_a_thread_that_never_ends_holds_nobody_up(tmp_path: Path) -> None:
    """An interpreter that ends crashes if a library then returns to it from a thread: so it ends without that."""
    program = """
import atexit, sys, threading, time
from onnx_n2n.io.supervisor import supervised
def work():
    atexit.register(print, "the interpreter ended")
    if sys.argv[1:]:
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    print("said")
    return 7
sys.exit(supervised(work, print))
"""
    for arguments, said in (["thread"], "said\n"), ([], "said\nthe interpreter ended\n"):
        command = [sys.executable, "-c", program, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=SECONDS)
        assert (done.returncode, done.stdout) == (7, said)
