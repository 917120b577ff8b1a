"""Operators that normalise: over places (channels are free), or over channels (all must count alike)."""

from dataclasses import dataclass

from onnx_n2n.axes.algebra import UNIT
from onnx_n2n.rules.context import Context
from onnx_n2n.rules.declaration import Declaration
from onnx_n2n.rules.obligations import Norm
from onnx_n2n.rules.registry import declare, rule

declare("InstanceNormalization", "n c *s, c, c -> n c *s", even="s")
declare("GroupNormalization", "n (g c) *s, g, g -> n (g c) *s", since=18, sizes={"g": "num_groups"}, even="c s")
declare("GroupNormalization", "n (g c) *s, (g c), (g c) -> n (g c) *s", since=21, sizes={"g": "num_groups"}, even="c s")

BATCH_NORM = "n c *s, c, c, c, c -> n c *s, c, c, c, c"
EVALUATED = Declaration.parse(BATCH_NORM)
TRAINED = Declaration.parse(BATCH_NORM, pinned="n s", why="the statistics of the batch are taken over this axis")


@rule("BatchNormalization", since=7)
def batch_norm(context: Context) -> None:
    """``n c *s, c, c, c, c -> n c *s, c, c``, every channel by itself, in training by the statistics of the batch."""
    trains = context.attribute("training_mode", 0) or (context.version < 14 and len(context.node.outputs) > 1)
    (TRAINED if trains else EVALUATED)(context)


@rule("Softmax LogSoftmax Hardmax")
def softmax(context: Context) -> None:
    """Normalise over one axis, before opset 13 over all from ``axis`` on; those may not grow."""
    axes = context.axes(0)
    first = context.position(0, context.attribute("axis", 1 if context.version < 13 else -1))
    last = len(axes) if context.version < 13 else first + 1
    for axis in axes[first:last]:
        context.pin(axis, "it normalises over this axis")
    context.result(axes)


@rule("LpNormalization")
def lp_normalization(context: Context) -> None:
    """``*p -> *p``; ``axis`` is pinned, because its copies would add to the norm."""
    axes = context.axes(0)
    context.pin(axes[context.position(0, context.attribute("axis", -1))], "it normalises over this axis")
    context.result(axes)


@dataclass(frozen=True)
class NormOperands:
    """Where a normalisation over channels has its operands.

    Attributes:
        gain: The input slot of the gain.
        bias: The input slot of the bias, or None.
        centred: Whether the mean is subtracted.
        skip: The input slot of a tensor that is added first, or None.
        shift: The input slot of a bias that is added first, or None.
        sums: The output slot of the sum of these, or None.
        epsilon: The standard value of the attribute.
    """

    gain: int
    bias: int | None
    centred: bool = True
    skip: int | None = None
    shift: int | None = None
    sums: int | None = None
    epsilon: float = 1e-5


LAYER_NORM = NormOperands(gain=1, bias=2)
RMS_NORM = NormOperands(gain=1, bias=None, centred=False)
SKIP_LAYER_NORM = NormOperands(gain=2, bias=3, skip=1, shift=4, sums=3, epsilon=1e-12)
SKIP_RMS_NORM = NormOperands(gain=2, bias=None, centred=False, skip=1, shift=3, sums=3, epsilon=1e-12)


def normalise(context: Context, layout: NormOperands) -> None:
    """Normalise over the axes from ``axis`` on, with a gain and a bias along them; what is added first broadcasts."""
    axes = context.axes(0)
    for slot in (layout.skip, layout.shift):
        if slot is not None and context.has(slot):
            axes = tuple(context.align(axes, context.axes(slot)))
    first = context.position(0, context.attribute("axis", -1))
    for slot in (layout.gain, layout.bias):
        if slot is not None and context.has(slot):
            axes = tuple(context.align(axes, context.axes(slot)))
    added = [slot for slot in (0, layout.skip, layout.shift) if slot is not None and context.has(slot)]
    bias = layout.bias if layout.bias is not None and context.has(layout.bias) else None
    sums = () if layout.sums is None else (layout.sums,)
    norm = Norm(context.node, tuple(added), layout.gain, bias, layout.centred, layout.epsilon, sums)
    for axis in axes[first:]:
        context.require_even(axis, "it normalises over this axis", norm if len(axes) == first + 1 else None)
    for slot in range(len(context.node.outputs)):
        context.result(axes if slot in {0, *sums} else [*axes[:first], *(UNIT for _ in axes[first:])], slot)


@rule("LayerNormalization", since=17)
def layer_norm(context: Context) -> None:
    """``*p *a, *a, *a? -> *p *a``, even in ``a``, which begins at ``axis``."""
    normalise(context, LAYER_NORM)


@rule("RMSNormalization", since=23)
def rms_norm(context: Context) -> None:
    """``*p *a, *a -> *p *a``, even in ``a``, which begins at ``axis``."""
    normalise(context, RMS_NORM)
