"""Commands killed at random moments while they replace a model of 200 MB and its weights: what stands there afterwards?

    python benchmarks/killed.py --runs 100 > benchmarks/results/killed-DATE.md

Two students of one teacher take turns at one place. Each run of ``widen --force`` is killed after a random time, half
of them near the moment at which it publishes. Then the model and its data must be, byte for byte, those of one of the
two students, and nothing else may lie there: after SIGTERM at once, after SIGKILL when another command has written
there.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import date
from pathlib import Path

import numpy as np
import onnx
from onnx.numpy_helper import from_array

WIDTH, LAYERS = 1600, 13
LIMIT = 120  # seconds that no run may take


def command(*arguments: object) -> list[str]:
    """Return the command line of ``widen``."""
    return [sys.executable, "-m", "onnx_n2n", "widen", *map(str, arguments), "--force", "--strict"]


def make_teacher(path: Path, width: int, layers: int) -> None:
    """Write a perceptron with its weights in a file of their own."""
    rng = np.random.default_rng(0)
    reads = ["x", *(f"r{n}" for n in range(layers))]
    nodes = " ".join(f"h{n} = MatMul({reads[n]}, w{n}) r{n} = Relu(h{n})" for n in range(layers))
    graph = onnx.parser.parse_graph(f"g (float[N,{width}] x) => (float[N,{width}] r{layers - 1}) {{ {nodes} }}")
    weights = (rng.standard_normal((width, width), np.float32) / width**0.5 for _ in range(layers))
    graph.initializer.extend(from_array(weight, f"w{n}") for n, weight in enumerate(weights))
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path, save_as_external_data=True, location=f"{path.name}.weights")


def state(place: Path) -> tuple[str, frozenset[str]]:
    """Return a digest of a model with its data, and the names of their files."""
    model = onnx.load(place, load_external_data=False)
    entries = (entry for tensor in model.graph.initializer for entry in tensor.external_data)
    data = {entry.value for entry in entries if entry.key == "location"}
    found = hashlib.sha256(place.read_bytes())
    for name in sorted(data):
        found.update(place.with_name(name).read_bytes())
    return found.hexdigest(), frozenset({place.name, *data})


def main() -> None:
    """Kill runs, and print a table of what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100, help="how many to kill with each signal")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        teacher, tiny, out = Path(folder, "teacher.onnx"), Path(folder, "tiny.onnx"), Path(folder, "out")
        out.mkdir()
        make_teacher(teacher, WIDTH, LAYERS)
        make_teacher(tiny, 8, 3)
        place, known, took = out / "student.onnx", [], 0.0
        for seed in (0, 1):
            start = time.monotonic()
            subprocess.run(command(teacher, "-o", place, "--factor", 1.25, "--seed", seed), check=True, timeout=LIMIT)
            took = time.monotonic() - start
            known.append(state(place)[0])
        size = sum(file.stat().st_size for file in out.iterdir())
        names = ("SIGTERM", "SIGKILL")
        rows = [one_signal(each, options.runs, rng, teacher, tiny, place, known, took) for each in names]
    print(f"# Killed while it replaces a model of {size / 1e6:.0f} MB\n")
    print(f"{date.today()}, {platform.machine()}, Python {platform.python_version()}; a whole run takes {took:.1f} s\n")
    print("| signal | killed | ended before | old model whole | new model whole | half or mixed | left behind |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        print(row)


def one_signal(
    name: str, runs: int, rng: random.Random, teacher: Path, tiny: Path, place: Path, known: list[str], took: float
) -> str:
    """Kill so many runs with a signal, and return the row of the table; runs that end before are as fast as it gets."""
    seen: Counter[str] = Counter()
    now = 1
    for _ in range(3 * runs):
        if seen["killed"] == runs:
            break
        start, moment = time.monotonic(), rng.uniform(0, took)
        if rng.random() < 0.5:
            moment = rng.gauss(0.9 * took, 0.1 * took)
        arguments = command(teacher, "-o", place, "--factor", 1.25, "--seed", 1 - now)
        with subprocess.Popen(arguments, stderr=subprocess.DEVNULL) as run:
            try:
                run.wait(max(moment, 0.0))
                seen["done"] += 1
                took = min(took, time.monotonic() - start)
            except subprocess.TimeoutExpired:
                run.send_signal(getattr(signal, name))
                seen["killed"] += 1
                run.wait(LIMIT)
        try:
            digest, files = state(place)
            seen["old" if digest == known[now] else "new" if digest == known[1 - now] else "mixed"] += 1
            now = known.index(digest) if digest in known else now
        except Exception as failure:  # whatever keeps the model from being read
            seen["mixed"] += 1
            print(failure, file=sys.stderr)
            continue
        if name == "SIGKILL":  # another command that writes there
            subprocess.run(
                command(tiny, "-o", place.with_name("tiny.onnx")), check=True, stderr=subprocess.DEVNULL, timeout=LIMIT
            )
            files |= state(place.with_name("tiny.onnx"))[1]
        left = {file.name for file in place.parent.iterdir()} - files
        seen["left"] += bool(left)
        for file in place.parent.glob("tiny*"):
            file.unlink()
    counts = [seen[key] for key in ("killed", "done", "old", "new", "mixed", "left")]
    return f"| {name} | {' | '.join(map(str, counts))} |"


if __name__ == "__main__":
    main()
