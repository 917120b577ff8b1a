"""What ONNX Runtime's optimiser writes: an operator of the standard together with what stood before or after it."""

from onnx_n2n.axes.algebra import UNIT
from onnx_n2n.rules.context import Context, Refusal
from onnx_n2n.rules.contraction import GEMM, MATMUL
from onnx_n2n.rules.declaration import Declaration
from onnx_n2n.rules.normalisation import RMS_NORM, SKIP_LAYER_NORM, SKIP_RMS_NORM, normalise
from onnx_n2n.rules.obligations import Norm
from onnx_n2n.rules.registry import declare, rule

MICROSOFT = "com.microsoft"

declare("BiasGelu BiasAdd", "~*p, ~*p, ~*p? -> *p", domain=MICROSOFT)
declare("FastGelu", "~*p, ~*p? -> *p", domain=MICROSOFT)
declare("Gelu QuickGelu", "*p -> *p", domain=MICROSOFT)
declare("NhwcConv", "n *_ (g c), (g m) *_ c, (g m)? -> n *_ (g m)", domain=MICROSOFT, sizes={"g": "group"})
declare("NhwcFusedConv", "n *_ (g c), (g m) c *_, (g m)?, n *_ (g m)? -> n *_ (g m)", domain=MICROSOFT,
        sizes={"g": "group"})  # fmt: skip  # the weight is that of a Conv; NhwcConv's has its channels last too
declare("NhwcMaxPool", "n *_ c -> n *_ c", domain=MICROSOFT)
declare("GemmFastGelu", "~*b m k, ~*b k n, n? -> *b m n", domain=MICROSOFT)
declare("BiasSplitGelu", "n s (halves c), (halves c) -> n s c", domain=MICROSOFT, sizes={"halves": 2})

CHANNELS_LAST = Declaration.parse("n *s (g c), (g c), (g c) -> n *s (g c)", sizes={"g": "groups"}, even="c s")
CHANNELS_FIRST = Declaration.parse("n (g c) *s, (g c), (g c) -> n (g c) *s", sizes={"g": "groups"}, even="c s")


@rule("GroupNorm", domain=MICROSOFT)
def group_norm(context: Context) -> None:
    """``n *s (g c), (g c), (g c) -> n *s (g c)``, even in ``c``; the channels may also come first."""
    (CHANNELS_LAST if context.attribute("channels_last", 1) else CHANNELS_FIRST)(context)


@rule("SkipLayerNormalization", domain=MICROSOFT)
def skip_layer_norm(context: Context) -> None:
    """``*p a, *p a, a, a?, a? -> *p a``: LayerNormalization of the sum of two tensors and a bias."""
    normalise(context, SKIP_LAYER_NORM)


@rule("SkipSimplifiedLayerNormalization", domain=MICROSOFT)
def skip_rms_norm(context: Context) -> None:
    """``*p a, *p a, a, a? -> *p a``: RMSNormalization of the sum of two tensors and a bias."""
    normalise(context, SKIP_RMS_NORM)


@rule("SimplifiedLayerNormalization")
def simplified_layer_norm(context: Context) -> None:
    """``*p *a, *a -> *p *a``: what ONNX Runtime calls RMSNormalization."""
    normalise(context, RMS_NORM)


@rule("EmbedLayerNormalization", domain=MICROSOFT)
def embed_layer_norm(context: Context) -> None:
    """``n s, n s?, v a, p a, t a?, a, a, ... -> n s a``: LayerNormalization of the sum of three table look-ups."""
    tables = [slot for slot in (2, 3, 4) if context.has(slot)]
    channels = context.axes(2)[1]
    for slot in tables:
        rows, other = context.axes(slot, 2)
        context.pin(rows, "it is a table that indices look up")
        context.tie(channels, other)
    for slot in (5, 6):
        context.tie(channels, context.axes(slot)[0])
    norm = Norm(context.node, tuple(tables), 5, 6, True, 1e-12, sums=(2,))
    context.require_even(channels, "it normalises over this axis", norm)
    batch, places = context.axes(0, 2)
    for slot in (0, 1, 7, 8):
        for axis in context.axes(slot) if context.has(slot) else ():
            context.pin(axis, "it looks up places of a table")
    context.result([batch, places, channels])
    if len(context.node.outputs) > 1:
        context.result([batch], 1)
    if len(context.node.outputs) > 2:
        context.result([batch, places, channels], 2)


@rule("FusedGemm", domain=MICROSOFT)
def fused_gemm(context: Context) -> None:
    """Gemm with an activation."""
    GEMM[bool(context.attribute("transA", 0)), bool(context.attribute("transB", 0))](context)


TRANSPOSED = {
    (a, b): Declaration.parse(f"~*b {'k m' if a else 'm k'}, ~*b {'n k' if b else 'k n'} -> *b m n")
    for a in (False, True)
    for b in (False, True)
}
VECTOR_TRANSPOSED = Declaration.parse("k, *b n k -> *b n")


@rule("FusedMatMul TransposeMatMul FusedMatMulActivation", domain=MICROSOFT)
def fused_matmul(context: Context) -> None:
    """``*b m k, *b k n -> *b m n``, with either operand transposed, a factor and perhaps an activation."""
    if context.attribute("transBatchA", 0) or context.attribute("transBatchB", 0):
        raise Refusal("it moves the batch behind the rows")
    if str(context.attribute("activation", "")).lower().endswith("max"):
        raise Refusal("its activation normalises over an axis")
    vectors = len(context.axes(0)) == 1, len(context.axes(1)) == 1
    turned = bool(context.attribute("transA", 0)), bool(context.attribute("transB", 0))
    if not any(vectors):
        TRANSPOSED[turned](context)
    elif turned[0] and not vectors[0]:
        raise Refusal("ONNX Runtime reads a matrix before a vector in another order, instead of transposing it")
    elif turned[1] and not vectors[1]:
        VECTOR_TRANSPOSED(context)
    else:  # a vector is not transposed
        MATMUL[vectors](context)


@rule("BiasSoftmax", domain=MICROSOFT)
def bias_softmax(context: Context) -> None:
    """Softmax of a sum over all axes from ``axis`` on."""
    axes = context.align(context.axes(0), context.axes(1))
    for axis in axes[context.position(0, context.attribute("axis", 1)) :]:
        context.pin(axis, "it normalises over this axis")
    if not context.attribute("is_inner_broadcast", 1):
        raise Refusal("its bias broadcasts from the left")
    context.result(axes)


@rule("ExpandDims", domain=MICROSOFT)
def expand_dims(context: Context) -> None:
    """Insert one axis of length 1."""
    axes = list(context.axes(0))
    (place,) = context.numbers(1)
    added = int(place) % (len(axes) + 1)
    context.result([*axes[:added], UNIT, *axes[added:]])
