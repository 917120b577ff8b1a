"""Every node test that the onnx package ships, carried to a framework and compared with the outputs that ONNX states.

    python benchmarks/export_node_tests.py [--to torch|jax] [--only GLOB] [--out FILE.json]

Each is one operator with its attributes. What a framework has no counterpart of is refused; everything else has to give
what is stated, within the tolerances of the test. Exit code 1 if something is wrong, or ends in anything but a refusal.
"""

from __future__ import annotations

import argparse
import datetime
import fnmatch
import json
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.loader import load_model_tests

from onnx_n2n import export
from onnx_n2n.errors import ExportError
from onnx_n2n.export.check import Runner

RANDOM = ("bernoulli", "dropout", "random", "multinomial")  # outputs that two libraries draw differently
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
    feed = dict(zip(names, case.inputs, strict=False))
    if any(not isinstance(value, np.ndarray | np.generic) or np.asarray(value).dtype.kind in "OUS"
           for value in (*case.inputs, *case.outputs)):  # fmt: skip
        return "no tensors of numbers"
    try:
        found = {"torch": torch_runner, "jax": jax_runner}[to](case.model)(feed)
    except ExportError:
        return "refused"
    except Exception as failure:  # that is what is looked for
        return f"CRASH: {type(failure).__name__}: {' '.join(str(failure).split())[:200]}"
    if case.name.startswith(tuple(f"test_{kind}" for kind in RANDOM)):
        return "drawn"
    for name, ours, theirs in zip((o.name for o in case.model.graph.output), found, case.outputs, strict=True):
        ours, theirs = np.asarray(ours), np.asarray(theirs)
        if ours.shape != theirs.shape:
            return f"WRONG: {name}: {list(ours.shape)} for {list(theirs.shape)}"
        pair = [each.astype(np.complex128 if each.dtype.kind == "c" else np.float64) for each in (ours, theirs)]
        if not np.allclose(*pair, rtol=max(case.rtol, 1e-3), atol=max(case.atol, 1e-5), equal_nan=True):
            return f"WRONG: {name}: {np.nanmax(np.abs(pair[0] - pair[1])):.1e}"
    return "as stated"


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
