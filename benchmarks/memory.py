"""Peak memory and processor time of widening large models, against reading and writing their bytes.

    python benchmarks/memory.py [--sizes 100 400 1600] [--layers 24] [--layouts external] > memory-DATE.md

Each model is a chain of MatMuls with random weights, of about so many million parameters. It is
widened by 1.25 without verification. Then as many bytes as the teacher has are read, and as many as the student has are
written. Each is done in a process of its own. All that is made is removed.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

FACTOR = 1.25
LAYOUTS = {"one": "one file", "external": "one data file", "many": "a data file for each weight"}
MB = 1e6
MEASURED = """
import re, resource, sys
exec(sys.argv[1])
used = resource.getrusage(resource.RUSAGE_SELF)
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1], used.ru_utime + used.ru_stime)
"""
WIDEN = """
import onnx_n2n
onnx_n2n.widen(sys.argv[2], {factor}, output=sys.argv[3], verify=False, exact=False)
"""
COPY = """
import os, pathlib
block = bytearray(1 << 24)
for path in pathlib.Path(sys.argv[2]).parent.iterdir():
    with open(path, "rb", buffering=0) as file:
        while file.readinto(block):
            pass
left = int(sys.argv[4])
with open(sys.argv[3], "wb", buffering=0) as file:
    while left > 0:
        left -= file.write(memoryview(block)[: min(len(block), left)])
"""
IMPORT = "import onnx_n2n; onnx_n2n.widen"


def make(folder: Path, millions: int, layers: int, layout: str) -> Path:
    """Write a chain of MatMuls, one weight after the other."""
    width = 32 * round(math.sqrt(millions * 1e6 / layers) / 32)
    rng, nodes, weights = np.random.default_rng(0), [], []
    for n in range(layers):
        weight = TensorProto(name=f"w{n}", data_type=TensorProto.FLOAT, dims=[width, width])
        weight.data_location = TensorProto.EXTERNAL
        location = f"{weight.name}.bin" if layout == "many" else "weights.bin"
        with (folder / location).open("ab") as file:
            for key, value in {"location": location, "offset": file.tell(), "length": 4 * width * width}.items():
                weight.external_data.add(key=key, value=str(value))
            for _ in range(0, width, 32):
                file.write(rng.standard_normal((32, width), np.float32).data)
        weights.append(weight)
        nodes.append(helper.make_node("MatMul", [f"x{n}", f"w{n}"], [f"h{n}"], name=f"layer{n}"))
        nodes.append(helper.make_node("Relu", [f"h{n}"], [f"x{n + 1}"]))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width]) for name in ("x0", f"x{layers}")]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "teacher.onnx")
    if layout == "one":
        onnx.save(onnx.load(folder / "teacher.onnx"), folder / "teacher.onnx")
        (folder / "weights.bin").unlink()
    return folder / "teacher.onnx"


def measured(script: str, *arguments: object) -> tuple[float, float]:
    """Run a script in a process of its own, and return its peak of resident memory in MB and its seconds."""
    command = [sys.executable, "-c", MEASURED, script, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    peak, seconds = done.stdout.split()[-2:]
    return int(peak) * 1024 / MB, float(seconds)


def main() -> None:
    """Measure all, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10], help="millions of parameters")
    parser.add_argument("--layers", type=int, default=24, help="in how many weights these are")
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=["external"], help="how the teacher is stored")
    parser.add_argument("--folder", type=Path, help="where to make the models")
    asked = parser.parse_args()
    print(f"# Widening large models: memory and time ({date.today()})\n")
    print(f"`benchmarks/memory.py`, Python {platform.python_version()}, {os.cpu_count()} CPUs. "
          f"Float32, factor {FACTOR}, without verification.\nImporting the library takes {measured(IMPORT)[0]:.0f} MB. "
          "Teacher and student with the size of one weight.\n")  # fmt: skip
    print("| parameters | stored in | teacher | student | peak memory | CPU | CPU of reading and writing | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for millions, layout in itertools.product(asked.sizes, asked.layouts):
        with tempfile.TemporaryDirectory(dir=asked.folder) as name:
            teacher, out = make(Path(name), millions, asked.layers, layout), Path(name) / "out"
            before = sum(path.stat().st_size for path in teacher.parent.iterdir())
            out.mkdir()
            peak, seconds = measured(WIDEN.format(factor=FACTOR), teacher, out / "student.onnx")
            weights = onnx.load(out / "student.onnx", load_external_data=False).graph.initializer
            largest = max(4 * math.prod(weight.dims) for weight in weights)
            after = sum(path.stat().st_size for path in out.iterdir())
            shutil.rmtree(out)
            _, copying = measured(COPY, teacher, out, after)
            print(f"| {millions} M | {LAYOUTS[layout]} | {before / MB:,.0f} MB, {before / asked.layers / MB:,.0f} | "
                  f"{after / MB:,.0f} MB, {largest / MB:,.0f} | {peak:,.0f} MB | {seconds:.1f} s | {copying:.1f} s | "
                  f"{seconds / copying:.1f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
