"""Make trained ONNX models wider and deeper without changing what they compute.

    import onnx, onnx_n2n
    student = onnx_n2n.widen(onnx.load("model.onnx"), 1.5).model

A model is a path, of a folder with a ``model.onnx`` too, bytes, a binary file object, an ``onnx.ModelProto``, a
graphsurgeon ``Graph``, an ``onnx_ir.Model`` or a ``torch.onnx.ONNXProgram``; what comes back is of the same kind, and
the argument is never changed. Every command of the command line is a function here.

Importing this package imports nothing heavy: each name is loaded when it is first used.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING

from onnx_n2n import lazily
from onnx_n2n.version import VERSION

if TYPE_CHECKING:
    from onnx_n2n import checkpoint as checkpoint
    from onnx_n2n import errors as errors
    from onnx_n2n import exact as exact
    from onnx_n2n import export as export
    from onnx_n2n import passes as passes
    from onnx_n2n import record as record
    from onnx_n2n import testing as testing
    from onnx_n2n.analysis.inspection import analyze
    from onnx_n2n.analysis.redundant import Clones, clones
    from onnx_n2n.analysis.walk import Analysis
    from onnx_n2n.checkpoint.growth import Grown
    from onnx_n2n.errors import (
        ExportError,
        GrowthError,
        InputError,
        ModelError,
        N2NError,
        OptionError,
        VerificationError,
    )
    from onnx_n2n.export.checkpoints import grow_checkpoint
    from onnx_n2n.io.model import ModelLike, load, save
    from onnx_n2n.passes import Cut, Deepen, Enlarge, Outputs, Pass, Sequential, Widen, parse
    from onnx_n2n.passes.functions import cut, deepen, enlarge, outputs, run, widen
    from onnx_n2n.passes.report import Report, Result
    from onnx_n2n.record.joining import join
    from onnx_n2n.record.record import Record
    from onnx_n2n.reporting.difference import Diff, diff
    from onnx_n2n.search.budget import Budget
    from onnx_n2n.search.candidates import Candidate
    from onnx_n2n.search.exploration import explore
    from onnx_n2n.verification.verdict import Verdict, verify

__all__ = [
    "Analysis", "Budget", "Candidate", "Clones", "Cut", "Deepen", "Diff", "Enlarge", "ExportError", "Grown",
    "GrowthError", "InputError", "ModelError", "ModelLike", "N2NError", "OptionError", "Outputs", "Pass", "Record",
    "Report", "Result", "Sequential", "Verdict", "VerificationError", "Widen", "__version__", "analyze", "clones",
    "cut", "deepen", "diff", "enlarge", "explore", "grow_checkpoint", "join", "load", "outputs", "parse", "run", "save",
    "verify", "widen",
]  # fmt: skip

__version__ = VERSION

_HOMES = {
    "analysis.inspection": ("analyze",),
    "analysis.redundant": ("Clones", "clones"),
    "analysis.result": ("Analysis",),
    "checkpoint.growth": ("Grown",),
    "errors": (
        "ExportError", "GrowthError", "InputError", "ModelError", "N2NError", "OptionError", "VerificationError",
    ),
    "export.checkpoints": ("grow_checkpoint",),
    "io.model": ("ModelLike", "load", "save"),
    "passes": ("Cut", "Deepen", "Enlarge", "Outputs", "Pass", "Sequential", "Widen", "parse"),
    "passes.functions": ("cut", "deepen", "enlarge", "outputs", "run", "widen"),
    "passes.report": ("Report", "Result"),
    "record.joining": ("join",),
    "record.record": ("Record",),
    "reporting.difference": ("Diff", "diff"),
    "search.budget": ("Budget",),
    "search.candidates": ("Candidate",),
    "search.exploration": ("explore",),
    "verification.verdict": ("Verdict", "verify"),
}  # fmt: skip
# What opens without an import of its own.
_PACKAGES = ("checkpoint", "errors", "exact", "export", "passes", "record", "testing")

__getattr__ = lazily.names(__name__, _HOMES, _PACKAGES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PACKAGES})


class _Checkout:
    """Finds ``onnx_n2n.passes`` where this package is not installed: in a checkout it lies beside the package."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        if name != "onnx_n2n.passes":
            return None
        return spec_from_file_location(name, _BESIDE / "__init__.py", submodule_search_locations=[str(_BESIDE)])


_BESIDE = Path(__file__).parents[1] / "passes"
if not (Path(__file__).parent / "passes").is_dir() and (_BESIDE / "__init__.py").is_file():
    sys.meta_path.insert(0, _Checkout)  # first, so that no other copy that is installed gives its passes to this one
