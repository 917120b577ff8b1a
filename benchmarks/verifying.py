"""What verification costs: widening with it and without it, against reading and writing the same student with onnx.

    python benchmarks/verifying.py [--model vgg19] [--repeat 3] [--out FILE.json]

Each is measured in processes of their own, in turns, after a first round that fills the disk's cache: wall seconds, CPU
seconds of that process, and its peak memory, mapped files included (Linux). Imports are not counted. The exact check is
off (``exact=None`` of the proof). Teachers are networks of VGG19's shape with random weights; ``vgg19-small`` has a
quarter of the channels. From a path the student goes to a file; in memory both are ``ModelProto``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import speed

import onnx_n2n
from onnx_n2n import passes, verification  # both are loaded before anything is timed
from onnx_n2n.passes.driver import Target
from onnx_n2n.verification.options import Proof

FACTOR = 1.5
KINDS = ("load_save", "unverified", "verified", "unverified_in_memory", "verified_in_memory", "import")
SCALES = {"vgg19": 1, "vgg19-small": 4}


def vgg19(by: int) -> onnx.ModelProto:
    """Return a network of VGG19's shape with a fraction of its channels."""
    build, x, channels = speed.Builder(), "x", 3
    for layer in speed.VGG19:
        if layer == "M":
            x = build.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        else:
            x, channels = build.conv(x, channels, int(layer) // by), int(layer) // by
    x = build.node("Flatten", x)
    for before, after in ((512 * 49 // by, 4096 // by), (4096 // by, 4096 // by)):
        x = build.node("Relu", build.linear(x, before, after))
    return build.model([1, 3, 224, 224], build.linear(x, 4096 // by, 1000))


def widened(teacher: object, student: Path | None, *, verify: bool) -> object:
    """Widen, and verify or not, without the exact check."""
    proof = Proof(wanted=verify, exact=None)
    return passes.Widen(factor=FACTOR)(teacher, proof=proof, output=Target(student, force=True)).model


def work(kind: str, teacher: Path, student: Path, other: Path) -> Callable[[], object]:
    """Return what is measured."""
    if kind == "import":
        return lambda: None
    if kind == "load_save":
        return lambda: onnx.save(onnx.load(student), other)
    verify = not kind.startswith("unverified")
    if kind.endswith("in_memory"):
        model = onnx.load(teacher)
        return lambda: widened(model, None, verify=verify)
    return lambda: widened(teacher, other, verify=verify)


def measure(kind: str, *paths: Path) -> None:
    """Do the work of one kind in this process, and print what it took as JSON."""
    assert verification.verify
    todo = work(kind, *paths)
    wall, cpu = time.perf_counter(), time.process_time()
    todo()
    taken = {"wall_s": round(time.perf_counter() - wall, 2), "cpu_s": round(time.process_time() - cpu, 2)}
    status = Path("/proc/self/status").read_text()
    print(json.dumps(taken | {"peak_mib": round(int(status.split("VmHWM:")[1].split()[0]) / 1024)}))


def measured(kind: str, *paths: Path) -> dict[str, float]:
    """Do the same in another process."""
    command = [sys.executable, __file__, "--kind", kind, *map(str, paths)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    paths[-1].unlink(missing_ok=True)
    return found


def compare(name: str, folder: Path, repeat: int) -> dict[str, object]:
    """Measure all kinds with one teacher, in turns; of each the least counts."""
    teacher, student, other = (folder / f"{role}.onnx" for role in ("teacher", "student", "other"))
    onnx.save(vgg19(SCALES[name]), teacher)
    widened(teacher, student, verify=False)
    rounds = [{kind: measured(kind, teacher, student, other) for kind in KINDS} for _ in range(repeat + 1)][1:]
    least = {kind: {key: min(each[kind][key] for each in rounds) for key in rounds[0][kind]} for kind in KINDS}
    ratios = {
        f"{kind}_to_load_save": {
            key: [round(each[kind][key] / each["load_save"][key], 2) for each in rounds]
            for key in ("wall_s", "cpu_s", "peak_mib")
        }
        for kind in KINDS[1:-1]
    }
    sizes = {f"{path.stem}_mb": round(path.stat().st_size / 1e6) for path in (teacher, student)}
    return {"model": name, **sizes, "least": least, "ratios_by_round": ratios}


def main() -> None:
    """Run the benchmark and print its result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=SCALES, default="vgg19")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("paths", nargs="*", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.kind:
        measure(args.kind, *args.paths)
        return
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        found = compare(args.model, Path(folder), args.repeat)
    versions = {"onnx": onnx.__version__, "numpy": np.__version__, "onnxruntime": onnxruntime.__version__}
    result = {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} CPU cores, {platform.machine()}, Python {platform.python_version()}",
        "versions": versions | {"onnx-n2n": onnx_n2n.__version__},
        "factor": FACTOR,
        **found,
    }
    text = json.dumps(result, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
