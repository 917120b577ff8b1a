"""Groups that grow by whole factors only: which multiples bring the total nearest to what was asked for.

The total is the number of parameters, and how near one is to another is their quotient. A factor of 1.5 lies between 1
and 2, so some of these groups double and the others stay, rather than that all double.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from onnx_n2n.analysis.groups import Group
from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import Factor, leaves
from onnx_n2n.graph.constants import parameters
from onnx_n2n.rules.obligations import Mean

NEAR = 0.1  # to the total asked for, as a part of it: then no further group has to stay


def multiples(
    analysis: Analysis,
    groups: Sequence[Group],
    times: float,
    others: Mapping[Factor, tuple[float, int]],
    multiple_of: int = 1,
) -> dict[Factor, int]:
    """Return by what each group grows; 1 where it stays.

    All of them begin with the factor rounded up. Then the one that brings the total nearest is rounded down instead,
    until the total is near, or no other brings it nearer. Parts of one axis that is normalised grow alike.

    Args:
        analysis: The analysis of the model.
        groups: The groups that grow by whole factors only.
        times: The factor that is asked for.
        others: For each other group that grows the length that is asked for and the length it gets.
        multiple_of: What the new sizes must be multiples of.
    """
    low, high = math.floor(times), math.ceil(times)
    goal = {factor: wanted for factor, (wanted, _) in others.items()} | {g.factor: g.size * times for g in groups}
    before = parameters(analysis.model)
    aim = before + analysis.gain(goal)
    lengths: dict[Factor, float] = {factor: length for factor, (_, length) in others.items()}
    choices: list[tuple[list[Group], int]] = []  # groups that grow alike, and what else they may grow by
    for alike in _alike(analysis, groups):
        fits = [n for n in (high, low) if all(n * group.size % multiple_of == 0 for group in alike)]
        upper, lower = (*fits, 1, 1)[:2]
        lengths |= {group.factor: group.size * upper for group in alike}
        if lower < upper:
            choices.append((alike, lower))
    found = before + analysis.gain(lengths)
    while choices and aim > 0 and _apart(found, aim) > NEAR:
        totals = [found + _lowered(analysis, alike, lower, lengths) for alike, lower in choices]
        best = min(range(len(choices)), key=lambda place: _apart(totals[place], aim))
        if _apart(totals[best], aim) >= _apart(found, aim):
            break
        alike, lower = choices.pop(best)
        lengths |= {group.factor: group.size * lower for group in alike}
        found = totals[best]
    return {group.factor: round(lengths[group.factor]) // group.size for group in groups}


def _lowered(analysis: Analysis, groups: Iterable[Group], times: int, lengths: Mapping[Factor, float]) -> float:
    """Return what the total gains when some groups grow by less."""
    less = {group.factor: float(group.size * times) for group in groups}
    return analysis.gain({**lengths, **less}, less) - analysis.gain(lengths, less)


def _apart(total: float, aim: float) -> float:
    """Return how far a total is from another: the logarithm of their quotient."""
    return abs(math.log(max(total, 1) / aim))


def _alike(analysis: Analysis, groups: Iterable[Group]) -> list[list[Group]]:
    """Return the groups in sets that must grow by the same factor, because they are parts of one axis."""
    sets = {group.factor: [group] for group in groups}
    for evenness in analysis.ledger.evenness:
        if not isinstance(evenness.by, Mean):
            joined = list({id(sets[leaf]): sets[leaf] for leaf in leaves(evenness.axis) if leaf in sets}.values())
            together = [group for each in joined for group in each]
            sets |= {group.factor: together for group in together}
    return list({id(each): each for each in sets.values()}.values())
