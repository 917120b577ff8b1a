"""From a trained PyTorch network to an ONNX model that keeps its batch normalisation and its names."""

import io
import logging
import re
import warnings
from typing import Literal

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn

Exporter = Literal["torch.export", "torchscript"]

INPUT, OUTPUT = "image", "logits"
# Text in which a slash begins a path, or a drive does. Module paths such as `layers/0` pass.
ABSOLUTE_PATH = re.compile(r"(?<![\w/])/\w|\b[A-Za-z]:\\")

# It warns that torchvision is missing, which nothing here needs.
logging.getLogger("torch.onnx").setLevel(logging.ERROR)


def export(network: nn.Module, example: Tensor, *, exporter: Exporter, opset: int, dynamic: bool) -> onnx.ModelProto:
    """Export a network in inference form with every BatchNormalization still a node of its own.

    Args:
        network: in evaluation mode.
        example: `[batch, channels, height, width]`; where the model is not dynamic, its shape is fixed for good.
        exporter: the current exporter, or the older one that many files in the world were made with.
        opset: the version of the ONNX operators.
        dynamic: leave the size of the batch open.
    """
    with warnings.catch_warnings():
        # The older exporter announces its end on every call.
        warnings.simplefilter("ignore")
        model = (_torch_export if exporter == "torch.export" else _torchscript)(network, example, opset, dynamic)
    _forget_machine(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def run(model: onnx.ModelProto, inputs: np.ndarray, batch: int) -> np.ndarray:
    """The model's outputs in ONNX Runtime, on the CPU and with nothing optimised away."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    parts = [session.run([OUTPUT], {INPUT: inputs[at : at + batch]})[0] for at in range(0, len(inputs), batch)]
    return np.concatenate(parts)


def _torch_export(network: nn.Module, example: Tensor, opset: int, dynamic: bool) -> onnx.ModelProto:
    program = torch.onnx.export(
        network,
        (example,),
        dynamo=True,
        # The optimiser would fold batch normalisation into the convolution before it.
        optimize=False,
        opset_version=opset,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=({0: torch.export.Dim("batch")},) if dynamic else None,
        verbose=False,
    )
    assert program is not None
    return program.model_proto


def _torchscript(network: nn.Module, example: Tensor, opset: int, dynamic: bool) -> onnx.ModelProto:
    file = io.BytesIO()
    torch.onnx.export(
        network,
        (example,),
        file,
        dynamo=False,
        # Constant folding would fold batch normalisation as well.
        do_constant_folding=False,
        opset_version=opset,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_axes={INPUT: {0: "batch"}, OUTPUT: {0: "batch"}} if dynamic else None,
    )
    return onnx.load_from_string(file.getvalue())


def _forget_machine(model: onnx.ModelProto) -> None:
    """Drop what tells of the machine that exported: stack traces, and any text that holds an absolute path.

    The golden models have no functions and no subgraphs, so there is nothing further in to look at.
    """
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        kept = [
            entry
            for entry in part.metadata_props
            if not entry.key.endswith("stack_trace") and not ABSOLUTE_PATH.search(entry.value)
        ]
        del part.metadata_props[:]
        part.metadata_props.extend(kept)
        if ABSOLUTE_PATH.search(part.doc_string):
            part.doc_string = ""
