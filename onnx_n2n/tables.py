"""What people read: the tables of ``inspect`` and the reports of ``widen`` and ``verify``."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table

from onnx_n2n.analysis import Analysis
from onnx_n2n.axes import Limit
from onnx_n2n.groups import Group
from onnx_n2n.report import Report
from onnx_n2n.rules.declaration import WINDOW
from onnx_n2n.verify import Verdict

GROWS = {None: "by any amount", Limit.COPIES: "by copies only", Limit.UNIFORM: "by whole multiples"}
SHOWN = 3  # layers named in a row before "and n more"


def groups_as_json(analysis: Analysis) -> dict[str, Any]:
    """Return groups and pins as JSON-ready values."""
    return {
        "groups": [
            {
                "name": group.name,
                "size": group.size,
                "grows": GROWS[group.limit],
                "reason": str(group.reason) if group.reason is not None else None,
                "parameters_per_channel": group.per_channel,
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


def print_groups(console: Console, analysis: Analysis, parameters: int) -> None:
    """Print what may grow and what may not."""
    groups = _weighty(analysis)
    table = Table(title=f"{len(groups)} groups can grow ({parameters:,} parameters in all)", title_justify="left")
    table.add_column("group", overflow="fold")
    table.add_column("channels", justify="right")
    table.add_column("grows")
    table.add_column("parameters per channel", justify="right")
    table.add_column("layers", overflow="fold")
    for group in groups:
        row = (group.name, str(group.size), GROWS[group.limit], f"{group.per_channel:,}", _listed(group.layers))
        table.add_row(*row)
    console.print(table)
    kernels = sum(pinned.reason.text.endswith(WINDOW) for pinned in analysis.pins)
    others = [pinned for pinned in analysis.pins if not pinned.reason.text.endswith(WINDOW)]
    if others:
        table = Table(title=f"{len(others)} weight axes are pinned", title_justify="left")
        table.add_column("weight", overflow="fold")
        table.add_column("axis", justify="right")
        table.add_column("length", justify="right")
        table.add_column("why", overflow="fold")
        for pinned in others:
            table.add_row(pinned.weight, str(pinned.axis), str(pinned.size), str(pinned.reason))
        console.print(table)
    if kernels:
        console.print(f"The {kernels} kernel axes of convolutions are pinned as well; --json lists them.")


def print_report(console: Console, report: Report) -> None:
    """Print what a pass did."""
    table = Table(title=f"{len(report.grown)} groups grew", title_justify="left")
    table.add_column("group", overflow="fold")
    table.add_column("from", justify="right")
    table.add_column("to", justify="right")
    for grown in report.grown:
        table.add_row(grown.name, str(grown.before), str(grown.after))
    console.print(table)
    for reason, count in Counter(kept.reason for kept in report.kept).items():
        names = [kept.name for kept in report.kept if kept.reason == reason]
        console.print(f"{count} kept {'its' if count == 1 else 'their'} size ({_listed(names)}): {reason}", markup=False)
    times = report.parameters_after / max(report.parameters_before, 1)
    console.print(f"Parameters: {report.parameters_before:,} -> {report.parameters_after:,} (x{times:.2f})")
    if report.verdict is not None:
        print_verdict(console, report.verdict)
    else:
        console.print("Not verified.")


def print_verdict(console: Console, verdict: Verdict) -> None:
    """Print how far two models agree."""
    state = "Verified" if verdict.ok else "Not the same"
    console.print(
        f"{state}: error {verdict.error:.1e}, noise of the teacher itself {verdict.noise:.1e}, "
        f"on {verdict.provider.removesuffix('ExecutionProvider')}; inputs {verdict.inputs}",
        markup=False,
    )
    if not verdict.ok and verdict.first_wrong:
        console.print(f"First wrong: {verdict.first_wrong}", markup=False)
    if verdict.vacuous:
        console.print(
            f"No proof: {_listed(verdict.vacuous)} did not move between two inputs, so comparing "
            f"{'it' if len(verdict.vacuous) == 1 else 'them'} could not have failed. Give real inputs with --inputs.",
            markup=False,
        )


def _weighty(analysis: Analysis) -> list[Group]:
    return [group for group in analysis.groups if group.members]


def _listed(names: tuple[str, ...] | list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
