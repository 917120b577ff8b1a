"""What all tests share: a folder for tests of the command line, and how hypothesis draws."""

from __future__ import annotations

import importlib.util
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import onnx
import pytest
from hypothesis import settings

from onnx_n2n.analysis.failures import RAISE
from onnx_n2n.passes import driver, leaving_out

os.environ[RAISE] = "1"  # a bug in a rule is a failure of the test, also in other processes
os.environ.setdefault("KERAS_BACKEND", "jax")  # before any test imports Keras
# The same examples in every run, so that a change is to blame for a failure; and others in every run, to find more.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("nightly", deadline=None, print_blob=True)
settings.load_profile("same")


def pytest_configure() -> None:
    """Say what is missing once, and not in every test."""
    if importlib.util.find_spec("onnxruntime") is None:
        raise pytest.UsageError("the tests run models, and no ONNX Runtime is here: pip install -e '.[test,gpu]'")


@pytest.fixture(autouse=True)
def drawn_alike() -> None:
    """Draw the same weights and orders of examples in every run, whichever tests ran before in the same process."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  Keras shuffles with it
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)
    if tensorflow := sys.modules.get("tensorflow"):
        tensorflow.random.set_seed(0)


@pytest.fixture(autouse=True)
def nothing_left_out(request: pytest.FixtureRequest) -> Iterator[None]:
    """A wrong student is an alarm, and nothing is mended by leaving it out, but in tests of just that."""
    with pytest.MonkeyPatch.context() as patch:
        if "leaves_out" not in request.keywords:
            patch.setattr(leaving_out, "leave_out", _alarm)
        yield


@pytest.fixture(autouse=True)
def checked_where_asked(request: pytest.FixtureRequest) -> Iterator[None]:
    """Make the exact check only where it is asked for, for time; unasked in tests of just that."""
    check = driver.checked
    with pytest.MonkeyPatch.context() as patch:
        if "unasked" not in request.keywords:
            patch.setattr(driver, "checked", lambda *a, **k: check(*a, **k) if a[4].exact or k["alone"] else None)
        yield


def _alarm(_change: Any, failure: Any, *_: Any) -> NoReturn:
    raise failure.cause


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a small model, in which the group ``w`` can grow."""
    from helpers.calling import net  # runs models: only where pytest_configure has found what for

    monkeypatch.chdir(tmp_path)
    onnx.save(net(), "net.onnx")
    return tmp_path
