"""How long it takes to start: the library, the help, and a command on a small model.

    python benchmarks/start.py [--before CHECKOUT] [--out benchmarks/results/start-DATE.md]

Each line is CPU time (user and system, of a process and its children) of fresh processes, in turns, least of them all.
With another checkout, both are measured in the same turns.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models" / "resnet.onnx"
TURNS = 10
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
COMMANDS = ("inspect", "log", "join", "verify", "export", "widen", "explore")

NEEDED = {  # what is measured beside, as it cannot be less
    "Python": ("-c", "pass"),
    "`import numpy, onnx`": ("-c", "import numpy, onnx"),
    "`import onnx_ir`": ("-c", "import onnx_ir"),
    "`import pytest`": ("-c", "import pytest"),
}
OURS = {
    "`import onnx_n2n`": ("-c", "import onnx_n2n"),
    "`import numpy, onnx, onnx_n2n`": ("-c", "import numpy, onnx, onnx_n2n"),
    "`import pytest`, and the plugin for it": ("-c", "import pytest, onnx_n2n.testing.plugin"),
    "`onnx_n2n.widen`, the name": ("-c", "import onnx_n2n; onnx_n2n.widen"),
    "`--help`": ("-m", "onnx_n2n", "--help"),
    **{f"`{name} --help`": ("-m", "onnx_n2n", name, "--help") for name in COMMANDS},
    "`inspect resnet.onnx`": ("-m", "onnx_n2n", "inspect", str(MODEL)),
    "`log resnet.onnx`": ("-m", "onnx_n2n", "log", str(MODEL)),
}

PAGE = """# Start

{date}, `python benchmarks/start.py`; {machine}; {versions}.

CPU seconds of fresh processes, the least of {turns}.

{table}
"""


def seconds(arguments: tuple[str, ...], root: Path) -> float:
    """Return the CPU time of a fresh process, and of those that it starts, in a checkout."""
    begin = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=root, env=ENVIRONMENT, check=True, capture_output=True)
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    return end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime


def measured(roots: list[Path]) -> dict[str, list[float]]:
    """Return the least time of each line, by checkout; what is not ours is the same in all."""
    found: dict[str, list[float]] = {}
    for turn in range(TURNS + 1):
        for name, arguments in {**NEEDED, **OURS}.items():
            times = [seconds(arguments, root) for root in (roots if name in OURS else roots[:1])]
            if turn:  # the first compiles modules, as installing does
                found[name] = list(map(min, times, found.get(name, times)))
    return found


def page(found: dict[str, list[float]]) -> str:
    """Return the results in Markdown."""
    both = len(found["`--help`"]) > 1
    heads = ["", "before", "now", "now / before"] if both else ["", "seconds"]
    rows = [heads, ["---"] * len(heads)]
    for name, (now, *before) in found.items():
        old = [f"{before[0]:.3f}", f"{now:.3f}", f"{now / before[0]:.2f}"] if before else ["", f"{now:.3f}", ""]
        rows.append([name, *(old if both else [f"{now:.3f}"])])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    packages = ("onnx", "onnx-ir", "numpy", "click", "rich")
    return PAGE.format(
        date=datetime.datetime.now(datetime.UTC).date(),
        machine=f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        versions=", ".join(f"{name} {version(name)}" for name in packages),
        turns=TURNS,
        table=table,
    )


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--before", type=Path, help="another checkout, measured in the same turns")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    text = page(measured([ROOT, *([options.before] if options.before else [])]))
    print(text)
    if options.out:
        options.out.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
