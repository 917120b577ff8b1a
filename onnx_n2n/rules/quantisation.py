"""Quantised operators: axes as in the operators they stand for; scales and zero points are numbers, or run along one.

Sums of whole numbers need no shares in a scale: one copy has all of the weight (``quantised.py``).
"""

from onnx_n2n.axes.algebra import Axis, is_unit, size
from onnx_n2n.axes.unify import Misaligned, split_inner, split_product
from onnx_n2n.rules.context import Context, Refusal
from onnx_n2n.rules.declaration import Declaration
from onnx_n2n.rules.obligations import Summand
from onnx_n2n.rules.registry import declare, rule

MICROSOFT = "com.microsoft"
BLOCK = "the numbers of a block share a scale"
RANGE = "the range of all its numbers decides how they are rounded"
PACKED = "its numbers are packed, and cannot be taken apart"

# --- between floating-point and quantised numbers


def linear(context: Context) -> None:
    """``*p -> *p``; scale and zero point are numbers, or run along ``axis``, or one for each block of it."""
    axes = context.axes(0)
    for slot in (1, 2):
        scales = context.axes(slot) if context.has(slot) else ()
        if len(scales) == len(axes) > 1:
            _blocks(context, axes, scales)
        elif len(scales) == 1 and not is_unit(scales[0]):
            context.tie(scales[0], axes[context.position(0, context.attribute("axis", 1))])
        elif len(scales) > 1:
            raise Refusal(f"its scale has rank {len(scales)}")
    context.result(axes)


rule("QuantizeLinear DequantizeLinear", since=10)(linear)
rule("QuantizeLinear DequantizeLinear", domain=MICROSOFT)(linear)


def _blocks(context: Context, axes: tuple[Axis, ...], scales: tuple[Axis, ...]) -> None:
    """Tie scales with as many axes as the tensor has: whole blocks of the blocked axis may be copied."""
    blocked = context.position(0, context.attribute("axis", 1))
    width = int(context.attribute("block_size", 0))
    for place, (axis, scale) in enumerate(zip(axes, scales, strict=True)):
        if place != blocked or width < 2:
            context.tie(axis, scale)
        else:
            _block(context, axis, scale, width)


def _block(context: Context, axis: Axis, blocks: Axis, width: int) -> None:
    """Tie an axis to blocks of ``width`` places each."""
    try:
        count, inner = split_inner(axis, width)
    except Misaligned:
        context.pin(axis, BLOCK)
        context.pin(blocks, BLOCK)
        return
    context.tie(count, blocks)
    context.pin(inner, BLOCK)


@rule("DynamicQuantizeLinear")
def dynamic(context: Context) -> None:
    """``*p -> *p, , ``; scale and zero point follow the range of all numbers, which copies leave as it is."""
    axes = context.axes(0)
    for axis in axes:
        context.require_copies(axis, RANGE)
    context.result(axes)
    context.result([], 1)
    context.result([], 2)


# --- sums of products

CONVOLUTION = Declaration.parse(
    "n (g c) *_, *_, *_, (g m) c *_, ~(g m), ~(g m)?, *_, *_, (g m)? -> n (g m) *_", sizes={"g": "group"}
)
CHANNELS_LAST = Declaration.parse(
    "n *_ (g c), *_, *_, (g m) c *_, ~(g m), ~(g m)?, *_, *_, (g m)? -> n *_ (g m)", sizes={"g": "group"}
)


def convolution(context: Context) -> None:
    """``n (g c) *_, ..., (g m) c *_, (g m), (g m), ..., (g m)? -> n (g m) *_``; the channels may also come last."""
    (CHANNELS_LAST if context.attribute("channels_last", 0) else CONVOLUTION)(context)


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
def gemm(context: Context) -> None:
    """``m k, ..., k n, n, n, n? -> m n``; transA and transB swap the axes of their operand."""
    QGEMM[bool(context.attribute("transA", 0)), bool(context.attribute("transB", 0))](context)


DYNAMIC_MATMUL = Declaration.parse("~*b m k, ~*b k n, ~n, ~n?, n? -> *b m n")


@rule("DynamicQuantizeMatMul", domain=MICROSOFT)
def dynamic_matmul(context: Context) -> None:
    """``*b m k, *b k n, n, n?, n? -> *b m n``; the first operand is quantised by its range."""
    for axis in context.axes(0):
        context.require_copies(axis, RANGE)
    DYNAMIC_MATMUL(context)


DYNAMIC_LSTM = Declaration.parse(
    "t n x, d x (gates h), d h (gates h), d (biases h)?, n?, d n h?, d n h?, d (peepholes h)?, "
    "*_, *_, *_, *_ -> t d n h, d n h, d n h",
    sizes={"gates": 4, "biases": 8, "peepholes": 3, "h": "hidden_size"},
    pinned="t d",
)


@rule("DynamicQuantizeLSTM", domain=MICROSOFT)
def dynamic_lstm(context: Context) -> None:
    """``t n x, d x (gates h), d h (gates h), ... -> t d n h, d n h``; what is summed is quantised by its range."""
    if any(name.lower() == "softmax" for name in context.attribute("activations", ())):
        raise Refusal("an activation looks at all hidden channels at once")
    if context.attribute("layout", 0):
        raise Refusal("the batch comes first")
    if any(len(context.axes(slot)) > 1 for slot in (8, 9, 10, 11)):
        raise Refusal("it has a scale for every column")
    DYNAMIC_LSTM(context)
    hidden = context.axes(2)[1]
    for axis in (*context.axes(0), hidden):
        context.require_copies(axis, RANGE)
    context.contract([Summand(2, 1, ((hidden, True),))])


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
def average_pool(context: Context) -> None:
    """``n c *_, ... -> n c *_``; the channels may also come last."""
    POOLS[bool(context.attribute("channels_last", 0))](context)


@rule("QLinearGlobalAveragePool", domain=MICROSOFT)
def global_average_pool(context: Context) -> None:
    """``n c *s, ... -> n c 1``, even in ``s``; the channels may also come last."""
    rank = len(context.axes(0))
    if rank not in GLOBAL_POOLS:
        raise Refusal(f"its operand has rank {rank}")
    GLOBAL_POOLS[rank][bool(context.attribute("channels_last", 0))](context)


@rule("QLinearSoftmax", domain=MICROSOFT)
def softmax(context: Context) -> None:
    """Normalise over one axis, before opset 13 over all from ``axis`` on; those may not grow."""
    axes = context.axes(0)
    first = context.position(0, context.attribute("axis", -1))
    last = first + 1 if context.required("opset", int) >= 13 else len(axes)
    for axis in axes[first:last]:
        context.pin(axis, "it normalises over this axis")
    context.result(axes)


@rule("QLinearConcat", domain=MICROSOFT)
def concat(context: Context) -> None:
    """Lay axes end to end; after scale and zero point of the result, three inputs for each operand."""
    operands = [context.axes(slot) for slot in range(2, len(context.node.inputs), 3)]
    first = operands[0]
    axis = context.position(2, context.attribute("axis"))
    for other in operands[1:]:
        if len(other) != len(first):
            raise Refusal("operands differ in rank")
        for place, (one, two) in enumerate(zip(first, other, strict=True)):
            if place != axis:
                context.tie(one, two)
    context.result([*first[:axis], context.laid(operand[axis] for operand in operands), *first[axis + 1 :]])


# --- packed weights


@rule("MatMulNBits", domain=MICROSOFT)
def matmul_bits(context: Context) -> None:
    """``*b (q block), n q _, (n q), ... -> *b n``; of what is summed over whole blocks may be copied."""
    if context.attribute("weight_prepacked", 0):
        raise Refusal("its weight is packed for one kind of device")
    *batch, summed = context.axes(0)
    columns, blocks, blob = context.axes(1, 3)
    context.pin(blob, PACKED)
    _block(context, summed, blocks, context.required("block_size", int))
    _rows_of_blocks(context, 2, columns, blocks)
    if context.has(3):
        context.pin(blocks, PACKED)  # two zero points share a byte
        _rows_of_blocks(context, 3, columns, None)
    if context.has(4):
        context.pin(summed, "its blocks are shuffled")
    if context.has(5):
        context.tie(context.axes(5)[0], columns)
    context.require_length("K", None, summed)
    context.require_length("N", None, columns)
    context.contract([Summand(0, len(batch), ((summed, True),))])
    context.result([*batch, columns])


def _rows_of_blocks(context: Context, slot: int, columns: Axis, blocks: Axis | None) -> None:
    """Tie the scales or zero points of blocks, with one axis or two; without ``blocks`` they are packed."""
    axes = context.axes(slot)
    rows, inner = axes if len(axes) == 2 else split_product(axes[0], size(columns) or 0)
    context.tie(rows, columns)
    if blocks is None:
        context.pin(inner, PACKED)
    else:
        context.tie(inner, blocks)


@rule("MatMulBnb4", domain=MICROSOFT)
def matmul_bnb4(context: Context) -> None:
    """``*b _, _, _ -> *b _``; the weight is packed."""
    *batch, summed = context.axes(0)
    for axis in (summed, *context.axes(1), *context.axes(2)):
        context.pin(axis, PACKED)
    context.result([*batch, context.pinned_axis(context.required("N", int), PACKED)])


Q_ATTENTION = Declaration.parse("b s i, i _, _, *_, *_, *_?, *_?, *_? -> b s _", pinned="s")


@rule("QAttention", domain=MICROSOFT)
def attention(context: Context) -> None:
    """``b s i, i _, _, ... -> b s _``; heads are pinned, and so is whatever is kept of earlier places."""
    if context.has(8) or len(context.node.outputs) > 1:
        raise Refusal("it keeps keys and values of earlier places")
    Q_ATTENTION(context)
    heads = context.pinned_axis((size(context.axes(1)[1]) or 0) // 3, "its heads are pinned")
    context.results[0] = (*context.axes(0)[:2], heads)
