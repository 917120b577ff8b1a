"""What operators compute that nothing here can run: ONNX Runtime has kernels for them, but not on its CPU.

ONNX's reference implementation takes these definitions, so that teacher and student can be compared all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_conv import Conv

Array = np.ndarray


def softmax(scores: Array, axes: tuple[int, ...]) -> Array:
    raised = np.exp(scores - scores.max(axis=axes, keepdims=True))
    return raised / raised.sum(axis=axes, keepdims=True)


def gelu(x: Array) -> Array:
    """Return an approximation of Gelu that is close enough: what counts is that it treats every element alike."""
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "": lambda x: x,
    "Relu": lambda x: np.maximum(x, 0),
    "Tanh": np.tanh,
    "Softmax": lambda x: softmax(x, (-1,)),
}


class Microsoft(OpRun):
    """An operator of ONNX Runtime's own domain."""

    op_domain = "com.microsoft"


class BiasAdd(Microsoft):
    def _run(self, x: Array, bias: Array, skip: Array) -> tuple[Array]:
        return (x + bias + skip,)


class BiasSplitGelu(Microsoft):
    def _run(self, x: Array, bias: Array) -> tuple[Array]:
        left, right = np.split(x + bias, 2, axis=-1)
        return (left * gelu(right),)


class BiasSoftmax(Microsoft):
    def _run(self, x: Array, bias: Array, axis: int = 1, is_inner_broadcast: int = 1) -> tuple[Array]:
        return (softmax(x + bias, tuple(range(axis % x.ndim, x.ndim))),)


class GemmFastGelu(Microsoft):
    def _run(self, x: Array, w: Array, bias: Array | None = None) -> tuple[Array]:
        return (gelu(x @ w if bias is None else x @ w + bias),)


class FusedMatMulActivation(Microsoft):
    def _run(
        self, a: Array, b: Array, activation: str = "", alpha: float = 1.0, transA: int = 0, transB: int = 0,  # noqa: N803
    ) -> tuple[Array]:  # fmt: skip
        a, b = (np.swapaxes(each, -1, -2) if swap else each for each, swap in ((a, transA), (b, transB)))
        return (ACTIVATIONS[activation](np.float32(alpha) * (a @ b)),)


class GroupNorm(Microsoft):
    def _run(
        self, x: Array, gamma: Array, beta: Array, activation: int = 0, channels_last: int = 1, epsilon: float = 1e-5,
        groups: int = 1,
    ) -> tuple[Array]:  # fmt: skip
        first = np.moveaxis(x, -1, 1) if channels_last else x
        grouped = first.reshape(len(x), groups, -1)
        spread = np.sqrt(grouped.var(axis=2, keepdims=True) + np.float32(epsilon))
        normal = ((grouped - grouped.mean(axis=2, keepdims=True)) / spread).reshape(first.shape)
        along = (-1, *(1 for _ in first.shape[2:]))
        scaled = normal * gamma.reshape(along) + beta.reshape(along)
        found = scaled / (1 + np.exp(-scaled)) if activation else scaled
        return (np.moveaxis(found, 1, -1) if channels_last else found,)


def convolved(x: Array, w: Array, bias: Array | None, group: int, pads: list[int]) -> Array:
    """Convolve an image whose channels come last."""
    operands = [np.moveaxis(x, -1, 1), w] if bias is None else [np.moveaxis(x, -1, 1), w, bias]
    return np.moveaxis(Conv.eval(*operands, group=group, pads=list(pads)), 1, -1)


class NhwcConv(Microsoft):
    """The channels of the weight come last too."""

    def _run(self, x: Array, w: Array, bias: Array | None = None, group: int = 1, pads: Any = (0,) * 4) -> tuple[Array]:
        return (convolved(x, np.moveaxis(w, -1, 1), bias, group, pads),)


class NhwcFusedConv(Microsoft):
    """The weight is that of a plain Conv."""

    def _run(
        self, x: Array, w: Array, bias: Array | None = None, added: Array | None = None, activation: str = "",
        group: int = 1, pads: Any = (0,) * 4,
    ) -> tuple[Array]:  # fmt: skip
        found = convolved(x, w, bias, group, pads)
        return (ACTIVATIONS[activation](found if added is None else found + added),)


DEFINITIONS = [
    BiasAdd,
    BiasSoftmax,
    BiasSplitGelu,
    FusedMatMulActivation,
    GemmFastGelu,
    GroupNorm,
    NhwcConv,
    NhwcFusedConv,
]
