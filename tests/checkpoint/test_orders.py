"""Which parameter each number of an optimizer is: what is certain grows as if it had names, the rest is refused."""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.needing import needs
from helpers.small_net import (
    MATRICES,
    NAMES,
    OPTIMIZERS,
    RECORD,
    SPLIT,
    VECTORS,
    net,
    optimizer_of,
    same,
    through,
    without_names,
)
from onnx_n2n.checkpoint.optimizer import grow_state
from onnx_n2n.checkpoint.optimizer_order import certain
from onnx_n2n.errors import GrowthError, OptionError

torch = needs("torch")


def flat(groups: list[list[str]]) -> list[str]:
    return [name for group in groups for name in group]


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


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
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
    assert not said or ("no names in its groups" in said and "`optimizer_order=" in said)


def test_groups_by_layer_in_another_order_are_refused_with_what_to_do(tmp_path: Path) -> None:
    model = net()
    groups = [[f"{layer}.weight", f"{layer}.bias"] for layer in ("i", "h1", "h0", "o")]
    document = {"model": model.state_dict(), "optimizer": optimizer_of(model, groups, named=False)}
    with pytest.raises(GrowthError, match=r"'h0.weight' or 'h1.weight', which do not grow alike.*`optimizer_order="):
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
        (flat(groups)[1:], "7 names for 8 parameters"),
        (["x.weight", *flat(groups)[1:]], "moments for 'x.weight', and the network has no"),
        (["h1.bias", *flat(groups)[1:]], "are called 'h1.bias'"),
        (flat(groups)[::-1], "moments of another shape"),
    ):
        (tmp_path / "order").write_text("\n".join(lines))
        with pytest.raises(GrowthError, match=reason):
            through(tmp_path, document, optimizer=True, orders=[tmp_path / "order"])
    with pytest.raises(OptionError, match="`optimizer_order=` gives 1 file for 0 optimizers without names"):
        through(tmp_path, named, optimizer=True, orders=[tmp_path / "order"])
    with pytest.raises(OptionError, match="Pass `optimizer=True` too"):
        through(tmp_path, model.state_dict(), orders=[tmp_path / "order"])


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
