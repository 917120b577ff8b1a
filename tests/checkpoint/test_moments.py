"""Moments of every kind, as they grow and are proven, or are refused with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnx_n2n
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
from onnx_n2n.checkpoint.optimizer import FRESH, grow_state
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


class Normed(nn.Module):  # type: ignore[misc]
    """Two convolutions with norms, of which the scales in fresh channels are copies and the shifts mixtures."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(2, 4, 1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.norm2 = nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        """Return three numbers for each image."""
        x = torch.relu(self.norm1(self.conv1(x)))
        return self.head(torch.relu(self.norm2(self.conv2(x))).mean((2, 3)))


@pytest.fixture(scope="module")
def normed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Record]:
    """A network with norms, and how it gains fresh channels."""
    torch.manual_seed(0)
    model, path = Normed(), tmp_path_factory.mktemp("normed") / "net.onnx"
    example = (torch.randn(4, 2, 3, 3),)
    torch.onnx.export(model.train(), example, dynamo=True, optimize=False, verbose=False).save(str(path))
    return model, Widen(factor=1.5, init="zero")(onnx_n2n.load(path), proof=UNPROVEN).growth


def test_all_that_makes_a_fresh_channel_begins_alike(normed: tuple[Any, Record]) -> None:
    """Whether its value is a mixture or, as the scale of a norm, a copy."""
    model, record = normed
    state = {name: {"exp_avg_sq": np.ones(each.shape)} for name, each in model.named_parameters()}
    grown = grow_state(record, state)
    for name in ("conv1.weight", "norm1.weight", "norm1.bias", "conv2.weight", "norm2.weight", "norm2.bias"):
        second = grown[name]["exp_avg_sq"]
        assert np.all(second[4:] == FRESH), name
        assert np.all(second[:4] == 1), name
    assert np.all(grown["head.weight"]["exp_avg_sq"] == 1)  # what reads them has usual gradients at once


def test_the_usual_split_of_a_network_with_norms_needs_no_names(normed: tuple[Any, Record], tmp_path: Path) -> None:
    model, record = normed
    named = list(model.named_parameters())
    split = [[pair for pair in named if (pair[1].ndim > 1) is wide] for wide in (True, False)]
    states = []
    for names in (True, False):
        groups = [{"params": pairs if names else [each for _, each in pairs]} for pairs in split]
        optimizer = torch.optim.AdamW(groups, 1e-3)
        torch.manual_seed(0)
        optimizer.zero_grad()
        model(torch.randn(4, 2, 3, 3)).square().sum().backward()
        with torch.no_grad():
            for group in optimizer.param_groups:
                group["lr"] = 0.0
        optimizer.step()
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "old.pt")
        grow_file(record, tmp_path / "old.pt", tmp_path / "new.pt", optimizer=True, force=True)
        states.append(torch.load(tmp_path / "new.pt", weights_only=True)["optimizer"]["state"])
    assert len(states[0]) == len(named)
    for number, kept in states[0].items():
        assert all(torch.equal(each, states[1][number][kind]) for kind, each in kept.items())
