"""The nodes of a graph by blocks: by the scopes that exporters write, and where there are none by repetition.

A scope is what the exporter of PyTorch writes into the metadata of a node, else the path in its name
(``/layers.0/attn/MatMul``), else that of its weight (``layers.0.attn.weight``), else that of the node before it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import onnx_ir as ir

from onnx_n2n.analysis.groups import MACHINE_MADE

SCOPES = "pkg.torch.onnx.name_scopes"  # a list, from the whole network to the call that the node is from
LONG = 60  # nodes side by side above which repetitions are looked for
PERIOD, TIMES = 24, 3  # how many nodes a repetition has at most, and how often it occurs at least
RANGE = 100  # blocks of a row of more than twice as many
NOWHERE = "_empty_nn_module"  # begins what PyTorch writes for a node that no module has made
RUN, SHOWN = 3, 4  # nodes between blocks that become one; operators that its title names
DEEPEST = 12  # blocks in each other
Path = tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """A part of a graph.

    Attributes:
        title: What it is called.
        inside: Blocks and nodes in it, nodes by their number.
    """

    title: str
    inside: tuple[Block | int, ...]

    def to_json(self) -> list[object]:
        """Return title and entries as JSON-ready values."""
        return [self.title, [each if isinstance(each, int) else each.to_json() for each in self.inside]]


def blocks_of(nodes: Sequence[ir.Node]) -> tuple[Block | int, ...]:
    """Return the blocks of nodes that are in graph order."""
    root: dict[str | int, object] = {}
    for number, path in enumerate(paths_of(nodes)):
        inside = root
        for part in path:
            inside = inside.setdefault(part, {})  # type: ignore[assignment]
        inside[number] = None
    operators = [node.op_type for node in nodes]
    return tuple(_ranged(_repeated(_built(root, operators), operators)))


def paths_of(nodes: Iterable[ir.Node]) -> Iterator[Path]:
    """Yield the scope of each node, from the outermost in; empty for one of which nothing is known."""
    last: Path = ()
    for node in nodes:
        found = _scope(node)
        last = last if found is None else found
        yield last


def _scope(node: ir.Node) -> Path | None:
    stated = node.metadata_props.get(SCOPES)
    if stated:
        try:
            scopes = [str(each) for each in ast.literal_eval(stated)]
            return () if scopes[-2].startswith(NOWHERE) else _parts(scopes[-2])
        except (ValueError, SyntaxError, TypeError, IndexError, MemoryError, RecursionError):
            pass
    name = node.name or ""
    if "/" in name.strip("/"):
        return _parts(name.strip("/").rpartition("/")[0])
    for value in node.inputs:
        if value is not None and (value.is_initializer() or value.const_value is not None):
            scope = str(value.name).rpartition("/")[0] or str(value.name).rpartition(".")[0]
            if scope and not MACHINE_MADE.match(str(value.name)):
                return _parts(scope)
    scope = name.rpartition(".")[0]
    numbered = scope == node.op_type  # as Paddle names nodes: "Relu.0"
    return _parts(scope) if scope and not numbered else None


def _parts(path: str) -> Path:
    """Return the parts of ``encoder.layers.0/attn``: ``encoder``, ``layers.0``, ``attn``."""
    found: list[str] = []
    for part in filter(None, re.split(r"[./]", path)):
        if part.isdigit() and found and not found[-1].split(".")[-1].isdigit():
            found[-1] += f".{part}"
        else:
            found.append(part)
    return tuple(found[:DEEPEST])


def _built(inside: dict[str | int, object], operators: Sequence[str]) -> list[Block | int]:
    """Return nested mappings as blocks; one that has nothing but another is joined with it."""
    found: list[Block | int] = []
    for key, content in inside.items():
        if isinstance(key, int):
            found.append(key)
            continue
        entries = _built(content, operators)  # type: ignore[arg-type]
        if len(entries) == 1 and isinstance(entries[0], Block):
            found.append(Block(f"{key}.{entries[0].title}", entries[0].inside))
        else:
            found.append(Block(key, tuple(entries)))
    return _gathered(found, operators)


def _gathered(entries: Sequence[Block | int], operators: Sequence[str]) -> list[Block | int]:
    """Put the nodes between blocks into blocks, so that a level shows what the network is made of."""
    if not any(isinstance(each, Block) for each in entries):
        return list(entries)
    found: list[Block | int] = []
    for single, group in groupby(entries, lambda each: isinstance(each, int)):
        run = tuple(group)
        if single and len(run) >= RUN:
            kinds = list(dict.fromkeys(operators[each] for each in run if isinstance(each, int)))
            found.append(Block(_titled(kinds), run))
        else:
            found.extend(run)
    return found


def _titled(kinds: Sequence[str]) -> str:
    return " · ".join(kinds[:SHOWN]) + " …" * (len(kinds) > SHOWN)


def _repeated(entries: Sequence[Block | int], operators: Sequence[str]) -> list[Block | int]:
    """Put nodes that repeat each other into blocks, wherever there are many side by side."""
    entries = [
        Block(each.title, tuple(_ranged(_repeated(each.inside, operators)))) if isinstance(each, Block) else each
        for each in entries
    ]
    if sum(isinstance(each, int) for each in entries) <= LONG:
        return entries
    kinds = [operators[each] if isinstance(each, int) else object() for each in entries]
    found: list[Block | int] = []
    start = 0
    while start < len(entries):
        period, times = _period(kinds, start)
        if times < TIMES:
            found.append(entries[start])
            start += 1
            continue
        rows = [entries[place : place + period] for place in range(start, start + period * times, period)]
        title = _titled([str(each) for each in kinds[start : start + period]])
        inside = [Block(str(number), tuple(row)) for number, row in enumerate(rows, 1)] if period > 1 else rows[0]
        flat = [each for row in rows for each in row]
        found.append(Block(f"{title} × {times}", tuple(_ranged(inside if period > 1 else flat))))
        start += period * times
    return found


def _period(kinds: Sequence[object], start: int) -> tuple[int, int]:
    """Return how many nodes repeat themselves from a place on, and how often: what covers most."""
    best = (1, 1)
    for period in range(1, min(PERIOD, (len(kinds) - start) // TIMES) + 1):
        first = kinds[start : start + period]
        times = 1
        while kinds[start + times * period : start + (times + 1) * period] == first:
            times += 1
        if times >= TIMES and period * times > best[0] * best[1] and all(isinstance(each, str) for each in first):
            best = (period, times)
    return best


def _ranged(entries: Sequence[Block | int]) -> list[Block | int]:
    """Cut a long row into blocks of a hundred."""
    if len(entries) <= 2 * RANGE:
        return list(entries)
    cuts = [entries[start : start + RANGE] for start in range(0, len(entries), RANGE)]
    starts = range(1, len(entries), RANGE)
    return [Block(f"{start}–{start + len(cut) - 1}", tuple(cut)) for start, cut in zip(starts, cuts, strict=True)]
