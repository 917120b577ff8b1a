"""Every node test that the onnx package ships, carried to a framework and compared with the outputs that ONNX states.

    python benchmarks/export_node_tests.py [--to torch|jax] [--only GLOB] [--out FILE.json]

Each is one operator with its attributes. What a framework has no counterpart of is refused; everything else has to give
what is stated, within the tolerances of the test and of the type, or else what ONNX Runtime gives, which is the measure
of this project. Whole numbers that something is quantised to may be one step off, where one library rounds a tie up and
the other down. What is drawn is run, and not compared. Each of these is counted by itself. Exit code 1 if something is
wrong, or ends in anything but a refusal.
"""

from __future__ import annotations

import argparse
import datetime
import fnmatch
import json
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.loader import load_model_tests

from onnx_n2n import export
from onnx_n2n.errors import ExportError
from onnx_n2n.export.check import Runner

DRAWN = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
CASTING = frozenset({"Cast", "CastLike"})  # exact in every type
QUANTISING = frozenset({"DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "QuantizeLinear", "Round"})
RTOL, ATOL = 1e-3, 1e-5  # of what is computed in single precision
STEPS = 2  # rounding steps that a result in a coarser type may be off
STORED = ("simple", "pytorch-converted", "pytorch-operator")  # kinds of tests that are files


@dataclass(frozen=True)
class Case:
    """A model, an input for it, what should come out, and how nearly."""

    name: str
    model: onnx.ModelProto
    inputs: Sequence[Any]
    outputs: Sequence[Any]
    rtol: float
    atol: float


def cases() -> Iterator[Case]:
    """Yield all tests that have data."""
    for case in collect_testcases():
        for inputs, outputs in case.data_sets or ():
            yield Case(case.name, case.model, inputs, outputs, case.rtol, case.atol)
    for case in (case for kind in STORED for case in load_model_tests(kind=kind)):
        folder = Path(case.model_dir)
        for data in sorted(folder.glob("test_data_set_*")):
            sides = [[_tensor(file) for file in _numbered(data, side)] for side in ("input", "output")]
            yield Case(case.name, onnx.load(folder / "model.onnx"), *sides, case.rtol, case.atol)


def _numbered(folder: Path, side: str) -> list[Path]:
    return sorted(folder.glob(f"{side}_*.pb"), key=lambda file: int(file.stem.rpartition("_")[2]))


def _tensor(file: Path) -> np.ndarray:
    return numpy_helper.to_array(onnx.TensorProto.FromString(file.read_bytes()))


def torch_runner(model: onnx.ModelProto) -> Runner:
    """Carry a model to PyTorch."""
    from onnx_n2n.export.torch import runner

    return runner(export.to_torch(model))


def jax_runner(model: onnx.ModelProto) -> Runner:
    """Carry a model to JAX; not compiled, as tests are small."""
    import jax

    apply, params, state = export.to_jax(model)
    return lambda feed: [jax.tree.map(np.asarray, value) for value in apply(params, state, feed)[0].values()]


def outcome(case: Case, to: str) -> str:
    """Return what became of one test."""
    names = [value.name for value in case.model.graph.input]
    inputs, outputs = ([_array(value) for value in side] for side in (case.inputs, case.outputs))
    feed = dict(zip(names, inputs, strict=False))
    if any(value is None for value in (*inputs, *outputs)):
        return "no tensors of numbers"
    try:
        found = {"torch": torch_runner, "jax": jax_runner}[to](case.model)(feed)
    except ExportError:
        return "refused"
    except Exception as failure:  # that is what is looked for
        return f"CRASH: {type(failure).__name__}: {' '.join(str(failure).split())[:200]}"
    difference = _difference(case, found, outputs)
    if not difference:
        return "as stated"
    if _draws(case.model, feed):
        return "drawn"
    if (answers := _onnx_runtime(case.model, feed)) and not _difference(case, found, answers):
        return "as ONNX Runtime"
    if any(node.op_type in QUANTISING for node in case.model.graph.node) and not _difference(case, found, outputs, 1):
        return "one step of a quantisation off"
    return f"WRONG: {difference}"


def _array(value: Any) -> np.ndarray | None:
    """Return a value as an array, if it is a tensor of numbers."""
    value = numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value
    numbers = isinstance(value, np.ndarray | np.generic) and np.asarray(value).dtype.kind not in "OUS"
    return np.asarray(value) if numbers else None


def _difference(case: Case, found: Sequence[Any], stated: Sequence[np.ndarray], steps: int = 0) -> str:
    """Return the first output that is not as stated, and how far off; whole numbers may be some steps off."""
    for value, ours, theirs in zip(case.model.graph.output, map(np.asarray, found), stated, strict=True):
        if ours.shape != theirs.shape:
            return f"{value.name}: {list(ours.shape)} for {list(theirs.shape)}"
        kind = np.complex128 if theirs.dtype.kind == "c" else np.float64
        pair = ours.astype(kind), theirs.astype(kind)
        rtol, atol = max(case.rtol, RTOL), max(case.atol, ATOL)
        casts = all(node.op_type in CASTING for node in case.model.graph.node)
        if not casts and (coarse := _grain(theirs.dtype)) > RTOL / STEPS:
            size = np.abs(pair[1][np.isfinite(pair[1])]).max(initial=0)  # sums of many have the grain of the largest
            rtol, atol = max(rtol, STEPS * coarse), max(atol, STEPS * coarse * min(size, 1))
        if theirs.dtype.kind in "iu":
            atol = max(atol, steps)
        if not np.allclose(*pair, rtol=rtol, atol=atol, equal_nan=True):
            return f"{value.name}: {np.nanmax(np.abs(pair[0] - pair[1])):.1e}"
    return ""


def _grain(dtype: np.dtype) -> float:
    """Return how far apart numbers of a floating-point type lie, as a fraction of their size."""
    try:
        return float(ml_dtypes.finfo(dtype).eps)
    except ValueError:
        return 0.0


def _draws(model: onnx.ModelProto, feed: Mapping[str, np.ndarray]) -> bool:
    """Say whether a model draws: a Dropout does that in training only."""
    training = (node.input[2] for node in model.graph.node if node.op_type == "Dropout" and len(node.input) > 2)
    return any(node.op_type in DRAWN for node in model.graph.node) or any(feed.get(name, True) for name in training)


def _onnx_runtime(model: onnx.ModelProto, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return what ONNX Runtime gives on the CPU, or nothing if it does not run."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return list(session.run(None, dict(feed)))
    except Exception:  # its errors are of no common type
        return []


def main() -> int:
    """Run all of them and print a tally."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", choices=["torch", "jax"], default="torch")
    parser.add_argument("--only", default="*")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found = {case.name: outcome(case, options.to) for case in cases() if fnmatch.fnmatch(case.name, options.only)}
    bad = {name: what for name, what in found.items() if what.startswith(("WRONG", "CRASH"))}
    table = {
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "to": options.to,
        "onnx": onnx.__version__,
        "tests": len(found),
        "tally": dict(Counter(what.partition(":")[0] for what in found.values()).most_common()),
        "bad": bad,
    }
    text = json.dumps(table, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", "utf-8")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
