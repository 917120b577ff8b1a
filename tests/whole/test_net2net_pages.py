"""What pages of benchmarks/net2net say of tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.needing import needs

needs("torch")
needs("onnxscript")


def test_goals_are_those_of_scratch_wherever_that_has_run(net2net: Any, tmp_path: Path) -> None:
    def written(name: str, **accuracies: list[float]) -> str:
        rows = [
            {"data": "cifar10", "experiment": "wider", "seed": 0, "arm": arm, "rate": "full", "epoch": epoch,
             "multiply_adds": 10.0 * epoch, "train_loss": 1, "validation_loss": 1, "validation_accuracy": accuracy,
             "test_accuracy": accuracy, "parameters": 5}
            for arm, each in accuracies.items() for epoch, accuracy in enumerate(each)
        ]  # fmt: skip
        (tmp_path / name).mkdir()
        net2net.tables.write(tmp_path / name / "epochs.csv", net2net.tables.EPOCHS, rows)
        return str(tmp_path / name)

    short = written("short", teacher=[0.1, 0.6], grown=[0.6, 0.75, 0.8], scratch=[0.1, 0.5, 0.7])
    long = written("long", scratch=[0.1, 0.5, 0.7, 0.75, 0.78, 0.8, 0.802])
    for more, epochs, ratio in (([], 1, 2 / 1), (["--scratch", long], 2, 5 / 2)):
        net2net.report.main([short, "--no-plots", *more])
        summary = json.loads((tmp_path / "short" / "summary.json").read_text("utf-8"))
        grown = next(entry for entry in summary["arms"] if entry["arm"] == "grown")["near_scratch_best"]
        assert grown["epochs"]["mean"] == epochs
        assert grown["of_scratch"]["epochs"] == grown["of_scratch"]["multiply_adds"] == ratio


def test_what_a_goal_costs_lies_between_points(net2net: Any) -> None:
    capacity = net2net.capacity
    points = [(100.0, 2.0), (200.0, 1.9), (400.0, 1.95), (800.0, 1.7)]
    assert capacity.until(points, 2.1) == capacity.Cost(0.0, 100.0, 100.0)
    assert capacity.until(points, 1.6) is None
    found = capacity.until(points, 1.8)
    assert (found.low, found.high) == (200.0, 800.0)  # a point that is worse than one before it says nothing
    assert found.likely == pytest.approx(400.0)
    arms = {"grown": {"on": points}, "scratch": {"half": [(900.0, 1.75)], "full": [(500.0, 1.9), (1000.0, 1.7)]},
            "continued": {"on": [(400.0, 1.9), (900.0, 1.5)]}}  # fmt: skip
    seed = capacity.Seed(teacher=50.0, arms=arms)
    assert seed.reach == 1.9  # what it reaches with more than the grown arm takes at most is not within its reach
    assert seed.cost("scratch", 1.8).likely == pytest.approx(500 * 2**0.5)
    assert list(capacity.compared({0: seed}, ["grown", "continued"], 0.1))[2:] == [
        "| grown | 1 of 1 | 1.77 (1.77 to 1.77) | 0.6 to 5.0 | 1.57 (1.57 to 1.57) |",
        "| continued | 1 of 1 | 1.44 (1.44 to 1.44) | 0.6 to 2.5 | 1.31 (1.31 to 1.31) |",
    ]


def test_of_images_errors_count(net2net: Any, tmp_path: Path) -> None:
    rows = [
        {"data": "cifar10", "experiment": "capacity-images", "seed": 2, "arm": arm, "rate": "on", "epoch": 1,
         "multiply_adds": spent, "step": spent, "test_loss": 9.0, "test_accuracy": accuracy}
        for arm, spent, accuracy in [
            ("teacher", 70, 0.5), ("continued", 80, 0.6), ("grown", 100, 0.65), ("scratch", 100, 0.6),
            ("scratch", 400, 0.63),
        ]
    ]  # fmt: skip
    net2net.tables.write(tmp_path / "epochs.csv", net2net.tables.EPOCHS, rows)
    sizes = {"teacher_multiply_adds": 10, "student_multiply_adds": 80, "passes": "widen"}
    net2net.tables.write(tmp_path / "growths.csv", net2net.tables.GROWTHS, [rows[2] | sizes])
    seeds = net2net.capacity.read(tmp_path)
    assert seeds[2].reach == pytest.approx(0.4)
    said = net2net.capacity.page(tmp_path, seeds)
    assert "## 0.01 of accuracy beyond the teacher's reach" in said
    assert "| grown | 1 of 1 | 1.59 (1.59 to 1.59) |" in said  # a third of the way from 100 to 400, in logarithms
    assert "| 2 | grown | on | 0: 0.3500 |" in said


def test_what_a_step_of_the_teacher_is_worth(net2net: Any) -> None:
    grown = {"on": [(50.0, 1.8), (80.0, 1.5)], "half": [(50.0, 1.9), (80.0, 1.55)]}
    arms = {"grown": grown, "scratch": {"full": [(100.0, 2.0), (400.0, 1.6)]}}
    _, _, row = net2net.capacity.worth({3: net2net.capacity.Seed(1000.0, arms)}, "test loss")
    assert row == "| 3 | 50 | 1.8000 | 200 | 0.150 |"  # 150 large steps are saved by 1,000 of the teacher


def test_variants_are_compared_with_the_usual_growth(net2net: Any) -> None:
    usual = {50: {0: 1.8, 1: 1.7}, 80: {0: 1.5}}
    losses = {("grown", "on"): usual, ("paired", "on"): {50: {0: 1.9, 1: 1.9}}, ("drawn", "on"): {50: {1: 1.6}}}
    said = net2net.exchange.page(losses).splitlines()
    assert said[-3:] == [
        "| grown | on | 1.8000, 1.7000 | 1.5000 |",
        "| paired | on | 1.9000, 1.9000 (+0.1500) |  |",  # has not come as far
        "| drawn | on | 1.6000 (-0.1000) |  |",
    ]
    assert net2net.exchange.page({}).startswith("# exchange")


def test_progressive_training_is_compared_at_the_best_rates_and_with_the_best_size(
    net2net: Any, tmp_path: Path
) -> None:
    def row(seed: int, arm: str, rate: str, epoch: int, spent: float, validation: float, test: float) -> dict[str, Any]:
        return {"data": "shakespeare", "size": "cpu", "experiment": "progressive", "seed": seed, "arm": arm,
                "rate": rate, "epoch": epoch, "step": epoch, "multiply_adds": round(spent),
                "validation_loss": validation, "test_loss": test}  # fmt: skip

    def page(*rows: dict[str, Any]) -> list[str]:
        net2net.tables.write(tmp_path / "epochs.csv", net2net.tables.EPOCHS, rows)
        said: list[str] = net2net.progressive.page(net2net.progressive.read(tmp_path)).splitlines()
        return said

    rows = [
        row(0, "teacher-5", "full", 4, 4e10, 2.1, 2.1), row(0, "teacher-5", "full", 5, 5e10, 2.0, 2.0),
        row(1, "teacher-5", "full", 5, 5e10, 2.0, 2.0),
        row(0, "thin", "full", 0, 0, 3.0, 3.0), row(0, "thin", "full", 1, 0.99e11, 1.9, 1.95),
        row(0, "times-4", "half", 1, 1e11, 1.7, 1.8), row(0, "times-4", "full", 1, 1e11, 1.8, 1.7),
        row(0, "times-10", "full", 1, 1e11, 1.9, 2.0), row(1, "times-10", "full", 1, 1e11, 1.9, 1.9),
        row(0, "grown-early", "on", 0, 0, 2.0, 2.0), row(0, "grown-early", "on", 1, 4.9e10, 1.8, 1.9),
        row(1, "grown-early", "on", 1, 4.9e10, 1.8, 1.7),
        row(0, "grown-early", "on", 2, 1.5e11, 1.7, 1.6),
    ]  # fmt: skip
    said = page(*rows)
    assert [line for line in said if line.startswith("## ")] == ["## 1e+11 multiply-adds", "## 2e+11 multiply-adds"]
    first, second = (said[at + 4 : at + 10] for at, line in enumerate(said) if line.startswith("## "))
    assert first == [
        "| thin | 0 | full | 1.9500 | -0.0500 | +0.1500 |",
        "| times-4 | 0 | half | 1.8000 | -0.2000 | +0.0000 |",  # validation, not the test data, chooses a rate
        "| times-10 | 0, 1 | full, full | 1.9500 (1.9000 to 2.0000) | +0.0000 (+0.0000 to +0.0000) | +0.2000 |",
        "| grown-early | 0, 1 | on, on | 1.8000 (1.7000 to 1.9000) | -0.1500 (-0.2000 to -0.1000) | +0.1000 |",
        "| grown-late |  |  |  |  |  |",
        "| best fixed size | 0 | times-4 | 1.8000 | -0.2000 | +0.0000 |",
    ]
    assert second[3:] == [
        "| grown-early | 0 | on | 1.6000 |  |  |",
        "| grown-late |  |  |  |  |  |",
        "| best fixed size |  |  |  |  |  |",
    ]
    assert page() == page(rows[0])  # as soon as a teacher has begun
