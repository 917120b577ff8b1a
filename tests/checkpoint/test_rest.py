"""What else a file of ``torch.save`` holds: it stays as it is, or is named; and what the command says of all of it."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file

from helpers.needing import needs
from helpers.small_net import NAMES, RECORD, SPLIT, equal, net, numpied, of_ema, optimizer_of, same, through, wanted
from onnx_n2n.checkpoint.files import grow_file
from onnx_n2n.cli import main
from onnx_n2n.errors import GrowthError, ModelError, OptionError

torch = needs("torch")
nn = torch.nn


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
    with pytest.raises(GrowthError, match=r"1 tensor .*mask \[8, 8\]"):
        through(tmp_path, {"model": model.state_dict(), "mask": torch.ones(8, 8, dtype=torch.bool)})
    lists = {name: each.tolist() for name, each in model.state_dict().items()}
    with pytest.raises(GrowthError, match=r"\d tensors .*ema.i.weight \[\d, 4\] as a list of numbers"):
        through(tmp_path, {"model": model.state_dict(), "ema": lists})
    ours, found = through(tmp_path, {"model": model.state_dict(), "ema": lists}, keep=["ema.*"])
    assert ours["ema"] == lists
    assert "ema.i.weight" in found.left
    for kind in (torch.bool, torch.int64):  # it may be about channels
        with pytest.raises(GrowthError, match=r"1 tensor .*pruned \[8\]"):
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
        ("keep", "hO.*", "`keep=['hO.*']` names nothing"),
        ("keep", "h0.weight", "`keep=['h0.weight']` names only what grows with the network"),
        *([("keep", "ema.h0.*", "names only what grows")] if file == "old.pt" else []),
    ):
        with pytest.raises(OptionError, match=re.escape(said)):
            grow_file(RECORD, tmp_path / file, new, **{option: [glob]})
        assert not new.exists()
    found = grow_file(RECORD, tmp_path / file, new, untie=["nothing"])
    assert found.notes == ("`untie=['nothing']` names nothing in the checkpoint",)
    for glob in ("o.bias", "*.bias", "*"):  # some of it stays, as it would
        grow_file(RECORD, tmp_path / file, new, keep=[glob], force=True)


def test_a_tensor_without_numbers_and_an_order_without_names_are_named(tmp_path: Path) -> None:
    model = net()
    absent = {**model.state_dict(), "h0.weight": torch.empty(8, 8, device="meta")}
    with pytest.raises(ModelError, match=r"'h0.weight' has a shape and no numbers"):
        through(tmp_path, absent)
    document = {"model": model.state_dict(), "optimizer": optimizer_of(model, SPLIT, named=True)}
    kept = document["optimizer"]["state"][0]
    kept["exp_avg"] = torch.empty_like(kept["exp_avg"], device="meta")
    with pytest.raises(ModelError, match=r"'i.weight.exp_avg' has a shape and no numbers"):
        through(tmp_path, document, optimizer=True)
    document = {"model": model.state_dict(), "optimizer": optimizer_of(model, SPLIT, named=False)}
    (tmp_path / "order.txt").write_text("# none\n\n")
    with pytest.raises(ModelError, match="has no names"):
        through(tmp_path, document, optimizer=True, orders=[tmp_path / "order.txt"])


def test_a_transposed_view_is_no_further_name_of_what_it_views(tmp_path: Path) -> None:
    state = dict(net().state_dict())
    with pytest.raises(GrowthError, match="does not know 1 tensor of the checkpoint: extra"):
        through(tmp_path, state | {"extra": state["h0.weight"].t()})


def test_numbers_that_are_none_grow_as_others_do(tmp_path: Path) -> None:
    state = net().state_dict()
    for name in ("h0.weight", "i.bias"):
        state[name].view(-1)[0] = float("nan")
    ours, found = through(tmp_path, state)
    assert set(found.grown) == set(NAMES) - {"o.bias"}
    for name, array in wanted(state).items():
        assert np.array_equal(ours[name].numpy(), array, equal_nan=True)


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
