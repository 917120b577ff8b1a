"""Operators of signal processing: the axes they transform are pinned, all others are free."""

from onnx_n2n.rules.context import Site
from onnx_n2n.rules.registry import declare, rule

TRANSFORMED = "it is transformed along this axis"
COMPLEX = "it holds real and imaginary parts"

declare("STFT", "n *_, *_, *_?, *_? -> n _ _ _", why=TRANSFORMED)
declare("MelWeightMatrix", "*_, *_, *_, *_, *_ -> _ _", why="it holds the weights of frequencies")
declare("BlackmanWindow HammingWindow HannWindow", "*_ -> _", why="it holds the weights of places")


@rule("DFT")
def dft(site: Site) -> None:
    """``*p, length, axis -> *p``; ``axis`` and the last axis are pinned."""
    axes = list(site.axes(0))
    stated = site.attribute("axis", 1) if site.version < 20 else site.numbers(2)[0] if site.has(2) else -2
    known = site.inferred() or (None,) * len(axes)
    for place, why in ((site.position(0, int(stated)), TRANSFORMED), (len(axes) - 1, COMPLEX)):
        site.pin(axes[place], why)
        axes[place] = site.pinned(known[place], why)
    site.result(axes)
