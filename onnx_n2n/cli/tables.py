"""The tables of ``inspect``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console

from onnx_n2n.analysis.costs import costs_of
from onnx_n2n.analysis.groups import Group
from onnx_n2n.analysis.redundant import Clones
from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.cli.words import count, first, listed, new_table, print_rest
from onnx_n2n.depth.places import Places
from onnx_n2n.graph.constants import parameters
from onnx_n2n.width.choice import HEAD_SIZE
from onnx_n2n.width.plan import ways

KINDS = {
    "block": "a copy of the block that adds zero, before it",
    "identity": "a layer that changes nothing, behind an activation that may be applied twice",
    "residual": "two layers that add zero, behind an activation",
}
WAYS = {
    "by copies": "new channels start as copies of old ones, where fresh ones could get too large or are not defined",
    "by quiet channels": "new channels have weights of zero wherever a mean over all of them would see them",
    "by whole factors": "the size can double, triple and so on",
}

NAMED = ", if named"
LEGEND = """\
+1 costs: parameters that one more channel adds
x2 costs: what the model gains when this group alone doubles
layers:   what else makes these channels -> what reads them"""


def print_groups(console: Console, analysis: Analysis) -> None:
    """Print what may grow, what that costs, and what may not grow."""
    groups, before = analysis.weighty, parameters(analysis.model)
    grows = ways(analysis)
    sizes = [group for group in groups if group.factor in analysis.head_sizes]
    limited = bool(sizes) or any(grows[group.factor] != "freely" for group in groups)
    console.print(f"{count(len(groups), 'group')} can grow; the model has {before:,} parameters.")
    if groups:
        table = new_table("group", "size>", *["grows"] * limited, "+1 costs>", "x2 costs>", "layers")
        for group in groups:
            one, double = (analysis.cost(group, after) for after in (group.size + 1, 2 * group.size))
            how = [grows[group.factor] + NAMED * (group in sizes)] * limited
            share = f"{100 * double / before:.1f} %" if before else "-"
            table.add_row(group.name, str(group.size), *how, f"{one:,}", share, _layers(group))
        console.print("", table, "", sep="\n")
        console.print(LEGEND)
        _print_meanings(console, WAYS, grows.values())
    if sizes:
        flag = f"--group {sizes[0].name}={2 * sizes[0].size}"
        console.print(f"if named: {HEAD_SIZE}, as with {flag}", soft_wrap=True, markup=False)
    _print_pins(console, analysis)


def print_places(console: Console, found: Places) -> None:
    """Print where depth can be added, and where not."""
    console.print("", f"{count(len(found.found), 'place')} can take depth.", sep="\n")
    stages: dict[tuple[str, int], list[str]] = {}
    for place in found.found:
        stages.setdefault((place.kind, place.stage), []).append(place.name)
    if stages:
        table = new_table("kind", "stage>", "places>", "at")
        for (kind, stage), names in sorted(stages.items()):
            table.add_row(kind, str(stage), str(len(names)), listed(names))
        console.print("", table, "", sep="\n")
        _print_meanings(console, KINDS, (kind for kind, _ in stages))
    reasons: dict[str, list[str]] = {}
    for barred in found.barred:
        reasons.setdefault(barred.reason, []).append(barred.name)
    if reasons:
        table = new_table("layers>", "at", "why not")
        for reason, names in first(reasons.items()):
            table.add_row(str(len(names)), listed(names), reason)
        console.print("", table, sep="\n")
        print_rest(console, len(reasons), "reason")


def _print_meanings(console: Console, meanings: Mapping[str, str], said: Iterable[str]) -> None:
    """Print what the words in a table mean, each that stands there."""
    said = set(said)
    found = {f"{word}:": meaning for word, meaning in meanings.items() if word in said}
    for word, meaning in found.items():
        console.print(f"{word:{max(map(len, found))}} {meaning}")


CLONES = """\
incoming: channels whose incoming weights are exactly those of another channel of the group
outgoing: channels whose outgoing weights are; "-" where no weight makes or sums the channels
twins:    channels that are equal in both, so that training can never tell them apart: they are redundant"""


def print_clones(console: Console, clones: Clones) -> None:
    """Print which groups have channels that are exact copies of others."""
    console.print(told_apart(clones))
    rows = [found for found in clones.groups if found.incoming or found.outgoing]
    if rows:
        table = new_table("group", "channels>", "incoming>", "outgoing>", "twins>")
        for row in rows:
            sides = ("-" if side is None else str(side) for side in (row.incoming, row.outgoing))
            table.add_row(row.group, str(row.channels), *sides, str(row.twins))
        console.print("", table, "", CLONES, sep="\n")


def told_apart(clones: Clones) -> str:
    """Say in a sentence how many channels training can tell from all others."""
    if clones.twins:
        names = listed(found.group for found in clones.groups if found.twins)
        return (
            f"Redundant channels: {clones.twins:,} of {count(clones.channels, 'channel')} have the weights of another, "
            f"so that training can never tell them apart ({names})."
        )
    alike = f"; {clones.incoming:,} start with the incoming weights of another" if clones.incoming else ""
    return f"No redundant channels: gradients differ for all {count(clones.channels, 'channel')}{alike}."


def _print_pins(console: Console, analysis: Analysis) -> None:
    if not analysis.pins:
        return
    table, costs = new_table("axes>", "parameters>", "weights", "why"), costs_of(analysis.pins)
    for cost in first(costs):
        names = listed(pinned.weight for pinned in cost.pins)
        table.add_row(str(len(cost.pins)), f"{cost.parameters:,}", names, cost.reason)
    console.print("", f"{count(len(analysis.pins), 'weight axis', 'weight axes')} pinned:", "", table, sep="\n")
    print_rest(console, len(costs), "reason")


def _layers(group: Group) -> str:
    """Name the layers besides its own that make a group's channels, and those that read them; no norms and biases."""
    matrices = [member for member in group.members if sum(length > 1 for length in member.shape) > 1] or group.members
    make, read = ([member.title for member in matrices if member.consumes is side] for side in (False, True))
    others = listed(name for name in make if name != group.name)
    return " ".join(filter(None, (others, f"-> {listed(read)}" if read else "")))
