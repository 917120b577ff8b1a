"""Hugging Face folders: a model that is its config and its weights, in and out.

    from onnx_n2n import Widen
    from onnx_n2n.huggingface import Output, widen
    widen("folder", Widen(factor=2), Output("larger"))

Reading a folder needs neither PyTorch nor transformers, growing one needs both: ``pip install 'onnx-n2n[hf]'``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx_n2n import lazily

if TYPE_CHECKING:
    from onnx_n2n.huggingface.deepening import deepen
    from onnx_n2n.huggingface.folder import Folder, is_folder, opened
    from onnx_n2n.huggingface.grown import Grown
    from onnx_n2n.huggingface.output import Output
    from onnx_n2n.huggingface.several import run
    from onnx_n2n.huggingface.teacher import taught
    from onnx_n2n.huggingface.widening import widen

__all__ = ["Folder", "Grown", "Output", "deepen", "is_folder", "opened", "run", "taught", "widen"]

_HOMES = {
    "deepening": ["deepen"],
    "folder": ["Folder", "is_folder", "opened"],
    "grown": ["Grown"],
    "output": ["Output"],
    "several": ["run"],
    "teacher": ["taught"],
    "widening": ["widen"],
}
__getattr__ = lazily.names(__name__, _HOMES)
