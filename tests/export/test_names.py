"""Names of tensors, nodes, inputs and outputs in exports: any text may be one, and modules are copied and pickled."""

import copy
import io
import json
import keyword
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from helpers.graphs import model
from helpers.needing import needs
from onnx_n2n import export
from onnx_n2n.errors import ExportError
from onnx_n2n.export.folder import export as export_to
from onnx_n2n.export.names import ARGUMENTS, OUTERMOST, PRIVATE, RESERVED, arguments, legal

torch = needs("torch")

HOSTILE = [
    "while", "class", "graph", "type", "train", "forward", "parameters", "buffers", "constants",
    "constants.constant_0", "_x", "__init__", "__x", "_modules", "conv", "conv.weight", "conv.weight.weight",
    "a.b", "a_b", "a/b", "a..b", ".a.", "a.b.", "...", "465", "1.2", "0", "0.0", "it's", 'say "it"',
    "two\nlines", "back\\slash", "größe", "ﬁ", "²", "☃", "名", "x", "y", "self", "torch", "getattr", "input",
    "reshape", "gemm", "matmul", "x_1", "weight:0:w", "weight:0:x", "dropout", "onnx::MatMul_1",
    "dense/kernel:0", "a b", "None", "net/while/w1", "l" * 3000, ".".join("d" * 300), "weight", " ", "inf",
]  # fmt: skip

names = st.sampled_from(HOSTILE) | st.text("ab._/:0'\n é", min_size=1, max_size=6) | st.text(min_size=1, max_size=6)
quick = settings(deadline=None, max_examples=25)


def plain() -> onnx.ModelProto:
    """Return a graph with weights, a constant, a BatchNormalization and two outputs."""
    return model(
        """h = MatMul(x, w) k = BatchNormalization(h, scale, bias, mean, variance) c = Clip(k, low)
        z = Identity(c) m = MatMul(c, v) y = Mul(m, table)""",
        "float[N,4] x", "float[N,3] y, float[N,4] z", w=(4, 4), v=(4, 3), low=np.array(-0.5, np.float32), scale=(4,),
        bias=(4,), mean=(4,), variance=np.full(4, 0.7, np.float32), table=np.array([True, False, True]).astype("f"),
    )  # fmt: skip


def renamed(proto: onnx.ModelProto, by: dict[str, str]) -> onnx.ModelProto:
    """Return the same graph with other names."""
    found = onnx.ModelProto()
    found.CopyFrom(proto)
    graph = found.graph
    for each in (*graph.initializer, *graph.input, *graph.output, *graph.value_info, *graph.node):
        each.name = by.get(each.name, each.name)
    for node in graph.node:
        node.input[:] = [by.get(name, name) for name in node.input]
        node.output[:] = [by.get(name, name) for name in node.output]
    return found


def values(proto: onnx.ModelProto) -> list[str]:
    """Return all names of a graph."""
    found = [each.name for each in (*proto.graph.input, *proto.graph.initializer)]
    found += [name for node in proto.graph.node for name in node.output]
    return list(dict.fromkeys(found))


def tupled(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)


def same(one: Any, other: Any) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tupled(one), tupled(other), strict=True))


def assert_names(found: Sequence[str]) -> None:
    """Names are all different, none is a module of others, and every part can be an attribute."""
    assert len(set(found)) == len(found)
    for name in found:
        *modules, leaf = name.split(".")
        assert leaf.isidentifier()
        for part in modules:
            assert part.isidentifier() or part.isdigit()
        assert not any(keyword.iskeyword(part) or part in RESERVED | PRIVATE for part in (*modules, leaf))
        assert name.partition(".")[0] not in OUTERMOST
        assert not any(other.startswith(name + ".") for other in found)


@settings(deadline=None, max_examples=300)
@given(st.lists(names, unique=True, max_size=12))
@example(HOSTILE)
def test_names_are_legal_and_one_for_each(given_names: list[str]) -> None:
    found = legal(given_names)
    assert list(found) != [] or not given_names
    assert found.keys() == set(given_names)
    assert_names(list(found.values()))
    assert found == legal(given_names)
    again = legal(found.values())
    assert all(again[name] == name for name in found.values())  # what is legal stays


@settings(deadline=None, max_examples=300)
@given(st.lists(names, unique=True, max_size=12))
@example(HOSTILE)
def test_arguments_are_legal_and_one_for_each(given_names: list[str]) -> None:
    found = arguments(given_names)
    assert len(set(found)) == len(given_names)
    assert all(name.isidentifier() and not keyword.iskeyword(name) and name not in ARGUMENTS for name in found)


def test_names_that_a_module_of_pytorch_can_have_stay() -> None:
    kept = ["layer1.0.weight", "net.0.weight", "_conv.weight", "größe.weight", "blocks.10.attn.in_proj_bias", "w"]
    assert legal(kept) == {name: name for name in kept}


def test_names_that_no_module_can_have_are_told_apart() -> None:
    wanted = {
        "465": "weight_465",
        "dense_1/kernel:0": "dense_1.kernel_0",
        "a.b": "a.b",
        "a/b": "a.b_2",
        "conv": "conv",
        "conv.weight": "conv_2.weight",
        "net/while/w": "net.while_.w",
        "graph.w": "graph_.w",
        "x.graph.w": "x.graph.w",
    }
    assert legal(wanted) == wanted


def test_attributes_of_modules_are_known() -> None:
    module = torch.nn.Module()
    names = {name for name in dir(module) if not name.startswith("__")}
    own = {name for name in names if getattr(getattr(module, name), "__module__", "torch").startswith("torch")}
    assert own <= RESERVED | PRIVATE  # other libraries add methods of their own
    whole = torch.fx.GraphModule(torch.nn.Module(), torch.fx.Graph())
    assert {name for name in dir(whole) if not name.startswith("__")} <= names | OUTERMOST


@quick
@given(st.data())
def test_a_renamed_graph_is_the_same_module(data: Any) -> None:
    proto = plain()
    known = values(proto)
    wanted = data.draw(st.lists(names, unique=True, min_size=len(known), max_size=len(known)))
    other = renamed(proto, dict(zip(known, wanted, strict=True)))
    one, two = export.to_torch(proto), export.to_torch(other)
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    assert same(one(x), two(x))
    assert sorted(p.shape for p in one.state_dict().values()) == sorted(p.shape for p in two.state_dict().values())
    assert_names([name for name in two.state_dict() if not name.endswith("num_batches_tracked")])
    assert same(pickle.loads(pickle.dumps(two))(x), two(x))
    assert same(one.train()(x), two.train()(x))
    assert same(one.eval()(x), two.eval()(x))  # their statistics have moved alike


@quick
@given(st.data())
def test_a_renamed_graph_is_the_same_function(data: Any) -> None:
    needs("jax")
    proto = plain()
    known = values(proto)
    wanted = data.draw(st.lists(names, unique=True, min_size=len(known), max_size=len(known)))
    by = dict(zip(known, wanted, strict=True))
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    outputs = []
    for each in (proto, renamed(proto, by)):
        apply, params, state = export.to_jax(each)
        outputs.append(apply(params, state, {each.graph.input[0].name: x})[0])
    assert list(outputs[1]) == [by[name] for name in outputs[0]]
    assert all(np.array_equal(a, b) for a, b in zip(*(found.values() for found in outputs), strict=True))


def test_many_inputs_with_names_alike_are_taken_by_position() -> None:
    inputs = ["self", "a.b", "a_b", "a/b", "torch", "getattr", "1", "class", "input", "inf", "__x__", "slice"]
    nodes = [helper.make_node("Mul", [name, "w"], [f"{name}'"]) for name in inputs]
    nodes += [helper.make_node("Concat", [f"{name}'" for name in inputs], ["y"], axis=0)]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, 1, [1]) for name in inputs],
        [helper.make_tensor_value_info("y", 1, [len(inputs)])],
        [numpy_helper.from_array(np.array([2.0], np.float32), "w")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    module = export.to_torch(proto)
    given_values = [torch.tensor([float(k)]) for k in range(len(inputs))]
    assert torch.equal(module(*given_values), 2 * torch.arange(len(inputs)))
    assert torch.equal(module(**dict(zip(arguments(inputs), given_values, strict=True))), module(*given_values))


def test_equal_tensors_of_names_alike_are_two() -> None:
    zeros, body = np.zeros(3, np.float32), "h = Add(x, a) y = Mul(h, b) z = Add(y, c)"
    proto = model(body, "float[N,3] x", "float[N,3] z", a=zeros, b=zeros, c=zeros)
    module = export.to_torch(renamed(proto, {"a": "n.a", "b": "n/a", "c": "n..a"}))
    assert sorted(module.state_dict()) == ["n.a", "n.a_2", "n.a_3"]


def test_initializers_called_like_the_modules_own_constants() -> None:
    proto = model(
        "z = Mul(x, a) m = Less(z, quarter) s = Where(m, half, z) d = Dropout(s) y = MatMul(d, w)", "float[N,8] x",
        "float[N,4] y", a=(8,), w=(8, 4), quarter=np.float32(0.25), half=np.float32(0.5),
    )  # fmt: skip
    other = export.to_torch(renamed(proto, {"a": "constants.constant_0", "w": "dropout.weight"}))
    x = torch.randn(3, 8)
    assert torch.equal(other(x), export.to_torch(proto)(x))
    assert set(other.state_dict()) == {"constants.constant_0", "dropout.weight"}


def test_a_norm_keeps_what_else_is_in_it() -> None:
    body = "a = BatchNormalization(x, s, b, m, v) y = Mul(a, e)"
    weights: dict[str, Any] = {"s": (3,), "b": (3,), "m": (3,), "v": np.ones(3, np.float32), "e": (3,)}
    own = {"s": "n.weight", "b": "n.bias", "m": "n.running_mean", "v": "n.running_var"}
    proto, x = model(body, "float[N,3] x", "float[N,3] y", **weights), torch.randn(4, 3)
    for extra in ("n.more", "n.eps", "n.deep.weight", "n/weight"):
        module = export.to_torch(renamed(proto, {**own, "e": extra}))
        assert torch.equal(module(x), export.to_torch(proto)(x))
        assert any(isinstance(each, torch.nn.modules.batchnorm._BatchNorm) for each in module.modules())
        assert len(module.state_dict()) == 6  # the number of batches besides
    assert "n.more" in export.to_torch(renamed(proto, {**own, "e": "n.more"})).state_dict()


LOOP = model(
    """s = ReduceSum<keepdims = 0>(x) c = Greater(s, zero)
    i = If(c) <then_branch = a () => (float[N,4] p) { p = MatMul(x, w) },
              else_branch = b () => (float[N,4] q) { h = MatMul(x, v) q = Neg(h) }>
    y, all = Loop(n, , i) <body = b (int64 k, bool g, float[N,4] h) => (bool g2, float[N,4] r, float[N,4] o)
    { g2 = Identity(g) m = MatMul(h, u) r = Tanh(m) o = Add(r, half) }>""",
    "float[N,4] x", "float[N,4] y, float[3,N,4] all", w=(4, 4), v=(4, 4), u=(4, 4), zero=np.float32(0), n=np.array(3),
    half=np.float32(0.5),
)  # fmt: skip


@pytest.mark.parametrize("proto", [plain(), LOOP], ids=["norm", "loop"])
def test_modules_are_copied_and_pickled(proto: onnx.ModelProto) -> None:
    module, x = export.to_torch(proto), torch.randn(2, 4)
    frozen = next(iter(module.parameters()))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.25
    frozen.requires_grad_(False)
    module.train()(x)
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    copies = [pickle.loads(pickle.dumps(module)), torch.load(file, weights_only=False), copy.deepcopy(module)]
    copies += [pickle.loads(pickle.dumps(copy.deepcopy(copies[0])))]
    for other in copies:
        assert other.training
        assert other.code == module.code
        assert list(other.state_dict()) == list(module.state_dict())
        assert [p.requires_grad for p in other.parameters()] == [p.requires_grad for p in module.parameters()]
        assert same(other.eval()(x), copy.deepcopy(module).eval()(x))
    with torch.no_grad():
        next(copies[2].parameters()).add_(1)
    assert not torch.equal(next(copies[2].parameters()), frozen)
    shallow = copy.copy(module)
    assert next(iter(shallow.parameters())) is frozen


def test_a_graph_that_was_edited_is_pickled_as_it_is() -> None:
    module, x = export.to_torch(plain()), torch.randn(2, 4)
    last = next(node for node in module.graph.nodes if node.op == "output")
    with module.graph.inserting_before(last):
        twice = module.graph.call_function(torch.mul, (last.args[0][0], 2.0))
    last.args = ((twice, last.args[0][1]),)
    module.recompile()
    assert same(pickle.loads(pickle.dumps(module))(x), module(x))
    assert not torch.equal(module(x)[0], export.to_torch(plain())(x)[0])


def test_a_process_that_is_spawned_takes_a_module(tmp_path: Path) -> None:
    module, x = export.to_torch(LOOP), torch.ones(2, 4)
    (tmp_path / "module.pickle").write_bytes(pickle.dumps((module, x)))
    code = "import pickle, sys; m, x = pickle.load(open(sys.argv[1], 'rb')); print(m(x)[0].sum().item())"
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "module.pickle")], capture_output=True, text=True, check=True
    )
    assert float(found.stdout) == pytest.approx(module(x)[0].sum().item(), rel=1e-6)


@pytest.mark.parametrize("to", ["torch", "jax"])
def test_weights_that_are_not_the_models_are_named(to: Any, tmp_path: Path) -> None:
    needs(to)
    from safetensors.numpy import load_file, save_file

    proto = renamed(plain(), {"w": "465", "x": "a.b"})
    export_to(proto, to, tmp_path / "out", verify=False)
    record = json.loads((tmp_path / "out" / "export.json").read_text())
    assert record["tensors"]["weight_465"]["initializers"] == ["465"]
    assert record["inputs"] == {"a_b": "a.b"}
    assert record["outputs"] == ["y", "z"]
    weights = tmp_path / "out" / "weights.safetensors"
    good = load_file(weights)
    export.load(tmp_path / "out")
    save_file({name: array for name, array in good.items() if name != "v"} | {"u": good["v"]}, weights)
    with pytest.raises(ExportError, match=r"missing: v; unexpected: u"):
        export.load(tmp_path / "out")
    save_file(good | {"v": np.zeros((4, 9), np.float32)}, weights)
    with pytest.raises(ExportError, match=r"v \[4, 9\] where it should be \[4, 3\]"):
        export.load(tmp_path / "out")
    weights.write_bytes(b"nothing")
    with pytest.raises(ExportError, match="cannot be read"):
        export.load(tmp_path / "out")


def test_an_output_that_is_a_weight_has_its_own_name_in_jax() -> None:
    needs("jax")
    proto = model("y = MatMul(x, w)", "float[N,4] x", "float[N,3] y, float[4,3] w", w=(4, 3))
    apply, params, state = export.to_jax(renamed(proto, {"w": "W"}))
    outputs, _ = apply(params, state, {"x": np.ones((1, 4), np.float32)})
    assert list(outputs) == ["y", "W"]
    assert np.array_equal(outputs["W"], params["W"])


def test_an_operator_of_a_domain_that_is_not_imported_is_a_sentence(capfd: Any) -> None:
    proto = model("h = MatMul(x, w) q = Relu(h) y = MatMul(q, v)", "float[N,4] x", "float[N,3] y", w=(4, 4), v=(4, 3))
    proto.graph.node[1].op_type, proto.graph.node[1].domain = "Quant", "nobody.imported"
    del proto.graph.value_info[:]
    with pytest.raises(ExportError, match=r"nobody\.imported\.Quant"):
        export.to_torch(proto)
    assert capfd.readouterr() == ("", "")


def trips(proto: onnx.ModelProto, x: Any, dynamo: bool) -> tuple[Any, Any]:
    """Return a module, and what becomes of it by PyTorch's exporter with free lengths and back."""
    needs("onnxscript")
    module, file = export.to_torch(proto), io.BytesIO()
    if dynamo:
        shapes = ({0: torch.export.Dim("b"), 1: torch.export.Dim("t")},)
        program = torch.onnx.export(module, (x,), dynamo=True, optimize=False, dynamic_shapes=shapes, verbose=False)
        return module, export.to_torch(program.model_proto)
    torch.onnx.export(
        module, (x,), file, dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "b", 1: "t"}},
        training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False,
    )  # fmt: skip
    return module, export.to_torch(onnx.load_from_string(file.getvalue()))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dynamo", [True, False], ids=["torch.export", "TorchScript"])
def test_the_second_trip_keeps_names_and_free_lengths(dynamo: bool) -> None:
    proto = model(
        """n = LayerNormalization(x, scale, bias) h = MatMul(n, w) m = Less(h, low) s = Where(m, low, h)
        y = LayerNormalization(s, scale2, bias2)""",
        "float[B,T,6] x", "float[B,T,5] y", w=(6, 5), scale=(6,), bias=(6,), scale2=(5,), bias2=(5,),
        low=np.float32(0.25),
    )  # fmt: skip
    other = renamed(proto, {"w": "465", "scale": "while.class", "bias": "graph.b", "scale2": "net.0.w"})
    module, again = trips(other, torch.randn(2, 5, 6), dynamo)
    assert dict(again.named_parameters()).keys() == dict(module.named_parameters()).keys()
    assert again.state_dict().keys() == module.state_dict().keys()
    x = torch.randn(3, 7, 6)
    assert torch.allclose(again(x), module(x), atol=1e-5)
    assert "layer_norm" in again.code
    again(x).square().sum().backward()
    assert all(parameter.grad is not None for parameter in again.parameters())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dynamo", [True, False], ids=["torch.export", "TorchScript"])
def test_the_second_trip_takes_experts_that_a_router_chose(dynamo: bool) -> None:
    proto = model(
        """s = MatMul(x, router) v, i = TopK(s, two) e = Gather(experts, i) u = Unsqueeze(v, last)
        m = Mul(e, u) y = ReduceSum<keepdims = 0>(m, axis)""",
        "float[B,T,6] x", "float[B,T,5] y", router=(6, 4), experts=(4, 5), two=np.array([2]), last=np.array([-1]),
        axis=np.array([2]),
    )  # fmt: skip
    module, again = trips(proto, torch.randn(2, 5, 6), dynamo)
    assert dict(again.named_parameters()).keys() == {"router", "experts"}
    for x in (torch.randn(3, 7, 6), torch.zeros(1, 2, 6)):  # of equals the first is chosen
        assert torch.allclose(again(x), module(x), atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_torchscript_takes_lengths_that_are_divided() -> None:
    proto = model(
        """h = MatMul(x, w) s = Shape(h) n = Gather(s, last) u = Div(n, two)
        b = Slice(s, zero, last) g = Concat<axis = 0>(b, two, u) y = Reshape(h, g)""",
        "float[B,T,6] x", "float[B,T,2,4] y", w=(6, 8), last=np.array([2]), two=np.array([2]),
        zero=np.array([0]),
    )  # fmt: skip
    module, again = trips(proto, torch.randn(2, 5, 6), False)
    x = torch.randn(3, 7, 6)
    assert again(x).shape == (3, 7, 2, 4)
    assert torch.allclose(again(x), module(x), atol=1e-5)
