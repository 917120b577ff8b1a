"""Commands on Hugging Face folders: what a pass does to one, and what is said of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onnx_n2n.cli.errors import Command
from onnx_n2n.cli.options import pairs
from onnx_n2n.cli.output import print_json, printing
from onnx_n2n.cli.streams import TRUST, of_folder
from onnx_n2n.errors import OptionError
from onnx_n2n.options import options
from onnx_n2n.words import brief

if TYPE_CHECKING:
    from onnx_n2n.huggingface import Grown
    from onnx_n2n.passes import Pass
    from onnx_n2n.passes.functions import Running

SAID = frozenset({"output", "force", "exact"})  # of how a pass is run, what goes with a folder: it is always exact
CONFIG = click.option(
    "--config", multiple=True, callback=pairs, metavar="FIELD=VALUE",
    help="For a Hugging Face folder: choose the value of a field of the config.",
)  # fmt: skip
SHARDS = click.option(
    "--max-shard-size", metavar="SIZE",
    help="For a Hugging Face folder: how large a weight file may be, as 5GB.  [default: files as they were]",
)
CLASS = click.option(
    "--verify-class", is_flag=True,
    help="For a Hugging Face folder: also let from_pretrained load both models, and run them in PyTorch.",
)  # fmt: skip


class OfFolders(click.Command):
    """A command that also takes a Hugging Face folder; ``--verify class`` is an option though ``--verify`` is one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read ``--verify class`` as ``--verify-class``."""
        for at in range(len(args) - 1):
            if args[at : at + 2] == ["--verify", "class"]:
                args = [*args[:at], "--verify-class", *args[at + 2 :]]
                break
        return super().parse_args(ctx, args)


@dataclass(frozen=True)
class Asked:
    """What only a Hugging Face folder has, as it was typed.

    Attributes:
        config: Values of fields of the config.
        max_shard_size: How large a weight file may be.
        verify_class: Whether to run both models in PyTorch.
        trust_remote_code: Whether to run code that the folder brings.
    """

    config: Mapping[str, str] = field(default_factory=dict)
    max_shard_size: str | None = None
    verify_class: bool = False
    trust_remote_code: bool = False

    def check_unasked(self) -> None:
        """Make sure that nothing of it is asked of a file.

        Raises:
            OptionError: Something is.
        """
        for each in fields(self):
            if getattr(self, each.name):
                raise of_folder(f"--{each.name.replace('_', '-')}")


def of_folders(command: Command) -> Command:
    """Add the options of what is done to a Hugging Face folder, but for those of its config."""
    return SHARDS(CLASS(TRUST(command)))


def grow(
    call: Running, model: Path, change: Pass, asked: Asked, *, as_json: bool, html: Path | None
) -> None:
    """Apply a pass to a folder, and say what was done.

    Raises:
        OptionError: Something is asked for that does not go with a folder.
    """
    from onnx_n2n.cli.console import stages, terminal
    from onnx_n2n.huggingface import Output, run
    from onnx_n2n.huggingface.sharding import size_of
    from onnx_n2n.passes.functions import Running

    usual = {each.name: (each.default, each) for each in options(Running) if each.name not in SAID}
    wrong = [each.flags[-1] for name, (value, each) in usual.items() if getattr(call, name) != value]
    if wrong := wrong + ["--html"] * (html is not None):
        raise OptionError(f"{wrong[0]} does not go with a Hugging Face folder", hint="leave it out")
    place = Path(call.output) if call.output is not None else model.with_name(f"{model.resolve().name}.{change.suffix}")
    values = {name: _value(text) for name, text in asked.config.items()}
    console = terminal()
    with stages(console) as progress:
        size = None if asked.max_shard_size is None else size_of(asked.max_shard_size)
        output = Output(place, size, call.force, progress, asked.verify_class, asked.trust_remote_code)
        grown = run(model, change, output, values)
    with printing():
        if as_json:
            named = {"teacher": str(model), "student": str(place), "pass": str(change)}
            print_json({**named, **grown.to_json()})
        else:
            for sentence in sentences(grown):
                console.print(sentence, soft_wrap=True)


def _value(text: str) -> Any:
    """Return the value of a field as JSON has it: a word that is none is a text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def sentences(grown: Grown) -> Iterator[str]:
    """Yield what was done to a folder, for people."""
    from onnx_n2n.huggingface.card import verification

    for name, (before, after) in grown.written.fields.items():
        yield f"config.json: {name} {brief(json.dumps(before))} -> {brief(json.dumps(after))}"
    for note in grown.notes:
        yield f"Note: {note}."
    before, after = grown.parameters_before, grown.parameters_after
    yield f"Parameters: {before:,} -> {after:,} (x{after / max(before, 1):.2f})."
    if grown.multiply_adds is not None and grown.multiply_adds.sentence:
        yield grown.multiply_adds.sentence
    yield verification(grown.run, grown.exact, grown.by_class)
    if grown.dropped:
        yield f"Left out, since the class does not have them: {brief(', '.join(grown.dropped))}."
    if grown.written.left:
        yield f"Not copied, since it has not grown or is of the download: {brief(', '.join(grown.written.left))}."
    if grown.written.record:
        can = "by it alone no checkpoint can follow" if grown.obstacles else "checkpoints can follow by it"
        yield f"What became of every weight is in {grown.written.record}: {can}."
    for each in grown.obstacles:
        yield f"Note: {each}."
    yield f"Written to {grown.written.path}"
