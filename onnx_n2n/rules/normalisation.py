"""Operators that normalise: over places (channels are free), or over channels (all must count alike)."""

from onnx_n2n.rules.declaration import Declaration
from onnx_n2n.rules.registry import declare, rule
from onnx_n2n.site import Refusal, Site

declare("InstanceNormalization", "n c *s, c, c -> n c *s", even="s")
declare("GroupNormalization", "n (g c) *s, g, g -> n (g c) *s", since=18, sizes={"g": "num_groups"}, even="c s")
declare("GroupNormalization", "n (g c) *s, (g c), (g c) -> n (g c) *s", since=21, sizes={"g": "num_groups"}, even="c s")

BATCH_NORM = Declaration.parse("n c *s, c, c, c, c -> n c *s")


@rule("BatchNormalization", since=7)
def batch_norm(site: Site) -> None:
    """``n c *s, c, c, c, c -> n c *s``, with the statistics that are stored."""
    if site.attribute("training_mode", 0):
        raise Refusal("it normalises by the batch: training_mode is set")
    BATCH_NORM(site)


@rule("Softmax LogSoftmax Hardmax")
def softmax(site: Site) -> None:
    """Normalise over one axis, before opset 13 over all from ``axis`` on; those may not grow."""
    axes = site.axes(0)
    first = site.position(0, site.attribute("axis", 1 if site.version < 13 else -1))
    last = len(axes) if site.version < 13 else first + 1
    for axis in axes[first:last]:
        site.pin(axis, "it normalises over this axis")
    site.result(axes)
