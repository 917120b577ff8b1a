"""What the documentation shows runs as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from helpers.needing import needs
from onnx_n2n.cli import main

needs("torch")
needs("onnxscript")

PAGE = (Path(__file__).parents[2] / "docs" / "end-to-end.md").read_text("utf-8")
STEP = re.compile(r"^```python\n(.*?)^```|^    (onnx-n2n [^\n]*)$", re.MULTILINE | re.DOTALL)


@pytest.mark.filterwarnings("ignore")
def test_the_page_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    for code, command in STEP.findall(PAGE):
        if code:
            exec(compile(code, "docs/end-to-end.md", "exec"), scope)
        else:
            outcome = CliRunner().invoke(main, shlex.split(command)[1:])
            assert outcome.exit_code == 0, (command, outcome.output)
    assert Path("wider.pt").is_file()
    assert Path("deeper.pt").is_file()
