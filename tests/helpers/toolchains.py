"""Tools that take an ONNX model and give one back, as the lines of docs/toolchains.md call them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import onnx_ir as ir

from helpers.needing import needs

Tool = Callable[[onnx.ModelProto, Path], onnx.ModelProto]


def onnxslim(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    return needs("onnxslim").slim(model)


def onnxsim(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    return needs("onnxsim").simplify(model)[0]


def onnxscript(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    return needs("onnxscript.optimizer").optimize(model)


def onnx_ir(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    common = needs("onnx_ir.passes.common")
    passes = common.CommonSubexpressionEliminationPass(), common.LiftConstantsToInitializersPass()
    return ir.to_proto(ir.passes.Sequential(*passes)(ir.from_proto(model)).model)


def polygraphy(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    return needs("polygraphy.backend.onnx").FoldConstants(model, copy=True)()


def quantiser(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    needs("onnxruntime.quantization").quantize_dynamic(model, folder / "quantised.onnx")
    return onnx.load(folder / "quantised.onnx")


def transformers(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    onnx.save(model, folder / "model.onnx")
    optimiser = needs("onnxruntime.transformers.optimizer")
    return optimiser.optimize_model(str(folder / "model.onnx"), model_type="bert", opt_level=0).model


EXACT: dict[str, Tool] = {
    each.__name__: each for each in (onnxslim, onnxsim, onnxscript, onnx_ir, polygraphy, transformers)
}
"""Tools that change no output by more than rounding does."""

TOOLS = EXACT | {"quantiser": quantiser}
