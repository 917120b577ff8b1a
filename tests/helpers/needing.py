"""What a test needs and may not be installed: without it the test is skipped, or fails where N2N_CI is set."""

from __future__ import annotations

import importlib
import os
from typing import Any, NoReturn

import pytest


def needs(module: str) -> Any:
    """Import a module that is no dependency of this package."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as failure:
        lacking(f"{module} is not installed: {failure}")


def lacking(reason: str) -> NoReturn:
    """Skip a test, or a file of tests; fail in .ci/run, which installs all that is needed and would not notice."""
    if os.environ.get("N2N_CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason, allow_module_level=True)
