"""The functions of a model written out where they are called."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from onnx_n2n.border import told


@told("the functions of the model cannot be written out")
def write_out(model: ir.Model) -> None:
    """Put the nodes of every function where it is called; each says the version of its operator itself from then on.

    Functions may be of other versions than the model, which the IR's own pass refuses.

    Raises:
        ModelError: A call does not fit its function.
    """
    if not model.functions:
        return
    for function in model.functions.values():
        for node in function.all_nodes():
            if node.op_identifier() not in model.functions:
                node.version = node.version or function.opset_imports.get(node.domain)
        for domain, version in function.opset_imports.items():
            model.opset_imports.setdefault(domain, version)
    for function in model.functions.values():
        function.opset_imports.clear()
        function.opset_imports.update(model.opset_imports)
    InlinePass()(model)
