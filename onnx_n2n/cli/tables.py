"""What people and programs read: the tables of ``inspect``, the reports of ``widen`` and ``verify``, and their JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from onnx_n2n.analysis import Analysis
from onnx_n2n.axes import Axis, Factor, leaves, size
from onnx_n2n.budget import UNITS, Budget, Size
from onnx_n2n.checkpoint import Grown
from onnx_n2n.clones import Clones
from onnx_n2n.constants import parameters
from onnx_n2n.depth.places import Places
from onnx_n2n.explore import Candidate
from onnx_n2n.groups import Group, Pinned
from onnx_n2n.growth import Channels, Growth
from onnx_n2n.leaving_out import BUG, LeftOut
from onnx_n2n.lineage import Entry
from onnx_n2n.obstacles import Obstacle
from onnx_n2n.plan import ways
from onnx_n2n.record import Record
from onnx_n2n.report import Added, Report
from onnx_n2n.rules.declaration import WINDOW
from onnx_n2n.settings import Setting
from onnx_n2n.verify import Verdict

if TYPE_CHECKING:
    from onnx_n2n.verify.cuts import Rounded
    from onnx_n2n.verify.evaluation import Evaluated

SHOWN = 2  # names in a list before "and n more"
ROWS = 20  # reasons or sizes in a table before "and n more"; groups are all shown, for their names

KINDS = """\
block:    a copy of the block that adds zero, before it
identity: a layer that changes nothing, behind an activation that may be applied twice
residual: two layers that add zero, behind an activation"""

LEGEND = """\
+1 costs: parameters that one more channel adds
x2 costs: what the model gains when this group alone doubles
layers:   what else makes these channels -> what reads them"""


def places_as_json(found: Places) -> dict[str, Any]:
    """Return the places for depth, and the layers that are none, as JSON-ready values."""
    return {
        "places": [
            {"name": place.name, "kind": place.kind, "stage": place.stage, "tensor": place.value.name}
            for place in found.found
        ],
        "barred": [{"name": barred.name, "reason": barred.reason} for barred in found.barred],
    }


def groups_as_json(analysis: Analysis) -> dict[str, Any]:
    """Return groups and pins as JSON-ready values."""
    weights, grows = _weights(analysis), ways(analysis)
    return {
        "parameters": parameters(analysis.model),
        "groups": [
            {
                "name": group.name,
                "size": group.size,
                "grows": grows[group.factor],
                "reason": str(group.reason) if group.reason is not None else None,
                "parameters_per_channel": _cost(group, group.size + 1, weights),
                "parameters_to_double": _cost(group, 2 * group.size, weights),
                "members": [
                    {
                        "layer": member.layer,
                        "operator": member.operator,
                        "weight": member.weight,
                        "axis": member.axis,
                        "shape": list(member.shape),
                        "consumes": member.consumes,
                    }
                    for member in group.members
                ],
            }
            for group in _weighty(analysis)
        ],
        "pinned": [
            {
                "weight": pinned.weight,
                "axis": pinned.axis,
                "size": pinned.size,
                "layer": pinned.layer,
                "reason": pinned.reason.text,
                "node": pinned.reason.node,
            }
            for pinned in analysis.pins
        ],
    }


def print_groups(console: Console, analysis: Analysis) -> None:
    """Print what may grow, what that costs, and what may not grow."""
    groups, weights, before = _weighty(analysis), _weights(analysis), parameters(analysis.model)
    grows = ways(analysis)
    limited = any(grows[group.factor] != "freely" for group in groups)
    console.print(f"{_count(len(groups), 'group')} can grow; the model has {before:,} parameters.")
    if groups:
        table = _table("group", "size>", *["grows"] * limited, "+1 costs>", "x2 costs>", "layers")
        for group in groups:
            one, double = (_cost(group, after, weights) for after in (group.size + 1, 2 * group.size))
            how = [grows[group.factor]] * limited
            share = f"{100 * double / before:.1f} %" if before else "-"
            table.add_row(group.name, str(group.size), *how, f"{one:,}", share, _layers(group))
        console.print("", table, "", sep="\n")
        console.print(LEGEND)
    _print_pins(console, analysis)


def print_places(console: Console, found: Places) -> None:
    """Print where depth can be added, and where not."""
    console.print("", f"{_count(len(found.found), 'place')} can take depth.", sep="\n")
    stages: dict[tuple[str, int], list[str]] = {}
    for place in found.found:
        stages.setdefault((place.kind, place.stage), []).append(place.name)
    if stages:
        table = _table("kind", "stage>", "places>", "at")
        for (kind, stage), names in sorted(stages.items()):
            table.add_row(kind, str(stage), str(len(names)), _listed(names))
        console.print("", table, KINDS, sep="\n")
    reasons: dict[str, list[str]] = {}
    for barred in found.barred:
        reasons.setdefault(barred.reason, []).append(barred.name)
    if reasons:
        table = _table("layers>", "at", "why not")
        for reason, names in _first(reasons.items()):
            table.add_row(str(len(names)), _listed(names), reason)
        console.print("", table, sep="\n")
        _print_rest(console, len(reasons), "reason")


def print_report(console: Console, report: Report) -> None:
    """Print what a pass did."""
    names: dict[tuple[int, int], list[str]] = {}
    for grown in report.change.grown:
        names.setdefault((grown.before, grown.after), []).append(grown.name)
    if names:
        table = _table("from>", "to>", "groups>", "")
        for (before, after), alike in _first(sorted(names.items())):
            table.add_row(str(before), str(after), str(len(alike)), _listed(alike))
        console.print(table, "", sep="\n")
        _print_rest(console, len(names), "size")
    _print_added(console, report.change.added)
    notes: dict[str, list[str]] = {}
    for grown in report.change.grown:
        if grown.note:
            notes.setdefault(grown.note, []).append(grown.name)
    for note, alike in _first(notes.items()):
        console.print(f"{_count(len(alike), 'group')} grew by a whole factor ({_listed(alike)}): {note}.")
    reasons: dict[str, list[str]] = {}
    for kept in report.change.kept:
        reasons.setdefault(kept.reason, []).append(kept.name)
    for reason, alike in _first(reasons.items()):
        as_before = "as it was" if len(alike) == 1 else "as they were"
        console.print(f"{len(alike)} kept {as_before} ({_listed(alike)}): {reason}.")
    _print_rest(console, len(reasons), "reason")
    for idle in report.change.idle:
        console.print(f"{idle.text} did nothing: {idle.reason}.", soft_wrap=True)
    for sentence in report.change.notes:
        console.print(f"Note: {sentence}.")
    if report.obstacles is not None:
        _print_settings(console, report.change.settings)
        print_obstacles(console, report.obstacles)
    times = report.parameters_after / max(report.parameters_before, 1)
    console.print(f"Parameters: {report.parameters_before:,} -> {report.parameters_after:,} (x{times:.2f}).")
    if report.verdict is None:
        console.print("Not verified.")
    else:
        print_verdict(console, report.verdict)
    if report.clones is not None and report.clones.channels:
        console.print(_told_apart(report.clones))


def print_left_out(console: Console, left_out: Sequence[LeftOut]) -> None:
    """Print what would have made a student wrong, last and in capitals: nobody must miss it."""
    if not left_out:
        return
    names = _listed(repr(each.group) for each in left_out)
    console.print(f"\nLEFT OUT: {len(left_out)} ({names}) failed verification. What was written is verified, and does "
                  f"not have it; {BUG}, and with", soft_wrap=True)  # fmt: skip
    for each in left_out:
        console.print(f"  {each.command}", soft_wrap=True)
        console.print(f"    {each.group!r}: {each.error}", soft_wrap=True)


def print_grown(console: Console, found: Grown, proof: Any) -> None:
    """Print what became of a checkpoint, and its proof, if there is one."""
    console.print(f"{_count(len(found.grown), 'tensor')} grew, {len(found.kept)} stay as they were.")
    if found.copies:
        what = _count(len(found.copies), "copy", "copies")
        console.print(f"{what} of the network grew too: {_listed(found.copies)}.", soft_wrap=True)
    if found.optimizers:
        titles = _listed([title or "the whole file" for title in found.optimizers])
        console.print(f"{_count(len(found.optimizers), 'optimizer')} grew: {titles}.", soft_wrap=True)
    if found.outside:
        what = f"{_count(len(found.outside), 'tensor')} outside the network"
        console.print(f"{what} cannot grow and stayed: {_listed(found.outside)}.", soft_wrap=True)
    if found.left:
        console.print(f"Left as they were by --keep: {_listed(found.left)}.", soft_wrap=True)
    for name, other in found.untied.items():
        console.print(f"{name} was tied to {other} and no longer is: the network must have both, and moments of both "
                      "start afresh.", soft_wrap=True)  # fmt: skip
    for name, other in found.aliases.items():
        console.print(f"{name} is {other} under another name, and grew as that did.", soft_wrap=True)
    if found.added:
        console.print(f"{_count(len(found.added), 'tensor')} of new layers: {_listed(found.added)}.", soft_wrap=True)
    if found.renamed:
        moves = [f"{old} -> {now}" for old, now in found.renamed.items()]
        console.print(f"{len(moves)} moved up: {_listed(moves)}.", soft_wrap=True)
    if found.rounded:
        console.print(f"{_count(len(found.rounded), 'tensor')} rounded, each number by up to "
                      f"{max(found.rounded.values()):.2%} of itself, as its type has no more digits: "
                      f"{_listed(found.rounded)}.", soft_wrap=True)  # fmt: skip
    if found.copied:
        console.print(f"Copied as they are: {', '.join(found.copied)}.", soft_wrap=True)
    for name in found.stale:
        console.print(f"{name} still has the old sizes: set the new ones before you load the folder.", soft_wrap=True)
    if found.left_out:
        console.print(f"Left out, since it has not grown: {', '.join(found.left_out)}.", soft_wrap=True)
    for note in found.notes:
        console.print(f"Note: {note}.", soft_wrap=True)
    _print_settings(console, found.record.settings)
    if found.moments is not None:
        moments = found.moments
        console.print(
            f"{_count(moments.compared, 'moment')} pulled back through the growth of the weights: they differ from "
            f"those of before by {moments.error:.1e}.",
            soft_wrap=True,
        )
    if proof is not None:
        console.print(
            f"Proven with the values of the {proof.values}: outputs differ by {proof.outputs:.1e}, gradients of "
            f"{_count(proof.compared, 'weight')} from the mapped ones by {proof.gradients:.1e}.",
            soft_wrap=True,
        )


def _print_settings(console: Console, found: Sequence[Setting]) -> None:
    """Print what a network's own code has to follow."""
    changes: dict[str, list[str]] = {}
    for each in found:
        changes.setdefault(str(each), []).append(each.node)
    if changes:
        console.print("The network's own code has to follow:")
    for said, nodes in changes.items():
        console.print(f"  {said} in {_listed(nodes)}", soft_wrap=True)


def print_obstacles(console: Console, found: Sequence[Obstacle]) -> None:
    """Print what keeps checkpoints from following a student."""
    for each in found:
        can = "no checkpoint can follow this student" if each.final else "by this record alone no checkpoint can follow"
        console.print(f"Note: {can}: {each}.", soft_wrap=True)


def print_joined(console: Console, record: Record, found: Sequence[Obstacle]) -> None:
    """Print what a record is of."""
    console.print(f"{_count(len(record.steps), 'pass', 'passes')}: {', '.join(step.text for step in record.steps)}.")
    console.print(f"From model {record.teacher[:12]} to {record.student[:12]}.")
    _print_settings(console, record.settings)
    print_obstacles(console, found)


def print_history(console: Console, entries: Sequence[Entry], digest: str) -> None:
    """Print which passes made a model, the oldest first; digests are short."""
    if not entries:
        console.print("no pass of onnx-n2n has made this model.")
    else:
        table = _table("", "pass", "seed>", "given", "version")
        for number, entry in enumerate(entries, 1):
            seed = "-" if entry.seed is None else str(entry.seed)
            text = f"{entry.text} did nothing: {entry.idle}" if entry.idle else entry.text
            table.add_row(str(number), text, seed, entry.parent[:12], entry.version)
        console.print(table)
    console.print(f"This model is {digest[:12]}.")


def print_verdict(console: Console, verdict: Verdict) -> None:
    """Print how far two models agree."""
    idle = len(verdict.vacuous) == len(verdict.outputs)
    state = "Not the same" if not verdict.ok else "Ran alike" if idle else "Verified"
    apart = f"error {verdict.error:.1e}, " if not verdict.differences or math.isfinite(verdict.error) else ""
    console.print(
        f"{state}: {apart}the teacher's own noise {verdict.noise:.1e}, "
        f"on {verdict.provider.removesuffix('ExecutionProvider')}; inputs {verdict.inputs}."
    )
    if verdict.differences:
        told = "Not compared" if verdict.ok else "The interfaces differ"
        console.print(f"{told}: {'; '.join(map(str, verdict.differences))}.", soft_wrap=True)
    if not verdict.ok and verdict.first_wrong:
        console.print(f"First wrong: {verdict.first_wrong}.")
    if verdict.as_evaluated:
        console.print(f"Run as in evaluation, though these train in the file: {_by_operator(verdict.as_evaluated)}.")
    if verdict.rounded:
        console.print(
            f"Rounding decides otherwise in the student at {_by_operator(verdict.rounded)}: what goes in agrees, and "
            "what follows was compared with the teacher's decisions."
        )
    if verdict.random:
        drawn = [f"{each.output!r} (by {each.drawn_by})" for each in verdict.random]
        console.print(f"Warning: not compared, because no two runs of the teacher give the same: {_listed(drawn)}.")
    if verdict.vacuous:
        console.print(idle_warning(verdict.vacuous))


def idle_warning(outputs: Sequence[str]) -> str:
    """Return what to say of outputs whose comparison could not have failed."""
    return (
        f"Warning: comparing {_listed([repr(name) for name in outputs])} proves nothing, because no input "
        "that was tried moves it: a wrong student would have passed. Give real inputs with --inputs."
    )


def _by_operator(nodes: Sequence[Evaluated | Rounded]) -> str:
    """Return how many nodes there are of each operator."""
    counts = Counter(each.operator for each in nodes)
    return ", ".join(_count(count, f"{operator} node") for operator, count in counts.items())


def _print_added(console: Console, added: Sequence[Added]) -> None:
    if not added:
        return
    kinds: dict[str, list[Added]] = {}
    for each in added:
        kinds.setdefault(each.what, []).append(each)
    table = _table("times>", "added", "at")
    for what, alike in _first(kinds.items()):
        table.add_row(str(len(alike)), what, _listed([each.place for each in alike]))
    console.print(table, "", sep="\n")
    _print_rest(console, len(kinds), "kind")
    drifts = [each.drift for each in added if each.drift is not None]
    if drifts:
        console.print(
            f"In training mode the new BatchNormalizations change their batch by {max(drifts):.1e} of its deviation at "
            f"most ({min(drifts):.1e} at least); in evaluation by nothing but rounding."
        )


CLONES = """\
incoming: channels whose incoming weights are exactly those of another channel of the group
outgoing: channels whose outgoing weights are; "-" where no weight makes or sums the channels
twins:    channels that are equal in both, so that training can never tell them apart"""


def print_clones(console: Console, clones: Clones) -> None:
    """Print which groups have channels that are exact copies of others."""
    console.print(_told_apart(clones))
    rows = [found for found in clones.groups if found.incoming or found.outgoing]
    if rows:
        table = _table("group", "channels>", "incoming>", "outgoing>", "twins>")
        for row in rows:
            sides = ("-" if side is None else str(side) for side in (row.incoming, row.outgoing))
            table.add_row(row.group, str(row.channels), *sides, str(row.twins))
        console.print("", table, "", CLONES, sep="\n")


def _told_apart(clones: Clones) -> str:
    """Say in a sentence how many channels training can tell from all others."""
    if clones.twins:
        names = _listed(found.group for found in clones.groups if found.twins)
        return (
            f"Clones: training can never tell {clones.twins:,} of {_count(clones.channels, 'channel')} from another, "
            f"because all their weights are equal ({names})."
        )
    alike = f"; {clones.incoming:,} start with the incoming weights of another" if clones.incoming else ""
    return f"Clones: training can tell all {_count(clones.channels, 'channel')} apart{alike}."


def _print_pins(console: Console, analysis: Analysis) -> None:
    # Kernel axes come last: there is one reason for them, and nobody wonders about it.
    reasons = sorted(_by_reason(analysis.pins).items(), key=lambda row: row[0].endswith(WINDOW))
    if not reasons:
        return
    table = _table("axes>", "weights", "why")
    for reason, pins in _first(reasons):
        nodes = {pinned.reason.node for pinned in pins}
        whole = str(pins[0].reason) if len(nodes) == 1 else reason
        table.add_row(str(len(pins)), _listed([pinned.weight for pinned in pins]), whole)
    console.print("", f"{_count(len(analysis.pins), 'weight axis', 'weight axes')} pinned:", "", table, sep="\n")
    _print_rest(console, len(reasons), "reason")


def _by_reason(pins: Iterable[Pinned]) -> dict[str, list[Pinned]]:
    found: dict[str, list[Pinned]] = {}
    for pinned in pins:
        found.setdefault(pinned.reason.text, []).append(pinned)
    return found


def _weighty(analysis: Analysis) -> list[Group]:
    return [group for group in analysis.groups if group.members]


Weights = Mapping[Factor, Mapping[ir.Value, tuple[Axis, ...]]]


def _weights(analysis: Analysis) -> Weights:
    """Return for each factor the weights it is on, with all their axes."""
    found: dict[Factor, dict[ir.Value, tuple[Axis, ...]]] = {}
    for node in analysis.model.graph.all_nodes():
        for slot, value in enumerate(node.inputs):
            if value is not None and value in analysis.constants and analysis.constants.growable(value):
                axes = analysis.axes_of_use(node, slot) or ()
                for axis in axes:
                    for factor in leaves(axis):
                        found.setdefault(factor, {})[value] = axes
    return found


def _cost(group: Group, after: int, weights: Weights) -> int:
    """Return how many parameters the model gains when a group alone grows to ``after`` channels."""
    growth = Growth({group.factor: Channels(np.zeros(after), np.zeros(after))}, (), ())
    return sum(
        math.prod(map(growth.length, axes)) - math.prod(size(axis) or 0 for axis in axes)
        for axes in weights.get(group.factor, {}).values()
    )


def _layers(group: Group) -> str:
    """Name the layers besides its own that make a group's channels, and those that read them; no norms and biases."""
    matrices = [member for member in group.members if sum(length > 1 for length in member.shape) > 1] or group.members
    make, read = ([member.title for member in matrices if member.consumes is side] for side in (False, True))
    others = _listed(name for name in make if name != group.name)
    return " ".join(filter(None, (others, f"-> {_listed(read)}" if read else "")))


def _listed(names: Iterable[str]) -> str:
    names = list(dict.fromkeys(names))
    more = len(names) - SHOWN
    return ", ".join(names) if more < 2 else f"{', '.join(names[:SHOWN])} and {more} more"


def _count(number: int, singular: str, plural: str = "") -> str:
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def _first(rows: Iterable[Any]) -> list[Any]:
    return list(rows)[:ROWS]


def _print_rest(console: Console, number: int, what: str) -> None:
    if number > ROWS:
        console.print(f"And {_count(number - ROWS, f'more {what}')}, which --json lists.")


def _table(*headings: str) -> Table:
    """Return an empty table; columns whose heading ends in ``>`` are aligned at the right."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in headings:
        table.add_column(heading.rstrip(">"), justify="right" if heading.endswith(">") else "left", overflow="fold")
    return table


def print_candidates(console: Console, found: Sequence[Candidate], teacher: Size, budget: Budget) -> None:
    """Print which students an exploration made, and why others are missing."""
    cost = teacher.cost
    shapes = ", ".join(f"{name} [{','.join(map(str, shape))}]" for name, shape in cost.inputs.items())
    assumed = f", where {_listed(cost.assumed)} {'is' if len(cost.assumed) == 1 else 'are'} taken as 1"
    console.print(
        f"Budget: {budget.goal(teacher):,.0f} {UNITS[budget.unit]}. The model has {teacher.parameters:,} parameters, "
        f"and {cost.total:,} multiply-adds in a run on {shapes}{assumed * bool(cost.assumed)}."
    )
    if cost.uncounted:
        console.print(f"{_count(len(cost.uncounted), 'node')} could not be counted: {_listed(cost.uncounted)}.")
    if cost.loops:
        console.print(f"The bodies of {_count(cost.loops, 'loop')} are counted once.")
    table = _table("candidate", "passes", "parameters>", ">", "multiply-adds>", ">", "")
    for each in found:
        sides = ((each.parameters, teacher.parameters), (each.multiply_adds, cost.total))
        costs = [text for after, before in sides for text in _grown(after, before)]
        table.add_row(each.name, each.passes, *costs, each.failure or _proven(each))
    console.print("", table, "", sep="\n")
    for each in found:
        for idle in each.idle:
            console.print(f"{each.name}: {idle.text} did nothing: {idle.reason}.", soft_wrap=True)
    verdicts = [each.verdict for each in found if each.verdict is not None]
    still = list(dict.fromkeys(repr(name) for verdict in verdicts for name in verdict.vacuous))
    if still:
        console.print(f"Warning: comparing {_listed(still)} proves nothing. Give real inputs with --inputs.")


def _grown(after: int | None, before: int) -> tuple[str, str]:
    """Return what there is afterwards, and how many times as much that is."""
    return ("-", "-") if after is None else (f"{after:,}", f"x{after / max(before, 1):.2f}")


def _proven(found: Candidate) -> str:
    """Say how far a student agrees with its teacher."""
    verdict = found.verdict
    if verdict is None:
        return "not verified"
    idle = len(verdict.vacuous) == len(verdict.outputs)
    return f"{'ran alike' if idle else 'verified'}, error {verdict.error:.1e}"
