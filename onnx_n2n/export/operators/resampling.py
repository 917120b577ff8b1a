"""The lengths of a Resize: numbers only, for every framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onnx_n2n.export import host, lists


def targets(
    lengths: Sequence[int], axes: Sequence[int], scales: Any, sizes: Any, policy: str
) -> tuple[list[int], list[float]]:
    """Return the new lengths along axes, and the factors that the node asks for before lengths are rounded."""
    own = [lengths[axis] for axis in axes]
    if scales is not None and lists.flat(scales):
        given: list[float] = lists.flat(scales)
        return [_times(length, factor) for length, factor in zip(own, given, strict=True)], given
    wanted = lists.flat(sizes)
    factors = [1.0 if wish == length else wish / length for wish, length in zip(wanted, own, strict=True)]
    if policy != "stretch":
        factor = min(factors) if policy == "not_larger" else max(factors)
        return [int(length * factor + 0.5) for length in own], [factor] * len(own)
    return wanted, list(factors)


def _times(length: int, factor: float) -> int:
    """Multiply; by a whole number a length stays whole, also one that is not known yet."""
    return length * int(factor) if factor == int(factor) else int(host.mul(float(length), factor))


def refusal(attributes: Mapping[str, Any]) -> str:
    """Say why a Resize cannot be exported; empty if it can."""
    if attributes.get("antialias"):
        return "a Resize with antialiasing has no counterpart in the framework yet"
    if attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        return "a Resize of a region has no counterpart in the framework yet"
    return ""
