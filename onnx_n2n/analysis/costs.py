"""What each reason costs: the weights that cannot grow along some axis because of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from onnx_n2n.analysis.groups import Pinned
from onnx_n2n.rules.declaration import WINDOW

NAMES = re.compile("'[^']*'")


@dataclass(frozen=True)
class Cost:
    """The weight axes that are pinned for the same reason, but for the names in it.

    Attributes:
        pins: The axes, in graph order.
    """

    pins: tuple[Pinned, ...]

    @property
    def reason(self) -> str:
        """The reason; with the node if there is one, and with how many others are like it."""
        first = self.pins[0].reason
        texts = {pinned.reason.text for pinned in self.pins}
        text = str(first) if len({pinned.reason for pinned in self.pins}) == 1 else first.text
        return f"{text}; {len(texts) - 1} more like it" if len(texts) > 1 else text

    @property
    def parameters(self) -> int:
        """How many parameters the weights have, each of which counts once."""
        return sum({pinned.weight: pinned.parameters for pinned in self.pins}.values())


def costs_of(pins: Iterable[Pinned]) -> tuple[Cost, ...]:
    """Return what reasons cost, the dearest first.

    Kernel axes come last: there is one reason for them, and nobody wonders about it.
    """
    found: dict[str, list[Pinned]] = {}
    for pinned in pins:
        found.setdefault(NAMES.sub("''", pinned.reason.text), []).append(pinned)
    costs = [Cost(tuple(alike)) for alike in found.values()]
    return tuple(sorted(costs, key=lambda cost: (cost.pins[0].reason.text.endswith(WINDOW), -cost.parameters)))
