"""How much memory a checkpoint takes to grow: a perceptron of a gigabyte, in one file and in several.

    python benchmarks/checkpoint_memory.py > benchmarks/results/checkpoint-memory-DATE.md

Each checkpoint is grown by ``grow-checkpoint`` in a process of its own, of which the peak of resident memory is taken.
What the command takes for a checkpoint of a few numbers is subtracted in the last column.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import torch
from onnx.numpy_helper import from_array

import onnx_n2n
from onnx_n2n.checkpoint.torch.arrays import to_torch
from onnx_n2n.io import tensorfile

FILES = 4
MB = 1e6
SMALL = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)  # with that of its own children
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def names(layers: int) -> list[str]:
    """Return what the parameters are called."""
    return [f"layers.{n}.weight" for n in range(layers)]


def weights(width: int, layers: int, dtype: np.dtype) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the parameters one by one: the same numbers from another one on in each."""
    numbers = (np.random.default_rng(0).standard_normal((width + layers, width), np.float32) / width**0.5).astype(dtype)
    for n, name in enumerate(names(layers)):
        yield name, numbers[n : n + width]


def make_record(folder: Path, width: int, layers: int) -> Path:
    """Write how a perceptron grows by half."""
    folder = folder / f"models-{width}"
    folder.mkdir()
    nodes = []
    for n, name in enumerate(names(layers)):
        nodes.append(onnx.helper.make_node("MatMul", [f"r{n}", name], [f"h{n}"]))
        nodes.append(onnx.helper.make_node("Relu", [f"h{n}"], [f"r{n + 1}"]))
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", width])
            for name in ("r0", f"r{layers}")]  # fmt: skip
    graph = onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:])
    graph.initializer.extend(from_array(array, name) for name, array in weights(width, layers, np.dtype(np.float32)))
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "teacher.onnx", save_as_external_data=True)
    growth = onnx_n2n.widen(folder / "teacher.onnx", 1.5, init="net2net", noise=0, verify=False).growth
    assert growth is not None
    for path in list(folder.iterdir()):
        path.unlink()
    growth.save(folder / "record")
    return folder / "record"


def split(place: Path, ending: str, width: int, layers: int, dtype: np.dtype) -> Path:
    """Write the parameters to several files, and their index."""
    place.mkdir()
    arrays = dict(weights(width, layers, dtype))
    files = {name: f"model-{n * FILES // layers + 1}-of-{FILES}.{ending}" for n, name in enumerate(arrays)}
    for file in set(files.values()):
        save(place / file, {name: arrays[name] for name, own in files.items() if own == file})
    (place / f"model.{ending}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
    return place


def save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write parameters to a file of safetensors, or as PyTorch does."""
    if path.suffix == ".safetensors":
        with path.open("wb") as file:
            tensorfile.write(file, arrays)
    else:
        torch.save({name: to_torch(array) for name, array in arrays.items()}, path)


def peak(record: Path, source: Path, target: Path) -> float:
    """Return how much memory it takes to grow a checkpoint at most, in MB."""
    command = [sys.executable, "-m", "onnx_n2n", "grow-checkpoint", source, "--record", record, "-o", target]
    # From a small process, since a new one begins with the peak of the one that starts it.
    process = subprocess.run([sys.executable, "-c", SMALL, *map(str, command)], capture_output=True, text=True)
    return int(process.stdout) * 1024 / MB if process.returncode == 0 else sys.exit(process.stderr)


def main() -> None:
    """Measure, and print a table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--width", type=int, default=4096)
    options.add_argument("--layers", type=int, default=16)
    chosen = options.parse_args()
    width, layers, float32 = chosen.width, chosen.layers, np.dtype(np.float32)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = {size: make_record(folder, size, layers) for size in (width, 16)}
        print("# Memory that a checkpoint takes to grow\n")
        print(f"{date.today()}, {platform.machine()}, Python {platform.python_version()}\n")
        print("| checkpoint | MB | its largest tensor, MB | peak of memory, MB | over that of a tiny one, MB |")
        print("|---|---|---|---|---|", flush=True)

        def measure(what: str, ending: str, source: str, target: str, dtype: np.dtype) -> None:
            def each(size: int) -> float:
                place = folder / source
                if place.suffix:
                    save(place, dict(weights(size, layers, dtype)))
                else:
                    split(place, ending, size, layers, dtype)
                found = peak(records[size], place, folder / target)
                subprocess.run(["rm", "-r", place, folder / target], check=True)
                return found

            least, most = each(16), each(width)
            whole = width * width * dtype.itemsize / MB
            last = (1.5 * width) ** 2 * dtype.itemsize / MB
            sizes = f"{whole * layers:.0f} | {whole:.0f} -> {last:.0f}"
            print(f"| {what} | {sizes} | {most:.0f} | {most - least:.0f} |", flush=True)

        measure("one file of safetensors", "", "old.safetensors", "new.safetensors", float32)
        measure(f"{FILES} files of safetensors, to as many", "safetensors", "old", "new", float32)
        measure(f"{FILES} files of safetensors, to one", "safetensors", "old", "new.safetensors", float32)
        measure(f"{FILES} files of safetensors in bfloat16", "safetensors", "old", "new", np.dtype(ml_dtypes.bfloat16))
        measure(f"{FILES} files of torch.save", "bin", "old", "new", float32)
        measure("one file of torch.save", "", "old.pt", "new.pt", float32)


if __name__ == "__main__":
    main()
