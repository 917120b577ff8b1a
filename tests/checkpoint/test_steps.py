"""A network that was deepened, widened and deepened again, pass by pass: its checkpoint follows by the records.

The truth is the network's own class at the new size: it loads what has grown strictly, and computes the same as before,
with the values that were exported and with those of a later epoch.
"""

from __future__ import annotations

import functools
import io
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnx_n2n
from helpers.calling import call
from helpers.enlarging import UNPROVEN
from helpers.needing import needs
from onnx_n2n.checkpoint.files import grow_file
from onnx_n2n.checkpoint.growth import grow
from onnx_n2n.passes import parse
from onnx_n2n.passes.driver import Target
from onnx_n2n.record.record import Record

torch = needs("torch")
needs("onnxscript")
nn = torch.nn
gelu = nn.functional.gelu


class Chain(nn.Module):  # type: ignore[misc]
    """Convolutions, norms and dense layers one behind the other, as many and as large as a state dict says."""

    def __init__(self, state: dict[str, Any]) -> None:
        super().__init__()
        for name in dict.fromkeys(each.rpartition(".")[0] for each in state):
            weight, biased = state[f"{name}.weight"], f"{name}.bias" in state
            if weight.ndim == 4:
                layer = nn.Conv2d(*weight.shape[1::-1], weight.shape[2:], padding=weight.shape[2] // 2, bias=biased)
            elif weight.ndim == 2:
                layer = nn.Linear(*weight.shape[::-1])
            else:
                layer = nn.BatchNorm2d(len(weight))
            self.add_module(name, layer)

    def forward(self, x: Any) -> Any:
        layers = list(self.children())
        for layer, following in zip(layers, [*layers[1:], None], strict=True):
            x = layer(x.mean((2, 3)) if isinstance(layer, nn.Linear) and x.ndim == 4 else x)
            if following is not None and not isinstance(following, nn.BatchNorm2d):
                x = torch.relu(x)
        return x


CHAIN = {"conv1.weight": (12, 3, 3, 3), "bn1.weight": (12,), "bn1.bias": (12,), "conv2.weight": (12, 12, 3, 3),
         "conv2.bias": (12,), "fc1.weight": (20, 12), "fc1.bias": (20,), "fc2.weight": (4, 20)}  # fmt: skip


class Pairs(nn.Module):  # type: ignore[misc]
    """Dense layers, behind which pairs may stand that add to what they are given."""

    def __init__(self, width: int = 12, inner: int = 10, *, deeper: bool = False) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(5, width), nn.Linear(width, inner), nn.Linear(inner, 3)
        for name, size in (("a", width), ("b", inner)) if deeper else ():
            for end in ("deeper", "deeper2"):
                self.add_module(f"{name}_{end}", nn.Linear(size, size))

    def forward(self, x: Any) -> Any:
        for name in "ab":
            x = gelu(getattr(self, name)(x))
            if hasattr(self, f"{name}_deeper"):
                x = x + getattr(self, f"{name}_deeper2")(gelu(getattr(self, f"{name}_deeper")(x)))
        return self.c(x)


class Block(nn.Module):  # type: ignore[misc]
    """A feed-forward block with a norm before it, and one inside."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.norm, self.up = nn.LayerNorm(width), nn.Linear(width, inner)
        self.inside, self.down = nn.LayerNorm(inner), nn.Linear(inner, width)

    def forward(self, x: Any) -> Any:
        return x + self.down(self.inside(gelu(self.up(self.norm(x)))))


class Former(nn.Module):  # type: ignore[misc]
    """Numbered blocks along a stream that is normalised."""

    def __init__(self, width: int = 12, inner: int = 12, blocks: int = 2, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(5, width), nn.Linear(width, 3)
        self.h, self.norm = nn.ModuleList(Block(width, inner) for _ in range(blocks)), nn.LayerNorm(width)
        for norm in (self.norm, *(block.norm for block in self.h)):
            norm.eps = epsilon

    def forward(self, x: Any) -> Any:
        x = self.into(x)
        for block in self.h:
            x = block(x)
        return self.out(self.norm(x))


class Basic(nn.Module):  # type: ignore[misc]
    """A residual block of convolutions."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, inner, 3, padding=1, bias=False), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = nn.Conv2d(inner, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x: Any) -> Any:
        return torch.relu(x + self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))


class Res(nn.Module):  # type: ignore[misc]
    """Numbered residual blocks."""

    def __init__(self, width: int = 8, inner: int = 6, blocks: int = 2) -> None:
        super().__init__()
        self.stem, self.fc = nn.Conv2d(3, width, 3, padding=1), nn.Linear(width, 4)
        self.layer1 = nn.Sequential(*(Basic(width, inner) for _ in range(blocks)))

    def forward(self, x: Any) -> Any:
        return self.fc(self.layer1(torch.relu(self.stem(x))).mean((2, 3)))


def first(kind: str) -> Any:
    if kind == "chain":
        zeros = {name: torch.zeros(shape) for name, shape in CHAIN.items()}
        return Chain({**zeros, "fc2.bias": torch.zeros(4)})
    return {"pairs": Pairs, "former": Former, "res": Res}[kind]()


def larger(kind: str, state: dict[str, Any], record: Record) -> Any:
    """The network's own class, at the size that a checkpoint has, with what the record says of its code."""
    if kind == "chain":
        net = Chain({name: tensor for name, tensor in state.items() if tensor.ndim})
        for name, layer in net.named_children():
            if isinstance(layer, nn.BatchNorm2d) and "_deeper" in name:
                (layer.eps,) = {setting.after for setting in record.settings if setting.name == "epsilon"}
        return net
    if kind == "pairs":
        return Pairs(len(state["a.weight"]), len(state["b.weight"]), deeper=True)
    blocks = len({name.split(".")[1] for name in state if name.startswith(("h.", "layer1."))})
    if kind == "res":
        return Res(len(state["stem.weight"]), len(state["layer1.0.conv1.weight"]), blocks)
    epsilons = {setting.after for setting in record.settings if np.isclose(setting.before, 1e-5, rtol=1e-6, atol=0)}
    assert len(epsilons) < 2
    return Former(len(state["into.weight"]), len(state["h.0.up.weight"]), blocks, *epsilons)


@functools.cache
def network(kind: str, epoch: int) -> Any:
    """A network as it was exported, and with other values everywhere, as it is later."""
    with torch.random.fork_rng():
        torch.manual_seed(epoch)
        net = first(kind).eval()
        for name, tensor in net.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif tensor.is_floating_point():
                tensor.add_(torch.randn(tensor.shape) * 0.2)
    return net


def example(kind: str) -> Any:
    shape = (3, 7, 5) if kind in {"pairs", "former"} else (3, 3, 6, 6)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@functools.cache
def exported(folder: Path, kind: str, *, dynamo: bool) -> Path:
    return written(folder / f"{kind}{dynamo}.onnx", network(kind, 0), kind, dynamo=dynamo)


def written(path: Path, net: Any, kind: str, *, dynamo: bool, optimize: bool = False) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            torch.onnx.export(net, (example(kind),), dynamo=True, optimize=optimize, verbose=False).save(str(path))
        else:
            buffer, mode = io.BytesIO(), torch.onnx.TrainingMode.PRESERVE
            torch.onnx.export(
                net, (example(kind),), buffer, dynamo=False, training=mode, do_constant_folding=False
            )
            path.write_bytes(buffer.getvalue())
    return path


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("steps")


def applied(teacher: Path, folder: Path, order: str) -> tuple[list[Path], Path]:
    """Apply passes to files, one by one; return the records, and the last student."""
    model, records = teacher, []
    for number, text in enumerate(order.split("; ")):
        target = Target(folder / f"{number}.onnx", record=folder / f"{number}.growth")
        result = parse(text)(model, proof=UNPROVEN, output=target)
        assert result.modified, text
        model = result.model
        records.append(folder / f"{number}.growth")
    return records, model


def arrays(net: Any) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in net.state_dict().items()}


def loaded(kind: str, found: Any) -> Any:
    state = {name: torch.from_numpy(np.array(array)) for name, array in found.arrays.items()}
    net = larger(kind, state, found.record)
    net.load_state_dict(state, strict=True)
    return net.eval()


def error(kind: str, before: Any, after: Any) -> float:
    with torch.no_grad():
        wanted, got = before(example(kind)), after(example(kind))
    return float((wanted - got).abs().max() / wanted.abs().max())


ORDERS = {
    "deeper first": "deepen; widen{factor=1.5}",
    "wider first": "widen{factor=1.5}; deepen",
    "four times": "widen{factor=1.5}; deepen; widen{factor=1.5,init=net2net}; deepen",
}
CASES = [
    *(("former", True, order) for order in ORDERS), ("former", False, "four times"),
    ("chain", True, "deeper first"), ("chain", True, "four times"), ("chain", False, "four times"),
    ("res", True, "wider first"), ("res", True, "four times"), ("res", False, "deeper first"),
    ("pairs", True, "deeper first"), ("pairs", False, "wider first"),
]  # fmt: skip
"""Networks, whether torch.export exports them, and orders of passes."""


@pytest.mark.parametrize(("kind", "dynamo", "order"), CASES)
def test_a_checkpoint_follows_passes_that_were_applied_one_by_one(
    exports: Path, tmp_path: Path, kind: str, order: str, dynamo: bool
) -> None:
    teacher = exported(exports, kind, dynamo=dynamo)
    records, model = applied(teacher, tmp_path, ORDERS[order])
    record, student = onnx_n2n.join(records), onnx_n2n.load(model)
    for epoch in (0, 1):
        found = grow(record, arrays(network(kind, epoch)), student=student)
        assert found.added
        assert not found.notes
        assert error(kind, network(kind, epoch), loaded(kind, found)) < 2e-6, epoch
    assert record.to_bytes() == parse(ORDERS[order].replace("; ", ","))(teacher, proof=UNPROVEN,
        output=Target(tmp_path / "at_once.onnx")).growth.to_bytes()  # fmt: skip


def test_larger_kernels_in_between(exports: Path, tmp_path: Path) -> None:
    """And what the code has to follow: by how much it pads, which no shape of a parameter says."""
    records, model = applied(exported(exports, "chain", dynamo=True), tmp_path, "deepen; enlarge; widen{factor=1.5}")
    found = grow(onnx_n2n.join(records), arrays(network("chain", 1)), student=onnx_n2n.load(model))
    assert found.arrays["conv1_deeper.weight"].shape[2:] == (5, 5)
    assert error("chain", network("chain", 1), loaded("chain", found)) < 2e-6
    pads = [setting for setting in found.to_json()["settings"] if setting["name"].startswith("pads")]
    assert len(pads) == 4 * 4
    assert {(setting["before"], setting["after"]) for setting in pads} == {(1, 2)}


def test_a_new_weight_that_a_later_pass_splits(tmp_path: Path) -> None:
    """Weights of norms that are not trained yet are equal, and the exporter merges them: also those of new blocks."""
    teacher = written(tmp_path / "teacher.onnx", Former().eval(), "former", dynamo=True, optimize=True)
    records, model = applied(teacher, tmp_path, "deepen; widen{factor=1.5}")
    record = onnx_n2n.join(records)
    names = [new.student for new in record.steps[0].new]
    assert any(len({name for name, _ in lines(record, name)}) > 1 for name in names)
    found = grow(record, arrays(network("former", 1)), student=onnx_n2n.load(model))
    assert error("former", network("former", 1), loaded("former", found)) < 2e-6


def lines(record: Record, name: str) -> Any:
    return Record(record.steps[1:], record.student).lines(name)


@pytest.mark.parametrize("passes", ["deepen; widen", "deepen; deepen"])
def test_training_goes_on_with_the_optimizer(exports: Path, tmp_path: Path, passes: str) -> None:
    """New layers begin as new places do, others have moments of their own, also where blocks have moved up."""
    net = Former()
    net.load_state_dict(network("former", 0).state_dict())
    optimizer = torch.optim.Adam(net.named_parameters(), 1e-3)
    net(example("former")).square().mean().backward()
    optimizer.step()
    known = {name: optimizer.state[parameter] for name, parameter in net.named_parameters()}
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "old.pt")
    records, model = applied(exported(exports, "former", dynamo=True), tmp_path, passes)
    found = grow_file(
        onnx_n2n.join(records), tmp_path / "old.pt", tmp_path / "new.pt", optimizer=True, student=onnx_n2n.load(model)
    )
    assert found.added
    state = torch.load(tmp_path / "new.pt", weights_only=True)
    after = larger("former", state["model"], found.record)
    after.load_state_dict(state["model"], strict=True)
    following = torch.optim.Adam(after.named_parameters(), 1e-3)
    following.load_state_dict(state["optimizer"])
    for name, parameter in after.named_parameters():
        moments = following.state[parameter]
        assert moments["exp_avg"].shape == moments["exp_avg_sq"].shape == parameter.shape, name
        if name in found.added:
            like = known[found.like(name, known)]
            makes = parameter.detach().any()  # what adds nothing is zero, and gets gradients at once
            usual = (0.01 if makes else 1.0) * like["exp_avg_sq"].mean()
            assert not moments["exp_avg"].any(), name
            torch.testing.assert_close(moments["exp_avg_sq"], torch.full_like(parameter, usual), msg=name)
    counts = [following.state[parameter]["step"] for parameter in after.parameters()]
    assert [float(each) for each in counts] == [1.0] * len(counts)
    assert len({each.data_ptr() for each in counts}) == len(counts)  # each counts for itself
    assert len({each.data_ptr() for each in state["model"].values()}) == len(state["model"])  # copies are none of one
    exported_again = written(tmp_path / "larger.onnx", after.eval(), "former", dynamo=True, optimize=True)
    again = onnx_n2n.widen(exported_again, 1.5, output=tmp_path / "again.onnx").growth
    grow_file(again, tmp_path / "new.pt", tmp_path / "again.pt", optimizer=True)
    before = after(example("former")).square().mean()
    assert np.isclose(float(before), float(net(example("former")).square().mean()), rtol=1e-5)
    before.backward()
    following.step()
    assert after(example("former")).square().mean() < before


def test_a_student_that_is_another_one(exports: Path, tmp_path: Path) -> None:
    teacher = exported(exports, "res", dynamo=True)
    records, model = applied(teacher, tmp_path, "deepen; widen")
    record, own = onnx_n2n.join(records), arrays(network("res", 0))
    identity = onnx_n2n.deepen(teacher, kind="identity", count=1, output=tmp_path / "identity.onnx").growth
    with pytest.raises(onnx_n2n.GrowthError, match="layers were added, and their values are in the student"):
        grow(identity, own)
    with pytest.raises(onnx_n2n.GrowthError, match="of the student is not of the shape that the record says"):
        grow(record, own, student=onnx_n2n.load(tmp_path / "0.onnx"))
    trained = onnx_n2n.load(model)
    value = trained.graph.initializers[record.steps[0].new[0].student]
    value.const_value = onnx_n2n.io.model.ir.tensor(value.const_value.numpy() + 1)
    found = grow(record, own, student=trained)
    value.const_value = onnx_n2n.io.model.ir.tensor(value.const_value.numpy()[:1])
    with pytest.raises(onnx_n2n.GrowthError, match=r"the student has no weight .* of the shape .*it has one of"):
        grow(record, own, student=trained)
    assert len(found.notes) == 1
    assert found.notes[0].startswith("the student given is ")
    assert found.to_json()["notes"] == list(found.notes)
    with pytest.raises(onnx_n2n.GrowthError, match="pass each `record=` in order"):
        grow(onnx_n2n.join(records[1:]), own, student=onnx_n2n.load(model))


def test_the_command_takes_records_in_order(exports: Path, tmp_path: Path) -> None:
    teacher = exported(exports, "former", dynamo=True)
    records, model = applied(teacher, tmp_path, ORDERS["four times"])
    torch.save(network("former", 1).state_dict(), tmp_path / "old.pt")
    options = [part for record in records for part in ("--record", record)]
    arguments = (tmp_path / "old.pt", "-o", tmp_path / "new.pt", "--student", model, "--teacher", teacher)
    result = call("grow-checkpoint", *arguments, *options, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["settings"] == [each.to_json() for each in onnx_n2n.join(records).settings]
    assert {setting["name"] for setting in document["settings"]} == {"epsilon"}
    state = torch.load(tmp_path / "new.pt", weights_only=True)
    after = larger("former", state, onnx_n2n.join(records)).eval()
    after.load_state_dict(state, strict=True)
    assert error("former", network("former", 1), after) < 2e-6
    (tmp_path / "new.pt").unlink()
    result = call("grow-checkpoint", *arguments, *options[2:4], *options[:2], *options[4:])
    assert result.exit_code == 3
    assert f"In this order they fit: {', '.join(repr(str(record)) for record in records)}." in result.stderr
    assert not (tmp_path / "new.pt").exists()
