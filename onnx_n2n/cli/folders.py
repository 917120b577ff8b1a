"""Commands on Hugging Face folders: what a pass does to one, and what is said of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onnx_n2n.cli.errors import Command
from onnx_n2n.cli.options import pairs
from onnx_n2n.cli.output import print_json, printing
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


def of_folders(command: Command) -> Command:
    """Add the options of what is done to a Hugging Face folder."""
    return CONFIG(SHARDS(command))


def check_plain(config: dict[str, str], max_shard_size: str | None) -> None:
    """Make sure that what only a folder has is not asked of a file.

    Raises:
        OptionError: It is.
    """
    for flag, value in (("--config", config), ("--max-shard-size", max_shard_size)):
        if value:
            raise OptionError(f"{flag} is for a Hugging Face folder", hint="leave it out, or name the folder")


def grow(
    call: Running, model: Path, change: Pass, *, config: dict[str, str], max_shard_size: str | None, as_json: bool,
    html: Path | None,
) -> None:  # fmt: skip
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
    fields = {name: _value(text) for name, text in config.items()}
    console = terminal()
    with stages(console) as progress:
        size = None if max_shard_size is None else size_of(max_shard_size)
        grown = run(model, change, Output(place, size, call.force, progress), fields)
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
        yield f"Less has grown than was asked for: {note}."
    before, after = grown.parameters_before, grown.parameters_after
    yield f"Parameters: {before:,} -> {after:,} (x{after / max(before, 1):.2f})."
    yield verification(grown.run, grown.exact)
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
