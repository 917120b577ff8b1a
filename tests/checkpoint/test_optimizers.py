"""Optimizers in a file of ``torch.save``: each grows, is kept when asked, or is refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from helpers.cutting import UNPROVEN
from helpers.needing import needs
from helpers.small_net import MATRICES, SPLIT, VECTORS, equal, net, optimizer_of, same, through, wanted, without_names
from onnx_n2n.checkpoint.files import grow_file
from onnx_n2n.errors import GrowthError
from onnx_n2n.passes import Deepen

torch = needs("torch")
needs("onnxscript")


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
    with pytest.raises(GrowthError, match=r"state of an optimizer \('optimizer'\).*`optimizer=True` grows it, `keep="):
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


def test_the_kept_optimizer_is_named_by_its_path_or_all_in_it(tmp_path: Path) -> None:
    model = net()
    document = {"model": model.state_dict(), "opt": optimizer_of(model, SPLIT, named=True)}
    for glob in ("opt", "opt*", "opt.*"):
        ours, found = through(tmp_path, document, keep=[glob])
        assert found.left == ("opt",)
        assert same(ours["opt"], document["opt"])


class Shared(torch.nn.Module):  # type: ignore[misc]
    """Two residual blocks whose first layers are one."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(8, 16), torch.nn.Linear(8, 16)
        self.second.weight, self.second.bias = self.first.weight, self.first.bias
        self.one, self.two = torch.nn.Linear(16, 8), torch.nn.Linear(16, 8)

    def forward(self, x: Any) -> Any:
        x = x + self.one(torch.relu(self.first(x)))
        return x + self.two(torch.relu(self.second(x)))


def test_a_new_layer_like_the_second_name_of_a_parameter_has_a_place_and_a_state(tmp_path: Path) -> None:
    model, x = Shared(), torch.randn(5, 8)
    optimizer = torch.optim.AdamW(model.named_parameters())
    model(x).square().mean().backward()
    optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "old.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (x,), dynamo=True, verbose=False).save(tmp_path / "model.onnx")
    record = Deepen(kind="block")(tmp_path / "model.onnx", proof=UNPROVEN).growth
    found = grow_file(record, tmp_path / "old.pt", tmp_path / "new.pt", optimizer=True)
    assert "second.weight" in found.added.values()
    ours = torch.load(tmp_path / "new.pt", weights_only=True)["optimizer"]
    (group,) = ours["param_groups"]
    assert set(group["param_names"]) == found.arrays.keys() - {"second.weight", "second.bias"}
    assert ours["state"].keys() == set(group["params"])
