"""What a command prints at its end: its report for people, or a document for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from onnx_n2n.cli.keywords import all_spoken
from onnx_n2n.errors import N2NError
from onnx_n2n.io.jsonable import finite
from onnx_n2n.io.supervisor import give_up_unprintable

SCHEMA_VERSION = 2  # of all documents: a field that goes, or means something else, makes it one more


@contextmanager
def printing() -> Iterator[None]:
    """Let a block print its report, the last thing that a command does.

    Whoever reads stdout may leave early, as ``head`` does. What has been written to files stays in any case.

    Raises:
        N2NError: The report cannot be printed for another reason.
    """
    try:
        yield
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        give_up_unprintable()
    except (OSError, ValueError) as failure:
        give_up_unprintable()
        reason = getattr(failure, "strerror", None) or failure
        raise N2NError(f"all is done, but the report cannot be printed: {reason}") from failure


def print_json(fields: Mapping[str, Any], command: str | None = None) -> None:
    """Print a document for programs on stdout; ``docs/json.md`` describes the fields of each.

    Args:
        fields: What it says. Numbers that are not finite become null, since JSON has no others.
        command: Whose document it is, if not that of the command at work; empty for none's.
    """
    name = click.get_current_context().command.name if command is None else command
    head = {"schema": f"onnx-n2n.{name}".rstrip("."), "schema_version": SCHEMA_VERSION, "error": None}
    click.echo(json.dumps(all_spoken(finite(head | {**fields})), indent=2, allow_nan=False))
