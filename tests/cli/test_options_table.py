"""The table of options in the documents says what the commands say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from onnx_n2n.cli.commands import COMMANDS, loaded
from onnx_n2n.cli.options_table import table

FILE = Path(__file__).parents[2] / "docs" / "options.md"
COMMAND = "python -m onnx_n2n.cli.options_table > docs/options.md"


def test_table_is_current() -> None:
    written, made = FILE.read_text("utf-8").splitlines(), table().splitlines()
    differ = [*sorted(set(made) - set(written)), *sorted(set(written) - set(made))]
    if written != made:
        pytest.fail(f"docs/options.md is not what the commands say, here first: {differ[:1]}. Run\n\n    {COMMAND}\n")


def test_table_names_its_command() -> None:
    assert COMMAND in FILE.read_text("utf-8")


def test_table_names_every_option() -> None:
    named = set(re.findall(r"-[-a-z]+", FILE.read_text("utf-8")))
    flags = [parameter for name in COMMANDS for parameter in loaded(name).params]
    assert all(named & {*flag.opts, *flag.secondary_opts} for flag in flags if flag.opts[0].startswith("-"))
