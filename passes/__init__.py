"""Passes: what a user composes. One pass per file; each is a frozen dataclass whose fields are its options."""

from onnx_n2n.options import option
from onnx_n2n.passes.base import Pass
from onnx_n2n.passes.cut import Cut
from onnx_n2n.passes.deepen import Deepen
from onnx_n2n.passes.enlarge import Enlarge
from onnx_n2n.passes.outputs import Outputs
from onnx_n2n.passes.recipes import from_recipe, to_recipe
from onnx_n2n.passes.sequential import Sequential, parse
from onnx_n2n.passes.widen import Widen

__all__ = [
    "Cut", "Deepen", "Enlarge", "Outputs", "Pass", "Sequential", "Widen", "from_recipe", "option", "parse", "to_recipe",
]  # fmt: skip
