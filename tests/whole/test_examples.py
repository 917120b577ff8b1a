"""The examples run as they stand, say how far the student is from its teacher, and training goes on where it was."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.needing import needs

EXAMPLES = Path(__file__).parents[2] / "examples"
DIFFERENCE = 1e-4  # of outputs of about 1


def losses(folder: Path, *command: str) -> list[float]:
    """Run an example, and return the losses that it prints: at the beginning and the end of both trainings.

    Between them it prints, once, that the student computes what the teacher computes.
    """
    done = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "LeftOutWarning" not in done.stderr, done.stderr
    said = re.findall(r"loss ([\d.]+)|largest difference between teacher and student: ([\d.e+-]+)", done.stdout)
    assert [bool(loss) for loss, _ in said] == [True, True, False, True, True], done.stdout
    assert float(said[2][1]) < DIFFERENCE
    return [float(loss) for loss, _ in said if loss]


def check(found: list[float]) -> None:
    first, learned, grown, last = found
    assert abs(grown - learned) < 0.5 * (first - learned)  # another batch, or other examples, but not from the start
    assert last < grown < first


@pytest.mark.parametrize("start", [(), ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")])
def test_pytorch_on_one_process_and_on_two(start: tuple[str, ...], tmp_path: Path) -> None:
    needs("torch")
    needs("onnxscript")
    check(losses(tmp_path, *start, str(EXAMPLES / "pytorch.py")))


@pytest.mark.parametrize("name", ["jax_", "keras_"])
def test_jax_and_keras(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    for module in ("jax", "jax2onnx", "optax" if name == "jax_" else "keras"):
        needs(module)
    check(losses(tmp_path, str(EXAMPLES / f"{name}.py")))
