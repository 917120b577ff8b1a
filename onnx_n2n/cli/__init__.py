"""The command line: parse, call, print."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnx_n2n.cli.commands import main

__all__ = ["main"]


def __getattr__(name: str) -> Any:
    """Load the commands when they are asked for: what says an error starts without them."""
    if name != "main":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module("onnx_n2n.cli.commands").main
