"""One table of operators for all frameworks: they compute the same, and have the same gradients."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from helpers.computed import COMPUTED, QUANTISING, UNKNOWN_TO_ONNX_RUNTIME, Computed
from helpers.needing import needs
from onnx_n2n import export
from onnx_n2n.errors import ExportError
from onnx_n2n.export import operators
from onnx_n2n.export.operators.table import BY_FRAMEWORK, TABLE

jax = needs("jax")
torch = needs("torch")
needs("safetensors")

import jax.numpy as jnp  # noqa: E402

from onnx_n2n.export.jax import arrays as in_jax  # noqa: E402
from onnx_n2n.export.jax import run  # noqa: E402
from onnx_n2n.export.torch import arrays as in_torch  # noqa: E402
from onnx_n2n.export.torch import emit  # noqa: E402

jax.config.update("jax_disable_most_optimizations", True)  # compiling takes longer than running here

NEAR = {"rtol": 1e-4, "atol": 1e-5}
STEP = {"rtol": 0, "atol": 1}  # one library rounds a tie up, the other down
PROBES = {f"{operator}-{k}": probe for operator, probes in COMPUTED.items() for k, probe in enumerate(probes)}


def test_every_operator_is_probed() -> None:
    assert COMPUTED.keys() == TABLE.keys()


def test_no_framework_has_an_operator_that_the_other_lacks() -> None:
    assert emit.TABLE.keys() == run.TABLE.keys() == TABLE.keys()
    assert emit.SPECIAL.keys() == run.SPECIAL.keys() == BY_FRAMEWORK


def test_both_frameworks_have_all_names_that_operators_are_written_in() -> None:
    """Names are read off the source: ``xp.name``, and ``namespace(x).name``."""
    used = set()
    for file in Path(str(operators.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and re.fullmatch(r"xp|namespace\([^()]*\)", ast.unparse(node.value)):
                used.add(node.attr)
    assert {"where", "take", "kind_of"} <= used
    assert [name for name in used if not hasattr(in_torch, name)] == []
    assert [name for name in used if not hasattr(in_jax, name)] == []


@pytest.mark.parametrize("name", PROBES)
def test_frameworks_compute_what_onnx_runtime_computes(name: str) -> None:
    probe = PROBES[name]
    (ours, slopes), (theirs, other_slopes) = in_pytorch(probe), in_jax_too(probe)
    truth = ours if name in UNKNOWN_TO_ONNX_RUNTIME else in_onnx_runtime(probe)
    assert len(truth) == len(ours) == len(theirs)
    for right, one, other in zip(truth, ours, theirs, strict=True):
        near = STEP if right.dtype == np.uint8 and name.partition("-")[0] in QUANTISING else NEAR
        for found in (one, other):
            assert found.shape == right.shape
            np.testing.assert_allclose(found.astype(np.float64), right.astype(np.float64), **near)
    for one, other in zip(slopes, other_slopes, strict=True):
        np.testing.assert_allclose(one, other, **NEAR)


def in_onnx_runtime(probe: Computed) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(probe.model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(value) for value in session.run(None, probe.feed)]


def floats(feed: dict[str, np.ndarray]) -> list[str]:
    return [name for name, array in feed.items() if array.dtype == np.float32]


def directions(outputs: list[Any]) -> list[np.ndarray]:
    """Return weights to add outputs up with, which no symmetry hides behind."""
    return [np.cos(np.arange(np.prod(y.shape))).reshape(y.shape).astype(np.float32) for y in outputs]


def in_pytorch(probe: Computed) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return outputs, and the gradients of their weighted sum."""
    module, feed = export.to_torch(probe.model), probe.feed
    inputs = {name: torch.from_numpy(array.copy()) for name, array in feed.items()}
    for name in floats(feed):
        inputs[name].requires_grad_()
    found = module(*inputs.values())
    outputs = list(found) if isinstance(found, tuple) else [found]
    moved = [y for y in outputs if y.is_floating_point() and y.requires_grad]
    if moved:
        sum((y * torch.from_numpy(w)).sum() for y, w in zip(moved, directions(moved), strict=True)).backward()
    slopes = [inputs[name].grad for name in floats(feed)]
    zeros = [np.zeros_like(feed[name]) for name in floats(feed)]
    return [y.detach().numpy() for y in outputs], [
        zero if slope is None else slope.numpy() for slope, zero in zip(slopes, zeros, strict=True)
    ]


def in_jax_too(probe: Computed) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Do the same in JAX, compiled where nothing depends on data."""
    apply, params, state = export.to_jax(probe.model)
    feed = probe.feed
    order = [value.name for value in probe.model.graph.output]

    def outputs_of(chosen: dict[str, Any]) -> list[Any]:
        found = apply(params, state, feed | chosen)[0]
        return [found[name] for name in order]

    def loss_of(chosen: dict[str, Any]) -> tuple[Any, list[Any]]:
        outputs = outputs_of(chosen)
        moved = [y for y in outputs if jnp.issubdtype(y.dtype, jnp.floating)]
        return sum(((y * w).sum() for y, w in zip(moved, directions(moved), strict=True)), jnp.zeros(())), outputs

    both = jax.value_and_grad(loss_of, has_aux=True)
    chosen = {name: jnp.asarray(feed[name]) for name in floats(feed)}
    try:
        (_, outputs), slopes = jax.jit(both)(chosen)
    except ExportError:  # how many there are depends on data
        (_, outputs), slopes = both(chosen)
    return [np.asarray(y) for y in outputs], [np.asarray(slopes[name]) for name in chosen]
