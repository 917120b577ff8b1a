"""Moments of every kind, as they grow and are proven, or are refused with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.needing import needs
from helpers.small_net import (
    NAMES,
    RECORD,
    TEACHER,
    UNPROVEN,
    Net,
    net,
    numpied,
    optimizer_of,
    through,
    trained,
    wanted,
)
from onnx_n2n.checkpoint.files import grow_file
from onnx_n2n.checkpoint.growth import grow
from onnx_n2n.checkpoint.moments import pulled_back
from onnx_n2n.checkpoint.optimizer import grow_state
from onnx_n2n.errors import GrowthError, VerificationError
from onnx_n2n.passes import Widen
from onnx_n2n.record.layouts import Layout
from onnx_n2n.record.provenance import Origin
from onnx_n2n.record.recipe import Recipe
from onnx_n2n.record.record import Record, Remade, Step

torch = needs("torch")
nn, functional = torch.nn, torch.nn.functional


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
    origin = Origin(tuple(shapes), Layout.read("biases:LSTM"), "", "name")
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


def test_moments_that_are_no_numbers_are_grown_only_unproven(tmp_path: Path) -> None:
    model = net()
    document = {"model": model.state_dict(), "optimizer": optimizer_of(model, [NAMES], named=True)}
    document["optimizer"]["state"][0]["exp_avg"][0, 0] = float("nan")
    with pytest.raises(GrowthError, match=r"'exp_avg' of 'i.weight' holds infinity or NaN"):
        through(tmp_path, document, optimizer=True)
    ours, _ = through(tmp_path, document, optimizer=True, verify=False)
    assert ours["optimizer"]["state"][0]["exp_avg"].isnan().any()
