"""The command line: parse, call, print."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner

import onnx_n2n
from onnx_n2n import tables
from onnx_n2n.budget import Budget, shapes_of, sized
from onnx_n2n.checkpoint import Arrays, Grown
from onnx_n2n.checkpoint_files import grow_file
from onnx_n2n.clones import count_clones
from onnx_n2n.delivery import Proof, Target, check_writable
from onnx_n2n.depth.places import places
from onnx_n2n.errors import GrowthError, N2NError, OptionError, VerificationError
from onnx_n2n.explore import TOLERANCE, Candidate
from onnx_n2n.explore import explore as explore_from
from onnx_n2n.export.frameworks import missing
from onnx_n2n.lineage import digest, history
from onnx_n2n.passes import Deepen, Enlarge, Outputs, Pass, Sequential, Widen, parse
from onnx_n2n.passes.deepen import KINDS
from onnx_n2n.plan import INIT, NOISE
from onnx_n2n.record import load as load_record
from onnx_n2n.report import Report
from onnx_n2n.verify import parse_shape, read_inputs

BUG, INTERRUPTED = 4, 130
UNBROKEN = 10_000  # columns, where lines go to a file or another program

Command = TypeVar("Command", bound=Callable[..., Any])


class _Misuse(click.ClickException):
    exit_code = OptionError.exit_code


class _Commands(click.Group):
    """Commands that say what is wrong with an option as all other errors are said: in one paragraph."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as failure:
            path = failure.ctx.command_path if failure.ctx is not None else ctx.command_path
            message = " ".join(failure.format_message().split())
            raise _Misuse(f"{message} '{path} -h' shows what there is.") from None


def _console(*, stderr: bool = True) -> Console:
    file = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr, width=None if file.isatty() else UNBROKEN, markup=False, emoji=False, highlight=False
    )


def _print_json(document: dict[str, Any]) -> None:
    click.echo(json.dumps(document, indent=2))


@contextmanager
def _stages(console: Console) -> Iterator[Callable[[str], None]]:
    """Show the stage at work, on a terminal only."""
    if not console.file.isatty():
        yield lambda _: None
        return
    with Live(console=console, transient=True) as live:  # drawn at once, so that no stage is too short to be seen
        yield lambda stage: live.update(Spinner("dots", f"{stage} ..."), refresh=True)


def _ends_well(command: Command) -> Command:
    """Turn every error into one paragraph and an exit code."""

    @wraps(command)
    def guarded(*args: Any, verbose: bool, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
            raise
        except (Exception, KeyboardInterrupt) as failure:
            if verbose:
                traceback.print_exc()
            text, code = _said(failure)
            click.echo(f"Error: {' '.join(text.split())}", err=True)
            sys.exit(code)

    option = click.option("-v", "--verbose", is_flag=True, help="Show the traceback of an error.")
    return option(guarded)  # type: ignore[return-value]


def _said(failure: BaseException) -> tuple[str, int]:
    """Return the text and the exit code of an error."""
    if isinstance(failure, N2NError):
        return str(failure), failure.exit_code
    if isinstance(failure, KeyboardInterrupt):
        return "interrupted; nothing was written.", INTERRUPTED
    if isinstance(failure, MemoryError):
        return "there is not enough memory. Ask for less growth.", N2NError.exit_code
    return f"a bug in onnx-n2n ({type(failure).__name__}: {failure}). Please report it, with what -v shows.", BUG


def _named_size(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    found = {}
    for value in values:
        name, _, size = value.rpartition("=")
        if not name or not size.isdecimal():
            raise click.BadParameter(f"{value!r} is not of the form NAME=SIZE.")
        found[name] = int(size)
    return found


def _output_size(_context: click.Context, _option: click.Parameter, value: str | None) -> Outputs | None:
    if value is None:
        return None
    name, _, size = value.rpartition("=")
    if not size.isdecimal():
        raise click.BadParameter(f"{value!r} is not of the form SIZE or NAME=SIZE.")
    return Outputs(int(size), name)


def _pairs(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    if wrong := [value for value in values if not all(value.partition("="))]:
        raise click.BadParameter(f"{wrong[0]!r} is not of the form WEIGHT=PARAMETER.")
    return {weight: name for weight, _, name in (value.partition("=") for value in values)}


def _verifying(command: Command) -> Command:
    """Add the options that say how to run models."""
    options = [
        click.option("--inputs", type=click.Path(path_type=Path), metavar="FILE.npz",
                     help="Verify with these arrays, by input name."),
        click.option("--input", "shapes", multiple=True, metavar="NAME:1,3,224,224",
                     help="Shape of an input whose dimensions are free."),
        click.option("--provider", type=click.Choice(["auto", "cuda", "cpu"]), default="auto", show_default=True,
                     help="Where to run both models."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def _proof(*, wanted: bool, inputs: Path | None, shapes: tuple[str, ...], provider: Any, seed: int) -> Proof:
    feed = None if inputs is None else read_inputs(inputs)
    return Proof(wanted, feed, dict(map(parse_shape, shapes)), provider, seed)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(onnx_n2n.__version__, "--version", prog_name="onnx-n2n")
def main() -> None:
    """Make trained ONNX models wider and deeper without changing what they compute.

    Exit codes: 0 done; 1 verification failed, nothing written; 2 usage; 3 the model is unreadable or invalid, or
    nothing in it can grow as asked; 4 a bug.
    """


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--clones", "for_clones", is_flag=True, help="Show channels that are exact copies of others instead.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
@_ends_well
def inspect(model: Path, *, for_clones: bool, as_json: bool) -> None:
    """Show what in MODEL can grow and where depth can be added, and for everything else why not."""
    with _stages(_console()) as progress:
        progress("analysing")
        analysis = onnx_n2n.analyze(model)
        clones = count_clones(analysis) if for_clones else None
        depth = places(analysis)
    if as_json:
        document = {"depth": tables.places_as_json(depth)}
        document |= {} if clones is None else {"clones": clones.to_json()}
        _print_json({"model": str(model), **tables.groups_as_json(analysis), **document})
        return
    # The table is what the command is for, so it can be piped; everybody else's text goes to stderr.
    console = _console(stderr=False)
    if clones is None:
        tables.print_groups(console, analysis)
        tables.print_places(console, depth)
    else:
        tables.print_clones(console, clones)


def _growing(suffix: str) -> Callable[[Command], Command]:
    """Add what all commands take that make a student, and hand them a way to make it."""
    options = [
        click.argument("model", type=click.Path(path_type=Path)),
        click.option("-o", "--output", type=click.Path(path_type=Path),
                     help=f"Where to write.  [default: MODEL.{suffix}.onnx]"),
        click.option("--verify/--no-verify", "verify", default=True, show_default=True,
                     help="Run both models before writing."),
        _verifying,
        click.option("--record", type=click.Path(path_type=Path), metavar="FILE",
                     help="Also write what became of every weight, for 'grow-checkpoint' and other tools."),
        click.option("--force", is_flag=True, help="Overwrite the output."),
        click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON document on stdout."),
        _ends_well,
    ]  # fmt: skip

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _deliver(
    change: Pass,
    model: Path,
    *,
    output: Path | None,
    record: Path | None,
    force: bool,
    as_json: bool,
    verify: bool,
    inputs: Path | None,
    shapes: tuple[str, ...],
    provider: str,
) -> None:
    """Apply a pass to a file, and print what it did."""
    proof = _proof(wanted=verify, inputs=inputs, shapes=shapes, provider=provider, seed=getattr(change, "seed", 0))
    console = _console()
    with _stages(console) as progress:
        result = change(model, proof=proof, output=Target(output, force, record), progress=progress)
    if not result.modified:
        raise _nothing(change, model, result.report)
    if as_json:
        report = result.report.to_json()
        _print_json({"teacher": str(model), "student": str(result.model), "pass": str(change), **report})
    else:
        tables.print_report(console, result.report)
        console.print(f"Written to {result.model}", soft_wrap=True)


@main.command()
@click.option("--factor", type=float, default=2.0, show_default=True, help="New width over old; need not be whole.")
@click.option("--group", "groups", multiple=True, metavar="NAME=SIZE", callback=_named_size,
              help="Size of one group; without --factor, only groups named so grow.")
@click.option("--include", multiple=True, metavar="GLOB", help="Grow only what layers or weights of these names make.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave layers and weights of these names as they are.")
@click.option("--multiple-of", type=int, default=1, show_default=True, help="Round new widths up to a multiple.")
@click.option("--init", type=click.Choice(["zero", "net2net"]), default=INIT, show_default=True,
              help="Fresh channels with zero outgoing weights, or copies of channels that share theirs.")
@click.option("--mapping", type=click.Choice(["random", "cyclic"]), default="random", show_default=True,
              help="Copy channels at random or in turn.")
@click.option("--noise", type=float, default=NOISE, show_default=True,
              help="Noise on the outgoing weights of copies, relative to theirs; it cancels.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything random.")
@click.option("--outputs", metavar="[NAME=]SIZE", callback=_output_size,
              help="More classes: a new length for an output, whose old entries stay as they are; without --factor and "
              "--group, nothing else grows.")
@_growing("widened")
@click.pass_context
def widen(context: click.Context, /, model: Path, *, outputs: Outputs | None, **options: Any) -> None:
    """Widen MODEL, verify the outcome in ONNX Runtime, and write it beside MODEL."""
    inside = context.get_parameter_source("factor") is not click.core.ParameterSource.DEFAULT
    if options["groups"] and not inside:
        options["factor"] = 1.0
    inside = inside or bool(options["groups"])
    grow = Widen(**{field.name: options.pop(field.name) for field in fields(Widen)})
    if outputs is None:
        _deliver(grow, model, **options)
    else:
        _deliver(Sequential((outputs, grow)) if inside else outputs, model, **options)


@main.command()
@click.option("--kind", type=click.Choice(KINDS), default="auto", show_default=True,
              help="Copies of residual blocks, identity layers, residual pairs of layers, or the first there is.")
@click.option("--after", multiple=True, metavar="GLOB", help="Only behind layers, weights or tensors of these names.")
@click.option("--stage", multiple=True, metavar="N", help="Only in these stages; 'inspect' lists them.")
@click.option("--every", type=int, default=1, show_default=True, help="Take only every n-th place.")
@click.option("--count", type=int, default=0, help="How many times to add depth, spread evenly.  [default: everywhere]")
@click.option("--kernel", multiple=True, metavar="3x3",
              help="Kernel of new convolutions; several make one behind the other.  [default: the neighbour's]")
@click.option("--calibrate", default="", metavar="FILE.npz",
              help="Real inputs from which BatchNormalization takes its statistics.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything random.")
@_growing("deepened")
def deepen(model: Path, **options: Any) -> None:
    """Deepen MODEL, verify the outcome in ONNX Runtime, and write it beside MODEL."""
    own = {field.name: options.pop(field.name) for field in fields(Deepen)}
    _deliver(Deepen(**own), model, **options)


@main.command()
@click.option("--kernel", default="", metavar="5x5",
              help="Kernel to grow to; one number holds for every axis.  [default: 2 more for axes longer than 1]")
@click.option("--include", multiple=True, metavar="GLOB",
              help="Grow only kernels of layers, nodes or weights of these names, or of these lengths, as 3x3.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave such kernels as they are.")
@_growing("enlarged")
def enlarge(model: Path, **options: Any) -> None:
    """Enlarge the kernels of MODEL's convolutions, verify the outcome in ONNX Runtime, and write it beside MODEL."""
    own = {field.name: options.pop(field.name) for field in fields(Enlarge)}
    _deliver(Enlarge(**own), model, **options)


@main.command()
@click.option("-p", "--passes", required=True, metavar="PASSES", help="As in 'widen{factor=1.4},deepen{every=2}'.")
@_growing("grown")
def run(model: Path, *, passes: str, **options: Any) -> None:
    """Apply several passes to MODEL one after the other, verify the outcome, and write it beside MODEL."""
    _deliver(parse(passes), model, **options)


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
@_ends_well
def log(model: Path, *, as_json: bool) -> None:
    """Show what MODEL was made by: each pass with its options, and the digest of the model that it was given."""
    opened = onnx_n2n.load(model)
    if as_json:
        entries = [asdict(entry) for entry in history(opened)]
        _print_json({"model": str(model), "digest": digest(opened), "history": entries})
    else:
        tables.print_history(_console(stderr=False), history(opened), digest(opened))


@main.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--record", required=True, type=click.Path(path_type=Path), metavar="FILE",
              help="What became of every weight, as written with --record.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Where to write.")
@click.option("--optimizer", is_flag=True, help="Grow the state of the optimizer in the checkpoint too.")
@click.option("--teacher", type=click.Path(path_type=Path), metavar="MODEL",
              help="The model that was exported from this very checkpoint: finds parameters without names by value.")
@click.option("--student", type=click.Path(path_type=Path), metavar="MODEL",
              help="The model that has grown: has the values of layers that were added.")
@click.option("--name", "names", multiple=True, metavar="WEIGHT=PARAMETER", callback=_pairs,
              help="Which parameter a weight is, PARAMETER:transposed where it lies so; or what a new one is called.")
@click.option("--verify/--no-verify", default=True, show_default=True,
              help="Given both models, run them in PyTorch with both checkpoints before writing.")
@click.option("--keep", multiple=True, metavar="GLOB",
              help="Tensors that the record does not know and that stay as they are.")
@click.option("--force", is_flag=True, help="Overwrite the output.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
@_ends_well
def grow_checkpoint(
    checkpoint: Path,
    *,
    record: Path,
    output: Path,
    optimizer: bool,
    teacher: Path | None,
    student: Path | None,
    names: dict[str, str],
    verify: bool,
    keep: tuple[str, ...],
    force: bool,
    as_json: bool,
) -> None:
    """Grow CHECKPOINT, a network's own parameters in a .pt or .safetensors file, as a student's weights have grown."""
    check_writable(output, force=force)
    before = None if teacher is None else onnx_n2n.load(teacher)
    after = None if student is None else onnx_n2n.load(student)
    proofs: list[Any] = []

    def prove(found: Grown, arrays: Arrays) -> None:
        if not verify or before is None or after is None:
            return
        with missing("torch"):
            from onnx_n2n.export.torch.growth import prove as run
        proofs.append(run(before, after, found, arrays))

    found = grow_file(
        load_record(record), checkpoint, output, optimizer=optimizer, keep=keep, given=names, teacher=before,
        student=after, prove=prove,
    )  # fmt: skip
    if as_json:
        proof = proofs[0].to_json() if proofs else None
        _print_json({"checkpoint": str(output), **found.to_json(), "proof": proof})
    else:
        tables.print_grown(_console(), found, proofs[0] if proofs else None)
        _console().print(f"Written to {output}", soft_wrap=True)


def _nothing(change: Pass, model: Path, report: Report) -> GrowthError:
    """Say why nothing was changed."""
    if isinstance(change, Widen):
        return _nothing_wider(change, model, report)
    if isinstance(change, Enlarge):
        return _nothing_larger(report)
    if isinstance(change, Outputs):
        return GrowthError(f"the output has {change.size} entries already", hint="Give a larger --outputs")
    hint = f"'onnx-n2n inspect {model}' lists the places for depth, and why others are none"
    barred = places(onnx_n2n.analyze(model)).barred
    reasons = [(each.name, each.reason) for each in report.change.kept]
    reasons += [(each.name, each.reason) for each in barred]
    why = f"{reasons[0][0]!r}: {reasons[0][1]}" if reasons else "it has no activations and no residual sums"
    return GrowthError(f"nothing can be added to the model: {why}", hint=hint)


def _nothing_wider(grow: Widen, model: Path, report: Report) -> GrowthError:
    """Say why nothing grew."""
    analysis = onnx_n2n.analyze(model)
    groups = [group for group in analysis.groups if group.members]
    hint = f"'onnx-n2n inspect {model}' shows what can grow, and why the rest cannot"
    if report.change.kept:
        kept = report.change.kept[0]
        return GrowthError(f"nothing in the model can grow as asked: {kept.name!r}: {kept.reason}", hint=hint)
    if not groups:
        reason = tables.commonest_pin(analysis)
        why = f", mostly for this reason: {reason}" if reason else ": no operator in it has floating-point weights"
        return GrowthError(f"nothing in the model can grow{why}", hint=hint)
    if grow.factor == 1:
        return GrowthError("nothing is asked to grow", hint="Give a --factor above 1, or a larger --group NAME=SIZE")
    if grow.include or grow.exclude:
        return GrowthError("no group that can grow is left by --include and --exclude", hint=hint)
    largest = max(groups, key=lambda group: group.size)
    return GrowthError(
        f"a factor of {grow.factor} adds not even one channel to the largest group, {largest.name!r} of {largest.size}",
        hint="Give a larger --factor",
    )


def _nothing_larger(report: Report) -> GrowthError:
    """Say why no kernel grew."""
    if not report.change.kept:
        return GrowthError("no kernel can grow: there is no convolution in the model")
    kept = report.change.kept[0]
    hint = "choose another one with --kernel, or other layers with --include"
    return GrowthError(f"no kernel can grow as asked: {kept.name!r}: {kept.reason}", hint=hint)


@main.command()
@click.argument("teacher", type=click.Path(path_type=Path))
@click.argument("student", type=click.Path(path_type=Path))
@_verifying
@click.option("--gained", multiple=True, metavar="OUTPUT",
              help="An output in which STUDENT says more along one axis, behind what TEACHER says.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of drawn inputs.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as one JSON document on stdout.")
@_ends_well
def verify(
    teacher: Path,
    student: Path,
    *,
    inputs: Path | None,
    shapes: tuple[str, ...],
    provider: Any,
    gained: tuple[str, ...],
    seed: int,
    as_json: bool,
) -> None:
    """Run TEACHER and STUDENT in ONNX Runtime and say whether they compute the same."""
    console = _console()
    proof = _proof(wanted=True, inputs=inputs, shapes=shapes, provider=provider, seed=seed)
    onnx_n2n.load(student)  # an unreadable file is no wrong student
    with _stages(console) as progress:
        progress("verifying")
        verdict = onnx_n2n.verify(
            teacher, student, inputs=proof.inputs, shapes=proof.shapes, provider=provider, seed=seed, gained=gained
        )
    if as_json:
        _print_json(verdict.to_json())
    else:
        tables.print_verdict(console, verdict)
    if not verdict.ok:
        sys.exit(VerificationError.exit_code)


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--budget", required=True, metavar="params=2x",
              help="What students may cost, as params=2x, params=1.5M, macs=2x or macs=300M.")
@click.option("-o", "--output", type=click.Path(path_type=Path),
              help="Folder to write to.  [default: MODEL.explored]")
@click.option("--jobs", type=int, default=1, show_default=True, help="Processes at work at once; -1 for all cores.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything random.")
@click.option("--verify/--no-verify", "verify", default=True, show_default=True, help="Run all models before writing.")
@_verifying
@click.option("--force", is_flag=True, help="Overwrite students in the folder.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
@_ends_well
def explore(
    model: Path,
    *,
    budget: str,
    output: Path | None,
    jobs: int,
    seed: int,
    verify: bool,
    inputs: Path | None,
    shapes: tuple[str, ...],
    provider: Any,
    force: bool,
    as_json: bool,
) -> None:
    """Write students of MODEL that cost about as much as a budget: wider, deeper, and both, each verified."""
    aim = Budget.read(budget)
    proof = _proof(wanted=verify, inputs=inputs, shapes=shapes, provider=provider, seed=seed)
    console = _console()
    with _stages(console) as progress:
        found = explore_from(
            model, aim, folder=output, proof=proof, seed=seed, jobs=jobs, force=force, progress=progress
        )
    written = [each for each in found if each.path is not None]
    if not written:
        raise _none_written(found, budget, model)
    teacher = sized(onnx_n2n.load(model), shapes_of(proof))
    if as_json:
        _print_json({
            "teacher": str(model), "budget": budget, "goal": aim.goal(teacher), "parameters": teacher.parameters,
            "multiply_adds": asdict(teacher.cost), "candidates": [each.to_json() for each in found],
        })  # fmt: skip
    else:
        tables.print_candidates(console, found, teacher, aim)
        console.print(f"Written to {Path(str(written[0].path)).parent}", soft_wrap=True)


def _none_written(found: Sequence[Candidate], budget: str, model: Path) -> N2NError:
    """Say why an exploration has found nothing."""
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


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--to", type=click.Choice(["torch", "jax", "keras", "safetensors"]), required=True,
              help="A trainable PyTorch module, a JAX function with its trees, a Keras model, or the weights only.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder to write to.")
@click.option("--verify/--no-verify", "verify", default=True, show_default=True,
              help="Run the export beside ONNX Runtime before writing.")
@click.option("--inputs", type=click.Path(path_type=Path), metavar="FILE.npz",
              help="Verify with these arrays, by input name.")
@click.option("--input", "shapes", multiple=True, metavar="NAME:1,3,224,224",
              help="Shape of an input whose dimensions are free.")
@click.option("--force", is_flag=True, help="Overwrite an export that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
@_ends_well
def export(
    model: Path,
    *,
    to: Any,
    output: Path,
    verify: bool,
    inputs: Path | None,
    shapes: tuple[str, ...],
    force: bool,
    as_json: bool,
) -> None:
    """Carry MODEL back to a training framework, with the names its weights had there, and check what it computes."""
    from onnx_n2n.export.folder import export as export_to

    feeding = {"inputs": None if inputs is None else read_inputs(inputs), "shapes": dict(map(parse_shape, shapes))}
    console = _console()
    with _stages(console) as progress:
        progress("exporting")
        found = export_to(model, to, output, force=force, verify=verify, **feeding)
    if as_json:
        _print_json({"model": str(model), **found.to_json()})
        return
    named = ", ".join(f"{count} by {source}" for source, count in found.tensors.items())
    console.print(f"{sum(found.tensors.values())} tensors (named {named}), {found.parameters} trained numbers")
    if found.agreement is not None:
        console.print(
            f"Agrees with ONNX Runtime: error {found.agreement.error:.1e} of the movement of "
            f"{found.agreement.worst!r}, acceptable {found.agreement.tolerance:.1e}; {found.agreement.inputs}"
        )
    console.print(f"Written to {found.folder}", soft_wrap=True)
