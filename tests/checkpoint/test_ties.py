"""Parameters with several names: what is one before growing is one after, or that is refused; never silent.

Small networks tie an embedding to a head, a layer to another, or a bias to one that no module reads. Their checkpoint
is written with shared memory, with copies, or with one name only. What is written loads strictly into the class that it
is for, and computes the same.
"""

from __future__ import annotations

import functools
import io
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import onnx_n2n
from helpers.calling import call
from helpers.graphs import STABLE, model
from helpers.needing import needs
from onnx_n2n.checkpoint.files import grow_file
from onnx_n2n.checkpoint.growth import grow
from onnx_n2n.checkpoint.optimizer import grown_moments
from onnx_n2n.checkpoint.ties import equal
from onnx_n2n.passes import Widen
from onnx_n2n.record.record import Record
from onnx_n2n.verification.options import Proof

torch = needs("torch")
needs("onnxscript")
nn = torch.nn

TOKENS = torch.randint(0, 11, (3, 5), generator=torch.Generator().manual_seed(0))
WAYS = ("dynamo", "script", "folded")
FILES = ("shared.pt", "copies.pt", "copies.safetensors", "once.safetensors")
LANGUAGE = ("head.weight", "head.bias", "bias")
SECOND = {"language": LANGUAGE, "normed": LANGUAGE, "twice": ("second.weight", "second.bias"), "copies": ()}


class Language(nn.Module):  # type: ignore[misc]
    """An embedding, a perceptron beside a stream, and a head, which may be the embedding; its bias has two names.

    With a norm before the perceptron, and none before the head, both cannot stay one.
    """

    def __init__(self, width: int = 10, inner: int = 10, *, tie: bool = True, norm: bool = False) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width) if norm else nn.Identity()
        self.emb, self.head = nn.Embedding(11, width), nn.Linear(width, 11)
        self.fc, self.out = nn.Linear(width, inner), nn.Linear(inner, width)
        self.bias = nn.Parameter(torch.zeros(11))
        self.head.bias = self.bias  # as BERT's predictions have it
        if tie:
            self.head.weight = self.emb.weight

    def forward(self, x: Any) -> Any:
        x = self.emb(x)
        return self.head(x + self.out(torch.relu(self.fc(self.norm(x)))))


class Twice(nn.Module):  # type: ignore[misc]
    """One layer in two places, as ALBERT has it; or two that begin as copies."""

    def __init__(self, width: int = 10, *, tie: bool = True) -> None:
        super().__init__()
        self.emb, self.first, self.second = nn.Embedding(11, width), nn.Linear(width, width), nn.Linear(width, width)
        self.head = nn.Linear(width, 7)
        if tie:
            self.second = self.first
        else:
            self.second.load_state_dict(self.first.state_dict())

    def forward(self, x: Any) -> Any:
        return self.head(torch.relu(self.second(torch.relu(self.first(self.emb(x))))))


def drawn(make: Any) -> Any:
    torch.manual_seed(0)
    net = make().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
        if isinstance(net, Twice) and net.first is not net.second:
            net.second.load_state_dict(net.first.state_dict())
    return net


@functools.cache
def network(kind: str) -> Any:
    makers = {"language": Language, "normed": functools.partial(Language, norm=True)}
    makers |= {"twice": Twice, "copies": functools.partial(Twice, tie=False)}
    return drawn(makers[kind])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ties")


@functools.cache
def exported(folder: Path, kind: str, way: str) -> Path:
    path = folder / f"{kind}-{way}.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if way == "dynamo":
            torch.onnx.export(network(kind), (TOKENS,), dynamo=True, verbose=False).save(str(path))
            return path
        mode = torch.onnx.TrainingMode.EVAL if way == "folded" else torch.onnx.TrainingMode.PRESERVE
        buffer = io.BytesIO()
        torch.onnx.export(
            network(kind), (TOKENS,), buffer, dynamo=False, training=mode, do_constant_folding=way == "folded"
        )
    path.write_bytes(buffer.getvalue())
    return path


@functools.cache
def record_of(folder: Path, kind: str, way: str, **options: Any) -> Record:
    return Widen(factor=2, **options)(onnx_n2n.load(exported(folder, kind, way)), proof=Proof(wanted=False)).growth


def saved(kind: str, name: str, tmp: Path, way: str) -> Path:
    """Write a checkpoint: with names that share their memory, that are copies, or that are there once.

    Of the bias, the name stays that the exporter took.
    """
    state, path = network(kind).state_dict(), tmp / name
    if name == "shared.pt":
        torch.save(state, path)
    elif name == "copies.pt":
        torch.save({each: tensor.clone() for each, tensor in state.items()}, path)
    else:
        gone = set(SECOND[kind] if name.startswith("once") else ()) - {"head.bias" if way == "dynamo" else "bias"}
        save_file({each: tensor.numpy().copy() for each, tensor in state.items() if each not in gone}, path)
    return path


def loaded(path: Path) -> dict[str, Any]:
    if path.suffix == ".pt":
        return dict(torch.load(path, weights_only=True))
    return {name: torch.from_numpy(array) for name, array in load_file(path).items()}


def off(kind: str, path: Path, make: Any) -> float:
    """Load a checkpoint into a class, strictly, and return how far its outputs are from those of a network."""
    state = loaded(path)
    other = make(state).eval()
    missing, unexpected = other.load_state_dict(state, strict="once" not in path.name)
    assert not unexpected
    assert set(missing) <= set(SECOND[kind])
    with torch.no_grad():
        return float((network(kind)(TOKENS) - other(TOKENS)).abs().max())


def language(state: dict[str, Any], *, tie: bool) -> Any:
    return Language(state["emb.weight"].shape[1], state["fc.weight"].shape[0], tie=tie, norm="norm.weight" in state)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("way", WAYS)
def test_what_would_part_is_refused_and_parts_only_when_told(folder: Path, tmp_path: Path, way: str, file: str) -> None:
    record = record_of(folder, "normed", way)
    old, new = saved("normed", file, tmp_path, way), tmp_path / f"new-{file}"
    said = "'(emb|head).weight' and '(head|emb).weight' .* and would become different.*`untie=..(head|emb).weight"
    if file == "once.safetensors" and way != "dynamo":  # only the exporter's metadata say that there is another name
        said = {"script": "used in two places that grew differently", "folded": "no parameter for 1 of the"}[way]
    with pytest.raises(onnx_n2n.GrowthError, match=said):
        grow_file(record, old, new)
    assert not new.exists()
    if file == "once.safetensors" and way == "folded":
        return
    found = grow_file(record, old, new, untie=["head.w*"])
    assert set(found.untied) | set(found.untied.values()) == {"emb.weight", "head.weight"}
    assert off("normed", new, functools.partial(language, tie=False)) < 1e-5


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("width", [10, 20])
def test_what_grows_as_one_stays_one(folder: Path, tmp_path: Path, width: int, way: str, file: str) -> None:
    """The names that no module reads are said; BERT has such a bias."""
    record = record_of(folder, "language", way, exclude=("emb", "head") if width == 10 else ())
    old, new = saved("language", file, tmp_path, way), tmp_path / f"new-{file}"
    if (width, file, way) == (20, "once.safetensors", "folded"):  # one of both weights has a name that is not there
        with pytest.raises(onnx_n2n.GrowthError, match="no parameter for 1 of the"):
            grow_file(record, old, new)
        return
    found = grow_file(record, old, new)
    assert found.arrays["fc.weight"].shape == (20, width)
    assert not found.untied
    known = {name for entries in record.origins.values() for each in entries for name in (*each.names, each.tied)}
    assert set(found.aliases) == loaded(old).keys() - known
    assert off("language", new, functools.partial(language, tie=True)) < 1e-5


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["twice", "copies"])
def test_a_layer_in_two_places_grows_as_one(folder: Path, tmp_path: Path, kind: str, way: str, file: str) -> None:
    """So do two layers that begin as copies, which exporters merge."""
    record = record_of(folder, kind, way)
    old, new = saved(kind, file, tmp_path, way), tmp_path / f"new-{file}"
    found = grow_file(record, old, new)
    assert not found.untied
    assert found.arrays["first.weight"].shape == (20, 20)
    assert off(kind, new, lambda state: Twice(state["emb.weight"].shape[1], tie=kind == "twice")) < 1e-5


def test_the_command_says_what_follows_and_what_parts(folder: Path, tmp_path: Path) -> None:
    record = record_of(folder, "normed", "dynamo")
    record.save(tmp_path / "growth.safetensors")
    old = saved("normed", "copies.safetensors", tmp_path, "dynamo")
    command = ("grow-checkpoint", old, "--record", tmp_path / "growth.safetensors", "-o", tmp_path / "new.safetensors")
    refused = call(*command)
    assert refused.exit_code == 3
    assert "Pass --untie" in refused.output or "pass --untie" in refused.output
    told = call(*command, "--untie", "head.weight", "--json")
    assert told.exit_code == 0, told.output
    document = json.loads(told.stdout)
    assert (document["untied"], document["aliases"]) == ({"head.weight": "emb.weight"}, {"bias": "head.bias"})
    said = " ".join(call(*command, "--untie", "head.weight", "--force").output.split())
    assert "head.weight was tied to emb.weight and no longer is" in said
    assert "bias is head.bias under another name, and grew as that did" in said


def test_a_name_that_only_the_values_tell_is_found_by_the_teacher(folder: Path, tmp_path: Path) -> None:
    """The exporter took one name of the bias, and the checkpoint has the other one only."""
    record = record_of(folder, "language", "dynamo", exclude=("emb", "head"))
    arrays = {name: tensor.numpy() for name, tensor in network("language").state_dict().items()}
    del arrays["head.bias"], arrays["head.weight"]
    with pytest.raises(onnx_n2n.GrowthError, match="does not know 1 tensor of the checkpoint: bias"):
        grow(record, arrays)
    assert "bias" in grow(record, arrays, teacher=onnx_n2n.load(exported(folder, "language", "dynamo"))).kept


def test_a_second_name_that_several_may_have_is_of_none(folder: Path) -> None:
    """A module around two layers has a bias that nothing reads; which of the two it is, if any, is not known."""
    record = record_of(folder, "language", "dynamo", exclude=("emb", "head"))
    arrays = {name: tensor.numpy() for name, tensor in network("language").state_dict().items()}
    claim = {name: tuple(replace(each, tied="outer.bias") if each.names[0].endswith("bias") else each for each in found)
             for name, found in record.origins.items()}  # fmt: skip
    plain, found = grow(record, arrays), grow(replace(record, origins=claim), arrays)
    assert found.arrays.keys() == plain.arrays.keys()
    assert all(np.array_equal(found.arrays[name], array) for name, array in plain.arrays.items())


def test_an_untied_name_that_the_checkpoint_lacks_is_written(folder: Path) -> None:
    """Also if both are still equal: the code has two parameters by now."""
    record = record_of(folder, "language", "dynamo", exclude=("emb", "head"))
    arrays = {name: tensor.numpy() for name, tensor in network("language").state_dict().items()}
    del arrays["head.weight"]
    found = grow(record, arrays, untie=["head.weight"])
    assert np.array_equal(found.arrays["head.weight"], arrays["emb.weight"])
    assert found.untied == {"head.weight": "emb.weight"}
    assert "head.weight" not in grow(record, arrays).arrays


def test_what_is_untied_is_two_also_where_the_checkpoint_has_both_and_both_stay_equal(
    folder: Path, tmp_path: Path
) -> None:
    """The optimizer of code that no longer ties them has both in its groups; moments of their sum are no one's."""
    record = record_of(folder, "language", "dynamo", exclude=("emb", "head"))
    net = Language()
    optimizer = torch.optim.Adam(net.named_parameters())
    nn.functional.cross_entropy(net(TOKENS).flatten(0, 1), TOKENS.flatten()).backward()
    optimizer.step()
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "old.pt")
    found = grow_file(record, tmp_path / "old.pt", tmp_path / "new.pt", optimizer=True, untie=["head.weight"])
    assert found.untied == {"head.weight": "emb.weight"}
    state = torch.load(tmp_path / "new.pt", weights_only=True)
    (group,) = state["optimizer"]["param_groups"]
    apart = language(state["model"], tie=False)
    assert group["param_names"] == [name for name, _ in apart.named_parameters()]
    torch.optim.Adam(apart.named_parameters()).load_state_dict(state["optimizer"])
    named = dict(zip(group["params"], group["param_names"], strict=True))
    fresh = {"emb.weight", "head.weight"}
    assert {named[number] for number in state["optimizer"]["state"]} == set(group["param_names"]) - fresh


def test_an_optimizer_alone_knows_what_is_tied(folder: Path, tmp_path: Path) -> None:
    """A parameter that the record does not know is named, and no other because of how its name begins."""
    record = record_of(folder, "normed", "dynamo")
    net = Language(norm=True)
    optimizer = torch.optim.Adam(net.named_parameters())
    nn.functional.cross_entropy(net(TOKENS).flatten(0, 1), TOKENS.flatten()).backward()
    optimizer.step()
    torch.save(optimizer.state_dict(), tmp_path / "old.pt")
    with pytest.raises(onnx_n2n.GrowthError, match="does not know 1 tensor of the checkpoint: bias"):
        grow_file(record, tmp_path / "old.pt", tmp_path / "new.pt", optimizer=True)
    optimizer = torch.optim.Adam([pair for pair in net.named_parameters() if pair[0] != "bias"])
    optimizer.step()
    torch.save(optimizer.state_dict(), tmp_path / "old.pt")
    with pytest.raises(onnx_n2n.GrowthError, match="would become different"):
        grow_file(record, tmp_path / "old.pt", tmp_path / "new.pt", optimizer=True)
    grow_file(record, tmp_path / "old.pt", tmp_path / "new.pt", optimizer=True, untie=["head.weight"])
    (group,) = torch.load(tmp_path / "new.pt", weights_only=True)["param_groups"]
    assert {"emb.weight", "head.weight"} <= set(group["param_names"])


def test_a_copy_that_has_one_name_only_gets_both_with_its_own_numbers(folder: Path, tmp_path: Path) -> None:
    record = record_of(folder, "language", "dynamo")
    other = drawn(Language).state_dict()
    one = {name: tensor * 0.9 for name, tensor in other.items() if name not in {"head.weight", "bias"}}
    torch.save({"model": network("language").state_dict(), "ema": one}, tmp_path / "old.pt")
    found = grow_file(record, tmp_path / "old.pt", tmp_path / "new.pt", untie=["head.weight"])
    assert found.copies == ("ema",)
    ours = torch.load(tmp_path / "new.pt", weights_only=True)["ema"]
    assert ours.keys() == {*one, "head.weight"}
    alone = {name: tensor.numpy() for name, tensor in {**one, "head.weight": one["emb.weight"]}.items()}
    wanted = grow(record, alone, untie=["head.weight"]).arrays
    assert all(np.array_equal(ours[name].numpy(), wanted[name]) for name in ours)


def test_moments_that_each_of_two_equal_layers_has_are_kept() -> None:
    """Layers that begin as copies are told apart by --untie; their moments are not mixed."""
    teacher, arrays = chain(copies=True)
    record = onnx_n2n.widen(teacher, 1.5).growth
    found = grow(record, arrays, untie=["b"])
    state = {name: {"exp_avg": np.full_like(array, place + 1)} for place, (name, array) in enumerate(arrays.items())}
    assert set(grown_moments(found, state)) == {"a", "b", "c"}
    del state["b"]
    assert set(grown_moments(found, state)) == {"c"}


# Equal numbers --------------------------------------------------------------------------------------------------------


def chain(copies: bool) -> tuple[Any, dict[str, np.ndarray]]:
    """Return a model of two layers of equal numbers and a third one, and its checkpoint."""
    first, last = np.random.default_rng(0).normal(size=(6, 6)).astype(np.float32), np.ones((6, 3), np.float32)
    weights = {"a": first, "b": first.copy() if copies else first + 1, "c": last + np.arange(3, dtype=np.float32)}
    teacher = model("h = MatMul(x, a) r = Relu(h) k = MatMul(r, b) s = Relu(k) y = MatMul(s, c)",
                    "float[N,6] x", "float[N,3] y", **weights)  # fmt: skip
    return teacher, weights


def test_equal_numbers_are_one_parameter_unless_the_exporter_says_that_they_are_two() -> None:
    teacher, arrays = chain(copies=True)
    record = onnx_n2n.widen(teacher, 1.5).growth
    with pytest.raises(onnx_n2n.GrowthError, match="'a' and 'b' hold the same numbers, and would become different"):
        grow(record, arrays)
    with pytest.raises(onnx_n2n.GrowthError, match="'a' and 'b' share their memory"):
        grow(record, arrays | {"b": arrays["a"]})
    assert grow(record, arrays, untie=["b"]).untied == {"b": "a"}
    told = {name: tuple(replace(each, source="metadata") for each in found) for name, found in record.origins.items()}
    assert not grow(replace(record, origins=told), arrays).untied
    with pytest.raises(onnx_n2n.GrowthError, match="share their memory"):  # which is more than the exporter knows
        grow(replace(record, origins=told), arrays | {"b": arrays["a"]})
    different = chain(copies=False)[1]
    assert not grow(record, different).untied


def test_a_name_that_the_record_does_not_know_follows_what_it_is_equal_to() -> None:
    teacher, arrays = chain(copies=False)
    record = onnx_n2n.widen(teacher, 1.5).growth
    for twin in (arrays["a"], arrays["a"].copy()):
        found = grow(record, arrays | {"ema": twin})
        assert found.aliases == {"ema": "a"}
        assert np.array_equal(found.arrays["ema"], found.arrays["a"])
        assert "ema" in found.grown
        assert found.to_json()["aliases"] == {"ema": "a"}
    for other in (arrays["a"] * 2, np.zeros(6, np.float32), np.ones((6, 6), np.float32)):
        with pytest.raises(onnx_n2n.GrowthError, match="does not know 1 tensor of the checkpoint: ema"):
            grow(record, arrays | {"ema": other})


@STABLE
@given(st.data())
def test_equal_arrays_are_found_as_they_are(data: st.DataObject) -> None:
    """As a comparison of all numbers finds them, but for arrays of one number throughout, of few, or of whole ones."""
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    bases = [rng.normal(size=shape).astype(kind) for shape in ((4, 5), (20,), (3,), (500,)) for kind in ("f4", "f8")]
    bases += [np.zeros(20, np.float32), np.arange(20)]
    for size in (500,):  # differs in one place, which a sample may miss
        nearly = bases[6].copy()
        nearly[data.draw(st.integers(0, size - 1))] += 1
        bases.append(nearly)
    arrays = {f"{at}": base.copy() for at, base in enumerate(data.draw(st.lists(st.sampled_from(bases), max_size=12)))}
    plain = {name for name, array in arrays.items() if array.size >= 8 and np.ptp(array) and array.dtype.kind == "f"}
    wanted = {}
    for name in arrays:
        same = [other for other in arrays if {name, other} <= plain and arrays[name].dtype == arrays[other].dtype
                and np.array_equal(arrays[name], arrays[other])]  # fmt: skip
        wanted |= {name: same[0]} if same and same[0] != name else {}
    assert equal(arrays, arrays) == wanted
