"""Students and rewrites of real models through the exact check: which are equal, and what it cannot decide.

    python benchmarks/exact.py FOLDER [--growth widen] [--only "real/*"] [--out FILE]

FOLDER has ONNX models, in folders of any depth. Each is grown, written with its record, and compared with the exact
check. With the name of an optimizer for ``--growth``, each is rewritten by that instead (extra ``benchmarks``). The
table has the verdict, its time, and that of two runs in ONNX Runtime with the opening of their sessions.
``--growth outputs`` makes the first output longer that can be: it has gained what it says behind the teacher's entries.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import json
import multiprocessing
import re
import resource
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx

import onnx_n2n
from onnx_n2n import exact
from onnx_n2n.errors import N2NError

MEMORY = 12 << 30  # bytes that one model may take

MORE = 3  # entries that an output gains


def longer(source: Path, **options: Any) -> Any:
    """Make the first output longer that can be."""
    refused = N2NError("no output has an axis of a stated length")
    for value in onnx.load(source, load_external_data=False).graph.output:
        for dim in reversed(value.type.tensor_type.shape.dim):
            try:
                if dim.dim_value > 1:
                    return onnx_n2n.outputs(source, dim.dim_value + MORE, name=value.name, **options)
            except N2NError as error:
                refused = error
    raise refused


GROWTHS: dict[str, Callable[..., Any]] = {
    "widen": lambda source, **options: onnx_n2n.widen(source, 1.5, **options),
    "net2net": lambda source, **options: onnx_n2n.widen(source, 1.5, init="net2net", **options),
    "deepen": onnx_n2n.deepen,
    "enlarge": onnx_n2n.enlarge,
    "outputs": longer,
    "run": lambda source, **options: onnx_n2n.run(source, "widen{factor=1.5},deepen", **options),
}
HALF = {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
# What a model is, by the first of these of whose operators it has one.
KINDS = {
    "quantised": r"Quantize|Integer|QLinear|MatMulNBits",
    "control flow": r"^(If|Loop|Scan|Sequence.*)$",
    "recurrent": r"LSTM|GRU|^RNN$",
}
# What rewrites a model: the module and the function of an optimizer.
REWRITES = {
    "onnxscript": ("onnxscript.optimizer", "optimize"),
    "onnxsim": ("onnxsim", "simplify"),
    "onnxslim": ("onnxslim", "slim"),
}


def kind(path: Path) -> str:
    """Return what a model is: half precision, quantised, with control flow, recurrent, or none of these."""
    model = onnx.load(path, load_external_data=False)
    if any(tensor.data_type in HALF for tensor in model.graph.initializer):
        return "half precision"
    operators = {node.op_type for graph in (model.graph, *model.functions) for node in graph.node}
    return next((name for name, those in KINDS.items() if any(re.search(those, each) for each in operators)), "float32")


def rewritten(model: onnx.ModelProto, by: str) -> onnx.ModelProto:
    """Return a model as an optimizer writes it."""
    module, function = REWRITES[by]
    found = getattr(importlib.import_module(module), function)(model)
    return found[0] if isinstance(found, tuple) else found


def tried(path: Path, growth: str, pipe: Any) -> None:
    """Grow one model, check it, and send what was found."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    pipe.send(outcome(path, growth))


def outcome(path: Path, growth: str) -> dict[str, Any]:
    """Return the verdict on one student, and how long it took."""
    with tempfile.TemporaryDirectory() as folder:
        student, record, gained = path, None, set[str]()
        if growth in REWRITES:
            student = Path(folder, "student.onnx")
            try:
                onnx.save(rewritten(onnx.load(path), growth), student)
            except Exception as error:
                return {"state": "not rewritten", "reason": f"{type(error).__name__}: {error}"[:200]}
        elif growth != "same":
            student, record = Path(folder, "student.onnx"), Path(folder, "growth.safetensors")
            try:
                result = GROWTHS[growth](path, output=student, verify=False)
                if not student.exists():
                    return {"state": "not grown"}
                result.growth.save(record)
            except N2NError as error:
                return {"state": "not grown", "reason": str(error)}
            gained = longer_in(path, student) if growth == "outputs" else gained
        verdict = exact.check(path, student, record=record, gained=gained)
        found = verdict.to_json() | {"runtime": None}
        try:
            started = time.monotonic()
            found["agree"] = run(path, student, gained)
            found["runtime"] = time.monotonic() - started
        except Exception as error:
            found["runtime_error"] = str(error)[:200]
        return found


def longer_in(teacher: Path, student: Path) -> set[str]:
    """Return the names of outputs that declare other lengths in the student."""
    graphs = (onnx.load(path, load_external_data=False).graph for path in (teacher, student))
    one, two = ({each.name: each.type.tensor_type.shape for each in graph.output} for graph in graphs)
    return {name for name in one if one[name] != two[name]}


def run(teacher: Path, student: Path, gained: set[str]) -> bool:
    """Run models in ONNX Runtime on drawn inputs, and return whether they agree."""
    from onnx_n2n.verification.verdict import verify

    return bool(verify(teacher, student, gained=gained, time_limit=120))


def outcomes(folder: Path, growth: str, only: str, limit: float) -> Iterator[dict[str, Any]]:
    """Check the students of all models of a folder, each in a process of its own."""
    context = multiprocessing.get_context("spawn")
    for path in sorted(folder.rglob("*.onnx")):
        name = str(path.relative_to(folder))
        if not any(fnmatch.fnmatch(name, each) for each in only.split("|")):
            continue
        mine, theirs = context.Pipe(False)
        process = context.Process(target=tried, args=(path, growth, theirs))
        process.start()
        theirs.close()
        started = time.monotonic()
        try:
            found = mine.recv() if mine.poll(limit) else {"state": "too slow"}
        except EOFError:
            found = {"state": "ended", "reason": "the process ended"}
        process.kill()
        process.join()
        yield {"model": name, "kind": kind(path), "growth": growth, "whole": time.monotonic() - started} | found


def main() -> None:
    """Parse the command line, print a line for each model and the tally."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--growth", default="widen", choices=["same", *GROWTHS, *REWRITES])
    parser.add_argument("--only", default="*")
    parser.add_argument("--limit", type=float, default=300)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    for row in outcomes(options.folder, options.growth, options.only, options.limit):
        rows.append(row)
        place = " ".join(row.get(each) or "" for each in ("operator", "node", "output"))
        seconds, reason = row.get("seconds") or 0, row.get("reason", "")[:150]
        sys.stdout.write(f"{row['model']:55} {row['state']:10} {seconds:7.2f} s {place} {reason}\n")
        sys.stdout.flush()
    times = [row["seconds"] / row["runtime"] for row in rows if row.get("runtime") and row["state"] == "equal"]
    kinds = {row["kind"]: Counter(each["state"] for each in rows if each["kind"] == row["kind"]) for row in rows}
    summary: dict[str, Any] = {"states": kinds}
    if wrong := [row["model"] for row in rows if row["state"] == "equal" and row.get("agree") is False]:
        summary["equal, and a run says otherwise"] = wrong
    if times:
        summary["median time against the run"] = statistics.median(times)
    sys.stdout.write(json.dumps(summary) + "\n")
    if options.out:
        options.out.write_text(json.dumps({"summary": summary, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
