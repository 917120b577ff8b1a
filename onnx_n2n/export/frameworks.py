"""Frameworks are extras: a missing one is named, with what installs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from onnx_n2n.errors import ExportError

Framework = Literal["torch", "jax", "keras", "safetensors"]
BROUGHT = frozenset({"keras", "jax", "jaxlib"})  # by the extra of Keras, which runs on others too


@contextmanager
def missing(extra: str) -> Iterator[None]:
    """Say which extra brings a package that cannot be imported."""
    try:
        yield
    except ModuleNotFoundError as failure:
        package = (failure.name or extra).partition(".")[0]
        if package == "onnx_n2n":
            raise
        hint = f"Run: pip install 'onnx-n2n[{extra}]'"
        if extra == "keras" and package not in BROUGHT:
            hint = "Keras is told to run on it: set KERAS_BACKEND=jax, or install it"
        raise ExportError(f"{package} is not installed, which this export needs", hint=hint) from failure
