"""The table of operators in the documents says what the rules say."""

from __future__ import annotations

from pathlib import Path

import onnx.defs
import pytest

from onnx_n2n.rules.table import OPSET, table

FILE = Path(__file__).parents[2] / "docs" / "operators.md"
COMMAND = "python -m onnx_n2n.rules.table > docs/operators.md"


@pytest.mark.skipif(onnx.defs.onnx_opset_version() < OPSET, reason="this onnx does not know all operators of the table")
def test_table_is_current() -> None:
    written, made = FILE.read_text("utf-8").splitlines(), table().splitlines()
    differ = [*sorted(set(made) - set(written)), *sorted(set(written) - set(made))]
    if written != made:
        pytest.fail(f"docs/operators.md is not what the rules say, here first: {differ[:1]}. Run\n\n    {COMMAND}\n")


def test_table_names_its_command() -> None:
    assert COMMAND in FILE.read_text("utf-8")
