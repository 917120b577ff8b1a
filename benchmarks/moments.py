"""Moments of an optimizer whose groups have names or none, in many groupings: as with names in plain order, or refused?

    python benchmarks/moments.py [--out benchmarks/results/moments-DATE.md]

Three networks are trained by five optimizers in several groupings, exported, widened, and their checkpoints grown. The
truth is the growth of the same moments in one group with names. `certain` are the groupings that have to work without
names; of the others each is the same as the truth, or refused.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import logging
import platform
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

import onnx_n2n
from onnx_n2n.checkpoint.files import grow_file
from onnx_n2n.errors import GrowthError
from onnx_n2n.passes import Widen
from onnx_n2n.verification.options import Proof


class Convolutions(nn.Module):
    """Convolutions with norms, and two dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv3, self.bn3 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.fc1, self.fc2 = nn.Linear(8, 12), nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return five numbers for each row."""
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        x = torch.relu(self.bn3(self.conv3(x))).mean((2, 3))
        return self.fc2(torch.relu(self.fc1(x)))


class Dense(nn.Module):
    """Equal layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 5)
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return five numbers for each row."""
        x = torch.relu(self.first(x))
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.last(x)


class Block(nn.Module):
    """A layer of a transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(8), nn.LayerNorm(8)
        self.q, self.k, self.v, self.out = (nn.Linear(8, 8) for _ in range(4))
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return five numbers for each row."""
        h = self.norm1(x)
        q, k, v = (each(h).reshape(*h.shape[:2], 2, 4).transpose(1, 2) for each in (self.q, self.k, self.v))
        h = torch.softmax(q @ k.transpose(2, 3) / 2, -1) @ v
        x = x + self.out(h.transpose(1, 2).reshape(*x.shape[:2], 8))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    """Two layers of a transformer, with an embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.blocks = nn.Sequential(Block(), Block())
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return five numbers for each row."""
        return self.head(self.norm(self.blocks(self.embed(x))).mean(1))


NETWORKS = {
    "convolutions": (Convolutions, lambda: torch.randn(4, 3, 6, 6)),
    "equal layers": (Dense, lambda: torch.randn(4, 6)),
    "transformer": (Transformer, lambda: torch.randint(0, 11, (4, 5))),
}
OPTIMIZERS = {
    "SGD": lambda groups: torch.optim.SGD(groups, 0.02, momentum=0.9),
    "Adam": lambda groups: torch.optim.Adam(groups, 1e-3),
    "AdamW": lambda groups: torch.optim.AdamW(groups, 1e-3),
    "RMSprop": lambda groups: torch.optim.RMSprop(groups, 1e-3, centered=True, momentum=0.5),
    "Adagrad": lambda groups: torch.optim.Adagrad(groups, 1e-2),
}
Groups = list[list[str]]


def groupings(net: nn.Module) -> dict[str, tuple[Groups, bool]]:
    """Return the names in groups, and whether it is certain without names which is which."""
    shapes = {name: parameter.ndim for name, parameter in net.named_parameters()}
    names, draw = list(shapes), random.Random(0)
    modules: dict[str, list[str]] = {}
    for name in names:
        modules.setdefault(name.rpartition(".")[0], []).append(name)
    layers = list(modules.values())
    shuffled, half = draw.sample(layers, len(layers)), len(layers) // 2
    plain = [name for name in names if name.endswith("bias") or shapes[name] < 2]
    mixed = draw.sample(names, len(names))
    return {
        "one group": ([names], True),
        "decay by axes": ([[n for n in names if shapes[n] > 1], [n for n in names if shapes[n] < 2]], True),
        "no decay first": ([plain, [name for name in names if name not in plain]], True),
        "a group for each layer": (layers, False),
        "the same, shuffled": (shuffled, False),
        "backbone and head": ([sum(layers[:half], []), sum(layers[half:], [])], False),  # noqa: RUF017
        "three groups of all, shuffled": ([mixed[0::3], mixed[1::3], mixed[2::3]], False),
    }


def trained(net: nn.Module, optimizer: Any, example: Any) -> dict[str, Any]:
    """Train for three steps and return the optimizer's state."""
    torch.manual_seed(3)
    for _ in range(3):
        optimizer.zero_grad()
        functional.cross_entropy(net(example()), torch.randint(0, 5, (4,))).backward()
        optimizer.step()
    state: dict[str, Any] = optimizer.state_dict()
    return state


def by_name(state: dict[str, Any], groups: Groups) -> dict[str, Any]:
    """Return the moments by name."""
    names = [name for group in groups for name in group]
    return {names[number]: kept for number, kept in state["state"].items()}


def equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Say whether all moments are the same."""
    return one.keys() == other.keys() and all(
        torch.equal(torch.as_tensor(kept), torch.as_tensor(other[name][kind]))
        for name, kinds in one.items()
        for kind, kept in kinds.items()
        if kept is not None
    )


def measure(folder: Path, title: str, init: Any) -> list[tuple[str, bool, bool, str]]:
    """Grow all states for a network, and return grouping, certain, named, outcome."""
    made, example = NETWORKS[title]
    torch.manual_seed(0)
    program = torch.onnx.export(made().train(), (example(),), dynamo=True, optimize=False, verbose=False)
    program.save(folder / "teacher.onnx")
    teacher = onnx_n2n.load(folder / "teacher.onnx")
    record = Widen(factor=1.5, init=init, noise=0)(teacher, proof=Proof(wanted=False)).growth

    def grown(document: dict[str, Any]) -> dict[str, Any]:
        torch.save(document, folder / "old.pt")
        grow_file(record, folder / "old.pt", folder / "new.pt", force=True, optimizer=True)
        found: dict[str, Any] = torch.load(folder / "new.pt", weights_only=True)["optimizer"]
        return found

    rows = []
    for make in OPTIMIZERS.values():
        torch.manual_seed(1)
        net = made()
        names = [name for name, _ in net.named_parameters()]
        state = trained(net, make(list(net.named_parameters())), example)
        kept = by_name(state, [names])
        truth = by_name(grown({"model": net.state_dict(), "optimizer": state}), [names])
        for grouping, (groups, certain) in groupings(net).items():
            ends = [sum(map(len, groups[:at])) for at in range(len(groups) + 1)]
            order = [name for group in groups for name in group]
            for named in (True, False):
                base = {key: each for key, each in state["param_groups"][0].items() if key != "param_names"}
                after = [
                    {**base, "params": list(range(*span))} | ({"param_names": group} if named else {})
                    for group, span in zip(groups, itertools.pairwise(ends), strict=True)
                ]
                own = {"state": {n: kept[name] for n, name in enumerate(order) if name in kept}, "param_groups": after}
                try:
                    found = by_name(grown({"model": net.state_dict(), "optimizer": own}), groups)
                    outcome = "right" if equal(found, truth) else "WRONG"
                except GrowthError:
                    outcome = "refused"
                rows.append((grouping, certain, named, outcome))
    return rows


def main() -> None:
    """Measure all, print a table, and write it to a file if one is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    started, rows = time.monotonic(), []
    for title in NETWORKS:
        for init in ("zero", "net2net"):
            with tempfile.TemporaryDirectory() as folder:
                rows += [(title, *row) for row in measure(Path(folder), title, init)]
    lines = [
        "# Moments of five optimizers, in seven groupings of three networks, with two ways to grow",
        "",
        f"{datetime.date.today().isoformat()}, {platform.machine()}, Python {platform.python_version()}, PyTorch "
        f"{torch.__version__}; `python benchmarks/moments.py` takes {time.monotonic() - started:.0f} s. Right: "
        "equal to the last bit to what names in plain order give.",
        "",
        "| network | groups | names | certain | right | refused | wrong |",
        "|---|---|---|---|---|---|---|",
    ]
    table: dict[tuple[str, str, bool, bool], Counter[str]] = {}
    for title, grouping, certain, named, outcome in rows:
        table.setdefault((title, grouping, named, certain or named), Counter())[outcome] += 1
    for (title, grouping, named, certain), counts in sorted(table.items(), key=lambda each: not each[0][2]):
        words = [title, grouping, *("yes" if each else "no" for each in (named, certain))]
        words += [str(counts[each]) for each in ("right", "refused", "WRONG")]
        lines.append(f"| {' | '.join(words)} |")
    bad = sum(outcome == "WRONG" for *_, outcome in rows)
    lost = sum(outcome == "refused" for *_, certain, named, outcome in rows if certain or named)
    lines += ["", f"Of {len(rows)} growths {bad} are wrong, and {lost} are refused that are certain."]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text)
    sys.exit(bool(bad or lost))


if __name__ == "__main__":
    main()
