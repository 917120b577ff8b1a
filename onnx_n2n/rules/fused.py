"""What ONNX Runtime's optimiser writes: an operator of the standard together with what stood before or after it."""

from onnx_n2n.axes.algebra import UNIT
from onnx_n2n.rules.context import Refusal, Site
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
def group_norm(site: Site) -> None:
    """``n *s (g c), (g c), (g c) -> n *s (g c)``, even in ``c``; the channels may also come first."""
    (CHANNELS_LAST if site.attribute("channels_last", 1) else CHANNELS_FIRST)(site)


@rule("SkipLayerNormalization", domain=MICROSOFT)
def skip_layer_norm(site: Site) -> None:
    """``*p a, *p a, a, a?, a? -> *p a``: LayerNormalization of the sum of two tensors and a bias."""
    normalise(site, SKIP_LAYER_NORM)


@rule("SkipSimplifiedLayerNormalization", domain=MICROSOFT)
def skip_rms_norm(site: Site) -> None:
    """``*p a, *p a, a, a? -> *p a``: RMSNormalization of the sum of two tensors and a bias."""
    normalise(site, SKIP_RMS_NORM)


@rule("SimplifiedLayerNormalization")
def simplified_layer_norm(site: Site) -> None:
    """``*p *a, *a -> *p *a``: what ONNX Runtime calls RMSNormalization."""
    normalise(site, RMS_NORM)


@rule("EmbedLayerNormalization", domain=MICROSOFT)
def embed_layer_norm(site: Site) -> None:
    """``n s, n s?, v a, p a, t a?, a, a, ... -> n s a``: LayerNormalization of the sum of three table look-ups."""
    tables = [slot for slot in (2, 3, 4) if site.has(slot)]
    channels = site.axes(2)[1]
    for slot in tables:
        rows, other = site.axes(slot)
        site.pin(rows, "it is a table that indices look up")
        site.tie(channels, other)
    for slot in (5, 6):
        site.tie(channels, site.axes(slot)[0])
    norm = Norm(site.node, tuple(tables), 5, 6, True, 1e-12, sums=(2,))
    site.even(channels, "it normalises over this axis", norm)
    batch, places = site.axes(0)
    for slot in (0, 1, 7, 8):
        for axis in site.axes(slot) if site.has(slot) else ():
            site.pin(axis, "it looks up places of a table")
    site.result([batch, places, channels])
    if len(site.node.outputs) > 1:
        site.result([batch], 1)
    if len(site.node.outputs) > 2:
        site.result([batch, places, channels], 2)


@rule("FusedGemm", domain=MICROSOFT)
def fused_gemm(site: Site) -> None:
    """Gemm with an activation."""
    GEMM[bool(site.attribute("transA", 0)), bool(site.attribute("transB", 0))](site)


TRANSPOSED = {
    (a, b): Declaration.parse(f"~*b {'k m' if a else 'm k'}, ~*b {'n k' if b else 'k n'} -> *b m n")
    for a in (False, True)
    for b in (False, True)
}


@rule("FusedMatMul TransposeMatMul FusedMatMulActivation", domain=MICROSOFT)
def fused_matmul(site: Site) -> None:
    """``*b m k, *b k n -> *b m n``, with either operand transposed, a factor and perhaps an activation."""
    if site.attribute("transBatchA", 0) or site.attribute("transBatchB", 0):
        raise Refusal("it moves the batch behind the rows")
    if str(site.attribute("activation", "")).lower().endswith("max"):
        raise Refusal("its activation normalises over an axis")
    vectors = len(site.axes(0)) == 1, len(site.axes(1)) == 1
    if any(vectors):
        MATMUL[vectors](site)
    else:
        TRANSPOSED[bool(site.attribute("transA", 0)), bool(site.attribute("transB", 0))](site)


@rule("BiasSoftmax", domain=MICROSOFT)
def bias_softmax(site: Site) -> None:
    """Softmax of a sum over all axes from ``axis`` on."""
    axes = site.align(site.axes(0), site.axes(1))
    for axis in axes[site.position(0, site.attribute("axis", 1)) :]:
        site.pin(axis, "it normalises over this axis")
    if not site.attribute("is_inner_broadcast", 1):
        raise Refusal("its bias broadcasts from the left")
    site.result(axes)


@rule("ExpandDims", domain=MICROSOFT)
def expand_dims(site: Site) -> None:
    """Insert one axis of length 1."""
    axes = list(site.axes(0))
    (place,) = site.numbers(1)
    added = int(place) % (len(axes) + 1)
    site.result([*axes[:added], UNIT, *axes[added:]])
