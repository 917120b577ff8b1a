"""All that is in a file of ``torch.save``: copies of the network, optimizers of any grouping, and what else there is.

The network and its record are made without an exporter. What is certain is as if names had been saved; the rest is
refused with a reason; nothing else in the file changes.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from safetensors.numpy import save_file

from helpers.graphs import opened
from helpers.needing import needs
from onnx_n2n.checkpoint.files import grow_file
from onnx_n2n.checkpoint.growth import Grown, grow
from onnx_n2n.checkpoint.moments import pulled_back
from onnx_n2n.checkpoint.optimizer import grow_state
from onnx_n2n.checkpoint.optimizer_order import certain
from onnx_n2n.cli import main
from onnx_n2n.errors import GrowthError, ModelError, OptionError, VerificationError
from onnx_n2n.passes import Deepen, Widen
from onnx_n2n.record.layouts import Layout
from onnx_n2n.record.provenance import Origin
from onnx_n2n.record.recipe import Recipe
from onnx_n2n.record.record import Record, Remade, Step
from onnx_n2n.verification.options import Proof

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


def flat(groups: list[list[str]]) -> list[str]:
    return [name for group in groups for name in group]


MATRICES = [name for name in NAMES if name.endswith("weight")]
VECTORS = [name for name in NAMES if name.endswith("bias")]
SPLIT = [MATRICES, VECTORS]


# Optimizers: which parameter is which ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("groups", [[NAMES], SPLIT, [VECTORS, MATRICES]], ids=["one", "decay", "the other way"])
def test_usual_groups_need_no_names(tmp_path: Path, groups: list[list[str]], kind: str) -> None:
    model = net()
    state = optimizer_of(model, groups, kind, named=True)
    document = {"model": model.state_dict(), "optimizer": state}
    truth, _ = through(tmp_path, document, optimizer=True)
    ours, found = through(tmp_path, {**document, "optimizer": without_names(state)}, optimizer=True)
    assert same(ours["optimizer"], without_names(truth["optimizer"]))
    assert found.optimizers == ("optimizer",)
    names = flat(groups)
    assert found.moments.compared == sum(
        1 for number, kept in state["state"].items() for kind_, each in kept.items()
        if each is not None and each.ndim and not (kind == "RMSprop" and kind_ == "momentum_buffer")
    )  # fmt: skip
    before = {
        names[number]: {key: each.numpy() if torch.is_tensor(each) else each for key, each in kept.items()}
        for number, kept in state["state"].items()
    }
    for number, kept in ours["optimizer"]["state"].items():
        for key, each in kept.items():
            want = grow_state(RECORD, before)[names[number]][key]
            assert np.array_equal(np.asarray(each), want), (names[number], key)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    st.permutations(NAMES), st.lists(st.integers(1, 8), max_size=3), st.sampled_from(list(OPTIMIZERS)), st.booleans()
)  # fmt: skip
def test_without_names_moments_are_as_with_names_or_refused(
    tmp_path_factory: pytest.TempPathFactory, order: list[str], cuts: list[int], kind: str, sort: bool
) -> None:
    """In any groups that keep the order of the network, and by shape in all others, or there is an error."""
    tmp, model = tmp_path_factory.mktemp("groups"), net()
    ends = sorted({*cuts, len(order)})
    groups = [order[a:b] for a, b in itertools.pairwise([0, *ends])]
    groups = [sorted(group, key=NAMES.index) for group in groups] if sort else groups
    in_order = all(group == sorted(group, key=NAMES.index) for group in groups)
    state = optimizer_of(model, groups, kind, named=True)
    truth, _ = through(tmp, {"model": model.state_dict(), "optimizer": state}, optimizer=True)
    try:
        ours, _ = through(tmp, {"model": model.state_dict(), "optimizer": without_names(state)}, optimizer=True)
    except GrowthError as refusal:
        said = str(refusal)
    else:
        said = ""
        assert not in_order or same(ours["optimizer"], without_names(truth["optimizer"]))
    assert not said or ("no names in its groups" in said and "--optimizer-order" in said)


def test_groups_by_layer_in_another_order_are_refused_with_what_to_do(tmp_path: Path) -> None:
    model = net()
    groups = [[f"{layer}.weight", f"{layer}.bias"] for layer in ("i", "h1", "h0", "o")]
    document = {"model": model.state_dict(), "optimizer": optimizer_of(model, groups, named=False)}
    with pytest.raises(GrowthError, match=r"'h0.weight' or 'h1.weight', which do not grow alike.*--optimizer-order"):
        through(tmp_path, document, optimizer=True)
    named = {**document, "optimizer": optimizer_of(net(), groups, named=True)}
    truth, _ = through(tmp_path, named, optimizer=True)
    lines = ["# by layer", *flat(groups), ""]
    for text in ("\n".join(lines), json.dumps(flat(groups))):
        (tmp_path / "order").write_text(text)
        ours, _ = through(tmp_path, {**named, "optimizer": without_names(named["optimizer"])}, optimizer=True,
                          orders=[tmp_path / "order"])  # fmt: skip
        assert same(ours["optimizer"], without_names(truth["optimizer"]))
    for lines, reason in (
        (flat(groups)[1:], "7 names are given for the 8 parameters"),
        (["x.weight", *flat(groups)[1:]], "'x.weight', a parameter of"),
        (["h1.bias", *flat(groups)[1:]], "are called 'h1.bias'"),
        (flat(groups)[::-1], "moments of another shape"),
    ):
        (tmp_path / "order").write_text("\n".join(lines))
        with pytest.raises(GrowthError, match=reason):
            through(tmp_path, document, optimizer=True, orders=[tmp_path / "order"])
    with pytest.raises(OptionError, match="1 orders are given, and the optimizers without names are 0"):
        through(tmp_path, named, optimizer=True, orders=[tmp_path / "order"])


Sizes = st.sampled_from([(2,), (3,), (2, 2)])


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_only_one_growth_fits_what_is_certain(data: st.DataObject) -> None:
    """Against all assignments there are that keep shapes and the order of the network in each group."""
    shapes = data.draw(st.lists(Sizes, min_size=1, max_size=6))
    parameters = {f"p{number}": shape for number, shape in enumerate(shapes)}
    kinds = data.draw(st.lists(st.integers(0, 2), min_size=len(shapes), max_size=len(shapes)))
    alike = dict(zip(parameters, kinds, strict=True))
    there = data.draw(st.sets(st.sampled_from(list(parameters)), min_size=1))
    numbered = [name for name in parameters if name in there]
    label = data.draw(st.lists(st.integers(0, 2), min_size=len(numbered), max_size=len(numbered)))
    groups = [[n for n, at in enumerate(label) if at == group] for group in range(3)]
    moments = data.draw(st.sets(st.sampled_from(range(len(numbered)))))
    known = {number: parameters[numbered[number]] for number in sorted(moments)}
    fits = []
    for names in itertools.permutations(parameters, len(numbered)):
        ordered = all(a < b for group in groups for a, b in itertools.pairwise(names[n] for n in group))
        if ordered and all(parameters[names[number]] == shape for number, shape in known.items()):
            fits.append(tuple(alike[names[number]] for number in known))
    truth = tuple(alike[numbered[number]] for number in known)
    assert truth in fits
    by_shape = all(len({alike[n] for n, s in parameters.items() if s == shape}) == 1 for shape in known.values())
    try:
        found = certain(groups, known, parameters, alike.__getitem__, "it")
    except GrowthError:
        assert len(set(fits)) > 1
        assert not by_shape
        return
    assert len(set(found.values())) == len(numbered)
    assert tuple(alike[found[number]] for number in known) == truth
    assert len(set(fits)) == 1 or by_shape


def test_names_that_are_sorted_in_a_group_are_no_order_of_the_network() -> None:
    """As ten layers and more are: h.10 before h.2. All of equal shape, nothing says which order it is."""
    parameters = {f"h.{number}.weight": (4, 4) for number in range(12)}
    with pytest.raises(GrowthError, match=r"'h.2.weight' or 'h.10.weight'"):
        certain([list(range(12))], dict.fromkeys(range(12), (4, 4)), parameters, str, "it")
    assert certain([list(range(12))], dict.fromkeys(range(12), (4, 4)), parameters, lambda _: 0, "it")


def test_prefixes_and_names_in_place_of_numbers(tmp_path: Path) -> None:
    model = net()
    state = optimizer_of(model, SPLIT, named=True)
    truth, _ = through(tmp_path, {"model": model.state_dict(), "optimizer": state}, optimizer=True)
    behind = copy.deepcopy(state)
    for group in behind["param_groups"]:
        group["param_names"] = [f"module.{name}" for name in group["param_names"]]
    ours, _ = through(tmp_path, {"model": model.state_dict(), "optimizer": behind}, optimizer=True)
    assert same(ours["optimizer"]["state"], truth["optimizer"]["state"])
    assert [n for g in ours["optimizer"]["param_groups"] for n in g["param_names"]] == [
        f"module.{name}" for name in MATRICES + VECTORS
    ]
    names = MATRICES + VECTORS
    gathered = {
        "state": {names[number]: kept for number, kept in state["state"].items()},
        "param_groups": [{"lr": 0.1, "params": MATRICES}, {"lr": 0.2, "params": VECTORS}],
    }
    ours, _ = through(tmp_path, {"model": model.state_dict(), "optim": gathered}, optimizer=True)
    assert ours["optim"]["param_groups"] == gathered["param_groups"]
    wanted_state = {names[number]: kept for number, kept in truth["optimizer"]["state"].items()}
    assert same(ours["optim"]["state"], wanted_state)


def test_several_optimizers_wherever_they_are(tmp_path: Path) -> None:
    model = net()
    state = optimizer_of(model, SPLIT, named=True)
    truth, _ = through(tmp_path, {"model": model.state_dict(), "optimizer": state}, optimizer=True)
    lightning = {
        "epoch": 3, "state_dict": {f"net.{name}": each for name, each in model.state_dict().items()},
        "optimizer_states": [state, without_names(state)], "lr_schedulers": [{"base_lrs": [0.1], "last_epoch": 3}],
        "loops": {"fit_loop": {"state_dict": {}}},
    }  # fmt: skip
    ours, found = through(tmp_path, lightning, optimizer=True)
    assert equal(ours["state_dict"], {f"net.{name}": each for name, each in wanted(model.state_dict()).items()})
    assert same(ours["optimizer_states"], [truth["optimizer"], without_names(truth["optimizer"])])
    assert found.optimizers == ("optimizer_states.0", "optimizer_states.1")
    assert same({**ours, "state_dict": 0, "optimizer_states": 0}, {**lightning, "state_dict": 0, "optimizer_states": 0})


def test_an_optimizer_never_keeps_its_old_sizes_in_silence(tmp_path: Path) -> None:
    model = net()
    document = {"model": model.state_dict(), "optimizer": optimizer_of(model, SPLIT, named=True)}
    with pytest.raises(GrowthError, match=r"state of an optimizer \('optimizer'\).*--optimizer grows it, --keep"):
        through(tmp_path, document)
    ours, found = through(tmp_path, document, keep=["optimizer*"])
    assert found.left == ("optimizer",)
    assert same(ours["optimizer"], document["optimizer"])
    assert equal(ours["model"], wanted(model.state_dict()))
    plain = torch.optim.SGD(model.parameters(), 0.1).state_dict()  # has nothing that could grow
    ours, _ = through(tmp_path, {**document, "optimizer": plain})
    assert same(ours["optimizer"], plain)
    with pytest.raises(GrowthError, match="there is no optimizer in"):
        through(tmp_path, {"model": model.state_dict()}, optimizer=True)


def test_a_file_of_an_optimizer_alone_needs_names(tmp_path: Path) -> None:
    model = net()
    state = optimizer_of(model, SPLIT, named=True)
    truth, _ = through(tmp_path, {"model": model.state_dict(), "optimizer": state}, optimizer=True)
    ours, found = through(tmp_path, state, optimizer=True)
    assert same(ours, truth["optimizer"])
    assert (found.grown, found.kept) == ((), ())
    assert found.moments.compared
    with pytest.raises(GrowthError, match="holds no parameters, and the optimizer no names"):
        through(tmp_path, without_names(state), optimizer=True)
    (tmp_path / "order").write_text("\n".join(MATRICES + VECTORS))
    ours, _ = through(tmp_path, without_names(state), optimizer=True, orders=[tmp_path / "order"])
    assert same(ours, without_names(truth["optimizer"]))


def test_states_of_random_generators_beside_an_optimizer_are_no_network(tmp_path: Path) -> None:
    state = optimizer_of(net(), SPLIT, named=True)
    ours, found = through(tmp_path, {"optimizer": state, "rng": torch.get_rng_state()}, optimizer=True)
    assert (found.optimizers, found.outside) == (("optimizer",), ("rng",))
    assert ours["optimizer"]["state"][0]["exp_avg"].shape == wanted(net().state_dict())["i.weight"].shape
    with pytest.raises(GrowthError, match="holds no parameters"):
        through(tmp_path, {"epoch": 3, "rng": torch.get_rng_state()})


def test_fresh_channels_have_moments_that_are_proven_too(tmp_path: Path) -> None:
    model = net()
    fresh = Widen(factor=1.4, init="zero")(TEACHER, proof=UNPROVEN).growth
    torch.save({"optim": optimizer_of(model, [NAMES], named=False), **model.state_dict()}, tmp_path / "old.pt")
    found = grow_file(fresh, tmp_path / "old.pt", tmp_path / "new.pt", optimizer=True)
    assert found.moments.compared == 24
    assert found.moments.error < 1e-6
    ours = torch.load(tmp_path / "new.pt", weights_only=True)
    assert list(ours) == ["optim", *NAMES]
    for number, name in enumerate(NAMES):
        assert ours["optim"]["state"][number]["exp_avg"].shape == ours[name].shape


def test_a_gate_without_moments_does_not_hold_back_the_others() -> None:
    """Of the two biases of a cell, which are one weight, one is not trained."""
    shapes = {"cell.bias_ih_l0": (24,), "cell.bias_hh_l0": (24,)}
    index = np.concatenate([np.arange(6), np.arange(2)])
    rows = np.concatenate([index + 6 * gate for gate in range(8)])
    dual = np.tile(np.where(np.isin(index, (0, 1)), 0.5, 1.0), 8)
    remade = Remade("b", "b", (1, 48), Recipe((None, rows)), (None, dual))
    origin = Origin(tuple(shapes), Layout("biases", "LSTM"), "", "name")
    record = Record((Step(remade=(remade,)),), "", {"b": (origin,)})
    state = {"cell.bias_ih_l0": {"exp_avg": np.arange(24.0)}}
    assert grow_state(record, state, shapes)["cell.bias_ih_l0"]["exp_avg"].shape == (32,)


MORE = {
    "NAdam": lambda groups: torch.optim.NAdam(groups, 1e-3),
    "RAdam": lambda groups: torch.optim.RAdam(groups, 1e-3),
    "Adamax": lambda groups: torch.optim.Adamax(groups, 1e-3),
    "Adadelta": lambda groups: torch.optim.Adadelta(groups, 1e-3, eps=1e-20),
    "ASGD": lambda groups: torch.optim.ASGD(groups, 1e-3),
}


@pytest.mark.parametrize("kind", MORE)
def test_moments_of_more_optimizers_are_those_the_wider_network_would_have(tmp_path: Path, kind: str) -> None:
    """Both gather moments from the same start, standing still."""
    model = net()
    start = wanted(model.state_dict())
    wider = Net(len(start["i.bias"]), len(start["h0.bias"]), len(start["h1.bias"]))
    wider.load_state_dict({name: torch.from_numpy(np.array(each)) for name, each in start.items()})
    made = [MORE[kind](each.named_parameters()) for each in (model, wider)]
    for each, optimizer in zip((model, wider), made, strict=True):
        optimizer.param_groups[0]["lr"] = 0.0
        trained(each, optimizer, 3)
    ours, _ = through(tmp_path, {"model": model.state_dict(), "optimizer": made[0].state_dict()}, optimizer=True)
    compared = 0
    for number, kept in made[1].state_dict()["state"].items():
        for name, theirs in kept.items():
            mine = ours["optimizer"]["state"][number][name]
            assert mine.shape == theirs.shape
            assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-7), (number, name)
            compared += theirs.ndim > 0
    assert compared >= 8


@pytest.mark.parametrize(
    ("kind", "reason"), [("Rprop", "step for each"), ("Adafactor", "rows and columns"), ("LBFGS", "one vector")]
)
def test_what_cannot_grow_is_refused_with_the_reason(tmp_path: Path, kind: str, reason: str) -> None:
    model = net()
    optimizer = getattr(torch.optim, kind)(model.parameters(), lr=1e-3)
    x, y = torch.randn(16, 4), torch.randint(0, 3, (16,))

    def loss() -> Any:
        optimizer.zero_grad()
        found = functional.cross_entropy(model(x), y)
        found.backward()
        return found

    for _ in range(2):
        optimizer.step(loss)
    with pytest.raises(GrowthError, match=reason):
        through(tmp_path, {"model": model.state_dict(), "optimizer": optimizer.state_dict()}, optimizer=True)


def test_moments_that_grew_otherwise_are_noticed() -> None:
    model = net()
    found = grow(RECORD, numpied(model.state_dict()))
    rng = np.random.default_rng(0)
    shapes = {name: array.shape for name, array in numpied(model.state_dict()).items()}
    before = {n: {"exp_avg": rng.normal(size=s), "exp_avg_sq": rng.random(s)} for n, s in shapes.items()}
    after = {name: (name, kept) for name, kept in grow_state(RECORD, before).items()}
    assert pulled_back(found, before, after, shapes).error < 1e-6
    for kind in ("exp_avg", "exp_avg_sq"):
        for name in ("h0.weight", "i.bias"):
            for spoilt in (lambda a: a * 1.01, lambda a: np.roll(a, 1, 0), lambda a: a[1:]):
                other = {**after[name][1], kind: spoilt(after[name][1][kind])}
                with pytest.raises(VerificationError, match=rf"{kind}.*{name}"):
                    pulled_back(found, before, {**after, name: (name, other)}, shapes)


# Copies, and whatever else there is -----------------------------------------------------------------------------------


def of_ema(state: Any) -> dict[str, Any]:
    return {"decay": 0.99, "module": state}


COPIES = {
    "ema": (lambda state: {"ema": of_ema(state)}, lambda document: document["ema"]["module"], "ema.module"),
    "timm": (lambda state: {"state_dict_ema": state}, lambda document: document["state_dict_ema"], "state_dict_ema"),
    "in a list": (lambda state: {"best": [state, 1]}, lambda document: document["best"][0], "best.0"),
    "averaged": (
        lambda state: {"swa": {"n_averaged": torch.tensor(3), **{f"module.{n}": t for n, t in state.items()}}},
        lambda document: {n.removeprefix("module."): t for n, t in document["swa"].items() if n != "n_averaged"},
        "swa.module",
    ),
    "compiled": (
        lambda state: {"ema": {f"_orig_mod.{name}": each for name, each in state.items()}},
        lambda document: {name.removeprefix("_orig_mod."): each for name, each in document["ema"].items()},
        "ema._orig_mod",
    ),
    "shadow": (
        lambda state: {"ema": {"decay": 0.9, "shadow_params": list(state.values()), "collected_params": None}},
        lambda document: dict(zip(NAMES, document["ema"]["shadow_params"], strict=True)),
        "ema.shadow_params",
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("wrapped", ["", "model.", "module.model."])
def test_copies_grow_in_place_with_values_of_their_own(tmp_path: Path, how: str, wrapped: str) -> None:
    make, find, title = COPIES[how]
    model, other = net(), net()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    document = {
        "epoch": 3, "state_dict": OrderedDict((f"{wrapped}{name}", each) for name, each in model.state_dict().items()),
        **make(other.state_dict()), "rng": torch.get_rng_state(), "scaler": {"scale": torch.tensor(2.0)},
    }  # fmt: skip
    ours, found = through(tmp_path, document)
    assert found.copies == (title,)
    assert equal(ours["state_dict"], {f"{wrapped}{name}": each for name, each in wanted(model.state_dict()).items()})
    assert equal(find(ours), wanted(other.state_dict()))
    assert set(found.outside) == {"rng", "scaler.scale"} | ({"swa.n_averaged"} if how == "averaged" else set())
    assert list(ours) == list(document)
    for key in ("epoch", "rng", "scaler"):
        assert same(ours[key], document[key])


def test_copies_in_the_same_dictionary_and_parts_of_copies(tmp_path: Path) -> None:
    model, other = net(), net(1)
    both = {f"model.{name}": each for name, each in model.state_dict().items()}
    both |= {f"ema_model.{name}": each for name, each in other.state_dict().items() if not name.startswith("o.")}
    ours, found = through(tmp_path, {"state_dict": both})
    assert found.copies == ("state_dict.ema_model",)
    assert list(ours["state_dict"]) == list(both)
    for prefix, each in (("model.", model), ("ema_model.", other)):
        for name, array in wanted(each.state_dict()).items():
            if f"{prefix}{name}" in both:
                assert np.array_equal(ours["state_dict"][f"{prefix}{name}"], array)


def test_what_is_not_the_network_is_named_and_kept_only_when_asked(tmp_path: Path) -> None:
    model = net()
    judge = {"conv.weight": torch.randn(8, 4), "h0.weight": torch.randn(8, 9), "o.bias": torch.randn(3)}
    document = {"generator": model.state_dict(), "discriminator": judge, "counts": torch.arange(5)}
    with pytest.raises(GrowthError, match=r"3 tensors of the checkpoint .*discriminator.conv.weight \[8, 4\]"):
        through(tmp_path, document)
    ours, found = through(tmp_path, document, keep=["discriminator.*"])
    assert found.left == tuple(f"discriminator.{name}" for name in judge)
    assert found.outside == ("counts",)
    assert same(ours["discriminator"], judge)
    assert equal(ours["generator"], wanted(model.state_dict()))
    with pytest.raises(GrowthError, match=r"1 tensors .*mask \[8, 8\]"):
        through(tmp_path, {"model": model.state_dict(), "mask": torch.ones(8, 8, dtype=torch.bool)})
    for kind in (torch.bool, torch.int64):  # it may be about channels
        with pytest.raises(GrowthError, match=r"1 tensors .*pruned \[8\]"):
            through(tmp_path, {"model": model.state_dict(), "pruned": torch.ones(8, dtype=kind)})
    _, found = through(tmp_path, {"model": model.state_dict(), "rng": torch.ones(8, dtype=torch.uint8)})
    assert found.outside == ("rng",)
    extra = {**model.state_dict(), "head.weight": torch.randn(2, 8)}
    for keep in ("head.*", "model.head.*"):
        _, found = through(tmp_path, {"model": extra}, keep=[keep])
        assert found.left == ("head.weight",)


@pytest.mark.parametrize("file", ["old.pt", "old.safetensors"])
def test_an_option_that_names_nothing_is_a_mistake(tmp_path: Path, file: str) -> None:
    model = net()
    if file == "old.pt":
        torch.save({"model": model.state_dict(), "ema": net(1).state_dict()}, tmp_path / file)
    else:
        save_file(numpied(model.state_dict()), tmp_path / file)
    new = tmp_path / f"new-{file}"
    for option, glob, said in (
        ("keep", "hO.*", "--keep 'hO.*' names nothing"),
        ("keep", "h0.weight", "--keep 'h0.weight' names only what grows with the network"),
        *([("keep", "ema.h0.*", "names only what grows")] if file == "old.pt" else []),
    ):
        with pytest.raises(OptionError, match=re.escape(said)):
            grow_file(RECORD, tmp_path / file, new, **{option: [glob]})
        assert not new.exists()
    found = grow_file(RECORD, tmp_path / file, new, untie=["nothing"])
    assert found.notes == ("--untie 'nothing' names nothing in the checkpoint",)
    for glob in ("o.bias", "*.bias", "*"):  # some of it stays, as it would
        grow_file(RECORD, tmp_path / file, new, keep=[glob], force=True)


def test_the_kept_optimizer_is_named_by_its_path_or_all_in_it(tmp_path: Path) -> None:
    model = net()
    document = {"model": model.state_dict(), "opt": optimizer_of(model, SPLIT, named=True)}
    for glob in ("opt", "opt*", "opt.*"):
        ours, found = through(tmp_path, document, keep=[glob])
        assert found.left == ("opt",)
        assert same(ours["opt"], document["opt"])


def test_a_tensor_without_numbers_and_an_order_without_names_are_named(tmp_path: Path) -> None:
    model = net()
    absent = {**model.state_dict(), "h0.weight": torch.empty(8, 8, device="meta")}
    with pytest.raises(GrowthError, match=r"'h0.weight' has a shape and no numbers"):
        through(tmp_path, absent)
    document = {"model": model.state_dict(), "optimizer": optimizer_of(model, SPLIT, named=False)}
    (tmp_path / "order.txt").write_text("# none\n\n")
    with pytest.raises(ModelError, match="has no names"):
        through(tmp_path, document, optimizer=True, orders=[tmp_path / "order.txt"])


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_list_at_the_top_is_looked_into(tmp_path: Path, kind: Any) -> None:
    model, other = net(), net(1)
    document = kind([model.state_dict(), other.state_dict(), optimizer_of(model, SPLIT, named=True)])
    ours, found = through(tmp_path, document, optimizer=True)
    assert type(ours) is kind
    assert (found.copies, found.optimizers) == (("1",), ("2",))
    for place, each in enumerate((model, other)):
        assert equal(ours[place], wanted(each.state_dict()))


def test_squares_under_the_names_of_the_network_are_no_copy(tmp_path: Path) -> None:
    model = net()
    fisher = {name: each**2 for name, each in model.state_dict().items()}
    with pytest.raises(GrowthError, match="'fisher' carries the names of the network, and no number in it is negative"):
        through(tmp_path, {"model": model.state_dict(), "fisher": fisher})
    ours, found = through(tmp_path, {"model": model.state_dict(), "fisher": fisher}, keep=["fisher*"])
    assert same(ours["fisher"], fisher)
    assert found.left == tuple(f"fisher.{name}" for name in NAMES)


def test_a_list_that_is_not_of_values_of_the_network_is_refused(tmp_path: Path) -> None:
    model = net()
    gradients = [torch.randn_like(each) for each in model.parameters()]
    with pytest.raises(GrowthError, match=r"8 tensors of the checkpoint .*grads.0 \[8, 4\]"):
        through(tmp_path, {"model": model.state_dict(), "grads": gradients})


def test_the_file_keeps_what_it_is(tmp_path: Path) -> None:
    """Kinds of dictionaries with their attributes, types, parameters, and tensors that are one."""
    model = net()
    state = model.state_dict()
    state["o.bias"] = nn.Parameter(state["o.bias"].half(), requires_grad=False)
    document = {"model": state, "same": {"it": [state["h0.weight"]]}, "pair": (1, None, {"a": (2,)})}
    ours, _ = through(tmp_path, document, keep=["same.*"])
    assert type(ours["model"]) is OrderedDict
    assert ours["model"]._metadata == state._metadata
    assert ours["model"]["o.bias"].dtype == torch.float16
    assert isinstance(ours["model"]["o.bias"], nn.Parameter)
    assert same(ours["pair"], document["pair"])


@pytest.mark.parametrize("wrapped", ["", "model."])
def test_new_layers_come_into_copies_and_groups_too(tmp_path: Path, wrapped: str) -> None:
    model, other = net(), net(1)
    deeper = Deepen()(TEACHER, proof=UNPROVEN)
    student = opened(deeper.model)
    called = {wrapped + name: each for name, each in model.state_dict().items()}
    document = {
        "state_dict": called | {f"ema.{name}": each for name, each in other.state_dict().items()},
        "optimizer": optimizer_of(model, SPLIT, named=True), "epoch": 1,
    }  # fmt: skip
    torch.save(document, tmp_path / "old.pt")
    found = grow_file(deeper.growth, tmp_path / "old.pt", tmp_path / "new.pt", optimizer=True, student=student)
    ours = torch.load(tmp_path / "new.pt", weights_only=True)
    plain = {name.removeprefix(wrapped) for name in found.arrays}
    assert found.added
    assert set(ours["state_dict"]) == {wrapped + name for name in plain} | {f"ema.{name}" for name in plain}
    for name, like in found.added.items():
        new, old = (ours["state_dict"][prefix + name.removeprefix(wrapped)] for prefix in (wrapped, "ema."))
        assert torch.equal(new, old)
        assert like
    for name, each in other.state_dict().items():
        assert torch.equal(ours["state_dict"][f"ema.{name}"], each)
    named = [name for group in ours["optimizer"]["param_groups"] for name in group["param_names"]]
    assert {name.removeprefix(wrapped) for name in named} == plain
    plain_sgd = torch.optim.SGD(model.named_parameters(), 0.1).state_dict()  # its groups have to grow
    torch.save({**document, "optimizer": plain_sgd}, tmp_path / "old.pt")
    with pytest.raises(GrowthError, match="state of an optimizer"):
        grow_file(deeper.growth, tmp_path / "old.pt", tmp_path / "more.pt", student=student)
    shuffled = optimizer_of(net(), [["i.bias", *MATRICES], VECTORS[1:]], named=False)
    torch.save({**document, "optimizer": shuffled}, tmp_path / "old.pt")
    with pytest.raises(GrowthError, match="no names in its groups"):
        grow_file(deeper.growth, tmp_path / "old.pt", tmp_path / "more.pt", optimizer=True, student=student)


def test_the_command_says_all(tmp_path: Path) -> None:
    model = net()
    document = {
        "model": model.state_dict(), "ema": of_ema(net(1).state_dict()), "judge": {"w": torch.randn(3, 3)},
        "optimizer": optimizer_of(model, SPLIT, named=False), "rng": torch.get_rng_state(),
    }  # fmt: skip
    torch.save(document, tmp_path / "old.pt")
    RECORD.save(tmp_path / "record")
    words = ["grow-checkpoint", str(tmp_path / "old.pt"), "--record", str(tmp_path / "record"), "--force"]
    words += ["-o", str(tmp_path / "new.pt"), "--optimizer", "--keep", "judge.*"]
    said = CliRunner().invoke(main, words)
    assert said.exit_code == 0, said.output
    for sentence in (
        "1 copy of the network grew too: ema.module.", "1 optimizer grew: optimizer.", "--keep: judge.w.",
        "1 tensor outside the network cannot grow and stayed: rng.", "24 moments pulled back",
    ):  # fmt: skip
        assert sentence in said.output
    written = json.loads(CliRunner().invoke(main, [*words, "--json"]).output)
    assert (written["copies"], written["optimizers"]) == (["ema.module"], ["optimizer"])
    assert (written["outside"], written["left"]) == (["rng"], ["judge.w"])
    assert written["moments"]["compared"] == 24
    said = CliRunner().invoke(main, [*words, "--optimizer-order", str(tmp_path / "none")])
    assert said.exit_code == 3


def test_one_name_alike_makes_no_copy(tmp_path: Path) -> None:
    """A tensor inside a module, or alone, is no copy of the network for having the name of one of its parameters."""
    for name in ("h0.extra.i.bias", "h0.i.bias", "other.i.bias"):
        torch.save({"model": net().state_dict() | {name: torch.randn(8)}}, tmp_path / "old.pt")
        with pytest.raises(GrowthError, match=name):
            grow_file(RECORD, tmp_path / "old.pt", tmp_path / "new.pt")
