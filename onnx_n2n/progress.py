"""How far long work is: which stage has begun, and how many bytes and tensors of it are done."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from onnx_n2n.words import part_of_bytes

Progress = Callable[[str], None]
"""Is told each stage as it begins, as a text. A :class:`Meter` is also told how far the stage is."""

Done = Callable[[int], None]
"""Is told of each tensor that is done, how many bytes it has."""


@dataclass(frozen=True)
class Reached:
    """How far a stage is.

    Attributes:
        bytes: How many bytes are done.
        all_bytes: Of how many.
        tensors: How many tensors are done.
        all_tensors: Of how many.

    Example:
        >>> print(Reached(1_200_000_000, 9_800_000_000, 120, 416))
        1.2 of 9.8 GB, 120 of 416 tensors
    """

    bytes: int
    all_bytes: int
    tensors: int
    all_tensors: int

    def __str__(self) -> str:
        return f"{part_of_bytes(self.bytes, self.all_bytes)}, {self.tensors:,} of {self.all_tensors:,} tensors"


@runtime_checkable
class Meter(Protocol):
    """Who wants to know more of a stage than that it has begun."""

    def __call__(self, stage: str, /) -> None:
        """Take down that a stage begins."""

    def reached(self, how_far: Reached, /) -> None:
        """Take down how far the stage is; it is told after each tensor, from the thread that does the work."""


def unheard(_: str) -> None:
    """Tell nobody."""


def counting(progress: Progress, sizes: Iterable[int]) -> Done:
    """Return what is told of each tensor of a stage that is done, and tells ``progress`` how far the stage is.

    Args:
        progress: Who wants to know; only a :class:`Meter` is told.
        sizes: The bytes of each tensor of the stage.
    """
    if not isinstance(progress, Meter):
        return lambda _: None
    all_sizes = tuple(sizes)
    whole, tensors, done = sum(all_sizes), 0, 0

    def one_more(size: int) -> None:
        nonlocal tensors, done
        tensors, done = tensors + 1, done + size
        progress.reached(Reached(done, whole, tensors, len(all_sizes)))

    return one_more
