"""What a model card says of a model that has grown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnx_n2n.huggingface.folder import Folder
from onnx_n2n.huggingface.writing import value_at
from onnx_n2n.version import VERSION
from onnx_n2n.words import brief

CACHED = "models--"  # begins the name of a model's folder in the hub's cache, models--OWNER--NAME


def card(
    folder: Folder, fields: Mapping[str, Any], before: int, after: int, verified: str, record: str = "",
    barred: Sequence[object] = (),
) -> str:  # fmt: skip
    """Return a section of a model card, in Markdown and without its heading.

    Args:
        folder: The model before.
        fields: New values of fields of its config.
        before: How many parameters it had.
        after: How many it has.
        verified: How it is known that both compute the same, as a sentence.
        record: The name of the growth record beside the card; empty for none.
        barred: What keeps checkpoints from following, as sentences without their full stop.
    """
    rows = [f"| `{name}` | {_cell(value_at(folder.config, name))} | {_cell(value)} |" for name, value in fields.items()]
    grown = (
        f"onnx-n2n {VERSION} made this model out of `{name_of(folder.path)}`, with {before:,} -> {after:,} parameters."
    )
    parts = [f"{grown} It computes what that model computes, and has room to learn more: train it.", verified]
    if rows:
        parts.append("\n".join(["| config.json | before | now |", "|---|---|---|", *rows]))
    if record:
        can = ". By it alone no checkpoint can follow: " if barred else ", so that the state of an optimizer can follow"
        parts.append(f"`{record}` says what became of every weight{can}{'; '.join(map(str, barred))}.")
    return "\n\n".join(parts)


def name_of(path: Path) -> str:
    """Return how people call the model in a folder.

    >>> name_of(Path("models--Qwen--Qwen3-0.6B/snapshots/c1899de")), name_of(Path("work/mine"))
    ('Qwen/Qwen3-0.6B', 'mine')
    """
    path = path.absolute()
    cached = next((part for part in reversed(path.parts) if part.startswith(CACHED)), "")
    return cached.removeprefix(CACHED).replace("--", "/", 1) or path.name


def verification(run: Any, exact: Any, by_class: Any = None) -> str:
    """Return how it is known that a class with its new config computes the same as before.

    Args:
        run: What running both showed; None if they could not be run.
        exact: What the exact check says.
        by_class: What running both in PyTorch showed; None if that was not done.
    """
    ran = [each for each in (run, by_class) if each is not None]
    said = [f"error {each.error:.1e}, the teacher's {each.rounding}, on {each.provider}" for each in ran] or ["not run"]
    return f"Verified, by the class with its new config: {'; '.join(said)}; exact check: {exact.sentence}."


def _cell(value: Any) -> str:
    return "" if value is None else brief(json.dumps(value)).replace("|", "\\|")
