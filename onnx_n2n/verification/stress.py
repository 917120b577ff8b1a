"""Inputs at the edge of what a teacher takes: of large scale, and long."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir

from onnx_n2n.errors import InputError, TimeLimitError
from onnx_n2n.graph.subgraphs import roots_of
from onnx_n2n.verification.differences import finite
from onnx_n2n.verification.dims import batch_axes, long_axes, resolved
from onnx_n2n.verification.draw import Wanted
from onnx_n2n.verification.sessions import Feed, Timed, run
from onnx_n2n.verification.trial import Trial

# What real inputs are multiplied by, the most telling first: of an expensive teacher only the first is run.
SCALES = (1e4, 1e2, 1e1, 1e3)

# Where examples are cheap: as many of scales in between. Two feeds, for what overflows inside at one scale excuses all.
EXAMPLES, SPANS = 64, ((1e0, 3e1), (3e1, 1e4))

# How long a sequence may be: errors build up where each step reads the one before, elsewhere they do not.
LONGEST, LONGEST_AT_ONCE = 2048, 512
STEPWISE = {"GRU", "LSTM", "Loop", "RNN", "Scan"}
PROBE = 16  # times as long as an ordinary feed, at first: how long that takes tells how long more may be
LARGEST = 2**22  # bytes of all inputs, or all outputs, of a long feed; a quarter of it for many examples

# What the teacher may take, in seconds of all processors (how busy these are is no matter) or as a share of what
# it took before; a first scale is always run.
SCALE_SECONDS, LONG_SECONDS, SHARE = 0.02, 0.03, 0.04


def stress(
    teacher: Timed, model: ir.Model, wants: Sequence[Wanted], trial: Trial, seconds: float, seed: int
) -> Iterator[tuple[str, Trial]]:
    """Make feeds from the first ordinary one, as many as time allows, and run the teacher on them.

    Args:
        teacher: The teacher, open.
        model: The teacher, to be read.
        wants: What its inputs take.
        trial: The ordinary feeds.
        seconds: How long the teacher took so far.
        seed: Seed of everything drawn.

    Yields:
        What is special about each feed, for people; and the feed with the teacher's answer.
    """
    budget = max(SCALE_SECONDS, SHARE * seconds)
    start, found = time.process_time(), False
    for scale in SCALES:
        feed = _scaled(wants, trial.feeds[0], scale)
        if feed is None or (found and time.process_time() - start > budget):
            break
        try:
            answered = _answered(teacher, trial, feed)
        except TimeLimitError:
            break
        except InputError:
            continue
        found = found or finite(answered.truth[0]) == 1
        yield f"inputs times {scale:,.0f}", answered
    yield from _many(wants, teacher, trial, budget, seed)
    yield from _long(model, wants, teacher, trial, max(LONG_SECONDS, SHARE * seconds), seed)


def _answered(teacher: Timed, trial: Trial, feed: Feed) -> Trial:
    return Trial(trial.names, (feed,), (run(teacher, feed, trial.names),), trial.origin)


def _scalable(want: Wanted) -> bool:
    """Whether an input holds real numbers of any size, and no mask, index, parameter or what a size is computed of."""
    special = want.sizing or want.role.mask or want.role.bound or bool(want.role.choices)
    return want.kind.is_floating_point() and bool(want.dims) and not special


def _scaled(wants: Sequence[Wanted], feed: Feed, scale: float) -> dict[str, np.ndarray] | None:
    """The feed with its real inputs times a number, as far as their types go; None where it has none."""
    names = {want.name for want in wants if _scalable(want)}
    return {name: _times(array, scale) if name in names else array for name, array in feed.items()} if names else None


def _times(array: np.ndarray, by: Any) -> np.ndarray:
    most = float(ml_dtypes.finfo(array.dtype).max)  # type: ignore[no-untyped-call]
    with np.errstate(over="ignore"):
        return np.asarray(np.clip(array.astype(np.float64) * by, -most, most)).astype(array.dtype)


def _many(
    wants: Sequence[Wanted], teacher: Timed, trial: Trial, budget: float, seed: int
) -> Iterator[tuple[str, Trial]]:
    """The teacher's answer to many examples, each of another scale, where their number is free and it is quick."""
    feed, sizes = trial.feeds[0], _sizes(wants, trial.feeds[0])
    names = batch_axes([want.dims for want in wants]) & sizes.keys()
    if not names or not any(_scalable(want) and want.dims[0] in names for want in wants):
        return
    with contextlib.suppress(InputError):
        start = time.process_time()
        run(teacher, feed, trial.names)
        seconds = max(time.process_time() - start, 1e-9)
        if min(budget / seconds, LARGEST / 4 / _bytes(feed, trial.truth[0])) < EXAMPLES:
            return
        many = {name: size * EXAMPLES if name in names else size for name, size in sizes.items()}
        rows = max(many[name] for name in names)
        for low, high in SPANS:
            longer = _lengthened(wants, feed, many, seed)
            for want in wants:
                if _scalable(want) and want.dims[0] in names:
                    shape = (-1,) + (1,) * (len(want.dims) - 1)
                    scales = np.geomspace(low, high, len(longer[want.name])).reshape(shape)
                    longer[want.name] = _times(longer[want.name], scales)
            yield f"{rows} examples times {low:,.0f} to {high:,.0f}", _answered(teacher, trial, longer)


def _long(
    model: ir.Model, wants: Sequence[Wanted], teacher: Timed, trial: Trial, budget: float, seed: int
) -> Iterator[tuple[str, Trial]]:
    """The teacher's answer to a sequence as long as it takes in time, for each set of axes that may be one."""
    feed, sizes = trial.feeds[0], _sizes(wants, trial.feeds[0])
    stepwise = any(node.op_type in STEPWISE for root in roots_of(model) for node in root.all_nodes())
    for axes in long_axes([want.dims for want in wants], leading=stepwise):
        names = axes & sizes.keys()
        if not names:
            continue
        start = time.process_time()
        longest = (LONGEST if stepwise else LONGEST_AT_ONCE) // max(sizes[name] for name in names)
        longest = min(longest, LARGEST // _bytes(feed, trial.truth[0]))
        times, found = 2 ** int(math.log2(min(PROBE, max(longest, 1)))), None
        while times > 1 and time.process_time() - start <= budget:
            longer = {name: size * times if name in names else size for name, size in sizes.items()}
            try:
                before = time.process_time()
                answer = _answered(teacher, trial, _lengthened(wants, feed, longer, seed))
            except InputError:  # a table of positions may end, or it takes too long
                if found is not None:
                    break
                times, longest = times // 2, times // 2
                continue
            found = " and ".join(f"{longer[name]:,} steps along {name!r}" for name in sorted(names)), answer
            more = (budget / max(time.process_time() - before, 1e-9)) ** (1.0 if stepwise else 0.5)
            further = 2 ** int(math.log2(min(longest, times * max(more, 1.0))))
            if further <= times:
                break
            times = further
        if found is not None:
            yield found


def _sizes(wants: Sequence[Wanted], feed: Feed) -> dict[str, int]:
    """The sizes that free axes have in a feed; none where these do not tell all of its shapes."""
    places = [pair for want in wants for pair in zip(want.dims, feed[want.name].shape, strict=True)]
    sizes = {dim: size for dim, size in places if isinstance(dim, str)}
    return sizes if all(resolved(dim, sizes) == size for dim, size in places) else {}


def _lengthened(wants: Sequence[Wanted], feed: Feed, sizes: Mapping[str, int], seed: int) -> dict[str, np.ndarray]:
    """The feed with other sizes: what it holds follows itself again and again, with real numbers varied."""
    rng = np.random.default_rng(seed)
    shapes = {want.name: tuple(resolved(dim, sizes) for dim in want.dims) for want in wants}
    return {want.name: _repeated(want, feed[want.name], shapes[want.name], rng) for want in wants}


def _bytes(feed: Feed, answers: Sequence[Any]) -> int:
    held = [sum(getattr(array, "nbytes", 0) for array in arrays) for arrays in (feed.values(), answers)]
    return max(1, *held)


def _repeated(want: Wanted, array: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if shape == array.shape or 0 in array.shape or not shape:
        return array
    found = array[np.ix_(*(np.arange(size) % old for size, old in zip(shape, array.shape, strict=True)))]
    if not _scalable(want):
        return found
    return _times(rng.permutation(found.reshape(-1)).reshape(shape), rng.uniform(0.5, 1.5, shape))
