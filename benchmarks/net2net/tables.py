"""Rows in CSV files: each run has its own while it goes on, and an experiment's are these one after the other."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
RUN = ("data", "size", "experiment", "seed", "arm", "rate")  # what tells one run from another
EPOCHS = (
    *RUN, "epoch", "step", "multiply_adds", "train_loss", "validation_loss", "validation_accuracy", "test_loss",
    "test_accuracy", "parameters", "seconds",
)  # fmt: skip
STEPS = (*RUN, "step", "since", "learning_rate", "train_loss", "validation_loss")
PROBES = (
    *RUN, "step", "validation_loss", "activation_rank", "weight_rank", "near_clones", "channels", "incoming_clones",
    "outgoing_clones", "twins",
)  # fmt: skip
GROWTHS = (
    *RUN, "step", "passes", "error", "noise", "teacher_parameters", "student_parameters", "teacher_multiply_adds",
    "student_multiply_adds",
)  # fmt: skip
MACHINES = ("date", "experiment", "data", "size", "device", "jobs", "threads", "python", "torch", "onnx_n2n")
TABLES: Mapping[str, Sequence[str]] = {"epochs": EPOCHS, "steps": STEPS, "probes": PROBES, "growths": GROWTHS}


def write(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a table, all or nothing."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, restval="", extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows({name: _text(value) for name, value in row.items()} for row in rows)
    draft.replace(path)


def append(path: Path, columns: Sequence[str], row: Row) -> None:
    """Add one row."""
    write(path, columns, [*read(path), row])


def read(path: Path) -> list[dict[str, str]]:
    """Read a table; one that is not there has no rows."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _text(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value


def chosen(epochs: Iterable[Row]) -> dict[str, str]:
    """Return for each arm the learning rate whose run with the first seed ends best on the validation split.

    Accuracies decide, and losses where these are equal; for a language model it is losses only.
    """
    last: dict[tuple[str, str], Row] = {}
    rows = [row for row in epochs if row["arm"] != "teacher"]
    first = min((int(row["seed"]) for row in rows), default=0)
    for row in rows:
        if int(row["seed"]) == first:
            last[row["arm"], row["rate"]] = row
    found: dict[str, str] = {}
    for arm, rate in last:
        if arm not in found or score(last[arm, rate]) > score(last[arm, found[arm]]):
            found[arm] = rate
    return found


def score(row: Row, part: str = "validation") -> tuple[float, float]:
    """Return what is the better the higher it is."""
    accuracy = 0.0 if language(row) else float(row[f"{part}_accuracy"])
    return accuracy, -float(row[f"{part}_loss"])


def language(row: Row) -> bool:
    """Whether a row is of a language model, where the loss counts."""
    return row["data"] in {"shakespeare", "synthetic-text"}
