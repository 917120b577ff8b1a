"""Every floating-point weight of every model, against what becomes of it in an export.

    python benchmarks/export_parameters.py FOLDER [FOLDER ...] [--out FILE.json]

Nothing is run: what is trained is decided over the file, once, and the frameworks obey. So that they do is counted too:
parameters of the PyTorch module, and leaves of the JAX tree, where the model converts (``--frameworks``).
A tensor is missing if it is a floating-point initializer or Constant node of the file and is neither a parameter, nor
kept with them, nor a constant with a reason.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import onnx_ir as ir

import onnx_n2n
from onnx_n2n import export
from onnx_n2n.export.build import program_of
from onnx_n2n.export.program import Program
from onnx_n2n.graph.constants import FLOATS, constants_of


def anything(*_: Any) -> bool:
    """Know every operator."""
    return True


def stored(path: Path) -> dict[str, ir.TensorProtocol]:
    """Return the floating-point initializers and Constant nodes of a file."""
    graphs = onnx_n2n.load(path).graphs()
    found = ((value, tensor) for graph in graphs for value, tensor in constants_of(graph))
    return {str(value.name): tensor for value, tensor in found if tensor.dtype in FLOATS}


def frameworks(path: Path, program: Program) -> dict[str, Any]:
    """Say whether PyTorch and JAX have the parameters that were decided on."""
    import jax

    decided = sorted(name for name, tensor in program.tensors.items() if tensor.trained)
    found: dict[str, Any] = {}
    for to in ("torch", "jax"):
        try:
            if to == "torch":
                names = sorted(name for name, _ in export.to_torch(str(path)).named_parameters())
            else:
                paths = jax.tree_util.tree_flatten_with_path(export.to_jax(str(path))[1])[0]
                names = sorted(".".join(str(key.key) for key in keys) for keys, _ in paths)
        except onnx_n2n.N2NError as refusal:
            found[to] = f"refused: {refusal.reason[:120]}"
        else:
            found[to] = "as decided" if names == decided else f"DIFFERS: {sorted(set(names) ^ set(decided))[:5]}"
    return found


def outcome(path: Path, *, converting: bool) -> dict[str, Any]:
    """Count what became of the tensors of one model."""
    there = stored(path)
    program = program_of(path, anything)
    accounts = {account.name: account for account in program.accounts}
    kinds: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for name, tensor in there.items():
        account = accounts.get(name)
        kinds[account.kind if account else "MISSING"] += 1
        numbers[account.kind if account else "MISSING"] += int(tensor.size)
        if account is not None and account.kind == "constant":
            reasons[account.because] += 1
    lost = [a.name for a in accounts.values() if a.kind != "constant" and not a.tensors]
    guesses = [f"{a.name}: {a.kind}, {a.because}" for a in accounts.values() if a.guess]
    row = {
        "floating": len(there),
        "tensors": dict(kinds),
        "numbers": dict(numbers),
        "missing": [name for name in there if name not in accounts] + lost,
        "trained": sum(tensor.trained for tensor in program.tensors.values()),
        "constant because": dict(reasons),
        "guessed": guesses,
    }
    return row | (frameworks(path, program) if converting else {})


def added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add counts up, the largest first."""
    found: Counter[str] = Counter()
    for each in counts:
        found.update(each)
    return dict(found.most_common())


def main() -> int:
    """Go through all models and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--frameworks", action="store_true", help="Convert to PyTorch and JAX too, and compare.")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = {}
    for folder in options.folders:
        for path in sorted(folder.rglob("*.onnx")):
            name = str(path.relative_to(folder))
            try:
                rows[name] = outcome(path, converting=options.frameworks)
            except onnx_n2n.N2NError as refusal:
                rows[name] = {"refused": str(refusal)[:200]}
            print(f"{name:52.52s} {json.dumps(rows[name].get('tensors', rows[name]))}", flush=True)
    counted = [row for row in rows.values() if "tensors" in row]
    summary: dict[str, Any] = {
        "models": len(rows),
        "refused": len(rows) - len(counted),
        "floating-point tensors": sum(row["floating"] for row in counted),
        "missing": sum(len(row["missing"]) for row in counted),
        "tensors": added(row["tensors"] for row in counted),
        "numbers": added(row["numbers"] for row in counted),
        "models without a parameter": sorted(name for name, row in rows.items() if row.get("trained") == 0),
        "guesses": sum(len(row["guessed"]) for row in counted),
        "constant because": added(row["constant because"] for row in counted),
    }
    for to in ("torch", "jax") if options.frameworks else ():
        summary[to] = dict(Counter(row[to].partition(":")[0] for row in counted))
    print(json.dumps(summary, indent=1))
    if options.out:
        table = {"date": f"{datetime.date.today()}", "summary": summary, "models": rows}
        options.out.write_text(json.dumps(table, indent=1) + "\n", "utf-8")
    return 1 if summary["missing"] else 0


if __name__ == "__main__":
    sys.exit(main())
