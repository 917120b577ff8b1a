"""Every model of a folder, carried to a framework: does it convert, agree with ONNX Runtime, and train?

    python benchmarks/export_corpus.py FOLDER [--to torch|jax] [--factor 1.5] [--only GLOB] [--out FILE.json]

The folder holds a ``models.json``: by file, a list of ``inputs`` with name, dtype, shape and kind (how to draw them).
Errors are fractions of how far an output moves between two inputs. A step of gradient descent, in evaluation mode and
with the statistics of BatchNormalization at rest, has to lower the mean square of outputs less a random target. With
``--factor``, each model is widened first, and models that do not grow are left out.
"""

from __future__ import annotations

import argparse
import datetime
import fnmatch
import json
import multiprocessing
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

import onnx_n2n
from onnx_n2n import export
from onnx_n2n.export.check import Runner, agreement

FEEDS = 3
SHRINKING = (1e-2, 1e-3, 1e-4, 1e-5)  # steps are tried that should lower the loss by this share of it
QUANTISED = ("DequantizeLinear", "QuantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv")

Trained = Callable[[dict[str, np.ndarray]], tuple[int, int, bool | None]]
"""Takes a feed; returns how many parameters there are, how many get gradients, and whether a step lowers the loss."""


def drawn(spec: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
    """Draw an input."""
    dtype = np.dtype({"float": "float32", "double": "float64"}.get(spec["dtype"][7:-1], spec["dtype"][7:-1]))
    shape = tuple(spec["shape"])
    if spec["kind"] == "const":
        return np.full(shape, spec["value"], dtype)
    if spec["kind"] == "int":
        return rng.integers(spec["lo"], spec["hi"], size=shape).astype(dtype)
    if spec["kind"] == "arange":
        return np.broadcast_to(np.arange(shape[-1]), shape).astype(dtype)
    if spec["kind"] == "uniform":
        return rng.uniform(spec["lo"], spec["hi"], size=shape).astype(dtype)
    return np.asarray(rng.standard_normal(shape) * spec.get("scale", 1.0)).astype(dtype)


def precision(model: ir.Model) -> str:
    """Return what a model calculates in."""
    if any(node.op_type in QUANTISED for node in model.graph.all_nodes()):
        return "quantised"
    kinds = {value.dtype for graph in model.graphs() for value in graph.initializers.values()}
    return "fp16" if ir.DataType.FLOAT16 in kinds else "fp32"


def torch_export(path: str) -> tuple[Runner, Trained]:
    """Carry a model to PyTorch."""
    import torch

    from onnx_n2n.export.torch import dtypes, runner

    torch.set_num_threads(1)
    module = export.to_torch(path)

    def loss_of(feed: dict[str, np.ndarray]) -> torch.Tensor | None:
        found = module(*(dtypes.to_tensor(feed[name]) for name in module.meta["inputs"]))
        outputs = [y for y in (found if isinstance(found, tuple) else (found,)) if torch.is_tensor(y)]
        outputs = [y for y in outputs if y.is_floating_point()]
        generator = torch.Generator().manual_seed(0)
        losses = [(y.float() - torch.randn(y.shape, generator=generator)).square().mean() for y in outputs]
        return sum(losses) if losses else None  # type: ignore[return-value]

    def trained(feed: dict[str, np.ndarray]) -> tuple[int, int, bool | None]:
        parameters = list(module.parameters())
        loss = loss_of(feed)
        if loss is None or not loss.requires_grad:
            return len(parameters), 0, None
        loss.backward()
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        square = float(sum(g.double().square().sum() for g in gradients))
        reached = sum(p.grad is not None for p in parameters)
        before = [p.detach().clone() for p in parameters]
        lower = False
        for share in SHRINKING:
            with torch.no_grad():
                for p, start, g in zip(parameters, before, gradients, strict=True):
                    p.copy_(start - share * float(loss) / max(square, 1e-30) * g)
                lower = lower or float(loss_of(feed)) < float(loss)  # type: ignore[arg-type]
        return len(parameters), reached, lower

    return runner(module), trained


def jax_export(path: str) -> tuple[Runner, Trained]:
    """Carry a model to JAX."""
    import jax
    import jax.numpy as jnp

    from onnx_n2n.export.jax import runner

    jax.config.update("jax_disable_most_optimizations", True)  # compiling takes longer than running here
    apply, params, state = export.to_jax(path)

    def trained(feed: dict[str, np.ndarray]) -> tuple[int, int, bool | None]:
        def loss_of(params: Any) -> Any:
            outputs, _ = apply(params, state, feed, train=False)
            found = jnp.zeros(())
            for k, y in enumerate(jax.tree.leaves(outputs)):
                if jnp.issubdtype(y.dtype, jnp.floating):
                    target = jax.random.normal(jax.random.key(k), y.shape)
                    found += jnp.square(y.astype(jnp.float32) - target).mean()
            return found

        leaves = jax.tree.leaves(params)
        if not leaves:
            return 0, 0, None
        quick = jax.jit(jax.value_and_grad(loss_of))
        loss, gradients = quick(params)
        square = float(sum(jnp.square(g).sum() for g in jax.tree.leaves(gradients)))
        reached = sum(bool(jnp.any(g != 0)) for g in jax.tree.leaves(gradients))
        lower = False
        for share in SHRINKING:
            rate = share * float(loss) / max(square, 1e-30)
            moved = jax.tree.map(lambda p, g, rate=rate: (p - rate * g).astype(p.dtype), params, gradients)
            lower = lower or float(quick(moved)[0]) < float(loss)
        return len(leaves), reached, lower

    return runner(apply, params, state), trained


class StaysError(Exception):
    """A model does not grow."""


def grown(path: Path, student: Path, factor: float) -> Path:
    """Widen a model; unverified, as that is not what is measured here."""
    try:
        result = onnx_n2n.widen(path, factor, output=student, verify=False)
    except onnx_n2n.N2NError as refusal:
        raise StaysError from refusal
    if not student.is_file():
        raise StaysError(result)
    return student


def outcome(path: Path, name: str, specs: list[dict[str, Any]], to: str, factor: float) -> dict[str, Any]:
    """Return what became of one model."""
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    feeds = [{spec["name"]: drawn(spec, rng) for spec in specs} for _ in range(FEEDS)]
    row: dict[str, Any] = {"model": name, "converted": False, "agrees": False, "reason": ""}
    start = time.perf_counter()
    try:
        row["precision"] = precision(onnx_n2n.load(path))
        with tempfile.TemporaryDirectory() as scratch:
            model = path if factor == 1 else grown(path, Path(scratch) / "student.onnx", factor)
            run, trained = {"torch": torch_export, "jax": jax_export}[to](str(model))
            row["converted"] = True
            found = agreement(model, run, inputs=feeds)
        row |= {"agrees": found.ok, "error": found.to_json()["error"], "tolerance": found.tolerance}
        row["parameters"], row["reached"], row["lowers"] = trained(feeds[0])
    except StaysError:
        row["precision"] = "does not grow"
    except Exception as failure:  # that is what is looked for
        row["reason"] = f"{type(failure).__name__}: {' '.join(str(failure).split())[:300]}"
    return row | {"seconds": round(time.perf_counter() - start, 1)}


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Count."""
    found = {}
    for kind in sorted({row.get("precision", "unknown") for row in rows}):
        these = [row for row in rows if row.get("precision", "unknown") == kind]
        found[kind] = {
            "models": len(these),
            "converted": sum(row["converted"] for row in these),
            "agree": sum(row["agrees"] for row in these),
            "agree within 1e-4": sum((row.get("error") or 0) <= 1e-4 and row["agrees"] for row in these),
            "all parameters reached": sum(row.get("parameters") == row.get("reached", -1) for row in these),
            "a step lowers the loss": sum(bool(row.get("lowers")) for row in these),
            "reasons": dict(Counter(row["reason"] for row in these if row["reason"])),
        }
    return found


def main() -> int:
    """Run all of them and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--to", choices=["torch", "jax"], default="torch")
    parser.add_argument("--factor", type=float, default=1.0, help="1: as it is")
    parser.add_argument("--only", default="*")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    listed = json.loads((options.folder / "models.json").read_text())
    jobs = {name: entry["inputs"] for name, entry in listed.items() if fnmatch.fnmatch(name, options.only)}
    rows = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.workers, mp_context=context) as pool:
        waiting = [
            pool.submit(outcome, options.folder / name, name, specs, options.to, options.factor)
            for name, specs in jobs.items()
        ]
        for each in waiting:
            row = each.result()
            rows.append(row)
            error = row.get("error")
            print(
                f"{row['model']:52.52s} {'yes' if row['agrees'] else 'NO':4s}"
                f"{'-' if error is None else format(error, '.1e'):>9s} "
                f"{row.get('reached', '-')}/{row.get('parameters', '-')} lowers={row.get('lowers')} "
                f"{row['seconds']:.1f}s {row['reason']}",
                flush=True,
            )
    made = {"to": options.to, "factor": options.factor, "date": f"{datetime.date.today()}"}
    table = made | {"summary": summary(rows), "models": rows}
    print(json.dumps(table["summary"], indent=1))
    if options.out:
        options.out.write_text(json.dumps(table, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
