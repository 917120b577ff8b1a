"""Types of tensors that become outputs, as a model has to declare them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
import onnx_ir as ir

from onnx_n2n.errors import GrowthError
from onnx_n2n.graph.names import reported
from onnx_n2n.graph.shapes import infer_types
from onnx_n2n.verification.options import Proof


def declare(model: ir.Model, values: Sequence[ir.Value], proof: Proof, folder: Path | None) -> None:
    """Give tensors the types and shapes that are inferred, where none are declared.

    Where inference stops, as at operators that ONNX does not know, ONNX Runtime is asked, which has to open the model
    anyway to verify what is made of it.

    Args:
        model: The model that they are in.
        values: Tensors of its main graph.
        proof: How models are run.
        folder: Where the model's file is.

    Raises:
        GrowthError: Nobody knows what type one has.
        ModelError: ONNX Runtime refuses the model.
    """
    lacking = [value for value in values if value.type is None or value.shape is None]
    found = infer_types(model) if lacking else {}
    for value in lacking:
        _set(value, found.get(str(value.name)))
    unknown = [value for value in lacking if value.type is None]
    if unknown and proof.wanted and proof.runs:
        told = _told(model, [str(value.name) for value in unknown], proof, folder)
        for value in unknown:
            _set(value, told.get(str(value.name)))
    for value in unknown:
        node = value.producer()
        if value.type is None and node is not None:
            raise GrowthError(
                f"the type of {value.name!r} is not known, and an output must have one",
                node=reported(node), operator=node.op_type, hint="cut elsewhere, or give the model a type for it",
            )  # fmt: skip


def _set(value: ir.Value, found: onnx.TypeProto | None) -> None:
    if found is None:
        return
    if value.type is None:
        value.type = ir.serde.deserialize_type_proto_for_type(found)
    if value.shape is None:
        value.shape = ir.serde.deserialize_type_proto_for_shape(found)


def _told(model: ir.Model, names: Sequence[str], proof: Proof, folder: Path | None) -> dict[str, onnx.TypeProto]:
    """Return the types of tensors that ONNX Runtime knows; a scalar looks like a shape that it does not know."""
    from onnx_n2n.verification.sessions import opened, providers, session

    kinds = {f"tensor({name.lower()})": number for name, number in onnx.TensorProto.DataType.items()}
    with opened(model, folder, proof.setup) as source:
        outputs = session(source.exposing(names), providers(proof.provider)[-1]).get_outputs()
    return {
        value.name: onnx.helper.make_tensor_type_proto(kinds[value.type], _lengths(value.shape))
        for value in outputs
        if value.name in names and value.type in kinds
    }


def _lengths(shape: Sequence[int | str | None]) -> list[int | None] | None:
    return [length if isinstance(length, int) else None for length in shape] or None
