"""A small network, how it grows, and what is saved of it while it trains. No exporter is needed for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from helpers.needing import needs
from onnx_n2n.checkpoint.files import grow_file
from onnx_n2n.checkpoint.growth import Grown, grow
from onnx_n2n.passes import Widen
from onnx_n2n.passes.driver import Proof
from onnx_n2n.record.record import Record

torch = needs("torch")
nn, functional = torch.nn, torch.nn.functional

LAYERS = ("i", "h0", "h1", "o")


class Net(nn.Module):  # type: ignore[misc]
    """Two layers of equal shapes, so that shapes alone do not tell which is which."""

    def __init__(self, i: int = 8, h0: int = 8, h1: int = 8) -> None:
        super().__init__()
        self.i, self.h0, self.h1, self.o = nn.Linear(4, i), nn.Linear(i, h0), nn.Linear(h0, h1), nn.Linear(h1, 3)

    def forward(self, x: Any) -> Any:
        return self.o(torch.relu(self.h1(torch.relu(self.h0(torch.relu(self.i(x)))))))


def net(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return Net()


def exported(state: dict[str, Any]) -> onnx.ModelProto:
    """The network as an exporter that keeps names writes it."""
    nodes, at = [], "x"
    for layer in LAYERS:
        out = "y" if layer == "o" else f"{layer}.linear"
        read = [at, f"{layer}.weight", f"{layer}.bias"]
        nodes.append(helper.make_node("Gemm", read, [out], f"{layer}.gemm", transB=1))
        if layer != "o":
            nodes.append(helper.make_node("Relu", [out], [f"{layer}.relu"], f"{layer}.act"))
        at = f"{layer}.relu"
    x, y = helper.make_tensor_value_info("x", 1, ["N", 4]), helper.make_tensor_value_info("y", 1, ["N", 3])
    graph = helper.make_graph(
        nodes, "net", [x], [y], [numpy_helper.from_array(tensor.numpy(), name) for name, tensor in state.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


UNPROVEN = Proof(wanted=False)
TEACHER = exported(net().state_dict())
WIDER = Widen(factor=1.5, init="net2net", noise=0)(TEACHER, proof=UNPROVEN)
RECORD: Record = WIDER.growth


def numpied(state: Any) -> dict[str, np.ndarray]:
    return {name: tensor.detach().numpy() for name, tensor in state.items()}


def wanted(state: Any) -> dict[str, np.ndarray]:
    return dict(grow(RECORD, numpied(state)).arrays)


def through(tmp: Path, document: Any, **options: Any) -> tuple[Any, Grown]:
    torch.save(document, tmp / "old.pt")
    found = grow_file(RECORD, tmp / "old.pt", tmp / "new.pt", force=True, **options)
    return torch.load(tmp / "new.pt", weights_only=True), found


def same(one: Any, other: Any) -> bool:
    if torch.is_tensor(one) or torch.is_tensor(other):
        return torch.is_tensor(one) and torch.is_tensor(other) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return type(one) is type(other) and list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def equal(tensors: Any, arrays: dict[str, np.ndarray]) -> bool:
    return list(tensors) == list(arrays) and all(np.array_equal(tensors[n].detach(), arrays[n]) for n in arrays)


OPTIMIZERS = {
    "SGD": lambda groups: torch.optim.SGD(groups, 0.02, momentum=0.9),
    "Adam": lambda groups: torch.optim.Adam(groups, 1e-3, amsgrad=True),
    "AdamW": lambda groups: torch.optim.AdamW(groups, 1e-3),
    "RMSprop": lambda groups: torch.optim.RMSprop(groups, 1e-3, centered=True, momentum=0.5),
    "Adagrad": lambda groups: torch.optim.Adagrad(groups, 1e-2),
}


def trained(model: Any, optimizer: Any, steps: int = 2) -> Any:
    generator = torch.Generator().manual_seed(5)
    for _ in range(steps):
        x, y = torch.randn(16, 4, generator=generator), torch.randint(0, 3, (16,), generator=generator)
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return optimizer


def optimizer_of(model: Any, groups: list[list[str]], kind: str = "Adam", *, named: bool) -> dict[str, Any]:
    """The state after training in some groups, with names or without, the same numbers in both."""
    parameters = dict(model.named_parameters())
    given_groups = [{"params": [(name, parameters[name]) for name in group]} for group in groups]
    state = trained(model, OPTIMIZERS[kind](given_groups)).state_dict()
    if not named:
        for group in state["param_groups"]:
            del group["param_names"]
    return state


def without_names(state: dict[str, Any]) -> dict[str, Any]:
    groups = [{key: each for key, each in group.items() if key != "param_names"} for group in state["param_groups"]]
    return {**state, "param_groups": groups}


NAMES = list(net().state_dict())
MATRICES = [name for name in NAMES if name.endswith("weight")]
VECTORS = [name for name in NAMES if name.endswith("bias")]
SPLIT = [MATRICES, VECTORS]


def of_ema(state: Any) -> dict[str, Any]:
    return {"decay": 0.99, "module": state}
