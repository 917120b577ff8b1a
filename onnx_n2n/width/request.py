"""What a user asks of a growth of width: the options of ``widen``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal

from onnx_n2n.analysis.selection import Selection
from onnx_n2n.options import option

FACTOR = 2.0


@dataclass(frozen=True)
class Request(Selection):
    """What a user asks of a growth of width."""

    factor: float | None = option(
        None, "New width over old, at least 1; need not be whole.", usual=f"{FACTOR:g}; 1 with sizes of groups", least=1
    )
    _: KW_ONLY
    groups: Mapping[str, int] = option(
        {}, "Size of one group; without a factor, only groups named so grow.", flags=("--group",), metavar="NAME=SIZE"
    )
    include: Sequence[str] = option((), "Grow only what layers or weights of these names make.", metavar="GLOB")
    exclude: Sequence[str] = option((), "Leave layers and weights of these names as they are.", metavar="GLOB")
    multiple_of: int = option(1, "Round new widths up to a multiple.", least=1)
    # As measured in docs/net2net.md: what is drawn learns faster than mixtures. Copies learn faster the more noise
    # tells them apart, up to where the loss jumps in the first hundred steps.
    init: Literal["drawn", "zero", "net2net"] = option(
        "drawn",
        "Fresh channels with zero outgoing weights, drawn or mixed of old ones, or copies that share those.",
    )
    mapping: Literal["random", "cyclic"] = option("random", "Copy channels at random or in turn.")
    noise: float = option(0.3, "Noise on the outgoing weights of copies, relative to theirs; it cancels.", least=0)
    seed: int = option(0, "Seed of everything random.", least=0)

    @property
    def times(self) -> float:
        """New width over old of the groups that are not named: those stay if sizes are given, and no factor."""
        if self.factor is not None:
            return self.factor
        return 1.0 if self.groups else FACTOR
