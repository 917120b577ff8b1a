"""The command line: parse, call, print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx_n2n import lazily

if TYPE_CHECKING:
    from onnx_n2n.cli.commands import main

__all__ = ["main"]

__getattr__ = lazily.names(__name__, {"commands": __all__})  # what says an error starts without them
