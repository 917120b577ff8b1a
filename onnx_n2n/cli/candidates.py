"""What is said of the students that an exploration made."""

from __future__ import annotations

from rich.console import Console

from onnx_n2n.cli.words import count, listed, new_table
from onnx_n2n.costs.budget import UNITS
from onnx_n2n.search.exploration import Exploration


def print_candidates(console: Console, found: Exploration) -> None:
    """Print which students an exploration made, and why others are missing."""
    teacher, cost = found.teacher, found.teacher.cost
    shapes = ", ".join(f"{name} [{','.join(map(str, shape))}]" for name, shape in cost.inputs.items())
    assumed = f", where {listed(cost.assumed)} {'is' if len(cost.assumed) == 1 else 'are'} taken as 1"
    console.print(
        f"Budget: {found.goal:,.0f} {UNITS[found.budget.unit]}. The model has {teacher.parameters:,} parameters, "
        f"and {cost.total:,} multiply-adds in a run on {shapes}{assumed * bool(cost.assumed)}."
    )
    if cost.uncounted:
        console.print(f"{count(len(cost.uncounted), 'node')} could not be counted: {listed(cost.uncounted)}.")
    if cost.loops:
        console.print(f"The bodies of {count(cost.loops, 'loop')} are counted once.")
    table = new_table("candidate", "passes", "parameters>", ">", "multiply-adds>", ">", "")
    for each in found:
        sides = ((each.parameters, teacher.parameters), (each.multiply_adds, cost.total))
        costs = [text for after, before in sides for text in _grown(after, before)]
        proven = "not verified" if each.verdict is None else each.verdict.short
        table.add_row(each.name, each.passes, *costs, each.failure or proven)
    console.print("", table, "", sep="\n")
    for each in found:
        for idle in each.idle:
            console.print(f"{each.name}: {idle.text} did nothing: {idle.reason}.", soft_wrap=True)
    verdicts = [each.verdict for each in found if each.verdict is not None]
    still = list(dict.fromkeys(repr(name) for verdict in verdicts for name in verdict.vacuous))
    if still:
        console.print(f"Warning: comparing {listed(still)} proves nothing. Give real inputs with --inputs.")


def _grown(after: int | None, before: int) -> tuple[str, str]:
    """Return what there is afterwards, and how many times as much that is."""
    return ("-", "-") if after is None else (f"{after:,}", f"x{after / max(before, 1):.2f}")
