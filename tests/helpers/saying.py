"""Models that say all that a model can, and what tests do with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnx_ir as ir
import onnxruntime as ort
from onnx import TensorProto, helper
from onnx.numpy_helper import from_array, to_array

FLOAT = TensorProto.FLOAT


def describe(message: Any, word: str) -> Any:
    """Give a message a doc string and metadata."""
    message.doc_string = f"about {word}"
    message.metadata_props.add(key="a", value=word)
    message.metadata_props.add(key="b", value="two")
    return message


def weight(name: str, *shape: int) -> onnx.TensorProto:
    """Return random values, always the same for one name."""
    return from_array(np.random.default_rng(sum(name.encode())).standard_normal(shape).astype(np.float32), name)


def small() -> onnx.ModelProto:
    """One layer, its weight large enough to be left on disk."""
    x, y = (helper.make_tensor_value_info(name, FLOAT, ["n", 32]) for name in "xy")
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="layer")
    graph = helper.make_graph([node], "small", [x], [y], [weight("w", 32, 32)])
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])


def everything() -> onnx.ModelProto:
    """All that a model can say, in the order in which the IR writes it; ONNX Runtime runs it."""
    sparse, inner = (
        helper.make_sparse_tensor(
            helper.make_tensor(name, FLOAT, [2], [3.0, 4.0]),
            helper.make_tensor("at", TensorProto.INT64, [2], [1, 6]),
            [3, 4],
        )
        for name in ("sparse", "sparse_inner")
    )
    branches = {}
    for name in ("then", "else"):
        # "w" is captured from outside, "inner" is the branch's own
        node = describe(
            helper.make_node("Gemm", ["x", "w", f"inner_{name}"], [f"out_{name}"], name=f"{name}/gemm"), name
        )
        out = describe(helper.make_tensor_value_info(f"out_{name}", FLOAT, ["batch", 4]), name)
        branches[f"{name}_branch"] = describe(
            helper.make_graph([node], name, [], [out], [describe(weight(f"inner_{name}", 4), name)]), name
        )
    branches["then_branch"].sparse_initializer.append(inner)
    nodes = [
        helper.make_node("Constant", [], ["flag"], value=onnx.TensorProto(data_type=TensorProto.BOOL, raw_data=b"\1")),
        helper.make_node("If", ["flag"], ["h"], name="if", **branches),
        helper.make_node("Constant", [], ["none"]),
        helper.make_node("Cast", ["int4"], ["four"], to=FLOAT),
        helper.make_node("Double", ["h"], ["twice"], domain="local"),
        helper.make_node("Add", ["twice", "listed"], ["sum"]),
        helper.make_node("Add", ["sum", "four"], ["more"]),
        helper.make_node("Gemm", ["more", "sparse"], ["y"], transB=1),
        helper.make_node("Dropout", ["y"], ["dropped"]),
        helper.make_node("ArgMax", ["y"], ["label"], axis=1, keepdims=0),
        helper.make_node("ZipMap", ["y"], ["map"], domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2]),
    ]
    for node in nodes[1:]:
        describe(node, node.op_type)
    nodes[2].attribute.add(name="value_ints", type=onnx.AttributeProto.INTS)
    nodes[1].attribute[0].doc_string = "about an attribute"
    map_type = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(FLOAT, []))
    inputs = [
        describe(helper.make_tensor_value_info("x", FLOAT, ["batch", 8]), "x"),
        helper.make_tensor_value_info("listed", FLOAT, [4]),
    ]
    inputs[0].type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
    inputs[0].type.denotation = "TENSOR"
    outputs = [
        describe(helper.make_tensor_value_info("y", FLOAT, ["batch", 3]), "y"),
        helper.make_value_info("map", helper.make_sequence_type_proto(map_type)),
        helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]),
    ]
    initializers = [
        describe(weight("w", 8, 4), "w"),
        weight("listed", 4),
        weight("unused", 300, 2),
        helper.make_tensor("int4", TensorProto.INT4, [4], b"\x21\x7f", raw=True),
        helper.make_tensor("words", TensorProto.STRING, [2], [b"a\0", b"\xff"]),
    ]
    value_info = [
        describe(helper.make_tensor_value_info("w", FLOAT, [8, 4]), "the value w"),
        helper.make_tensor_value_info("sum", FLOAT, ["batch", None]),
    ]
    graph = describe(helper.make_graph(nodes, "main", inputs, outputs, initializers, value_info=value_info), "graph")
    graph.sparse_initializer.append(sparse)
    for name in ("w", "sum"):
        graph.quantization_annotation.add(tensor_name=name).quant_parameter_tensor_names.add(
            key="SCALE", value="listed"
        )
    function = describe(
        helper.make_function(
            "local",
            "Double",
            ["a"],
            ["b"],
            [
                helper.make_node("Constant", [], ["two"], value_float=2.0),
                helper.make_node("Mul", ["a", "two"], ["b"]),
            ],
            [helper.make_opsetid("", 21)],
        ),
        "function",
    )
    opsets = [helper.make_opsetid(*pair) for pair in (("", 21), ("local", 1), ("ai.onnx.ml", 3))]
    model = helper.make_model(graph, functions=[function], opset_imports=opsets, ir_version=11)
    model.producer_name, model.producer_version, model.domain, model.model_version = "pytest", "1.2", "org.test", 7
    model.configuration.add(name="two", num_devices=2, device=["a", "b"])
    spot = model.graph.node[1].device_configurations.add(configuration_id="two", pipeline_stage=1)
    spot.sharding_spec.add(tensor_name="h", device=[0, 1]).sharded_dim.add(axis=0).simple_sharding.add(num_shards=2)
    training = model.training_info.add()
    training.algorithm.CopyFrom(small().graph)
    training.update_binding.add(key="w", value="y")
    return describe(model, "model")


def surgeons() -> gs.Graph:
    """What graphsurgeon can say and its exporter forgets, with a weight that a branch captures."""
    x = gs.Variable("x", np.float32, ["batch", 32])
    y, h, flag, out = (gs.Variable(name) for name in ("y", "h", "flag", "out"))
    y.dtype, out.dtype, flag.dtype, h.dtype = np.float32, np.float32, bool, np.float32
    w = gs.Constant("w", to_array(weight("w", 32, 32)))
    branch = gs.Graph(
        [gs.Node("MatMul", "inside", inputs=[h, w], outputs=[out])], outputs=[out], name="branch", opset=17
    )
    nodes = [
        gs.Node("MatMul", "first", inputs=[x, w], outputs=[h]),
        gs.Node("Constant", "flag", {"value": gs.Constant("", np.array(True))}, outputs=[flag]),
        gs.Node("If", "if", {"then_branch": branch, "else_branch": branch.copy()}, [flag], [y]),
    ]
    graph = gs.Graph(nodes, [x], [y], name="net", doc_string="mine", opset=17, producer_name="me", ir_version=9)
    graph.layer_count, graph.name_idx, nodes[0].tag, w.scale = 3, 5, "conv-bn", 0.5
    branch.nodes[0].tag = "deep"
    return graph


def run(model: onnx.ModelProto | Path, width: int = 8) -> list[Any]:
    """Run a model on the CPU, on inputs that are always the same."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.random.default_rng(1).standard_normal((2, width)).astype(np.float32)})


def written(model: onnx.ModelProto, folder: Path, **options: Any) -> Path:
    """Write a model by onnx's own hand."""
    path = folder / "teacher.onnx"
    onnx.save(model, path, **options)
    return path


def load_skeleton(path: Path) -> list[onnx.TensorProto]:
    return list(onnx.load(path, load_external_data=False).graph.initializer)


def grown(model: ir.Model, name: str, array: np.ndarray) -> ir.Model:
    """Give an initializer another value, fetched late as the rewriting stage does."""
    value = model.graph.initializers[name]
    value.const_value = ir.LazyTensor(
        lambda: ir.tensor(array), ir.tensor(array).dtype, ir.Shape(array.shape), name=name
    )
    return model
