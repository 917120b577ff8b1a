"""PyTorch modules made of models: they compute the same, and they train."""

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import onnx_n2n
from helpers.carried import GRAPHS as ONCE_WRONG
from helpers.carried import REFUSED
from helpers.graphs import model
from helpers.needing import needs
from helpers.trained import GOLDEN, GRAPHS, MODELS, shapes_of
from onnx_n2n import export
from onnx_n2n.cli import main
from onnx_n2n.errors import ExportError, OptionError
from onnx_n2n.export import host
from onnx_n2n.export.check import agreement

torch = needs("torch")
needs("safetensors")

from onnx_n2n.export.folder import export as export_to  # noqa: E402
from onnx_n2n.export.torch import runner  # noqa: E402

# One small graph for each family of operators, and the shape of its input without the batch.
SEEN: dict[str, tuple[onnx.ModelProto, tuple[int, ...]]] = {
    "lengths": (GRAPHS["reshape by its own length"], (6,)),
    "windows": (GRAPHS["pools with odd padding"], (2, 8, 8)),
    "convolutions": (GRAPHS["transposed convolution in groups"], (4, 5, 5)),
    "cells": (model(
        """t = Transpose<perm = [1, 0, 2]>(x) a, b = GRU<hidden_size = 3, direction = "bidirectional">(t, w, r)
        c, d = LSTM<hidden_size = 3, direction = "reverse">(t, v, s)
        e = Add(b, d) y = Transpose<perm = [1, 0, 2]>(e)""",
        "float[N,3,4] x", "float[N,2,3] y", w=(2, 9, 4), r=(2, 9, 3), v=(1, 12, 4), s=(1, 12, 3),
    ), (3, 4)),
    "attention": (model(
        """a = Attention<q_num_heads = 2, kv_num_heads = 2, is_causal = 1>(x, x, x)
        y = Attention<q_num_heads = 2, kv_num_heads = 2, softcap = 2.0>(a, x, x)""",
        "float[N,5,8] x", "float[N,5,8] y", opset=23,
    ), (5, 8)),
    "norms": (model(
        """a = LayerNormalization(x, w, b) c = InstanceNormalization(a, v, u)
        d = GroupNormalization<num_groups = 2>(c, v, u) e = LpNormalization(d) y = Softmax(e)""",
        "float[N,4,8] x", "float[N,4,8] y", opset=21, w=(8,), b=(8,), v=(4,), u=(4,),
    ), (4, 8)),
}  # fmt: skip


def agrees(proto: Any, module: Any) -> None:
    found = agreement(proto, runner(module))
    assert found.ok, found


def loss_of(module: Any, feed: Any) -> Any:
    found = module(*feed)
    outputs = found if isinstance(found, tuple) else (found,)
    return sum((y - 1).square().mean() for y in outputs if y.is_floating_point())


def feed_of(module: Any, shapes: list[list[int]]) -> list[Any]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def assert_trains(proto: onnx.ModelProto) -> None:
    """Every weight gets a gradient, and a step down it lowers the loss."""
    module = export.to_torch(proto)
    feed = feed_of(module, shapes_of(proto))
    loss = loss_of(module, feed)
    loss.backward()
    parameters = dict(module.named_parameters())
    assert parameters
    without = [name for name, p in parameters.items() if p.grad is None]
    assert without == []
    square = sum(p.grad.square().sum() for p in parameters.values())
    with torch.no_grad():
        for p in parameters.values():
            p -= 1e-3 * loss / square * p.grad
    assert loss_of(module, feed) < loss


@pytest.mark.parametrize("name", GRAPHS)
def test_small_graphs_agree_with_onnx_runtime(name: str) -> None:
    agrees(GRAPHS[name], export.to_torch(GRAPHS[name]))


@pytest.mark.parametrize("name", [name for name in GRAPHS if name != "a choice by data"])
def test_small_graphs_train(name: str) -> None:
    assert_trains(GRAPHS[name])


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_models_agree_and_train(name: str) -> None:
    proto = onnx.load(MODELS / GOLDEN[name]["file"])
    agrees(proto, export.to_torch(proto))
    assert_trains(proto)


def test_a_grown_model_has_its_teachers_names() -> None:
    teacher = MODELS / GOLDEN["resnet"]["file"]
    student = onnx_n2n.widen(onnx.load(teacher), 1.5, verify=False).model
    old, new = export.to_torch(teacher), export.to_torch(student)
    assert list(old.state_dict()) == list(new.state_dict())
    agrees(student, new)


@pytest.mark.parametrize("name", GOLDEN)
def test_batch_normalization_trains(name: str) -> None:
    proto = onnx.load(MODELS / GOLDEN[name]["file"])
    module = export.to_torch(proto)
    norms = [m for m in module.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    assert len(norms) == GOLDEN[name]["batch_normalizations"]
    before = copy.deepcopy(module.state_dict())
    module(*feed_of(module, shapes_of(proto)))
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    module.train()
    module(*feed_of(module, shapes_of(proto)))
    moved = [key for key, value in module.state_dict().items() if not torch.equal(value, before[key])]
    assert {key.rpartition(".")[2] for key in moved} == {"running_mean", "running_var", "num_batches_tracked"}
    assert len(moved) == 3 * len(norms)


def test_state_dict_round_trip_and_deepcopy() -> None:
    proto = onnx.load(MODELS / GOLDEN["mobile_se"]["file"])
    one, two = export.to_torch(proto), export.to_torch(proto)
    feed = feed_of(one, shapes_of(proto))
    with torch.no_grad():
        for p in one.parameters():
            p += 0.1
    two.load_state_dict(one.state_dict(), strict=True)
    three = copy.deepcopy(one)
    assert torch.equal(one(*feed), two(*feed))
    assert torch.equal(one(*feed), three(*feed))
    assert three.state_dict().keys() == one.state_dict().keys()


def test_batch_and_sequence_are_free() -> None:
    module = export.to_torch(GRAPHS["reshape by its own length"])
    assert [module(torch.randn(n, 6)).shape[0] for n in (1, 4)] == [1, 4]


def test_autocast_runs_in_bfloat16() -> None:
    proto = onnx.load(MODELS / GOLDEN["resnet"]["file"])
    module = export.to_torch(proto)
    feed = feed_of(module, shapes_of(proto))
    with torch.autocast("cpu", torch.bfloat16):
        loss = loss_of(module, feed)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize("name", SEEN)
def test_nothing_leaves_the_graph_that_a_compiler_sees(name: str) -> None:
    """Also with a free batch: no operator takes a length for a number that stays."""
    proto, shape = SEEN[name]
    module = export.to_torch(proto)
    assert torch._dynamo.explain(module)(torch.randn(2, *shape)).graph_break_count == 0
    batch = {0: torch.export.Dim("batch", max=64)}
    seen = torch.export.export(module, (torch.randn(2, *shape),), dynamic_shapes={"x": batch}, strict=True).module()
    x = torch.randn(3, *shape)
    torch.testing.assert_close(seen(x), module(x))


def test_dropout_is_kept() -> None:
    proto = model("h = MatMul(x, w) y = Dropout(h)", "float[N,4] x", "float[N,64] y", w=(4, 64))
    module, x = export.to_torch(proto), torch.randn(2, 4)
    assert torch.equal(module(x), module(x))
    module.train()
    assert not torch.equal(module(x), module(x))


def test_masks_and_whole_numbers_are_not_trained() -> None:
    mask = np.triu(np.full((4, 4), -np.inf, np.float32), 1)
    proto = model(
        "e = Gather(table, x) a = Add(e, mask) s = Softmax(a) y = MatMul(s, w)", "int64[4] x", "float[4,3] y",
        table=(9, 4), mask=mask, w=(4, 3),
    )  # fmt: skip
    assert set(export.to_torch(proto).state_dict()) == {"table", "w"}


def test_an_unknown_operator_is_named_before_anything_is_written(tmp_path: Path) -> None:
    proto = model("h = MatMul(x, w) y = com.example.Strange(h)", "float[N,4] x", "float[N,3] y", w=(4, 3))
    with pytest.raises(ExportError, match=r"com\.example\.Strange"):
        export_to(proto, "torch", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unknown_attribute_is_refused() -> None:
    proto = model("h = MatMul(x, w) y = Relu<strange = 1>(h)", "float[N,4] x", "float[N,3] y", w=(4, 3))
    with pytest.raises(ExportError, match="strange"):
        export.to_torch(proto)


@pytest.mark.parametrize("name", ONCE_WRONG)
def test_what_was_wrong_once(name: str) -> None:
    agrees(ONCE_WRONG[name], export.to_torch(ONCE_WRONG[name]))


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_counterpart_is_refused(name: str) -> None:
    proto, reason = REFUSED[name]
    with pytest.raises(ExportError, match=reason):
        export.to_torch(proto)


def test_places_of_a_pool_by_column() -> None:
    body = "y, z = MaxPool<kernel_shape = [2, 2], strides = [2, 1], pads = [1, 0, 0, 1], storage_order = 1>(x)"
    proto = model(body, "float[2,2,5,4] x", "float[2,2,3,4] y, int64[2,2,3,4] z")
    agrees(proto, export.to_torch(proto))


def test_unsigned_numbers_without_arithmetic_are_refused() -> None:
    proto = model("y = Add(x, x)", "uint16[3] x", "uint16[3] y")
    with pytest.raises(ExportError, match="unsigned"):
        export.to_torch(proto)


def test_the_host_lane_does_as_numpy_does() -> None:
    data = np.arange(24).reshape(2, 3, 4)
    given = data.tolist()
    assert host.transpose(given, perm=[1, 2, 0]) == data.transpose(1, 2, 0).tolist()
    assert host.transpose(given) == data.T.tolist()
    assert host.tile(given, [1, 2, 3]) == np.tile(data, (1, 2, 3)).tolist()
    assert host.total(given, [0, -1], keepdims=0) == data.sum((0, 2)).tolist()
    assert host.largest(given, [1]) == data.max(1, keepdims=True).tolist()
    assert host.product(given) == data.prod(keepdims=True).tolist()
    assert host.total(given, noop_with_empty_axes=1) == given
    assert host.reshape(given, [0, -1]) == data.reshape(2, 12).tolist()
    assert list(host.split(given, [1, 3], axis=2)) == [part.tolist() for part in np.split(data, [1], 2)]


def test_a_folder_is_opened_again(tmp_path: Path) -> None:
    path = MODELS / GOLDEN["resnet"]["file"]
    found = CliRunner().invoke(main, ["export", str(path), "--to", "torch", "-o", str(tmp_path / "out"), "--json"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.output)["agreement"]["ok"]
    agrees(path, export.load(tmp_path / "out"))
    with pytest.raises(OptionError, match="not empty"):
        export_to(path, "torch", tmp_path / "out")


class Small(torch.nn.Module):
    """What exporters do most to names: norms, a Linear on three axes, a recurrent cell, equal vectors, a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3, padding=1, bias=False), torch.nn.BatchNorm2d(6))
        self.norms = torch.nn.ModuleList([torch.nn.LayerNorm(6), torch.nn.LayerNorm(6)])
        self.mix = torch.nn.ModuleList([torch.nn.Linear(6, 6), torch.nn.Linear(6, 6, bias=False)])
        self.rnn = torch.nn.LSTM(6, 4, bidirectional=True, batch_first=True)
        self.head = torch.nn.Linear(8, 5)
        self.register_buffer("weights_of_classes", torch.rand(5) + 0.5)

    def forward(self, x: Any) -> Any:
        y = self.stem(x).relu().flatten(2).transpose(1, 2)
        for norm, mix in zip(self.norms, self.mix, strict=True):
            y = y + mix(norm(y))
        y, _ = self.rnn(y)
        return self.head(y[:, -1]) * self.weights_of_classes


@pytest.fixture(scope="module")
def net() -> Small:
    torch.manual_seed(0)
    found = Small()
    found(torch.randn(4, 3, 4, 4))
    return found.eval()


def exported(net: Small, path: Path, **options: Any) -> Path:
    needs("onnxscript")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (torch.randn(2, 3, 4, 4),), path, **options)
    return path


def test_strict_names_from_the_torch_export_exporter(net: Small, tmp_path: Path) -> None:
    batch = torch.export.Dim("batch")
    options = {"dynamo": True, "optimize": False, "dynamic_shapes": ({0: batch},), "verbose": False}
    path = exported(net, tmp_path / "net.onnx", **options)
    module = export.to_torch(path)
    net.load_state_dict(module.state_dict(), strict=True)
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in module.state_dict().items())
    agrees(path, module)


def test_strict_names_from_the_torchscript_exporter(net: Small, tmp_path: Path) -> None:
    options = {"dynamo": False, "training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": True}
    path = exported(net, tmp_path / "net.onnx", **options)
    module = export.to_torch(path)
    state = net.state_dict()
    named = {key: value for key, value in module.state_dict().items() if key in state and "tracked" not in key}
    assert all(torch.equal(value, state[key]) for key, value in named.items())
    assert set(named) >= {key for key in state if key.startswith(("mix", "rnn", "head", "stem"))} - {
        "stem.1.num_batches_tracked"
    }
    agrees(path, module)


def test_data_parallel_training_takes_the_module(tmp_path: Path) -> None:
    module = export.to_torch(MODELS / "resnet.onnx").train()
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        parallel = torch.nn.parallel.DistributedDataParallel(module)
        parallel(torch.randn(4, 1, 16, 16)).square().mean().backward()
        assert all(parameter.grad is not None for parameter in module.parameters())
    finally:
        torch.distributed.destroy_process_group()
