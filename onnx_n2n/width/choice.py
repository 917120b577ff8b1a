"""Which groups grow when a user names none of them: of several that multiply into one axis only one does.

Attention grows by heads: where heads of queries share a head of keys, by how many share it, else by heads of keys. The
size of a head grows only when it is named, because tables of rotary embeddings, the scale of scores and what a class
computes depend on it.
"""

from __future__ import annotations

import fnmatch
import math
from collections import Counter
from collections.abc import Iterable, Iterator

from onnx_n2n.analysis.groups import Group, Member
from onnx_n2n.analysis.roles import Role
from onnx_n2n.analysis.selection import unmatched
from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import Axis, Factor, Product, Sum, leaves, resolve
from onnx_n2n.errors import OptionError
from onnx_n2n.graph.subgraphs import nodes_of
from onnx_n2n.width.growth import KeptGroup
from onnx_n2n.width.request import Request
from onnx_n2n.words import brief

MOST = 2**31 - 1  # channels that a group may have
HEAD_SIZE = "head size: grows only when it is named"
FIRST = (Role.HEADS_PER_KV, Role.HEADS, Role.KV_HEADS)
"""Roles whose groups grow before all others on the same axis, in this order."""


def choose(analysis: Analysis, request: Request) -> tuple[list[Group], list[KeptGroup]]:
    """Select the groups to grow: of several factors that multiply into one axis only one grows, unless named."""
    wanted = [group for group in analysis.groups if _takes(group, request)]
    rivals, alone = _rivals(analysis), _alone(analysis)
    chosen = {group.factor: group for group in wanted if group.name in request.groups}
    kept = []
    for group in sorted(wanted, key=lambda group: (_rank(group), -alone[group.factor], -len(group.members))):
        if group.factor in chosen or asked(group, request) == group.size:
            continue
        if group.factor in analysis.head_sizes and not (group.name in request.only or request.include):
            kept.append(KeptGroup(group.name, group.size, HEAD_SIZE))
            continue
        rival = next((chosen[other] for other in rivals.get(group.factor, ()) if other in chosen), None)
        if rival is None:
            chosen[group.factor] = group
        else:
            kept.append(
                KeptGroup(group.name, group.size, f"{rival.name!r} grows on the same axis; name it to grow both")
            )
    return list(chosen.values()), kept


def unchanged(analysis: Analysis, request: Request) -> list[Group]:
    """Return the groups that are to grow and are too small for a factor to add even one channel, but heads' sizes."""
    return [
        group for group in analysis.groups
        if request.times > 1 and _takes(group, request) and asked(group, request) == group.size
        and group.factor not in analysis.head_sizes
    ]  # fmt: skip


def _rank(group: Group) -> int:
    role = group.part.role if group.part is not None else None
    return FIRST.index(role) if role in FIRST else len(FIRST)


def _takes(group: Group, request: Request) -> bool:
    return (group.name in request.groups or _wants(group, request)) and request.takes(group.name)


def asked(group: Group, request: Request) -> int:
    """Return the size that is asked for."""
    named = request.groups.get(group.name)
    aim = named if named is not None else math.floor(group.size * request.times + 0.5)
    if named is None and group.spare:
        aim = math.ceil(request.times)
    elif named is None and aim != group.size:
        aim = -(-aim // request.multiple_of) * request.multiple_of
    if aim > MOST:
        reason = f"group {group.name!r} would have {brief(f'{aim:,}', 24)} channels"
        raise OptionError(reason, hint=f"ask for {MOST} at most")
    return aim


def unmatched_in(analysis: Analysis, request: Request) -> Iterator[str]:
    """Yield a note for each glob of a request that matches nothing that can grow."""
    what = "nothing that can grow"
    makers = {name for group in analysis.groups for name in _names(group, _makers(group))}
    yield from unmatched("include", request.include, makers, what)
    members = {name for group in analysis.groups for name in _names(group, group.members)}
    yield from unmatched("exclude", request.exclude, members, what)


def _wants(group: Group, request: Request) -> bool:
    if not group.members or _matches(_names(group, group.members), request.exclude):
        return False
    return not request.include or _matches(_names(group, _makers(group)), request.include)


def _makers(group: Group) -> list[Member]:
    return [member for member in group.members if not member.consumes]


def _names(group: Group, members: Iterable[Member]) -> set[str]:
    return {group.name, *(name for m in members for name in (m.layer, m.title, m.weight))}


def _matches(names: Iterable[str], globs: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, glob) for name in names for glob in globs)


def _alone(analysis: Analysis) -> Counter[Factor]:
    """Count for each factor the weight axes that grow by it or not at all."""
    free = {group.factor for group in analysis.groups}
    return Counter(
        next(iter(growing))
        for node in nodes_of(analysis.model.graph)
        for slot, value in enumerate(node.inputs)
        if value is not None and value in analysis.constants
        for axis in analysis.axes_of_use(node, slot) or ()
        if len(growing := {factor for factor in leaves(axis) if factor in free}) == 1
    )


def _rivals(analysis: Analysis) -> dict[Factor, dict[Factor, None]]:
    """Return for each factor those that multiply with it in some axis."""
    free = {group.factor for group in analysis.groups}
    found: dict[Factor, dict[Factor, None]] = {}

    def visit(axis: Axis) -> None:
        axis = resolve(axis)
        if isinstance(axis, Product):
            sides = [dict.fromkeys(factor for factor in leaves(part) if factor in free) for part in axis.parts]
            for side in sides:
                for other in sides:
                    for factor in side if other is not side else ():
                        found.setdefault(factor, {}).update(dict.fromkeys(f for f in other if f is not factor))
        if isinstance(axis, Product | Sum):
            for part in axis.parts:
                visit(part)

    for axes in (*analysis.axes.values(), *analysis.uses.values()):
        for axis in axes:
            visit(axis)
    return found
