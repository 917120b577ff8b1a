"""From a network's own code to a wider one and back: names, layouts, values, and the state of the optimizer.

A network is trained, exported with its norms kept or folded, widened, and its checkpoint grown by the record. It must
load strictly into its own class at the new width, compute the same, and take the same next step as the grown one.
"""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from safetensors.numpy import save_file

import onnx_n2n
from helpers.needing import needs
from onnx_n2n.checkpoint.files import grow_file
from onnx_n2n.checkpoint.growth import apply, grow
from onnx_n2n.checkpoint.optimizer import grow_state
from onnx_n2n.passes import Widen, parse
from onnx_n2n.record import record as records

torch = needs("torch")
needs("onnxscript")
nn, functional = torch.nn, torch.nn.functional


class Net(nn.Module):  # type: ignore[misc]
    """A network whose widths are arguments."""

    def __init__(self, channels: int = 12, hidden: int = 20) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(channels, hidden), nn.Linear(hidden, 10)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.conv2(x)).mean((2, 3))
        return self.fc2(torch.relu(self.fc1(x)))


class Rows(nn.Module):  # type: ignore[misc]
    """Layers whose weights exporters reorder: dense layers over sequences, and recurrent ones."""

    def __init__(self, hidden: int = 12, kind: str = "LSTM") -> None:
        super().__init__()
        self.into = nn.Linear(5, hidden)
        self.cell = getattr(nn, kind)(hidden, hidden, num_layers=2, bidirectional=True, batch_first=True)
        self.out = nn.Linear(2 * hidden, 3)

    def forward(self, x: Any) -> Any:
        return self.out(self.cell(torch.tanh(self.into(x)))[0])


OPTIMIZERS = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, 0.02, momentum=0.9),
    "Adam": lambda parameters: torch.optim.Adam(parameters, 1e-3, amsgrad=True),
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, 1e-3),
    # What epsilon adds to a small gradient is not in proportion to it.
    "RMSprop": lambda parameters: torch.optim.RMSprop(parameters, 1e-3, centered=True, momentum=0.5, eps=1e-16),
    "Adagrad": lambda parameters: torch.optim.Adagrad(parameters, 1e-2),
}


def batch(seed: int) -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(16, 3, 6, 6, generator=generator), torch.randint(0, 10, (16,), generator=generator)


def train(net: Any, optimizer: Any, steps: range) -> None:
    net.train()
    for step in steps:
        x, y = batch(step)
        optimizer.zero_grad()
        functional.cross_entropy(net(x), y).backward()
        optimizer.step()


def exported(net: Any, example: Any, *, dynamo: bool, folded: bool, tmp: Path) -> Path:
    path = tmp / "teacher.onnx"
    net.eval()
    if dynamo:
        program = torch.onnx.export(net, (example,), dynamo=True, optimize=folded, verbose=False)
        program.save(str(path))
    else:
        mode = torch.onnx.TrainingMode.EVAL if folded else torch.onnx.TrainingMode.PRESERVE
        buffer = io.BytesIO()
        torch.onnx.export(net, (example,), buffer, dynamo=False, training=mode, do_constant_folding=folded)
        path.write_bytes(buffer.getvalue())
    return path


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


@pytest.fixture
def net() -> Any:
    torch.manual_seed(0)
    found = Net()
    train(found, torch.optim.SGD(found.parameters(), 0.05), range(5))
    return found


def sizes(state: dict[str, Any]) -> dict[str, int]:
    return {"channels": state["conv1.weight"].shape[0], "hidden": state["fc1.weight"].shape[0]}


@functools.cache
def record_of(folder: Path, *, dynamo: bool, folded: bool, init: Any = "net2net") -> records.Record:
    """Export and widen the network once for each exporter: what it learns later does not matter to a record."""
    torch.manual_seed(0)
    place = folder / f"{dynamo}{folded}{init}"
    place.mkdir(exist_ok=True)
    path = exported(Net(), batch(0)[0], dynamo=dynamo, folded=folded, tmp=place)
    Widen(factor=1.5, init=init, noise=0)(path).growth.save(place / "growth.safetensors")
    return records.load(place / "growth.safetensors")


@pytest.mark.parametrize(("dynamo", "folded"), [(True, True), (True, False), (False, False)])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_goes_on_in_the_own_class(
    tmp_path: Path, shared: Path, net: Any, optimizer: str, dynamo: bool, folded: bool
) -> None:
    make = OPTIMIZERS[optimizer]
    running = make(net.named_parameters())
    train(net, running, range(5, 9))
    torch.save({"model": net.state_dict(), "optimizer": running.state_dict(), "epoch": 3}, tmp_path / "old.pt")
    record = record_of(shared, dynamo=dynamo, folded=folded)
    grow_file(record, tmp_path / "old.pt", tmp_path / "new.pt", optimizer=True)

    loaded = torch.load(tmp_path / "new.pt", weights_only=True)
    assert loaded["epoch"] == 3
    wider = Net(**sizes(loaded["model"]))
    assert sizes(loaded["model"])["channels"] > 12
    assert wider.load_state_dict(loaded["model"], strict=True)
    x, y = batch(99)
    wider.eval(), net.eval()
    assert torch.allclose(wider(x), net(x), atol=1e-5)

    following = make(wider.named_parameters())
    following.load_state_dict(loaded["optimizer"])
    for each, steps in ((net, running), (wider, following)):
        each.train()
        steps.zero_grad()
        functional.cross_entropy(each(x), y).backward()
    gradients = {name: p.grad.numpy() for name, p in net.named_parameters()}
    wanted = apply(record, gradients, lambda remade, array: remade.gradient(array)).arrays
    for name, parameter in wider.named_parameters():
        scale = np.abs(wanted[name]).max()
        assert np.abs(parameter.grad.numpy() - wanted[name]).max() < 1e-5 * scale + 1e-8, name
    for number, (name, parameter) in enumerate(wider.named_parameters()):
        for kind, value in running.state_dict()["state"][number].items():
            ours = following.state_dict()["state"][number][kind]
            assert ours.shape == (parameter.shape if value.ndim else ()), name


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_moments_are_those_of_the_gradients_that_the_wider_network_would_have_had(
    shared: Path, net: Any, optimizer: str
) -> None:
    """Let both gather moments, the wider one from the same start, and compare."""
    record = record_of(shared, dynamo=True, folded=False)
    start = grow(record, {name: tensor.numpy() for name, tensor in net.state_dict().items()}).arrays
    wider = Net(**sizes(start))
    wider.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in start.items()}, strict=True)
    states = []
    for each in (net, wider):
        steps = OPTIMIZERS[optimizer](each.named_parameters())
        steps.param_groups[0]["lr"] = 0.0  # stands still, and gathers
        train(each, steps, range(50, 54))
        names = [name for name, _ in each.named_parameters()]
        states.append({names[number]: moments for number, moments in steps.state_dict()["state"].items()})
    old = {name: {k: np.array(v) for k, v in moments.items() if v is not None} for name, moments in states[0].items()}
    kinds = {kind for moments in old.values() for kind, value in moments.items() if value.ndim}
    assert len(kinds) == {"SGD": 1, "Adam": 3, "AdamW": 2, "RMSprop": 3, "Adagrad": 1}[optimizer]
    for name, moments in grow_state(record, old).items():
        for kind in kinds:
            theirs = states[1][name][kind].numpy()
            least = 1e-7 if kind in {"exp_avg", "momentum_buffer", "grad_avg"} else 0.0  # of what cancels
            assert np.abs(moments[kind] - theirs).max() <= 1e-5 * np.abs(theirs).max() + least, (name, kind)


def test_fresh_channels_change_no_gradient_and_start_without_moments(shared: Path, net: Any) -> None:
    record = record_of(shared, dynamo=True, folded=False, init="zero")
    start = grow(record, {name: tensor.numpy() for name, tensor in net.state_dict().items()}).arrays
    wider = Net(**sizes(start))
    wider.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in start.items()}, strict=True)
    for each in (net, wider):
        each.zero_grad()
        functional.cross_entropy(each(batch(99)[0]), batch(99)[1]).backward()
    gradients = {name: p.grad.numpy() for name, p in net.named_parameters()}
    ones = {name: np.ones_like(array) for name, array in gradients.items()}
    mapped, known = (apply(record, each, lambda r, a: r.gradient(a)).arrays for each in (gradients, ones))
    assert any(np.any(mask == 0) for mask in known.values())
    for name, parameter in wider.named_parameters():
        difference = np.abs(parameter.grad.numpy() - mapped[name]) * known[name]
        assert difference.max() <= 1e-5 * np.abs(mapped[name]).max() + 1e-8, name
        assert np.count_nonzero(known[name]) == gradients[name].size, name


def test_places_without_a_gradient_start_with_second_moments_of_their_size(shared: Path, net: Any) -> None:
    """So that steps are no longer there than elsewhere, though the count of steps goes on, and not much shorter.

    What reads a fresh channel has gradients of the usual size; what makes one, scales of norms too, small ones.
    """
    record = record_of(shared, dynamo=True, folded=False, init="zero")
    rng = np.random.default_rng(0)
    shapes = {name: tuple(parameter.shape) for name, parameter in net.named_parameters()}
    state = {
        name: {"exp_avg": rng.normal(size=shape) + 5, "exp_avg_sq": rng.random(shape) + 1, "step": 1000}
        for name, shape in shapes.items()
    }
    ones = {name: np.ones(shape) for name, shape in shapes.items()}
    known = apply(record, ones, lambda remade, array: remade.gradient(array, 0.0)).arrays
    seen = set()
    for name, moments in grow_state(record, state).items():
        new = known[name] == 0
        assert moments["step"] == 1000
        assert np.all(moments["exp_avg"][new] == 0), name
        assert np.all(moments["exp_avg"][~new] != 0), name
        assert np.array_equal(np.sort(moments["exp_avg_sq"][~new]), np.sort(state[name]["exp_avg_sq"].ravel())), name
        made = np.zeros(new.shape, bool)
        if len(new) > shapes[name][0]:
            made[shapes[name][0] :] = True  # outgoing channels are the first axis of what PyTorch keeps
        for places, times in ((new & made, 0.01), (new & ~made, 1.0)):
            if places.any():
                seen.add(times)
                want = times * state[name]["exp_avg_sq"].mean()
                assert np.allclose(moments["exp_avg_sq"][places], want, rtol=1e-12), (name, times)
    assert seen == {0.01, 1.0}


@pytest.mark.parametrize(("kind", "dynamo"), [("LSTM", True), ("LSTM", False), ("GRU", False), ("RNN", False)])
def test_recurrent_layers_keep_their_gates(tmp_path: Path, kind: str, dynamo: bool) -> None:
    net = Rows(kind=kind)
    x = torch.randn(2, 7, 5)
    path = exported(net, x, dynamo=dynamo, folded=True, tmp=tmp_path)
    result = onnx_n2n.widen(path, 1.5, init="net2net", noise=0)
    arrays = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    found = grow(result.growth, arrays)
    assert set(found.grown) >= {"cell.weight_ih_l0", "cell.weight_hh_l1_reverse", "cell.bias_ih_l1", "into.weight"}
    wider = Rows(found.arrays["into.weight"].shape[0], kind)
    wider.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in found.arrays.items()})
    with torch.no_grad():
        assert torch.allclose(net(x), wider(x), atol=1e-5)


def test_the_record_fits_a_later_epoch_and_a_checkpoint_in_safetensors(tmp_path: Path, net: Any) -> None:
    from safetensors.torch import load_file
    from safetensors.torch import save_file as save_tensors

    path = exported(net, batch(0)[0], dynamo=True, folded=True, tmp=tmp_path)
    result = onnx_n2n.widen(path, 1.5)
    train(net, torch.optim.SGD(net.parameters(), 0.05), range(20, 25))
    save_tensors(net.state_dict(), tmp_path / "later.safetensors", {"epoch": "5"})
    grow_file(result.growth, tmp_path / "later.safetensors", tmp_path / "grown.safetensors")
    state = load_file(tmp_path / "grown.safetensors")
    wider = Net(**sizes(state))
    wider.load_state_dict(state, strict=True)
    wider.eval(), net.eval()
    x, _ = batch(3)
    assert torch.allclose(wider(x), net(x), atol=1e-5)


def test_growing_twice_gives_one_record(tmp_path: Path, net: Any) -> None:
    path = exported(net, batch(0)[0], dynamo=True, folded=False, tmp=tmp_path)
    first = onnx_n2n.widen(path, 1.5)
    second = onnx_n2n.widen(first.model, 1.3, init="zero", output=tmp_path / "second.onnx")
    record = first.growth.joined(second.growth)
    found = grow(record, {name: tensor.numpy() for name, tensor in net.state_dict().items()}).arrays
    wider = Net(found["conv1.weight"].shape[0], found["fc1.weight"].shape[0])
    wider.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in found.items()}, strict=True)
    x, _ = batch(3)
    wider.eval(), net.eval()
    assert torch.allclose(wider(x), net(x), atol=1e-5)
    with pytest.raises(onnx_n2n.ModelError, match="second record begins"):
        second.growth.joined(first.growth)


class Deeper(Net):
    """The network with a layer more behind each activation, called as new layers are."""

    def __init__(self, channels: int = 12, hidden: int = 20) -> None:
        super().__init__(channels, hidden)
        self.conv1_deeper = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1_deeper = nn.BatchNorm2d(channels)
        self.conv2_deeper = nn.Conv2d(channels, channels, 3, padding=1)
        self.fc1_deeper = nn.Linear(hidden, hidden)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn1_deeper(self.conv1_deeper(x)))
        x = torch.relu(self.conv2(x))
        x = torch.relu(self.conv2_deeper(x)).mean((2, 3))
        return self.fc2(torch.relu(self.fc1_deeper(torch.relu(self.fc1(x)))))


@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.parametrize("order", ["deepen", "widen,deepen", "deepen,widen"])
def test_new_layers_are_called_after_their_neighbours(tmp_path: Path, net: Any, order: str, dynamo: bool) -> None:
    path = exported(net, batch(0)[0], dynamo=dynamo, folded=False, tmp=tmp_path)
    result = parse(order)(path)
    arrays = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    found = grow(result.growth, arrays, student=onnx_n2n.load(result.model))
    assert len(found.added) == 10
    state = {name: torch.from_numpy(np.array(array)) for name, array in found.arrays.items()}
    deeper = Deeper(**sizes(state)).eval()
    deeper.load_state_dict(state, strict=True)
    net.eval()
    x, _ = batch(3)
    assert torch.allclose(deeper(x), net(x), atol=2e-5)
    named = {"conv2_deeper.weight": "again.weight"}
    weight = next(new.student for step in result.growth.steps for new in step.new if new.student.startswith("conv2"))
    again = grow(result.growth, arrays, given={weight: "again.weight"}, student=onnx_n2n.load(result.model))
    assert {named.get(name, name) for name in found.arrays} == set(again.arrays)


class Lists(nn.Module):
    """Layers in one list, and their norms in another one."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)])
        self.bns = nn.ModuleList([nn.BatchNorm2d(4), nn.BatchNorm2d(4)])
        self.head = nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        for conv, bn in zip(self.convs, self.bns, strict=True):
            x = torch.relu(bn(conv(x)))
        return self.head(x.mean((2, 3)))


def test_new_parameters_stand_where_a_network_with_them_has_them(tmp_path: Path) -> None:
    """Optimizers without names know parameters by their places."""
    net = Lists().eval()
    path = exported(net, torch.randn(2, 3, 6, 6), dynamo=True, folded=False, tmp=tmp_path)
    result = onnx_n2n.deepen(path)
    arrays = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    found = grow(result.growth, arrays, student=onnx_n2n.load(result.model))
    learned = dict.fromkeys(name.rpartition(".")[0] for name in found.arrays)
    pairs = [f"{kind}.{place}{mark}" for kind in ("convs", "bns") for place in (0, 1) for mark in ("", "_deeper")]
    assert list(learned) == [*pairs, "head"]


def test_what_does_not_fit_is_refused(tmp_path: Path, net: Any) -> None:
    path = exported(net, batch(0)[0], dynamo=True, folded=True, tmp=tmp_path)
    record = onnx_n2n.widen(path, 1.5).growth
    arrays = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    with pytest.raises(onnx_n2n.GrowthError, match="no parameter for 1 of the weights that grew"):
        grow(record, {name: array for name, array in arrays.items() if name != "conv2.weight"})
    with pytest.raises(onnx_n2n.GrowthError, match="does not know 1 tensor of the checkpoint: ema"):
        grow(record, {**arrays, "ema": np.ones(3)})
    assert "ema" in grow(record, {**arrays, "ema": np.ones(3)}, keep=["em*"]).kept
    with pytest.raises(onnx_n2n.GrowthError, match="does not have the shape"):
        grow(record, {**arrays, "conv2.weight": arrays["conv2.weight"][:4]})
    deeper = onnx_n2n.deepen(path, output=tmp_path / "deeper.onnx")
    with pytest.raises(onnx_n2n.GrowthError, match=r"a norm was folded into 'conv1.weight'"):
        grow(deeper.growth, arrays, student=onnx_n2n.load(deeper.model))
    save_file({"a": np.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(onnx_n2n.ModelError, match="no growth record"):
        records.load(tmp_path / "other.safetensors")


def test_the_record_makes_the_student_to_the_last_bit(tmp_path: Path) -> None:
    from onnx import numpy_helper

    for name in ("resnet", "unet", "mobile_se"):
        teacher = onnx.load(Path(__file__).parents[2] / "models" / f"{name}.onnx")
        result = Widen(factor=1.4, seed=3)(teacher)
        result.growth.save(tmp_path / "growth")
        record = records.load(tmp_path / "growth")
        student = {t.name: numpy_helper.to_array(t) for t in result.model.graph.initializer}
        for tensor in teacher.graph.initializer:
            for grown, line in record.lines(tensor.name):
                array = numpy_helper.to_array(tensor)
                for remade in line:
                    array = remade.recipe.make(array)
                assert np.array_equal(array, student[grown]), grown
