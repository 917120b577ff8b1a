"""Operators that sum over an axis of their operands with weights: convolutions and matrix products."""

from onnx_n2n.rules.context import Context, Refusal
from onnx_n2n.rules.declaration import Declaration
from onnx_n2n.rules.notation import parse
from onnx_n2n.rules.registry import declare, rule

declare("Conv", "n (g c) *_, (g m) c *_, (g m)? -> n (g m) *_", sizes={"g": "group"})
declare("ConvTranspose", "n (g c) *_, (g c) m *_, (g m)? -> n (g m) *_", sizes={"g": "group"})
# ONNX Runtime's own fusions of a convolution with its activation, and with a sum before that.
declare(
    "FusedConv",
    "n (g c) *_, (g m) c *_, (g m)?, n (g m) *_? -> n (g m) *_",
    domain="com.microsoft",
    sizes={"g": "group"},
)


GEMM = {
    (a, b): Declaration.parse(f"{'k m' if a else 'm k'}, {'n k' if b else 'k n'}, ~m n? -> m n")
    for a in (False, True)
    for b in (False, True)
}
MATMUL = {
    (False, False): Declaration.parse("~*b m k, ~*b k n -> *b m n"),
    (True, False): Declaration.parse("k, *b k n -> *b n"),
    (False, True): Declaration.parse("*b m k, k -> *b m"),
    (True, True): Declaration.parse("k, k ->"),
}


@rule("Gemm", since=7)
def gemm(context: Context) -> None:
    """``m k, k n, n? -> m n``; transA and transB swap the axes of their operand, the third operand broadcasts."""
    GEMM[bool(context.attribute("transA", 0)), bool(context.attribute("transB", 0))](context)


@rule("MatMul")
def matmul(context: Context) -> None:
    """``*b m k, *b k n -> *b m n``; the batch axes broadcast, a vector has no ``m`` or ``n``."""
    MATMUL[len(context.axes(0)) == 1, len(context.axes(1)) == 1](context)


@rule("Einsum")
def einsum(context: Context) -> None:
    """The equation is the declaration."""
    equation = str(context.attribute("equation")).replace(" ", "")
    if "->" not in equation or "." in equation or not equation.replace("->", "").replace(",", "").islower():
        raise Refusal(f"the equation {equation!r} is not written out in full")
    operands = equation.split("->")[0].split(",")
    if any(len(set(operand)) < len(operand) for operand in operands):
        raise Refusal(f"the equation {equation!r} takes a diagonal")
    pattern = parse("->".join(",".join(" ".join(word) for word in side.split(",")) for side in equation.split("->")))
    Declaration(pattern)(context)
