"""The experiments of benchmarks/net2net at their smallest: arms start where they should, and runs can be stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.needing import needs

torch = needs("torch")
needs("onnxscript")

UNTIMED = ("epochs", "steps", "probes", "growths")


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def command(experiment: str, data: str, out: Path, *more: str) -> list[str]:
    return [experiment, "--data", data, "--size", "smoke", "--seeds", "1", "--out", str(out), *more]


def tables_of(net2net: Any, folder: Path) -> dict[str, list[dict[str, str]]]:
    found = {name: net2net.tables.read(folder / f"{name}.csv") for name in UNTIMED}
    return {name: [row | {"seconds": ""} for row in rows] for name, rows in found.items()}


@pytest.mark.parametrize(("experiment", "data"), [("wider", "synthetic-images"), ("both", "synthetic-text")])
def test_arms_start_where_they_should_and_runs_can_be_stopped(
    net2net: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, experiment: str, data: str
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert net2net.run.main(command(experiment, data, whole)) == 0
    folder = whole / f"{experiment}-{data}-smoke"
    rows = tables_of(net2net, folder)["epochs"]

    losses = {(row["arm"], int(row["epoch"])): float(row["test_loss"]) for row in rows}
    learned = losses["teacher", 2]
    for arm in ("grown", "grown-moments", "continued"):
        assert abs(losses[arm, 0] - learned) < 1e-4, arm
    for arm in ("random-pad", "scratch", "distilled"):
        assert abs(losses[arm, 0] - learned) > 1e-3, arm
    assert losses["scratch", 0] == losses["distilled", 0]
    sizes = {row["arm"]: int(row["parameters"]) for row in rows}
    assert sizes["grown"] == sizes["random-pad"] == sizes["scratch"] > sizes["teacher"] == sizes["continued"]
    spent = {row["arm"]: int(row["multiply_adds"]) for row in rows}
    assert spent["continued"] < spent["grown"] == spent["scratch"] < spent["distilled"]
    growth = tables_of(net2net, folder)["growths"][0]
    assert float(growth["error"]) < 1e-5

    # The clock stops every run after each epoch; in the end there is what there would have been.
    monkeypatch.setattr("net2net.training.time.time", Clock().time)
    calls = 1
    while (code := net2net.run.main(command(experiment, data, parts, "--budget-minutes", "1"))) == net2net.run.STOPPED:
        calls += 1
        assert calls < 100
    assert code == 0
    assert calls > 20
    assert tables_of(net2net, parts / folder.name) == tables_of(net2net, folder)

    # A report needs the tables only.
    (tmp_path / "report").mkdir()
    alone = tmp_path / "report" / folder.name
    alone.mkdir()
    for path in folder.glob("*.csv"):
        (alone / path.name).write_bytes(path.read_bytes())
    assert net2net.report.main([str(alone), "--no-plots"]) == 0
    summary = json.loads((alone / "summary.json").read_text("utf-8"))
    assert {entry["arm"] for entry in summary["arms"]} == {row["arm"] for row in rows} - {"teacher"}
    assert next(entry for entry in summary["arms"] if entry["arm"] == "grown")["teacher"]["epochs"]["mean"] == 0
    assert not summary["unfinished"]
    assert "| grown |" in (alone / "summary.md").read_text("utf-8")
    needs("matplotlib")
    net2net.report.main([str(alone)])
    assert (alone / "scores.png").stat().st_size > 1000
    assert (alone / "first-steps.png").stat().st_size > 1000


class Clock:
    """A clock that goes on by 40 seconds whenever it is looked at, so that a minute lasts for one epoch."""

    def __init__(self) -> None:
        self.looks = 0

    def time(self) -> float:
        self.looks += 1
        return 40.0 * self.looks


@pytest.mark.parametrize(
    ("schedule", "falls"), [("cosine", (True, True)), ("constant", (False, False)), ("late", (False, True))]
)
def test_rates_fall_for_the_teacher_and_for_arms_as_the_schedule_says(
    net2net: Any, tmp_path: Path, schedule: str, falls: tuple[bool, bool]
) -> None:
    options = ["--schedule", schedule, "--arms", "continued", "--rates", "on"]
    assert net2net.run.main(command("wider", "synthetic-images", tmp_path, *options)) == 0
    rows = net2net.tables.read(tmp_path / f"wider-synthetic-images-smoke-{schedule}" / "steps.csv")
    for arm, fell in zip(("teacher", "continued"), falls, strict=True):
        rates = [float(row["learning_rate"]) for row in rows if row["arm"] == arm]
        assert (rates[-1] < 0.1 * max(rates)) == fell, arm


def test_teachers_of_several_budgets_have_folders_of_their_own(net2net: Any, tmp_path: Path) -> None:
    options = ["--arms", "continued", "--rates", "on", "--epochs", "1"]
    for more, name, epochs in (([], "", 2), (["--teacher-epochs", "3"], "-3-teacher-epochs", 3)):
        assert net2net.run.main(command("wider", "synthetic-images", tmp_path, *options, *more)) == 0
        rows = net2net.tables.read(tmp_path / f"wider-synthetic-images-smoke-1-epochs{name}" / "epochs.csv")
        last = {row["arm"]: row for row in rows}
        assert int(last["teacher"]["epoch"]) == epochs
        assert int(last["continued"]["epoch"]) == 1
        assert next(row for row in rows if row["arm"] == "continued")["test_loss"] == last["teacher"]["test_loss"]


def test_points_branch_off_a_run_that_goes_on_and_can_be_stopped(
    net2net: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--arms", "continued", "grown", "random-pad", "scratch"]
    assert net2net.run.main(command("capacity-10", "synthetic-text", tmp_path / "whole", *options)) == 0
    folder = tmp_path / "whole" / "capacity-10-synthetic-text-smoke"
    found = tables_of(net2net, folder)
    last = {row["epoch"]: row for row in found["epochs"] if row["arm"] == "teacher"}["2"]
    starts = {row["arm"]: float(row["validation_loss"]) for row in reversed(found["steps"]) if row["since"] == "0"}
    for arm, same in (("grown", True), ("continued", True), ("random-pad", False), ("scratch", False)):
        assert (abs(starts[arm] - float(last["validation_loss"])) < 1e-4) == same, arm
    for arm, rate in (("grown", "on"), ("grown", "half"), ("continued", "on"), ("scratch", "double")):
        points = [row for row in found["epochs"] if (row["arm"], row["rate"]) == (arm, rate)]
        assert [row["step"] for row in points] == ["0", "5", "10"]
        spent = [float(row["multiply_adds"]) for row in points]
        assert spent == pytest.approx([0, spent[1], 2 * spent[1]])
        rates = [float(row["learning_rate"]) for row in found["steps"] if (row["arm"], row["rate"]) == (arm, rate)]
        assert rates[:4] + rates[5:9] == sorted(rates[:4] + rates[5:9])  # the run, which no branch slows down
        assert rates[4] == max(rates)  # a branch begins at the whole rate
        assert rates[-1] == max(rates) / 2  # and ends with its last step

    monkeypatch.setattr("net2net.training.time.time", Clock().time)
    stopped = command("capacity-10", "synthetic-text", tmp_path / "parts", *options, "--budget-minutes", "1")
    while (code := net2net.run.main(stopped)) == net2net.run.STOPPED:
        pass
    assert code == 0
    assert tables_of(net2net, tmp_path / "parts" / folder.name) == found

    monkeypatch.setattr("sys.argv", ["capacity", str(folder), "--no-plots"])
    net2net.capacity.main()
    assert "| grown | 0 of 1 |" in (folder / "capacity.md").read_text("utf-8")


def test_variants_of_new_places_start_where_the_teacher_is(net2net: Any, tmp_path: Path) -> None:
    assert net2net.run.main(command("exchange", "synthetic-text", tmp_path)) == 0
    found = tables_of(net2net, tmp_path / "exchange-synthetic-text-smoke")
    learned = next(float(row["test_loss"]) for row in reversed(found["epochs"]) if row["arm"] == "teacher")
    starts = {row["arm"]: float(row["test_loss"]) for row in found["epochs"] if row["epoch"] == "0"}
    ends = {row["arm"]: row["test_loss"] for row in found["epochs"] if row["rate"] in {"on", "full"}}
    exact = {"grown", "drawn", "paired", "copies", "new-0.3", "new-3", "new-10", "by-width", "no-state"}
    assert {arm for arm in starts if abs(starts[arm] - learned) < 1e-4} == exact
    assert starts.keys() - exact == {"teacher", "stacked", "random-pad"}
    assert len(set(ends.values())) == len(ends)


def test_channels_that_are_drawn_start_where_the_teacher_is(net2net: Any, tmp_path: Path) -> None:
    arms = "grown", "drawn", "random-pad"
    assert net2net.run.main(command("capacity-images", "synthetic-images", tmp_path, "--arms", *arms)) == 0
    found = tables_of(net2net, tmp_path / "capacity-images-synthetic-images-smoke")["epochs"]
    learned = next(float(row["test_loss"]) for row in reversed(found) if row["arm"] == "teacher")
    starts = {row["arm"]: float(row["test_loss"]) for row in found if row["epoch"] == "0" and row["rate"] != "half"}
    assert {arm for arm in arms if abs(starts[arm] - learned) < 1e-4} == {"grown", "drawn"}
    ends = {row["arm"]: row["test_loss"] for row in found if row["rate"] == "on"}
    assert ends["grown"] != ends["drawn"]


def test_places_go_as_many_times_as_far(net2net: Any, tmp_path: Path) -> None:
    assert net2net.run.main(command("exchange", "synthetic-text", tmp_path, "--arms", "grown")) == 0
    arms = {arm.name: arm for arm in net2net.experiments.EXCHANGE}
    base = net2net.jobs.Job(
        "exchange", "synthetic-text", None, "smoke", arms["grown"], net2net.experiments.RATES["on"], 0, tmp_path,
        "constant",
    )  # fmt: skip

    def moved(name: str) -> tuple[dict[str, Any], Any]:
        run = net2net.training.Points(replace(base, arm=arms[name]))
        state = run._started()
        before = {name: each.detach().clone() for name, each in state.net.named_parameters()}
        (batch,) = run.data.epoch(8, 1, 0, 0)
        run._step(state, batch)
        return {name: each.detach() - before[name] for name, each in state.net.named_parameters()}, run.speed

    (usual, same), (fast, new), (slow, width) = moved("grown"), moved("new-3"), moved("by-width")
    assert all(bool((each == 1).all()) for each in same.values())
    assert {float(each) for speed in new.values() for each in speed.unique()} == {1.0, 3.0}
    assert {len(speed.unique()) for speed in new.values()} == {1, 2}  # a new layer, and one that is so in parts
    said = {name: float(speed.unique()) for name, speed in width.items()}
    lengths = {"out.weight": 2 / 8, "down.weight": 8 / 80}  # of heads, and of channels of feed-forward layers
    assert said == pytest.approx({name: lengths.get(name.split(".", 2)[-1], 1.0) for name in usual})
    for name, each in usual.items():
        for moves, speed in ((fast, new), (slow, width)):
            assert torch.allclose(moves[name], each * speed[name], atol=1e-6), name
    assert any(bool((usual[name] * (speed > 1)).any()) for name, speed in new.items())


def test_all_arms_spend_the_same_with_what_their_teachers_have(
    net2net: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = command("progressive", "synthetic-text", tmp_path, "--rates", "full")
    with pytest.raises(SystemExit):  # arms say how long their teachers train
        net2net.run.main([*options, "--teacher-epochs", "3"])
    assert net2net.run.main([*options, "--arms", "thin", "times-4"]) == 0
    folder = tmp_path / "progressive-synthetic-text-smoke"
    assert {row["arm"] for row in net2net.tables.read(folder / "epochs.csv")} == {"thin", "times-4"}  # no teacher
    monkeypatch.setattr("sys.argv", ["progressive", str(folder), "--no-plots"])
    net2net.progressive.main()
    said = (folder / "progressive.md").read_text("utf-8").splitlines()
    assert said.count("| grown-early |  |  |  |  |  |") == said.count("| best fixed size |  |  |  |  |  |") == 3

    assert net2net.run.main(options) == 0
    rows = net2net.tables.read(folder / "epochs.csv")
    last = {row["arm"]: row for row in rows}
    assert (last["teacher-5"]["epoch"], last["teacher-20"]["epoch"]) == ("5", "20")
    starts = {row["arm"]: float(row["test_loss"]) for row in rows if row["epoch"] == "0"}
    for arm, teacher in (("grown-early", "teacher-5"), ("grown-late", "teacher-20")):
        assert abs(starts[arm] - float(last[teacher]["test_loss"])) < 1e-4, arm
    budgets = net2net.progressive.read(folder)
    assert tuple(budgets) == net2net.experiments.PLANS["capacity", "smoke"].spend
    arms = [arm.name for arm in net2net.experiments.PROGRESSIVE]
    step = {arm: int(last[arm]["multiply_adds"]) / int(last[arm]["step"]) for arm in arms}
    for number, (budget, points) in enumerate(budgets.items()):
        # The late arm goes without the first: its teacher has spent more than nine tenths of that.
        assert points.keys() - {"best fixed size"} == set(arms if number else arms[:-1])
        for arm in points.keys() & step:
            assert 0 <= budget - points[arm][0].spent < step[arm], arm

    needs("matplotlib")
    monkeypatch.setattr("sys.argv", ["progressive", str(folder)])
    net2net.progressive.main()
    assert (folder / "progressive.png").stat().st_size > 1000


def test_a_second_growth_carries_moments(net2net: Any, tmp_path: Path) -> None:
    options = ["--arms", "moments-grown", "moments-reset"]
    assert net2net.run.main(command("moments", "synthetic-text", tmp_path, *options)) == 0
    found = tables_of(net2net, tmp_path / "moments-synthetic-text-smoke")
    sizes = [int(row["parameters"]) for row in found["epochs"] if (row["arm"], row["rate"]) == ("moments-grown", "on")]
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]
    assert [row["step"] for row in found["growths"] if row["arm"] == "moments-grown"] == ["0", "6", "0", "6"]
    # Right after the second growth the loss is what it was.
    steps = [row for row in found["steps"] if (row["arm"], row["rate"]) == ("moments-grown", "on")]
    evaluated = {
        int(row["epoch"]): row for row in found["epochs"] if (row["arm"], row["rate"]) == ("moments-grown", "on")
    }
    after = next(row for row in steps if row["since"] == "0" and row["step"] == "6")
    assert abs(float(after["validation_loss"]) - float(evaluated[1]["validation_loss"])) < 1e-4


def test_a_classifier_gains_the_classes_that_its_teacher_did_not_see(net2net: Any, tmp_path: Path) -> None:
    assert net2net.run.main(command("classes", "synthetic-images", tmp_path)) == 0
    found = tables_of(net2net, tmp_path / "classes-synthetic-images-smoke")
    known = {(row["arm"], row["epoch"]): float(row["test_accuracy"]) for row in found["epochs"]}
    for arm in ("grown", "gained"):
        assert known[arm, "0"] == known["teacher", "2"] <= 0.6, arm  # of a half of the classes
    sizes = {row["arm"]: int(row["parameters"]) for row in found["epochs"]}
    assert sizes["teacher"] < sizes["gained"] < sizes["grown"]
    assert {row["passes"].split("{")[0] for row in found["growths"]} == {"outputs"}


def test_tables_keep_what_other_calls_have_found(net2net: Any, tmp_path: Path) -> None:
    options = ["--arms", "continued", "--rates", "tenth"]
    for seed, place in (("0", "first"), ("1", "second")):
        out = tmp_path / place
        assert net2net.run.main(command("wider", "synthetic-images", out, "--first-seed", seed, *options)) == 0
        rows = net2net.tables.read(out / "wider-synthetic-images-smoke" / "epochs.csv")
        assert [row["seed"] for row in rows] == [str(n) for n in range(int(seed) + 1) for _ in range(6)]
        (tmp_path / "second" / "wider-synthetic-images-smoke").mkdir(parents=True, exist_ok=True)
        net2net.tables.write(
            tmp_path / "second" / "wider-synthetic-images-smoke" / "epochs.csv", net2net.tables.EPOCHS, rows
        )


def test_padding_keeps_the_teachers_weights_and_nothing_of_copies(net2net: Any, tmp_path: Path) -> None:
    data = net2net.data.load("synthetic-images", None, 0)
    plan = net2net.experiments.PLANS["images", "smoke"]
    teacher, student = (net2net.grow.fitted(plan.nets[name], data) for name in ("cut", "both"))
    torch.manual_seed(0)
    net, fresh = teacher.build(), student.build()
    before = {name: tensor.clone() for name, tensor in fresh.state_dict().items()}
    grown = net2net.grow.grow_model(tmp_path, net, teacher, student, net2net.experiments.Init(), data, 0)
    state = net2net.grow.padded(grown, net.state_dict(), fresh.state_dict())
    fresh.load_state_dict(state, strict=True)
    known = np.sort(net.state_dict()["modules_.0.square.weight"].numpy().ravel())
    kept = np.isin(state["modules_.0.square.weight"].numpy(), known)
    assert kept.sum() == known.size < kept.size
    new = "modules_.1.high_deeper.weight"
    assert torch.equal(state[new], before[new])


def test_rank_and_clones_see_copies(net2net: Any) -> None:
    probes = net2net.probes
    columns = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
    twice = torch.cat([columns, columns], dim=1)
    assert probes.near_clones(columns) == 0
    assert probes.near_clones(twice) == 16
    assert probes.effective_rank(columns) > 0.95
    assert probes.effective_rank(twice) < 0.55


def test_batches_are_the_same_for_all_arms_and_others_in_every_epoch(net2net: Any) -> None:
    for name in ("synthetic-images", "synthetic-text"):
        data = net2net.data.load(name, None, 16)
        first, again, later = (next(data.epoch(8, 2, 3, number)) for number in (0, 0, 1))
        assert torch.equal(first[0], again[0])
        assert not torch.equal(first[0], later[0])


def test_files_of_the_usual_distributions_are_read(net2net: Any, tmp_path: Path) -> None:
    import gzip
    import pickle

    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (20, 3072), np.uint8), rng.integers(0, 10, 20)
    cifar = tmp_path / "cifar-10-batches-py"
    cifar.mkdir()
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        (cifar / name).write_bytes(pickle.dumps({b"data": images, b"labels": labels.tolist()}))
    data = net2net.data.load("cifar10", tmp_path, 0)
    assert (len(data.train), len(data.validation), len(data.test)) == (90, 10, 20)
    assert np.array_equal(data.test.inputs[3].numpy().ravel(), images[3])

    grey = rng.integers(0, 256, (20, 28, 28), np.uint8)
    for part in ("train", "t10k"):
        head = b"\0\0\x08\x03" + np.array([20, 28, 28], ">i4").tobytes()
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + grey.tobytes()))
        head = b"\0\0\x08\x01" + np.array([20], ">i4").tobytes()
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(head + labels.astype(np.uint8).tobytes()))
    data = net2net.data.load("fashion-mnist", tmp_path, 0)
    assert np.array_equal(data.test.inputs[:, 0].numpy(), grey)
    assert data.only(5).train.targets.max() < 5
