"""Operators of signal processing: the axes they transform are pinned, all others are free."""

from onnx_n2n.rules.context import Context
from onnx_n2n.rules.registry import declare, rule

TRANSFORMED = "it is transformed along this axis"
COMPLEX = "it holds real and imaginary parts"

declare("STFT", "n *_, *_, *_?, *_? -> n _ _ _", why=TRANSFORMED)
declare("MelWeightMatrix", "*_, *_, *_, *_, *_ -> _ _", why="it holds the weights of frequencies")
declare("BlackmanWindow HammingWindow HannWindow", "*_ -> _", why="it holds the weights of places")


@rule("DFT")
def dft(context: Context) -> None:
    """``*p, length, axis -> *p``; ``axis`` and the last axis are pinned."""
    axes = list(context.axes(0))
    stated = context.attribute("axis", 1) if context.version < 20 else context.numbers(2)[0] if context.has(2) else -2
    known = context.inferred() or (None,) * len(axes)
    for place, why in ((context.position(0, int(stated)), TRANSFORMED), (len(axes) - 1, COMPLEX)):
        context.pin(axes[place], why)
        axes[place] = context.pinned_axis(known[place], why)
    context.result(axes)
