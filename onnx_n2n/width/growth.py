"""Growth of factors: which old channel each new one comes from, and which share of its outgoing weights it carries.

A :class:`Channels` says it for one factor, a :class:`Growth` for a whole model. The index and the shares of an axis
follow from its expression: mixed radix over a product, offsets over a sum.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from onnx_n2n.axes.algebra import Axis, Factor, Product, Sum, leaves, resolve, size
from onnx_n2n.record.mixture import MOST, Mixture, mixture
from onnx_n2n.words import count

if TYPE_CHECKING:
    from onnx_n2n.width.quiet.channels import Quiet


@dataclass(frozen=True, eq=False)
class Channels:
    """What became of the channels of one factor of size n, now of size n'; its subclasses say what the new ones are.

    Attributes:
        index: int64[n'], the old channel that each new one stands for.
        share: float64[n'], the part of the outgoing weight that each carries; over the copies of an old channel the
            shares sum to exactly 1. Each is a sum of powers of two, so that scaling loses no bit.
    """

    index: np.ndarray
    share: np.ndarray

    @property
    def fresh(self) -> int:
        """How many channels at the end stand for no old one."""
        return 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self.index)}, of which {self.fresh} fresh>"


class Copies(Channels):
    """Every new channel is a copy of an old one."""


@dataclass(frozen=True, eq=False, repr=False)
class Fresh(Channels):
    """New channels have no outgoing weight, and weights of their own: mixtures of the old ones.

    Attributes:
        mixture: The old channels that each fresh one is made of.
    """

    mixture: Mixture

    @property
    def fresh(self) -> int:
        """How many channels at the end stand for no old one."""
        return int(np.count_nonzero(self.share == 0))


class Drawn(Fresh):
    """Their weights are drawn at random instead, where a layer sums with them."""


@dataclass(frozen=True, eq=False, repr=False)
class Quieted(Fresh):
    """New channels hold what no mean over the channels notices; ``quiet`` says what that is."""

    quiet: Quiet


class Averaged(Fresh):
    """New channels hold the mean of the old ones."""


@dataclass(frozen=True)
class GrownGroup:
    """A group that grew, from ``before`` to ``after`` channels.

    Attributes:
        note: Why not to the size asked for.
        copies: Why its new channels are copies, where fresh ones were asked for.
    """

    name: str
    before: int
    after: int
    note: str = ""
    copies: str = field(default="", repr=False)


@dataclass(frozen=True)
class KeptGroup:
    """A group that was asked to grow and kept its size, and why.

    Attributes:
        whole: Whether it could have grown by a whole factor.
    """

    name: str
    size: int
    reason: str
    whole: bool = False


@dataclass(frozen=True, eq=False)
class Growth:
    """What happened to every factor: the record of one growth.

    Attributes:
        channels: The grown factors; all others are as they were.
        grown: The groups that grew, in graph order.
        kept: The groups that were asked to grow and could not.
    """

    channels: Mapping[Factor, Channels]
    grown: tuple[GrownGroup, ...]
    kept: tuple[KeptGroup, ...]

    def __repr__(self) -> str:
        return f"<Growth: {count(len(self.grown), 'group')} grew, {len(self.kept)} could not>"

    @property
    def quiet(self) -> dict[Factor, Quiet]:
        """What new channels hold that no mean notices, of the factors that have such."""
        return {factor: found.quiet for factor, found in self.channels.items() if isinstance(found, Quieted)}

    def touches(self, axis: Axis) -> bool:
        """Say whether any factor of an axis grew."""
        return any(factor in self.channels for factor in leaves(axis))

    def length(self, axis: Axis) -> int:
        """Return the length of an axis in the student."""
        axis = resolve(axis)
        if isinstance(axis, Factor):
            return len(self.channels[axis].index) if axis in self.channels else axis.size or 0
        lengths = [self.length(part) for part in axis.parts]
        return int(np.prod(lengths, dtype=np.int64)) if isinstance(axis, Product) else sum(lengths)

    def index(self, axis: Axis) -> np.ndarray:
        """Return int64[n']: for every place of an axis in the student the place of the teacher it stands for."""
        axis = resolve(axis)
        if isinstance(axis, Factor):
            return self.channels[axis].index if axis in self.channels else np.arange(axis.size or 0)
        if isinstance(axis, Product):
            found = np.zeros(1, np.int64)
            for part in axis.parts:
                found = np.add.outer(found * (size(part) or 0), self.index(part)).ravel()
            return found
        offsets = np.cumsum([0, *(size(part) or 0 for part in axis.parts)])
        pieces = [self.index(part) + offset for part, offset in zip(axis.parts, offsets[:-1], strict=True)]
        return np.concatenate([np.zeros(0, np.int64), *pieces])

    def share(self, axis: Axis, silent: Collection[Factor] = ()) -> np.ndarray:
        """Return float64[n']: the share of every place of an axis; new channels that are ``silent`` need none."""
        axis = resolve(axis)
        if isinstance(axis, Factor):
            plain = axis not in self.channels or axis in silent
            return np.ones(self.length(axis)) if plain else self.channels[axis].share
        pieces = [self.share(part, silent) for part in axis.parts]
        if isinstance(axis, Product):
            found = np.ones(1)
            for piece in pieces:
                found = np.multiply.outer(found, piece).ravel()
            return found
        return np.concatenate([np.zeros(0), *pieces])

    def fresh(self, axis: Axis) -> np.ndarray:
        """Return bool[n']: which places of an axis are new and stand for none of the teacher's."""
        axis = resolve(axis)
        if isinstance(axis, Factor):
            flags = np.zeros(self.length(axis), bool)
            if axis in self.channels and self.channels[axis].fresh:
                flags[-self.channels[axis].fresh :] = True
            return flags
        pieces = [self.fresh(part) for part in axis.parts]
        if isinstance(axis, Product):
            found = np.zeros(1, bool)
            for piece in pieces:
                found = np.logical_or.outer(found, piece).ravel()
            return found
        return np.concatenate([np.zeros(0, bool), *pieces])

    def drawn(self, axis: Axis) -> bool:
        """Say whether weights of all fresh places of an axis are drawn at random."""
        fresh = [found for factor in leaves(axis) if (found := self.channels.get(factor)) is not None and found.fresh]
        return bool(fresh) and all(isinstance(each, Drawn) for each in fresh)

    def mixture(self, axis: Axis) -> Mixture:
        """Return what the fresh places of an axis are made of; in a product both parts may be fresh."""
        sources, weights = self._terms(axis)
        fresh = self.fresh(axis)
        return Mixture(sources[fresh], weights[fresh])

    def _terms(self, axis: Axis) -> tuple[np.ndarray, np.ndarray]:
        """Return int64[n', k] and float64[n', k]: for every place the old ones it is a sum of, and their weights."""
        axis = resolve(axis)
        if isinstance(axis, Factor):
            sources, channels = self.index(axis)[:, None], self.channels.get(axis)
            if not isinstance(channels, Fresh):
                return sources, np.ones(sources.shape)
            old, own = len(sources) - channels.fresh, channels.mixture
            kept = np.zeros((old, own.weights.shape[1]))
            kept[:, :1] = 1
            sources = np.repeat(sources[:old], kept.shape[1], axis=1)
            return np.concatenate([sources, own.sources]), np.concatenate([kept, own.weights])
        found = [self._terms(part) for part in axis.parts]
        if isinstance(axis, Product):
            sources, weights = np.zeros((1, 1), np.int64), np.ones((1, 1))
            for part, (inner, scales) in zip(axis.parts, found, strict=True):
                shape = len(sources) * len(inner), sources.shape[1] * inner.shape[1]
                nested = (sources * (size(part) or 0))[:, None, :, None] + inner[None, :, None, :]
                sources = nested.reshape(shape)
                weights = (weights[:, None, :, None] * scales[None, :, None, :]).reshape(shape)
            return sources, weights
        offsets = np.cumsum([0, *(size(part) or 0 for part in axis.parts)])
        most = max((weights.shape[1] for _, weights in found), default=1)
        wide = [np.pad(weights, ((0, 0), (0, most - weights.shape[1]))) for _, weights in found]
        moved = [
            np.pad(sources, ((0, 0), (0, most - sources.shape[1])), mode="edge") + offset if len(sources) else sources
            for (sources, _), offset in zip(found, offsets[:-1], strict=True)
        ]
        none = np.zeros((0, most))
        return (
            np.concatenate([none.astype(np.int64), *(each.reshape(-1, most) for each in moved)]),
            np.concatenate([none, *wide]),
        )

    def multiplicity(self, axis: Axis) -> int | None:
        """Return how often every place of an axis occurs, or None when some occur more often than others."""
        axis = resolve(axis)
        if isinstance(axis, Factor):
            counts = np.bincount(self.channels[axis].index) if axis in self.channels else np.ones(1, np.int64)
            return int(counts[0]) if np.all(counts == counts[0]) else None
        found = [self.multiplicity(part) for part in axis.parts]
        known = [times for times in found if times is not None]
        if len(known) < len(found) or (isinstance(axis, Sum) and len(set(known)) > 1):
            return None
        return math.prod(known) if isinstance(axis, Product) else max(known, default=1)

    def position(self, axis: Axis) -> np.ndarray | None:
        """Return the index with -1 at fresh places, or None when the axis is as it was: what a trace compares."""
        if not self.touches(axis):
            return None
        return np.where(self.fresh(axis), -1, self.index(axis))


def copies(before: int, after: int, rng: np.random.Generator | None) -> Copies:
    """Copy channels until there are ``after``: at random (``rng``), or in turn.

    Every old channel is copied once before any is copied twice. Source: Chen et al., Net2Net, 2016, section 2.2, with
    shares that are powers of two instead of 1/k.
    """
    extra = after - before
    rounds = [np.arange(before) if rng is None else rng.permutation(before) for _ in range(-(-extra // before))]
    index = np.concatenate([np.arange(before), *rounds]).astype(np.int64)[:after]
    return Copies(index, shares(index, before))


def added(before: int, after: int) -> Copies:
    """Add copies without outgoing weight, in turn."""
    return Copies(*_silent(before, after))


def fresh(
    before: int, after: int, seed: Sequence[int] = (0,), most: float | np.ndarray = MOST, *, positive: bool = False
) -> Fresh:
    """Add fresh channels without outgoing weight, which are mixtures of old ones."""
    rng = np.random.default_rng(seed)
    return Fresh(*_silent(before, after), mixture(before, after - before, rng, most, positive=positive))


def drawn(before: int, after: int, seed: Sequence[int] = (0,), most: float | np.ndarray = MOST) -> Drawn:
    """Add channels without outgoing weight whose weights are drawn at random."""
    plain = fresh(before, after, seed, most)
    return Drawn(plain.index, plain.share, plain.mixture)


def quieted(before: int, after: int, quiet: Quiet, seed: Sequence[int] = (0,)) -> Quieted:
    """Add channels that no mean over them notices."""
    plain = fresh(before, after, seed)
    return Quieted(plain.index, plain.share, plain.mixture, quiet)


def averaged(before: int, after: int) -> Averaged:
    """Add channels without outgoing weight that hold the mean of the old ones.

    Source: J. Hewitt, *Initializing New Word Embeddings for Pretrained Language Models*, 2021: an output that is the
    mean of the others takes little probability from them, where one that is drawn may take most of it.
    """
    plain = fresh(before, after)
    return Averaged(plain.index, plain.share, plain.mixture)


def _silent(before: int, after: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the index and the shares of channels of which the new ones have no outgoing weight."""
    return np.arange(after, dtype=np.int64) % before, np.where(np.arange(after) < before, 1.0, 0.0)


def shares(index: np.ndarray, before: int) -> np.ndarray:
    """Return the share of each copy: with k copies, as even as powers of two allow, summing to exactly 1."""
    count = np.bincount(index, minlength=before)[index]
    level = np.floor(np.log2(count)).astype(np.int64)
    halved = 2 * (count - 2**level)  # so many copies must make do with half of the others' share
    order = np.argsort(index, kind="stable")
    rank = np.empty_like(index)
    ordered = index[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    rank[order] = np.arange(len(index)) - np.repeat(starts, np.diff(np.r_[starts, len(index)]))
    return np.asarray(np.ldexp(1.0, -(level + (rank >= count - halved))))
