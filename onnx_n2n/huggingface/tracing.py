"""The graph of a network without weights: what its class computes, with a free batch and length."""

from __future__ import annotations

import ast
import inspect
import io
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from typing import Any

import onnx_ir as ir
import onnx_ir.passes.common as common

from onnx_n2n.errors import ModelError
from onnx_n2n.huggingface.network import Network, libraries, quiet
from onnx_n2n.words import brief

BATCH, LENGTH = 2, 9  # of the example; both are free in the graph
FRAMES = 3200  # of raw audio
STEM = "net."
SCOPES = "pkg.torch.onnx.name_scopes"  # what the exporter says of a node
# What onnxscript may rewrite, of what it does by itself: its rule that splits looks at all nodes for each of them.
RULES = (
    "add_0", "sub_0", "mul_by_1", "div_by_1", "no_op_cast", "no_op_expand", "no_op_transpose",
    "no_op_dynamic_scatter_nd", "no_op_static_scatter_nd", "cast_cast", "cast_constant_of_shape",
    "cast_constant_of_shape_without_value", "collapse_slice", "collapse_slice2", "reshape_reshape",
    "squeeze_reshape_1d", "transpose_transpose", "unsqueeze_unsqueeze", "one_reshape_matmul_reshape",
    "two_reshapes_matmul_reshape", "materialize_reshape_shape",
)  # fmt: skip


def examples(
    module: Any, batch: int = BATCH, length: int = LENGTH
) -> tuple[dict[str, tuple[int, ...]], dict[str, dict[int, str]]]:
    """Return the shapes of the inputs of a network, by name, and which of their axes are free; ids are integers.

    Args:
        module: The network.
        batch: How many examples there are.
        length: How long text is.

    Raises:
        ModelError: It takes something else than ids, images and audio.
    """
    name, config = module.main_input_name, module.config
    takes = inspect.signature(module.forward).parameters
    shapes: dict[str, tuple[int, ...]] = {}
    free: dict[str, dict[int, str]] = {name: {0: "batch"}}
    if name == "input_ids":
        shapes[name], free[name] = (batch, length), {0: "batch", 1: "length"}
    elif name == "pixel_values":
        size = _said(config, "image_size")
        channels = _said(config, "num_channels", 3)
        shapes[name] = (batch, channels, *(size if isinstance(size, list | tuple) else (size, size)))
    elif name == "input_features" and (bins := _said(config, "num_mel_bins")) is not None:
        positions = _said(config, "max_source_positions")
        shapes[name] = (batch, bins, 2 * positions) if positions else (batch, length, bins)
    elif name == "input_values":
        shapes[name] = (batch, FRAMES)
    if None in shapes.get(name, (None,)):
        raise ModelError(f"{type(module).__name__} takes {name!r}, and its config does not say how large that is")
    if config.is_encoder_decoder and "decoder_input_ids" in takes:
        shapes["decoder_input_ids"], free["decoder_input_ids"] = (batch, length), {0: "batch", 1: "decoder_length"}
    return shapes, free


def _said(config: Any, field: str, usual: Any = None) -> Any:
    for each in (config, *(getattr(config, name) for name in getattr(config, "sub_configs", {}))):
        if getattr(each, field, None) is not None:
            return getattr(each, field)
    return usual


def outputs_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tensors that a network computes: hidden states are those of a base model, and within others."""
    torch, _ = libraries()
    found = {name: value for name, value in said.items() if isinstance(value, torch.Tensor)}
    base = "hidden_state" in next(iter(found))
    return {name: value for name, value in found.items() if base or "hidden_state" not in name}


def traced(network: Network) -> ir.Model:
    """Return the graph of a network, in float32; initializers have the names of its tensors, and no values.

    Raises:
        ModelError: The class does not export.
    """
    torch, _ = libraries()
    module = network.module
    shapes, free = examples(module)
    names = list(shapes)
    outputs: list[str] = []

    class Wrapped(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = module

        def forward(self, *args: Any) -> Any:
            found = outputs_of(self.net(**dict(zip(names, args, strict=True)), return_dict=True))
            outputs[:] = found
            return tuple(found.values())

    said = io.StringIO()
    with quiet(), redirect_stdout(said), redirect_stderr(said):
        kinds = {name: torch.int64 if name.endswith("_ids") else torch.float32 for name in names}
        try:
            with network.mode:
                inputs = tuple(torch.zeros(shape, dtype=kinds[name]) for name, shape in shapes.items())
                program = torch.onnx.export(
                    Wrapped(), inputs, dynamo=True, optimize=False, verbose=False,
                    dynamic_shapes=(tuple(free[name] for name in names),),
                )  # fmt: skip
            model: ir.Model = program.model
            _renamed(model, names, outputs)
            _simplified(model)
        except Exception as failure:  # of an exporter and a class that we do not know
            cause: BaseException = failure
            while cause.__cause__ is not None:
                cause = cause.__cause__
            reason = brief(str(cause), 300)
            raise ModelError(
                f"{type(module).__name__} does not export from PyTorch {torch.__version__}: {reason}",
                hint="export it to ONNX on a way of your own, and pass that file",
            ) from failure
    return model


def homes(model: ir.Model) -> dict[str, str]:
    """Return in the code of which module each node of a traced graph is: its path, by the name of the node."""
    found = {}
    for node in model.graph:
        scopes = ast.literal_eval(node.metadata_props.get(SCOPES, "[]"))  # from outside in, and the node's own name
        if len(scopes) > 1:
            found[str(node.name)] = f"{scopes[-2]}.".removeprefix(STEM).removesuffix(".")
    return found


def _renamed(model: ir.Model, inputs: list[str], outputs: list[str]) -> None:
    """Give inputs, outputs and initializers the names that the class has for them."""
    graph = model.graph
    for value, name in (*zip(graph.inputs, inputs, strict=True), *zip(graph.outputs, outputs, strict=True)):
        value.name = name
    for value in list(graph.initializers.values()):
        before = str(value.name)
        del graph.initializers[before]
        value.name = before.removeprefix(STEM)
        graph.initializers[value.name] = value


def _simplified(model: ir.Model) -> None:
    """Work out what does not depend on weights, as shapes; weights are inputs meanwhile, so that none is touched.

    A constant that is no fake is no weight: the code of the class writes its numbers.
    """
    graph, fake = model.graph, import_module("torch._subclasses.fake_tensor").FakeTensor
    constants, inputs = list(graph.initializers.values()), len(graph.inputs)
    weights = [value for value in constants if isinstance(getattr(value.const_value, "raw", None), fake)]
    for value in weights:
        value.const_value = None
        del graph.initializers[str(value.name)]
        graph.inputs.append(value)
    optimizer, rewriter = import_module("onnxscript.optimizer"), import_module("onnxscript.rewriter")
    known = import_module("onnxscript.rewriter.rules.common")  # before 0.7.1 without the last
    rules = [getattr(known, f"{name}_rule") for name in RULES if hasattr(known, f"{name}_rule")]
    common.InlinePass()(model)
    for _ in range(2):  # what a rule leaves may be worked out
        optimizer.fold_constants(model, onnx_shape_inference=True)
        rewriter.rewrite(model, rules)
    for tidy in (
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.LiftSubgraphInitializersToMainGraphPass(),
        common.DeduplicateInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.OutputFixPass(),
        common.NameFixPass(),
    ):
        tidy(model)
    del graph.inputs[inputs:]
    for value in weights:
        if value.uses():
            graph.initializers[str(value.name)] = value
