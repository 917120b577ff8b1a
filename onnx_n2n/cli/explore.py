"""The command that makes students for a budget; what it needs for that is imported when it is done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

import onnx_n2n
from onnx_n2n.cli.errors import ends_well
from onnx_n2n.cli.options import taking, verifying
from onnx_n2n.cli.output import print_json, printing
from onnx_n2n.cli.streams import check_streams, readable
from onnx_n2n.errors import GrowthError, N2NError, OptionError, VerificationError
from onnx_n2n.io.atomic import STDOUT
from onnx_n2n.passes.functions import Running

if TYPE_CHECKING:
    from onnx_n2n.search.candidates import Candidate


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--budget", required=True, metavar="params=2x",
              help="What students may cost, as params=2x, params=1.5M, macs=2x or macs=300M.")
@click.option("-o", "--output", type=click.Path(path_type=Path),
              help="Folder to write to.  [default: MODEL.explored]")
@click.option("--jobs", type=int, default=1, show_default=True, help="Processes at work at once; -1 for all cores.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything random.")
@click.option("--verify/--no-verify", "verify", default=True, show_default=True, help="Run all models before writing.")
@verifying
@click.option("--force", is_flag=True, help="Overwrite students in the folder.")
@taking(Running, "strict")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
@ends_well
def explore(
    model: Path,
    *,
    budget: str,
    output: Path | None,
    jobs: int,
    seed: int,
    verify: bool,
    inputs: Path | None,
    shapes: dict[str, tuple[int, ...]],
    provider: str,
    time_limit: float,
    custom_ops: tuple[str, ...],
    force: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """Write students of MODEL that cost about as much as a budget: wider, deeper, and both, each verified."""
    from onnx_n2n.cli import candidates, reports
    from onnx_n2n.cli.console import stages, terminal

    aim = onnx_n2n.Budget.read(budget)
    console = terminal()
    check_streams(model, output)
    if output == STDOUT:
        raise OptionError("an exploration is a folder and cannot be written to stdout", hint="name one with -o")
    with readable(model) as file:
        with stages(console) as progress:
            found = onnx_n2n.explore(
                file, aim, output=output, jobs=jobs, seed=seed, verify=verify, inputs=inputs, shapes=shapes,
                provider=provider, time_limit=time_limit, custom_ops=custom_ops, force=force,
                strict=strict, progress=progress,
            )  # fmt: skip
        found = found.of(str(model))
        written = [each for each in found if each.path is not None]
        if not written:
            raise _none_written(found, budget, model)
    with printing():
        if as_json:
            print_json({"teacher": str(model), "budget": budget, **found.to_json()})
        else:
            candidates.print_candidates(console, found)
            console.print(f"Written to {Path(str(written[0].path)).parent}", soft_wrap=True)
        reports.print_left_out(console, [left for each in found for left in each.left_out])


def _none_written(found: Sequence[Candidate], budget: str, model: Path) -> N2NError:
    """Say why an exploration has found nothing."""
    from onnx_n2n.search.making import TOLERANCE

    reasons: dict[str, list[str]] = {}
    for each in found:
        nearest = f" ({each.passes})" if each.passes else ""
        reasons.setdefault(f"{each.failure}{nearest}", []).append(each.name)
    why = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
    if any(each.wrong for each in found):
        return VerificationError(why, hint="nothing was written. This is a bug in onnx-n2n: please report it")
    return GrowthError(
        f"the budget {budget!r}, give or take {100 * TOLERANCE:.0f} %, has no student: {why}",
        hint=f"'onnx-n2n inspect {model}' shows what can grow",
    )
