"""All commands; each is loaded when it is asked for, with what it needs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

import onnx_n2n
from onnx_n2n.cli.errors import Commands
from onnx_n2n.errors import N2NError, OptionError

# Where each is, and the first sentence of its help.
COMMANDS = {
    "inspect": ("show", "Show what in MODEL can grow and where depth can be added, and for everything else why not."),
    "widen": ("grow", "Widen MODEL, verify the outcome in ONNX Runtime, and write it beside MODEL."),
    "deepen": ("grow", "Deepen MODEL, verify the outcome in ONNX Runtime, and write it beside MODEL."),
    "enlarge": ("grow", "Enlarge the kernels of MODEL's convolutions, verify the outcome in ONNX Runtime, and write it "
                "beside MODEL."),
    "cut": ("grow", "Make tensors of MODEL its outputs, remove what only led to the old ones, verify, and write it "
            "beside MODEL."),
    "run": ("grow", "Apply several passes to MODEL one after the other, verify the outcome, and write it beside "
            "MODEL."),
    "log": ("show", "Show what MODEL was made by: each pass with its options, and the digest of the model that it was "
            "given."),
    "grow-checkpoint": ("carry", "Grow CHECKPOINT, a network's own parameters, as a student's weights have grown."),
    "join": ("records", "Make one growth record of RECORDS, which were written one after the other, in this order."),
    "verify": ("verify", "Run TEACHER and STUDENT in ONNX Runtime and say whether they compute the same."),
    "diff": ("diff", "Show how STUDENT differs from TEACHER: nodes, weights, groups and the rest. Nothing is run."),
    "explore": ("explore", "Write students of MODEL that cost about as much as a budget: wider, deeper, and both, each "
                "verified."),
    "export": ("carry", "Carry MODEL back to a training framework, with the names its weights had there, and check "
               "what it computes."),
}  # fmt: skip


class Later(click.Command):
    """A command that is known by its name and help, and loaded when it is asked for."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """Read the command line of the command itself.

        Raises:
            N2NError: The system does not let it be loaded.
        """
        try:
            command = loaded(str(self.name))
        except OSError as failure:
            reason = f"the command {self.name!r} cannot be loaded: {failure.strerror or failure}"
            raise N2NError(reason, hint="nothing was read or written; run it again") from failure
        return command.make_context(*arguments, **options)


def loaded(name: str) -> click.Command:
    """Return a command with its options."""
    command: click.Command = getattr(import_module(f"onnx_n2n.cli.{COMMANDS[name][0]}"), name.replace("-", "_"))
    return command


START = """\
onnx-n2n makes a trained ONNX model wider or deeper without changing what it
computes. The three commands that most people want:

  onnx-n2n inspect net.onnx
      shows what can grow, and why the rest may not

  onnx-n2n widen net.onnx --factor 1.5 --record growth.safetensors
      makes layers 1.5 times as wide, checks that the model still computes the
      same, and writes it to net.widened.onnx

  onnx-n2n grow-checkpoint last.pt --record growth.safetensors -o wider.pt
      makes the checkpoint of your own training code as wide as that model

'onnx-n2n -h' lists all commands, and 'onnx-n2n widen -h' the options of one."""


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True,
             commands=[Later(name, help=said) for name, (_, said) in COMMANDS.items()])
@click.version_option(onnx_n2n.__version__, "--version", prog_name="onnx-n2n")
@click.pass_context
def main(context: click.Context) -> None:
    """Make trained ONNX models wider and deeper without changing what they compute.

    Exit codes: 0 done; 1 verification failed, nothing written; 2 usage; 3 the model is unreadable or invalid, nothing
    in it can grow as asked, or 'verify --exact' is undecided; 4 a bug.
    """
    if context.invoked_subcommand is None:
        click.echo(START, err=True)
        context.exit(OptionError.exit_code)
