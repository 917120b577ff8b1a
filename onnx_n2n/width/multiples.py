"""Groups that grow by whole factors only: which multiples bring the total nearest to what was asked for.

The total is the number of parameters, and how near one is to another is their quotient. A factor of 1.5 lies between 1
and 2, so some of these groups double and the others stay, rather than that all double. Groups of one size grow alike if
they can: a network's own code has one number for layers that repeat.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from onnx_n2n.analysis.groups import Group
from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import Factor, leaves
from onnx_n2n.graph.constants import parameters
from onnx_n2n.rules.obligations import Mean

NEAR = 0.1  # to the total asked for, as a part of it: then no further groups have to stay
FAR = 0.4  # from it: then groups of one size need not grow alike


def multiples(
    analysis: Analysis,
    groups: Sequence[Group],
    times: float,
    asked: Mapping[Factor, float],
    others: Mapping[Factor, int],
    multiple_of: int = 1,
) -> dict[Factor, int]:
    """Return by what each group grows; 1 where it stays.

    All of them begin with the factor rounded up. Then those of the size that brings the total nearest are rounded down
    instead, until the total is near, or no other size brings it nearer. If it is still far, the same is done with
    single groups. Parts of one axis that is normalised grow alike.

    Args:
        analysis: The analysis of the model.
        groups: The groups that grow by whole factors only.
        times: The factor that is asked for.
        asked: For each group that grows the length that is asked for, a fraction for copies side by side.
        others: For each other group that grows the length that it gets.
        multiple_of: What the new sizes must be multiples of.
    """
    low, high = math.floor(times), math.ceil(times)
    before = parameters(analysis.model)
    aim = before + analysis.gain(asked)
    lengths = dict(others)
    less: dict[Factor, int] = {}
    sets = _alike(analysis, groups)
    for alike in sets:
        fits = [n for n in (high, low) if all(group.spare or n * group.size % multiple_of == 0 for group in alike)]
        upper, lower = (*fits, 1, 1)[:2]
        lengths |= {group.factor: group.size * upper for group in alike}
        less |= {group.factor: group.size * lower for group in alike}
    total = before + analysis.gain(lengths)
    for some, limit in ((_of_one_size(sets), NEAR), (sets, FAR)):
        if aim > 0 and _apart(total, aim) > limit:
            choices = [{group.factor: less[group.factor] for group in alike} for alike in some]
            total = _lower(analysis, choices, lengths, total, aim)
    return {group.factor: lengths[group.factor] // group.size for group in groups}


def _lower(
    analysis: Analysis, choices: list[dict[Factor, int]], lengths: dict[Factor, int], total: float, aim: float
) -> float:
    """Take those of some lengths that bring a total near, the best first, and return what it is then."""
    number_of = {factor: number for number, each in enumerate(choices) for factor in each}
    gains = {number: _gain(analysis, lengths, each) for number, each in enumerate(choices)}
    while gains and _apart(total, aim) > NEAR:
        best = min(gains, key=lambda number: _apart(total + gains[number], aim))
        found = total + gains.pop(best)
        if _apart(found, aim) >= _apart(total, aim):
            break
        lengths |= choices[best]
        total = found
        beside = {number_of.get(factor) for factor in analysis.beside(choices[best])}
        gains |= {number: _gain(analysis, lengths, choices[number]) for number in gains.keys() & beside}
    return total


def _gain(analysis: Analysis, lengths: dict[Factor, int], other: Mapping[Factor, int]) -> float:
    """Return by how much the total becomes more if some of the lengths become other ones."""
    before = {factor: lengths[factor] for factor in other}
    total = analysis.gain(lengths, other)
    lengths |= other
    gained = analysis.gain(lengths, other) - total
    lengths |= before
    return gained


def _apart(total: float, aim: float) -> float:
    """Return how far a total is from another: the logarithm of their quotient."""
    return abs(math.log(max(total, 1) / aim))


def _of_one_size(sets: Iterable[list[Group]]) -> list[list[Group]]:
    """Return sets of groups in which those of the same sizes are joined."""
    found: dict[tuple[int, ...], list[Group]] = {}
    for each in sets:
        found.setdefault(tuple(sorted(map(_channels, each))), []).extend(each)
    return list(found.values())


def _channels(group: Group) -> int:
    """Return the size of a group, or how many channels have their copies beside them."""
    return max((member.shape[member.axis] for member in group.members), default=1) if group.spare else group.size


def _alike(analysis: Analysis, groups: Iterable[Group]) -> list[list[Group]]:
    """Return the groups in sets that must grow by the same factor, because they are parts of one axis."""
    sets = {group.factor: [group] for group in groups}
    for evenness in analysis.ledger.evenness:
        if not isinstance(evenness.by, Mean):
            joined = list({id(sets[leaf]): sets[leaf] for leaf in leaves(evenness.axis) if leaf in sets}.values())
            together = [group for each in joined for group in each]
            sets |= {group.factor: together for group in together}
    return list({id(each): each for each in sets.values()}.values())
