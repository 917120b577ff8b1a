"""From what a user asks to a growth: which groups grow, to which sizes, and with which channels."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from onnx_n2n.analysis.groups import Group
from onnx_n2n.analysis.selection import unknown
from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import Factor, Limit, leaves
from onnx_n2n.errors import GrowthError, NotApplicable, OptionError
from onnx_n2n.graph.quantised import rounds
from onnx_n2n.graph.subgraphs import nodes_of
from onnx_n2n.rules.obligations import Mean
from onnx_n2n.width.choice import MOST, asked, choose
from onnx_n2n.width.growth import Channels, GrownGroup, Growth, KeptGroup, Quieted, added, copies, drawn, fresh, quieted
from onnx_n2n.width.multiples import multiples
from onnx_n2n.width.quiet.search import quieten
from onnx_n2n.width.reach.search import Fits, Reaches
from onnx_n2n.width.request import Request
from onnx_n2n.width.tied import parts


def plan(analysis: Analysis, request: Request) -> Growth:
    """Decide how every group grows.

    Raises:
        OptionError: If the request has no meaning.
        GrowthError: If it names a group that does not exist, is pinned, or cannot have the size asked for.
    """
    request.check()
    for name in (*request.groups, *request.only, *request.without):
        _check_named(analysis, name, request.groups.get(name, MOST))
    chosen, kept = choose(analysis, request)
    averaged = _only_averaged(analysis)
    lengths: dict[Factor, int | Channels] = {}
    whole: dict[Factor, str] = {}
    for group in chosen:
        try:
            lengths[group.factor] = _length(analysis, group, request, averaged)
        except GrowthError as refusal:
            if group.name in request.groups:
                raise
            whole[group.factor] = refusal.reason
    notes = _round(analysis, request, [group for group in chosen if group.factor in whole], lengths)
    kept += [KeptGroup(group.name, group.size, whole[group.factor], whole=True) for group in chosen
             if group.factor in whole and group.factor not in lengths]  # fmt: skip
    channels, copied = _channels(analysis, chosen, request, lengths)
    _keep_even(analysis, channels, kept, request)
    grown = [
        GrownGroup(
            group.name, group.size, len(channels[group.factor].index),
            f"{round(notes[group.factor], 2)} was asked for; {whole[group.factor]}" if group.factor in notes else "",
            copied.get(group.factor, ""),
        )
        for group in analysis.groups
        if group.factor in channels
    ]  # fmt: skip
    return Growth(channels, tuple(grown), tuple(kept))


def _check_named(analysis: Analysis, name: str, wanted: int) -> None:
    group = next((group for group in analysis.groups if group.name == name), None)
    if group is not None:
        if wanted < group.size:
            raise OptionError(f"group {name!r} has {group.size} channels already and cannot shrink to {wanted}")
        return
    for pinned in analysis.pins:
        if name in {pinned.weight, pinned.layer}:
            raise GrowthError(
                f"{name!r} is pinned and cannot grow: {pinned.reason}",
                shapes=f"axis {pinned.axis} of {pinned.weight!r} has length {pinned.size}",
                hint="'onnx-n2n inspect' lists the groups that can",
            )
    raise unknown(name, [group.name for group in analysis.groups], "group")


def _length(analysis: Analysis, group: Group, request: Request, averaged: Collection[Factor]) -> int | Channels:
    """Return the size that a group is to have, or quiet channels that give it, or that keep a parameter one.

    Raises:
        GrowthError: If only whole multiples of its size are possible, and another one was asked for.
    """
    after = asked(group, request)
    if group.spare and group.name not in request.groups and after != request.times:
        raise GrowthError("only whole multiples are possible: copies of each channel stand side by side")
    possible = group.limit is not Limit.UNIFORM or after % group.size == 0
    if possible and not (after > group.size and parts(analysis, group.factor, after)):
        return after
    for tied in (True,) if possible or not analysis.twins.tied else (True, False):
        try:
            return quieted(group.size, after, quieten(analysis, group.factor, tied=tied), _seed(group, request))
        except NotApplicable as failure:
            loud = failure
    if possible or group.factor in averaged:
        return after
    raise GrowthError(f"only whole multiples of {group.size} are possible: {group.reason}, and {loud}") from loud


def _round(
    analysis: Analysis, request: Request, whole: Sequence[Group], lengths: dict[Factor, int | Channels]
) -> dict[Factor, float]:
    """Give groups that grow by whole factors only the sizes that fit best; return what was asked for instead."""
    wanted: dict[Factor, float] = {
        group.factor: asked(group, request) for group in analysis.groups if group.factor in lengths
    }
    wanted |= {group.factor: request.times if group.spare else asked(group, request) for group in whole}
    given = {factor: len(found.index) if isinstance(found, Channels) else found for factor, found in lengths.items()}
    chosen = multiples(analysis, whole, request.times, wanted, given, request.multiple_of) if whole else {}
    sizes = {group.factor: chosen[group.factor] * group.size for group in whole if chosen[group.factor] > 1}
    lengths |= sizes
    return {factor: wanted[factor] for factor, size in sizes.items() if wanted[factor] != size}


def _channels(
    analysis: Analysis, chosen: Sequence[Group], request: Request, lengths: Mapping[Factor, int | Channels]
) -> tuple[dict[Factor, Channels], dict[Factor, str]]:
    """Return the channels of groups of which the sizes are known, and why those that are copies are none but copies."""
    reaches = Reaches(analysis) if request.init != "net2net" and any(group.limit is None for group in chosen) else None
    rounded = _rounded(analysis)
    channels: dict[Factor, Channels] = {}
    copied: dict[Factor, str] = {}
    for group in chosen:
        after = lengths.get(group.factor, group.size)
        if isinstance(after, Channels):
            channels[group.factor] = after
        elif after > group.size and request.init != "net2net":
            channels[group.factor], copied[group.factor] = _new(group, after, request, reaches)
        elif after > group.size:
            channels[group.factor] = _copied(group, after, request, zeros=group.factor in rounded)
    return channels, copied


def ways(analysis: Analysis) -> dict[Factor, str]:
    """Say for each group how it may grow, as a person would."""
    averaged, reaches = _only_averaged(analysis), Reaches(analysis)
    found = {}
    for group in analysis.groups:
        if group.spare:
            found[group.factor] = "by whole factors"
            continue
        if group.limit is not Limit.UNIFORM or group.factor in averaged:
            free = group.limit is not Limit.COPIES and isinstance(reaches.of(group.factor), Fits)
            found[group.factor] = "freely" if free else "by copies"
            continue
        try:
            quieten(analysis, group.factor)
            found[group.factor] = "by quiet channels"
        except NotApplicable:
            found[group.factor] = "by whole factors"
    return found


def _new(group: Group, after: int, request: Request, reaches: Reaches | None) -> tuple[Channels, str]:
    """Return channels without outgoing weight: fresh ones, or copies where only these are allowed, with the reason."""
    fits = group.reason if group.limit is not None or reaches is None else reaches.of(group.factor)
    if isinstance(fits, Fits) and request.init == "drawn" and fits.gentle and not fits.positive:
        return drawn(group.size, after, _seed(group, request), fits.most), ""
    if isinstance(fits, Fits):
        return fresh(group.size, after, _seed(group, request), fits.most, positive=fits.positive), ""
    return added(group.size, after), str(fits)


def _copied(group: Group, after: int, request: Request, *, zeros: bool) -> Channels:
    """Return how a group grows to a size; with ``zeros`` the old channels keep all of their outgoing weight."""
    if zeros:
        return added(group.size, after)
    if request.mapping == "cyclic" or (group.limit is Limit.UNIFORM and after % group.size == 0):
        return copies(group.size, after, None)
    return copies(group.size, after, np.random.default_rng(_seed(group, request)))


def _seed(group: Group, request: Request) -> tuple[int, int]:
    return request.seed, zlib.crc32(group.name.encode())


def _rounded(analysis: Analysis) -> set[Factor]:
    """Return the factors over which floating-point numbers are summed in a model that rounds to quantised ones.

    There the last bit of a sum may decide between two whole numbers. So old channels keep all of their weight, and the
    copies have none: to add zeros changes no bit. Sums of whole numbers are exact anyway.
    """
    if not any(map(rounds, nodes_of(analysis.model.graph))):
        return set()
    contractions = [contraction for contraction in analysis.ledger.contractions if not contraction.whole]
    summed = (axis for contraction in contractions for axis, on in contraction.summands[0].parts if on)
    return {leaf for axis in summed for leaf in leaves(axis)}


def _only_averaged(analysis: Analysis) -> set[Factor]:
    """Return the factors that only plain means want even, which can be weighed instead."""
    wanted: dict[Factor, bool] = {}
    for evenness in analysis.ledger.evenness:
        for leaf in leaves(evenness.axis):
            wanted[leaf] = wanted.get(leaf, True) and isinstance(evenness.by, Mean)
    return {factor for factor, averaged in wanted.items() if averaged}


def _keep_even(analysis: Analysis, channels: dict[Factor, Channels], kept: list[KeptGroup], request: Request) -> None:
    """Give up growing where parts of one axis would no longer count alike in a mean over it."""
    names = {group.factor: group for group in analysis.groups}
    changed = True
    while changed:
        changed = False
        growth = Growth(channels, (), ())
        for evenness in analysis.ledger.evenness:
            quiet = any(isinstance(channels.get(factor), Quieted) for factor in leaves(evenness.axis))
            if quiet or isinstance(evenness.by, Mean) or growth.multiplicity(evenness.axis) is not None:
                continue
            for factor in [factor for factor in dict.fromkeys(leaves(evenness.axis)) if factor in channels]:
                group = names[factor]
                if group.name in request.groups:
                    raise GrowthError(
                        f"group {group.name!r} is only part of an axis, all of which must grow alike: {evenness.reason}"
                    )
                del channels[factor]
                reason = f"other parts of one axis do not grow alike: {evenness.reason}"
                kept.append(KeptGroup(group.name, group.size, reason))
            changed = True
