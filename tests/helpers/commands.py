"""The command in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMMAND = [sys.executable, "-m", "onnx_n2n"]
SECONDS = 60.0


@contextmanager
def heeded() -> Iterator[None]:
    """Let a process that begins here heed all signals, also where the tests run in the background or under nohup."""
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGHUP", "SIGTERM") if hasattr(signal, name)]
    before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def begin(folder: Path, *arguments: str, **options: object) -> subprocess.Popen[bytes]:
    with heeded():
        return subprocess.Popen([*COMMAND, *arguments], cwd=folder, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload, no-any-return]


def run(folder: Path, *arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *arguments], cwd=folder, timeout=SECONDS, capture_output=True, **options)  # type: ignore[call-overload, no-any-return]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
