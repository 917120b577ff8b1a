"""Copies of the network in a file of ``torch.save``: EMA, SWA and lists grow in place, from their own values."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.graphs import opened
from helpers.needing import needs
from helpers.small_net import (
    MATRICES,
    NAMES,
    RECORD,
    SPLIT,
    TEACHER,
    UNPROVEN,
    VECTORS,
    equal,
    net,
    of_ema,
    optimizer_of,
    same,
    through,
    wanted,
)
from onnx_n2n.checkpoint.files import grow_file
from onnx_n2n.errors import GrowthError
from onnx_n2n.passes import Deepen, Widen

torch = needs("torch")

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


def test_one_name_alike_makes_no_copy(tmp_path: Path) -> None:
    """A tensor inside a module, or alone, is no copy of the network for having the name of one of its parameters."""
    for name in ("h0.extra.i.bias", "h0.i.bias", "other.i.bias"):
        torch.save({"model": net().state_dict() | {name: torch.randn(8)}}, tmp_path / "old.pt")
        with pytest.raises(GrowthError, match=name):
            grow_file(RECORD, tmp_path / "old.pt", tmp_path / "new.pt")


def test_a_copy_of_fewer_bits_grows_alike_and_rounds_nothing(tmp_path: Path) -> None:
    record = Widen(factor=2, init="net2net", noise=0.1)(TEACHER, proof=UNPROVEN).growth
    half = {name: each.half() for name, each in net().state_dict().items()}
    torch.save({"model": net().state_dict(), "ema": half}, tmp_path / "old.pt")
    found = grow_file(record, tmp_path / "old.pt", tmp_path / "new.pt")
    assert not found.rounded
    after = torch.load(tmp_path / "new.pt", weights_only=True)
    for name, each in after["model"].items():
        assert torch.allclose(each, after["ema"][name].float(), rtol=0, atol=2e-3)
