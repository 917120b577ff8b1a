"""Quantised operators: axes as in the operators they stand for; scales and zero points are numbers, or run along one.

Sums of whole numbers need no shares in a scale: one copy has all of the weight (``quantised.py``).
"""

from onnx_n2n.axes.algebra import Axis, is_unit, size, total
from onnx_n2n.axes.unify import Misaligned, split_inner, split_product
from onnx_n2n.rules.context import Refusal, Site
from onnx_n2n.rules.declaration import Declaration
from onnx_n2n.rules.obligations import Summand
from onnx_n2n.rules.registry import declare, rule

MICROSOFT = "com.microsoft"
BLOCK = "the numbers of a block share a scale"
RANGE = "the range of all its numbers decides how they are rounded"
PACKED = "its numbers are packed, and cannot be taken apart"

# --- between floating-point and quantised numbers


def linear(site: Site) -> None:
    """``*p -> *p``; scale and zero point are numbers, or run along ``axis``, or one for each block of it."""
    axes = site.axes(0)
    for slot in (1, 2):
        scales = site.axes(slot) if site.has(slot) else ()
        if len(scales) == len(axes) > 1:
            _blocks(site, axes, scales)
        elif len(scales) == 1 and not is_unit(scales[0]):
            site.tie(scales[0], axes[site.position(0, site.attribute("axis", 1))])
        elif len(scales) > 1:
            raise Refusal(f"its scale has rank {len(scales)}")
    site.result(axes)


rule("QuantizeLinear DequantizeLinear", since=10)(linear)
rule("QuantizeLinear DequantizeLinear", domain=MICROSOFT)(linear)


def _blocks(site: Site, axes: tuple[Axis, ...], scales: tuple[Axis, ...]) -> None:
    """Tie scales with as many axes as the tensor has: whole blocks of the blocked axis may be copied."""
    blocked = site.position(0, site.attribute("axis", 1))
    width = int(site.attribute("block_size", 0))
    for place, (axis, scale) in enumerate(zip(axes, scales, strict=True)):
        if place != blocked or width < 2:
            site.tie(axis, scale)
        else:
            _block(site, axis, scale, width)


def _block(site: Site, axis: Axis, blocks: Axis, width: int) -> None:
    """Tie an axis to blocks of ``width`` places each."""
    try:
        count, inner = split_inner(axis, width)
    except Misaligned:
        site.pin(axis, BLOCK)
        site.pin(blocks, BLOCK)
        return
    site.tie(count, blocks)
    site.pin(inner, BLOCK)


@rule("DynamicQuantizeLinear")
def dynamic(site: Site) -> None:
    """``*p -> *p, , ``; scale and zero point follow the range of all numbers, which copies leave as it is."""
    axes = site.axes(0)
    for axis in axes:
        site.copies(axis, RANGE)
    site.result(axes)
    site.result([], 1)
    site.result([], 2)


# --- sums of products

CONVOLUTION = Declaration.parse(
    "n (g c) *_, *_, *_, (g m) c *_, ~(g m), ~(g m)?, *_, *_, (g m)? -> n (g m) *_", sizes={"g": "group"}
)
CHANNELS_LAST = Declaration.parse(
    "n *_ (g c), *_, *_, (g m) c *_, ~(g m), ~(g m)?, *_, *_, (g m)? -> n *_ (g m)", sizes={"g": "group"}
)


def convolution(site: Site) -> None:
    """``n (g c) *_, ..., (g m) c *_, (g m), (g m), ..., (g m)? -> n (g m) *_``; the channels may also come last."""
    (CHANNELS_LAST if site.attribute("channels_last", 0) else CONVOLUTION)(site)


rule("QLinearConv")(convolution)
rule("QLinearConv", domain=MICROSOFT)(convolution)

declare("ConvInteger", "n (g c) *_, (g m) c *_, *_?, ~(g m)? -> n (g m) *_", sizes={"g": "group"})
declare("MatMulInteger", "~*b m k, ~*b k n, ~m?, ~n? -> *b m n")
declare("QLinearMatMul", "~*b m k, ~m, ~m, ~*b k n, ~n, ~n, ~m, ~m -> *b m n")
declare("MatMulIntegerToFloat", "~*b m k, ~*b k n, ~m, ~n, ~m?, ~n?, n? -> *b m n", domain=MICROSOFT)

QGEMM = {
    (a, b): Declaration.parse(
        f"{'k m' if a else 'm k'}, *_, *_, {'n k' if b else 'k n'}, ~n, ~n, ~m n?, *_?, *_? -> m n"
    )
    for a in (False, True)
    for b in (False, True)
}


@rule("QGemm", domain=MICROSOFT)
def gemm(site: Site) -> None:
    """``m k, ..., k n, n, n, n? -> m n``; transA and transB swap the axes of their operand."""
    QGEMM[bool(site.attribute("transA", 0)), bool(site.attribute("transB", 0))](site)


DYNAMIC_MATMUL = Declaration.parse("~*b m k, ~*b k n, ~n, ~n?, n? -> *b m n")


@rule("DynamicQuantizeMatMul", domain=MICROSOFT)
def dynamic_matmul(site: Site) -> None:
    """``*b m k, *b k n, n, n?, n? -> *b m n``; the first operand is quantised by its range."""
    for axis in site.axes(0):
        site.copies(axis, RANGE)
    DYNAMIC_MATMUL(site)


DYNAMIC_LSTM = Declaration.parse(
    "t n x, d x (gates h), d h (gates h), d (biases h)?, n?, d n h?, d n h?, d (peepholes h)?, "
    "*_, *_, *_, *_ -> t d n h, d n h, d n h",
    sizes={"gates": 4, "biases": 8, "peepholes": 3, "h": "hidden_size"},
    pinned="t d",
)


@rule("DynamicQuantizeLSTM", domain=MICROSOFT)
def dynamic_lstm(site: Site) -> None:
    """``t n x, d x (gates h), d h (gates h), ... -> t d n h, d n h``; what is summed is quantised by its range."""
    if any(name.lower() == "softmax" for name in site.attribute("activations", ())):
        raise Refusal("an activation looks at all hidden channels at once")
    if site.attribute("layout", 0):
        raise Refusal("the batch comes first")
    if any(len(site.axes(slot)) > 1 for slot in (8, 9, 10, 11)):
        raise Refusal("it has a scale for every column")
    DYNAMIC_LSTM(site)
    hidden = site.axes(2)[1]
    for axis in (*site.axes(0), hidden):
        site.copies(axis, RANGE)
    site.contract([Summand(2, 1, ((hidden, True),))])


# --- elementwise and pooling, with a scale and a zero point for what goes in and for what comes out

declare("QLinearAdd QLinearMul", "~*p, *_, *_?, ~*p, *_, *_?, *_, *_? -> *p", domain=MICROSOFT)
declare("QLinearSigmoid QLinearLeakyRelu", "*p, *_, *_?, *_, *_? -> *p", domain=MICROSOFT)
declare("QLinearWhere", "~*p, ~*p, *_, *_, ~*p, *_, *_, *_, *_ -> *p", domain=MICROSOFT)

POOLS = {
    False: Declaration.parse("n c *_, *_, *_?, *_, *_? -> n c *_"),
    True: Declaration.parse("n *_ c, *_, *_?, *_, *_? -> n *_ c"),
}
GLOBAL_POOLS = {
    rank: {
        False: Declaration.parse(f"n c *s, *_, *_, *_, *_ -> n c {'1 ' * (rank - 2)}", even="s"),
        True: Declaration.parse(f"n *s c, *_, *_, *_, *_ -> n {'1 ' * (rank - 2)}c", even="s"),
    }
    for rank in (3, 4, 5)
}


@rule("QLinearAveragePool", domain=MICROSOFT)
def average_pool(site: Site) -> None:
    """``n c *_, ... -> n c *_``; the channels may also come last."""
    POOLS[bool(site.attribute("channels_last", 0))](site)


@rule("QLinearGlobalAveragePool", domain=MICROSOFT)
def global_average_pool(site: Site) -> None:
    """``n c *s, ... -> n c 1``, even in ``s``; the channels may also come last."""
    rank = len(site.axes(0))
    if rank not in GLOBAL_POOLS:
        raise Refusal(f"its operand has rank {rank}")
    GLOBAL_POOLS[rank][bool(site.attribute("channels_last", 0))](site)


@rule("QLinearSoftmax", domain=MICROSOFT)
def softmax(site: Site) -> None:
    """Normalise over one axis, before opset 13 over all from ``axis`` on; those may not grow."""
    axes = site.axes(0)
    first = site.position(0, site.attribute("axis", -1))
    last = first + 1 if site.attribute("opset") >= 13 else len(axes)
    for axis in axes[first:last]:
        site.pin(axis, "it normalises over this axis")
    site.result(axes)


@rule("QLinearConcat", domain=MICROSOFT)
def concat(site: Site) -> None:
    """Lay axes end to end; after scale and zero point of the result, three inputs for each operand."""
    operands = [site.axes(slot) for slot in range(2, len(site.node.inputs), 3)]
    first = operands[0]
    axis = site.position(2, site.attribute("axis"))
    for other in operands[1:]:
        if len(other) != len(first):
            raise Refusal("operands differ in rank")
        for place, (one, two) in enumerate(zip(first, other, strict=True)):
            if place != axis:
                site.tie(one, two)
    site.result([*first[:axis], total(*(operand[axis] for operand in operands)), *first[axis + 1 :]])


# --- packed weights


@rule("MatMulNBits", domain=MICROSOFT)
def matmul_bits(site: Site) -> None:
    """``*b (q block), n q _, (n q), ... -> *b n``; of what is summed over whole blocks may be copied."""
    if site.attribute("weight_prepacked", 0):
        raise Refusal("its weight is packed for one kind of device")
    *batch, summed = site.axes(0)
    columns, blocks, blob = site.axes(1)
    site.pin(blob, PACKED)
    _block(site, summed, blocks, int(site.attribute("block_size")))
    _rows_of_blocks(site, 2, columns, blocks)
    if site.has(3):
        site.pin(blocks, PACKED)  # two zero points share a byte
        _rows_of_blocks(site, 3, columns, None)
    if site.has(4):
        site.pin(summed, "its blocks are shuffled")
    if site.has(5):
        site.tie(site.axes(5)[0], columns)
    site.says("K", None, summed)
    site.says("N", None, columns)
    site.contract([Summand(0, len(batch), ((summed, True),))])
    site.result([*batch, columns])


def _rows_of_blocks(site: Site, slot: int, columns: Axis, blocks: Axis | None) -> None:
    """Tie the scales or zero points of blocks, with one axis or two; without ``blocks`` they are packed."""
    axes = site.axes(slot)
    rows, inner = axes if len(axes) == 2 else split_product(axes[0], size(columns) or 0)
    site.tie(rows, columns)
    if blocks is None:
        site.pin(inner, PACKED)
    else:
        site.tie(inner, blocks)


@rule("MatMulBnb4", domain=MICROSOFT)
def matmul_bnb4(site: Site) -> None:
    """``*b _, _, _ -> *b _``; the weight is packed."""
    *batch, summed = site.axes(0)
    for axis in (summed, *site.axes(1), *site.axes(2)):
        site.pin(axis, PACKED)
    site.result([*batch, site.pinned(int(site.attribute("N")), PACKED)])


Q_ATTENTION = Declaration.parse("b s i, i _, _, *_, *_, *_?, *_?, *_? -> b s _", pinned="s")


@rule("QAttention", domain=MICROSOFT)
def attention(site: Site) -> None:
    """``b s i, i _, _, ... -> b s _``; heads are pinned, and so is whatever is kept of earlier places."""
    if site.has(8) or len(site.node.outputs) > 1:
        raise Refusal("it keeps keys and values of earlier places")
    Q_ATTENTION(site)
    site.results[0] = (*site.axes(0)[:2], site.pinned((size(site.axes(1)[1]) or 0) // 3, "its heads are pinned"))
