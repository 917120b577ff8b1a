"""Names of groups: after the layer that makes the channels, and after what they are for where that is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from onnx_n2n.analysis.roles import Part, Role
from onnx_n2n.axes.algebra import Factor


def names_of(plain: Mapping[Factor, str], parts: Mapping[Factor, Part]) -> list[str]:
    """Return a unique name for each factor.

    Args:
        plain: The factors that may grow, each with the name of the layer that makes it.
        parts: The parts that they play.
    """
    return _unique(_name(name, parts.get(factor)) for factor, name in plain.items())


def _name(plain: str, part: Part | None) -> str:
    if part is None:
        return plain
    return part.role.value if part.role is Role.STREAM else f"{part.layer or plain}.{part.role}"


def _unique(names: Iterable[str]) -> list[str]:
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return result
