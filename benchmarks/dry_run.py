"""What ``--dry-run`` says a command takes, beside what the command takes: bytes written, peak of memory, time.

    python benchmarks/dry_run.py [--sizes 100 400] [--layers 24] > benchmarks/results/dry-run-DATE.md

Models are those of ``memory.py``: chains of MatMuls with random weights. Each command runs in a process of its own, of
which the peak of resident memory (mapped files included) and processor time are taken, with those of its children. All
that is made is removed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from memory import MB, make

COMMANDS = {"widen": ["widen", "--factor", "1.25"], "deepen": ["deepen", "--count", "4"]}
MEASURED = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)  # with that of its own children
print(usage.ru_maxrss, usage.ru_utime + usage.ru_stime)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def onnx_n2n(*arguments: object) -> list[str]:
    """Return a command line."""
    return [sys.executable, "-m", "onnx_n2n", *map(str, arguments)]


def measured(*arguments: object) -> tuple[float, float]:
    """Run a command, and return its peak of memory in MB and its CPU seconds."""
    done = subprocess.run([sys.executable, "-c", MEASURED, *onnx_n2n(*arguments)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    peak, seconds = done.stdout.split()
    return int(peak) * 1024 / MB, float(seconds)


def estimate(*arguments: object) -> dict[str, Any]:
    """Return what a dry run says."""
    done = subprocess.run(onnx_n2n(*arguments, "--dry-run", "--json"), capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)["estimate"]
    return found


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10], help="millions of parameters")
    parser.add_argument("--layers", type=int, nargs="+", default=[24], help="in how many weights these are")
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS), help="what to measure")
    parser.add_argument("--folder", type=Path, help="where to make the models")
    asked = parser.parse_args()
    print(f"# What a dry run says, and what the command takes ({date.today()})\n")
    print(f"`benchmarks/dry_run.py`, Python {platform.python_version()}, {os.cpu_count()} CPUs. Memory in MB. "
          "*Weights* is what a dry run says that verification adds.\n")  # fmt: skip
    print("| command | parameters | said to write | written | memory said | peak | weights said "
          "| peak with verification | CPU of the dry run | of the command | with verification |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for millions in asked.sizes:
        for layers in asked.layers:
            with tempfile.TemporaryDirectory(dir=asked.folder) as name:
                teacher, out = make(Path(name), millions, layers, "external"), Path(name) / "out"
                for command in asked.commands:
                    out.mkdir()
                    words = [*COMMANDS[command], teacher, "-o", out / "student.onnx"]
                    said, (_, planning) = estimate(*words), measured(*words, "--dry-run")
                    peak, seconds = measured(*words, "--no-verify")
                    written = sum(path.stat().st_size for path in out.iterdir())
                    verified, longer = measured(*words, "--force")
                    shutil.rmtree(out)
                    print(f"| {command} | {millions} M in {layers} | {said['write'] / MB:,.0f} MB | "
                          f"{written / MB:,.0f} MB | {said['memory'] / MB:,.0f} | {peak:,.0f} | "
                          f"{said['weights'] / MB:,.0f} | {verified:,.0f} | {planning:.1f} s | {seconds:.1f} s | "
                          f"{longer:.1f} s |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
