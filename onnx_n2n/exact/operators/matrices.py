"""Products of matrices."""

from __future__ import annotations

from onnx_n2n.exact.registry import rule
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import Tensor


@rule("MatMul")
def matmul(site: Site) -> Tensor:
    """Multiply matrices, as NumPy does."""
    return site.result(site.numbers(0) @ site.numbers(1))


@rule("Gemm")
def gemm(site: Site) -> Tensor:
    """Return ``alpha * A @ B + beta * C``, either transposed."""
    a, b, c = site.numbers(0), site.numbers(1), site.optional(2)
    a = a.transpose((1, 0)) if site.attribute("transA", 0) else a
    b = b.transpose((1, 0)) if site.attribute("transB", 0) else b
    product = a @ b * site.setting("alpha", 1.0)
    beta = site.setting("beta", 1.0)
    return site.result(product if c is None else product + c * beta)
