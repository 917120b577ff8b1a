"""The owner's own checkpoint, grown by a record."""

from onnx_n2n.checkpoint.files import grow_file
from onnx_n2n.checkpoint.growth import Grown, apply, grow
from onnx_n2n.checkpoint.pytrees import grow_optax, grow_tree

__all__ = ["Grown", "apply", "grow", "grow_file", "grow_optax", "grow_tree"]
