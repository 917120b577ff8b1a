"""The command in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, "-m", "onnx_n2n"]
SECONDS = 60.0


def heeding() -> None:
    """Let a process that begins heed all signals, also where the tests run in the background or under nohup."""
    for name in ("SIGINT", "SIGHUP", "SIGTERM"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)


def begin(folder: Path, *arguments: str, **options: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [*COMMAND, *arguments], cwd=folder, stderr=subprocess.PIPE, preexec_fn=heeding, **options
    )


def run(folder: Path, *arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *arguments], cwd=folder, timeout=SECONDS, capture_output=True, **options)  # type: ignore[call-overload, no-any-return]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
