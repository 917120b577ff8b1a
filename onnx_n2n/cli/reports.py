"""What commands that make or compare models say: what was done, and how far two models agree."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from onnx_n2n import exact
from onnx_n2n.cli.checkpoints import print_obstacles, print_settings
from onnx_n2n.cli.console import sheet
from onnx_n2n.cli.tables import told_apart
from onnx_n2n.cli.words import count, first, listed, new_table, print_rest
from onnx_n2n.passes.leaving_out import BUG, LeftOut
from onnx_n2n.passes.report import Added, Excerpt, Report
from onnx_n2n.verification import Verdict

if TYPE_CHECKING:
    from onnx_n2n.verification.decisions import Named
    from onnx_n2n.verification.stressed import Tried
    from onnx_n2n.width.growth import GrownGroup


def print_report(console: Console, report: Report) -> None:
    """Print what a pass did."""
    names: dict[tuple[int, int], list[str]] = {}
    for grown in report.change.grown:
        names.setdefault((grown.before, grown.after), []).append(grown.name)
    if names:
        table = new_table("from>", "to>", "groups>", "")
        for (before, after), alike in first(sorted(names.items())):
            table.add_row(str(before), str(after), str(len(alike)), listed(alike))
        console.print(table, "", sep="\n")
        print_rest(console, len(names), "size")
    for excerpt in report.change.cuts:
        _print_cut(console, excerpt)
    _print_added(console, report.change.added)
    _print_whole(console, report)
    notes: dict[str, list[GrownGroup]] = {}
    for grown in report.change.grown:
        if grown.copies:
            notes.setdefault(grown.copies.partition(" (node ")[0], []).append(grown)
    for note, some in first(notes.items()):
        why = note if len(some) > 1 else some[0].copies
        console.print(f"{count(len(some), 'group')} grew by copies ({listed(each.name for each in some)}): {why}.")
    reasons: dict[str, list[str]] = {}
    for kept in report.change.kept:
        if not kept.whole:
            reasons.setdefault(kept.reason, []).append(kept.name)
    for reason, alike in first(reasons.items()):
        as_before = "as it was" if len(alike) == 1 else "as they were"
        console.print(f"{len(alike)} kept {as_before} ({listed(alike)}): {reason}.")
    print_rest(console, len(reasons), "reason")
    for idle in report.change.idle:
        console.print(f"{idle.text} did nothing: {idle.reason}.", soft_wrap=True)
    for sentence in report.change.notes:
        console.print(f"Note: {sentence}.")
    if report.obstacles is not None:
        print_settings(console, report.change.settings)
        print_obstacles(console, report.obstacles)
    times = report.parameters_after / max(report.parameters_before, 1)
    console.print(f"Parameters: {report.parameters_before:,} -> {report.parameters_after:,} (x{times:.2f}).")
    if report.multiply_adds is not None and report.multiply_adds.sentence:
        console.print(report.multiply_adds.sentence, soft_wrap=True)
    _print_verified(console, report)
    if report.clones is not None and report.clones.channels:
        console.print(told_apart(report.clones))


def _print_verified(console: Console, report: Report) -> None:
    """Print how the student was verified."""
    if report.verdict is not None:
        print_verdict(console, report.verdict)
    elif report.exact is None and report.estimate is None:
        console.print("Not verified.")
    if report.unrun:
        console.print(f"The models were not run: {report.unrun}. The exact check verifies instead.", soft_wrap=True)
    if report.exact:
        print_exact(console, report.exact)
    elif report.exact is not None:  # the run has verified it
        console.print(f"Exact check: {report.exact.sentence[:1].lower()}{report.exact.sentence[1:]}.", soft_wrap=True)


def verified(said: Report | Verdict | exact.Verdict) -> list[str]:
    """Return the sentences that say how a student was verified, or what came of comparing two models."""
    console = sheet()
    if isinstance(said, Report):
        _print_verified(console, said)
    elif isinstance(said, Verdict):
        print_verdict(console, said, tried=True)
    else:
        print_exact(console, said)
    return console.export_text().splitlines()


def _print_cut(console: Console, excerpt: Excerpt) -> None:
    """Print what a cut has left of a model."""
    taken, freed = excerpt.taken, excerpt.freed
    console.print(f"Outputs: {', '.join(excerpt.outputs)}.", soft_wrap=True)
    kinds = {"output": taken.outputs, "node": taken.nodes, "weight": taken.weights, "input": taken.inputs,
             "function": taken.functions}  # fmt: skip
    gone = [f"{count(len(names), kind)} ({listed(names)})" for kind, names in kinds.items() if names]
    if gone:
        console.print(f"Gone: {', '.join(gone)}.", soft_wrap=True)
    if freed is not None:
        console.print(f"The batch is free, and was {freed.number}: axis {freed.symbol!r} of {listed(freed.inputs)}.")
    if freed is not None and freed.reshaped:
        console.print(f"For that, {count(len(freed.reshaped), 'shape')} changed: of {listed(freed.reshaped)}.")


def _print_whole(console: Console, report: Report) -> None:
    """Say in one line which groups could not have the size asked for, and what they grew by instead."""
    noted = [grown for grown in report.change.grown if grown.note]
    kept = [each for each in report.change.kept if each.whole]
    if not noted and not kept:
        return
    factors: dict[int, list[str]] = {}
    for grown in noted:
        factors.setdefault(grown.after // grown.before, []).append(grown.name)
    ways = [f"{len(names)} by {times} ({listed(names)})" for times, names in sorted(factors.items())]
    ways += [f"{len(kept)} not at all ({listed(each.name for each in kept)})"] * bool(kept)
    why = [*(grown.note.partition("; ")[2] for grown in noted), *(each.reason for each in kept)]
    reasons = list(dict.fromkeys(why))
    more = f", and {count(len(reasons) - 1, 'more reason')}" if len(reasons) > 1 else ""
    console.print(
        f"{count(len(noted) + len(kept), 'group')} could grow by a whole factor only: {', '.join(ways)}, so that the "
        f"total is near what was asked for: {reasons[0]}{more}."
    )


def print_left_out(console: Console, left_out: Sequence[LeftOut]) -> None:
    """Print what would have made a student wrong, last and in capitals: nobody must miss it."""
    if not left_out:
        return
    names = listed(repr(each.group) for each in left_out)
    console.print(f"\nLEFT OUT: {len(left_out)} ({names}) failed verification. What was written is verified, and does "
                  f"not have it; {BUG}, and with", soft_wrap=True)  # fmt: skip
    for each in left_out:
        console.print(f"  {each.command}", soft_wrap=True)
        console.print(f"    {each.group!r}: {each.error}", soft_wrap=True)


def _print_added(console: Console, added: Sequence[Added]) -> None:
    if not added:
        return
    kinds: dict[str, list[Added]] = {}
    for each in added:
        kinds.setdefault(each.what, []).append(each)
    table = new_table("times>", "added", "at")
    for what, alike in first(kinds.items()):
        table.add_row(str(len(alike)), what, listed([each.place for each in alike]))
    console.print(table, "", sep="\n")
    print_rest(console, len(kinds), "kind")
    drifts = [each.drift for each in added if each.drift is not None]
    if drifts:
        console.print(
            f"In training mode the new BatchNormalizations change their batch by {max(drifts):.1e} of its deviation at "
            f"most ({min(drifts):.1e} at least); in evaluation by nothing but rounding."
        )


def print_verdict(console: Console, verdict: Verdict, *, tried: bool = False) -> None:
    """Print how far two models agree; of the feeds beyond the ordinary those that are alike only if ``tried``."""
    idle = len(verdict.vacuous) == len(verdict.outputs)
    state = "Not the same" if not verdict.ok else "Ran alike" if idle else "Verified"
    apart = f"error {verdict.error:.1e}, " if not verdict.differences or math.isfinite(verdict.error) else ""
    console.print(
        f"{state}: {apart}the teacher's {verdict.rounding}, "
        f"on {verdict.provider.removesuffix('ExecutionProvider')}; inputs {verdict.inputs}."
    )
    _print_tried(console, [each for each in verdict.tried if tried or not each.same])
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
        console.print(f"Warning: not compared, because no two runs of the teacher give the same: {listed(drawn)}.")
    if verdict.vacuous:
        console.print(idle_warning(verdict.vacuous))


def print_exact(console: Console, verdict: exact.Verdict) -> None:
    """Print what the exact check says."""
    console.print(str(verdict), soft_wrap=True)
    if verdict.sizes:
        console.print(f"Shapes: {verdict.sizes}.", soft_wrap=True)
    if verdict.overflow:
        console.print(f"{verdict.overflow}.", soft_wrap=True)
    if verdict.relations == ():
        console.print("Nothing is traced: this takes a run that is too large, or cannot be made.")
    for each in verdict.relations or ():
        console.print(str(each), soft_wrap=True, markup=False, highlight=False)


def _print_tried(console: Console, tried: Sequence[Tried]) -> None:
    """Print what came of inputs of large scale and of long ones."""
    alike = [each.what for each in tried if each.same]
    if alike:
        console.print(f"Alike too, wherever the teacher is finite: {'; '.join(alike)}.", soft_wrap=True)
    for each in tried:
        if each.same is None:
            console.print(f"Nothing is claimed of {each.what}: {each.why}.", soft_wrap=True)
        elif not each.same:
            console.print(f"Not the same with {each.what}: {each.why}.", soft_wrap=True)


def idle_warning(outputs: Sequence[str]) -> str:
    """Return what to say of outputs whose comparison could not have failed."""
    return (
        f"Warning: comparing {listed([repr(name) for name in outputs])} proves nothing, because no input "
        "that was tried moves it further than rounding does: a wrong student would have passed. "
        "Give real inputs with --inputs."
    )


def _by_operator(nodes: Sequence[Named]) -> str:
    """Return how many nodes there are of each operator."""
    found = Counter(each.operator for each in nodes)
    return ", ".join(count(number, f"{operator} node") for operator, number in found.items())
