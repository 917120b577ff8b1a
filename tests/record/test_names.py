"""Twelve architectures in four exports each: what comes back under its own name, and what a growth record knows.

Where norms are kept, everything comes back. What files have lost is data here, so that a loss more is seen: some names,
which the values of the checkpoint find again, and values that norms were folded into.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnx_n2n
from helpers.needing import needs
from onnx_n2n.checkpoint.growth import grow
from onnx_n2n.checkpoint.match_names import matched
from onnx_n2n.passes import Widen
from onnx_n2n.record import record as records
from onnx_n2n.record.record import Record
from onnx_n2n.verification.options import Proof

torch = needs("torch")
needs("onnxscript")

from helpers.architectures import ARCHITECTURES, TABLES, TIED  # noqa: E402
from helpers.exports import (  # noqa: E402
    FOLDED,
    KEPT,
    example,
    exported,
    known,
    network,
    recovered,
    state,
    tensors,
    written,
)
from onnx_n2n import export  # noqa: E402

# How many tensors a folded export gives back bit-equal, and how many its record knows, by the file alone. The rest are
# layers with the norms that were folded into them, whose names TorchScript loses too; vectors that it has reshaped, as
# those of a GroupNorm; and tables that were cut, or copied for a batch.
FOUND = {
    ("mlp", "default"): (2, 13), ("mlp", "script-folded"): (13, 13),
    ("cnn", "default"): (13, 13), ("cnn", "script-folded"): (11, 11),
    ("resnet", "default"): (2, 42), ("resnet", "script-folded"): (2, 10),
    ("mobilenet", "default"): (10, 45), ("mobilenet", "script-folded"): (10, 17),
    ("inception", "default"): (2, 32), ("inception", "script-folded"): (2, 12),
    ("densenet", "default"): (17, 17), ("densenet", "script-folded"): (17, 17),
    ("unet", "default"): (2, 25), ("unet", "script-folded"): (7, 13),
    ("encoder", "default"): (30, 30), ("encoder", "script-folded"): (30, 30),
    ("gpt", "default"): (28, 28), ("gpt", "script-folded"): (28, 28),
    ("recurrent", "default"): (23, 23), ("recurrent", "script-folded"): (23, 23),
    ("vit", "default"): (31, 31), ("vit", "script-folded"): (32, 32),
    ("convnext", "default"): (30, 30), ("convnext", "script-folded"): (30, 30),
}  # fmt: skip


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("architectures")


@functools.cache
def record_of(folder: Path, kind: str, way: str) -> Record:
    """Widen an export without noise; that the student computes the same is said of the grown checkpoint here."""
    made = ARCHITECTURES[kind]
    change = Widen(factor=made.factor, noise=0, exclude=made.exclude)
    return change(onnx_n2n.load(exported(folder, kind)[way]), proof=Proof(wanted=False)).growth


def assert_same(kind: str, other: Any) -> None:
    with torch.no_grad():
        before, after = network(kind)(example(kind)), other(example(kind))
    assert (before - after).abs().max() < 1e-5 * before.abs().max()


def assert_grows(kind: str, record: Record, **options: Any) -> None:
    """The grown checkpoint fits the same class at larger widths, strictly, and computes the same."""
    keep, untie = sorted(TABLES.get(kind, ())), sorted(TIED.get(kind, ()))
    found = grow(record, state(kind), keep=keep, untie=untie, **options)
    larger = ARCHITECTURES[kind].wider({name: array.shape for name, array in found.arrays.items()}).eval()
    larger.load_state_dict({name: torch.from_numpy(np.array(a)) for name, a in found.arrays.items()}, strict=True)
    assert_same(kind, larger)
    assert sum(a.size for a in found.arrays.values()) > 1.5 * sum(a.size for a in state(kind).values())


@pytest.mark.parametrize("way", KEPT)
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_every_tensor_comes_back_under_its_own_name(folder: Path, kind: str, way: str) -> None:
    module = export.to_torch(exported(folder, kind)[way])
    assert recovered(kind, module) == tensors(kind) - TABLES.get(kind, set())
    assert not set(module.state_dict()) - set(state(kind)), "what is no tensor of the network is none of the module"
    trained = {name for name, _ in module.named_parameters()}
    assert trained == {name for name, _ in network(kind).named_parameters()} - set(TIED.get(kind, ()))
    assert_same(kind, module)


@pytest.mark.parametrize("way", KEPT)
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_every_tensor_is_accounted_for_and_grows(folder: Path, kind: str, way: str) -> None:
    record = record_of(folder, kind, way)
    assert known(kind, record) >= tensors(kind) - TABLES.get(kind, set())
    assert_grows(kind, record)


@pytest.mark.parametrize("way", FOLDED)
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_what_folding_loses_a_checkpoint_finds_again(folder: Path, kind: str, way: str) -> None:
    record, teacher = record_of(folder, kind, way), onnx_n2n.load(exported(folder, kind)[way])
    module = export.to_torch(teacher)
    assert_same(kind, module)
    alone, together = known(kind, record), known(kind, matched(record, state(kind), teacher=teacher))
    assert (len(recovered(kind, module)), len(alone)) == FOUND[kind, way]
    assert together == tensors(kind) - TABLES.get(kind, set())
    if alone < together:  # what is not known is refused, and not guessed
        with pytest.raises(onnx_n2n.GrowthError, match=r"is no parameter for|does not know"):
            assert_grows(kind, record)
    else:
        assert_grows(kind, record)
    assert_grows(kind, record, teacher=teacher)


@pytest.mark.parametrize("kind", ["densenet", "vit"])
def test_equal_values_keep_their_names(tmp_path: Path, kind: str) -> None:
    """Before any training, biases are zeros and scales ones, which exporters merge, also with statistics."""
    net = ARCHITECTURES[kind].make().eval()
    theirs = {name: tensor.numpy() for name, tensor in net.state_dict().items() if name in tensors(kind)}
    paths = written(tmp_path, kind, net)
    for way in KEPT:
        found = export.to_torch(paths[way]).state_dict()
        assert all(np.array_equal(found[name].numpy(), array) for name, array in theirs.items()), way
        assert {name for name in found if name not in net.state_dict()} == set()
    teacher = onnx_n2n.load(paths["script-folded"])
    record = Widen(factor=2, noise=0)(teacher, proof=Proof(wanted=False)).growth
    assert known(kind, matched(record, theirs, teacher=teacher)) == tensors(kind)


@pytest.mark.parametrize("way", KEPT)
def test_tied_weights_stay_one_under_one_name_or_both(folder: Path, way: str) -> None:
    record, arrays = record_of(folder, "gpt", way), state("gpt")
    keep = sorted(TABLES["gpt"])
    found = grow(record, arrays, keep=keep)
    assert not found.untied
    assert found.arrays["head.weight"].shape[1] > arrays["head.weight"].shape[1]
    assert np.array_equal(found.arrays["head.weight"], found.arrays["wte.weight"])
    once = {name: array for name, array in arrays.items() if name != "head.weight"}
    assert set(grow(record, once, keep=keep, untie=["head.weight"]).arrays) == set(arrays)
    assert np.array_equal(grow(record, once, keep=keep).arrays["wte.weight"], found.arrays["wte.weight"])


class Averaged(torch.nn.Module):  # type: ignore[misc]
    """A mean over channels, which no weight stands behind."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.conv, self.head = torch.nn.Conv2d(3, width, 3), torch.nn.Linear(6, 2)

    def forward(self, x: Any) -> Any:
        return self.head(torch.relu(self.conv(x)).mean((1, 3)))


def test_what_code_would_have_to_multiply_by_is_refused(tmp_path: Path) -> None:
    net = Averaged()
    program = torch.onnx.export(net.eval(), (torch.randn(2, 3, 8, 8),), dynamo=True, optimize=False, verbose=False)
    program.save(str(tmp_path / "net.onnx"))
    arrays = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    uneven = onnx_n2n.widen(onnx_n2n.load(tmp_path / "net.onnx"), 1.5, noise=0)
    uneven.growth.save(tmp_path / "growth.safetensors")
    for record in (uneven.growth, records.load(tmp_path / "growth.safetensors")):
        with pytest.raises(onnx_n2n.GrowthError, match="the student multiplies inputs of 1 node by shares"):
            grow(record, arrays)
    even = grow(onnx_n2n.widen(onnx_n2n.load(tmp_path / "net.onnx"), 2, noise=0).growth, arrays)
    assert even.arrays["conv.weight"].shape[0] == 12


def test_what_is_cut_away_does_not_grow(folder: Path) -> None:
    """Positions that are longer than what is exported, and the other gates where a bias is cut into these."""
    for kind, gone in (("encoder", "positions"), ("recurrent", "lstm.bias_ih_l0"), ("gpt", "wpe")):
        for way in KEPT:
            groups = onnx_n2n.analyze(onnx_n2n.load(exported(folder, kind)[way])).groups
            assert not [group.name for group in groups if group.name.startswith(gone)]
