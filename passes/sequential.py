"""Several passes, one after the other, as one: ``widen{factor=1.4},deepen{every=2}``."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from onnx_n2n.errors import OptionError
from onnx_n2n.io import history
from onnx_n2n.io.model import open_model
from onnx_n2n.options import taken
from onnx_n2n.passes.base import Pass
from onnx_n2n.passes.by_name import pass_named
from onnx_n2n.passes.cut import Cut
from onnx_n2n.passes.deepen import Deepen
from onnx_n2n.passes.enlarge import Enlarge
from onnx_n2n.passes.leaving_out import Part
from onnx_n2n.passes.outputs import Outputs
from onnx_n2n.passes.report import Change, Trace
from onnx_n2n.passes.widen import Widen
from onnx_n2n.verification.options import Proof

PASSES: dict[str, type[Pass]] = {
    "widen": Widen, "deepen": Deepen, "enlarge": Enlarge, "outputs": Outputs, "cut": Cut,
}  # fmt: skip
ENTRY = re.compile(r'\s*(\w+)\s*(?:\{((?:"(?:[^"\\]|\\.)*"|[^{}"])*)\})?\s*(?:,|$)', re.DOTALL)


@dataclass(frozen=True, init=False)
class Sequential(Pass):
    """Apply passes in order to one working copy; the outcome is verified against the first teacher.

    Attributes:
        passes: The passes; each may occur several times.
    """

    suffix: ClassVar[str] = "grown"

    passes: tuple[Pass, ...] = ()

    def __init__(self, *passes: Pass) -> None:
        object.__setattr__(self, "passes", passes)

    def check(self) -> None:
        """Check all passes.

        Raises:
            OptionError: If an option of one has no meaning, or there is none.
        """
        if not self.passes:
            raise OptionError("there is no pass to run", hint="say which, as in widen{factor=1.5},widen")
        if strange := [type(each).__name__ for each in self.passes if not isinstance(each, Pass)]:
            hint = "put both into an `onnx_ir.passes.Sequential`, which takes ours too"
            raise OptionError(f"{strange[0]} is no pass of onnx-n2n", hint=hint)
        for each in self.passes:
            each.check()
        flat = list(self.flat())
        last = max((place for place, each in enumerate(flat) if each.first), default=0)
        if late := [str(each) for each in flat[:last] if not each.first]:
            raise OptionError(
                f"{flat[last]} stands behind {late[0]}, and must come before it",
                hint="a cut comes first, since what it makes an output may have grown; the outcome is the same",
            )

    def flat(self) -> Iterator[Pass]:
        """Yield the passes, and in place of several as one those that they are."""
        for each in self.passes:
            yield from each.flat() if isinstance(each, Sequential) else (each,)

    def files(self) -> tuple[Path, ...]:
        """Return the files that any of the passes reads."""
        return tuple(path for each in self.passes for path in each.files())

    @property
    def seed(self) -> int:
        """The seed of what is drawn to verify: that of the first pass that has one."""
        return next((each.seed for each in self.passes if hasattr(each, "seed")), 0)

    def change(self, model: ir.Model, proof: Proof, folder: Path | None) -> Change:
        """Apply all passes to a private working copy."""
        return self.apply(model, proof, folder)

    def apply(
        self, model: ir.Model, proof: Proof, folder: Path | None, idle: Sequence[history.Entry] = ()
    ) -> Change:
        """Apply all passes; each writes its own entry into the history, also what did nothing, if another did."""
        changes, waiting = [], list(idle)
        for each in self.passes:
            changes.append(each.apply(model, proof, folder, waiting))
            if changes[-1].modified:
                waiting.clear()
            else:
                waiting += [found.entry for found in changes[-1].idle]
        if any(change.modified for change in changes):
            history.record(model, *waiting)
        return _joined(changes)

    def nothing(self, model: ir.Model, done: Change) -> tuple[str, str]:  # noqa: ARG002 - the passes have said it
        """Return why none of the passes has changed anything."""
        return "; ".join(f"{each.text}: {each.reason}" for each in done.idle), done.idle[0].hint if done.idle else ""

    def parts(self, model: ir.Model, proof: Proof, folder: Path | None) -> list[Part]:
        """Return what the passes would change; where one fails, what it and those before it would."""
        found: list[Part] = []
        for place, each in enumerate(self.passes):
            inner = each.parts(open_model(model).model, proof, folder)
            found += [replace(part, where=(place, *part.where)) for part in inner]
            try:
                each.change(model, proof, folder)
            except Exception:  # a bug, which is looked for: it is in one of the parts that are known by now
                break
        return found

    def leave(self, parts: Collection[Part]) -> Sequential:
        """Return the same passes, which leave these parts as they are."""
        return self._each(parts, lambda each, own: each.leave(own) if own else each)

    def pick(self, parts: Collection[Part]) -> Sequential:
        """Return the passes that change any of these parts, and nothing else, behind those that come first."""
        return self._each(parts, lambda each, own: each.pick(own) if own or each.first else None)

    def _each(self, parts: Collection[Part], chosen: Callable[[Pass, list[Part]], Pass | None]) -> Sequential:
        inside: list[list[Part]] = [[] for _ in self.passes]
        for part in parts:
            inside[part.where[0]].append(replace(part, where=part.where[1:]))
        found = (chosen(each, own) for each, own in zip(self.passes, inside, strict=True))
        return Sequential(*(each for each in found if each is not None))

    def __str__(self) -> str:
        return ",".join(map(str, self.passes))


@taken("text")
def parse(text: str) -> Sequential:
    """Read passes from their text, ``widen{factor=1.4},widen{init=zero}``.

    >>> print(onnx_n2n.parse("widen{factor=1.5}, deepen{count=2}"))
    widen{factor=1.5},deepen{count=2}

    Raises:
        OptionError: If the text is not of that form, or names a pass or option that does not exist.
    """
    found, place = [], 0
    while text[place:].strip():
        match = ENTRY.match(text, place)
        if match is None:
            raise OptionError(f"{text[place:]!r} is not of the form pass{{option=value,...}}")
        found.append(pass_named(match[1], PASSES).read(match[2] or ""))
        place = match.end()
    return Sequential(*found)


def _joined(changes: list[Change]) -> Change:
    """Return what several changes in a row have done."""
    trace: Trace = changes[0].trace
    for change in changes[1:]:
        trace = _Chain(trace, change.trace) if change.modified else trace
    return Change(
        growths=tuple(growth for change in changes for growth in change.growths),
        added=tuple(added for change in changes for added in change.added),
        kept=tuple(kept for change in changes for kept in change.kept),
        trace=trace,
        steps=tuple(step for change in changes for step in change.steps),
        notes=tuple(dict.fromkeys(note for change in changes for note in change.notes)),
        idle=tuple(idle for change in changes for idle in change.idle),
        cuts=tuple(cut for change in changes for cut in change.cuts),
    )


class _Chain(Mapping[str, tuple[np.ndarray | None, ...]]):
    """The trace of two changes: where the places of the second student come from in the first teacher."""

    def __init__(self, first: Trace, second: Trace) -> None:
        self._first, self._second = first, second

    def __getitem__(self, name: str) -> tuple[np.ndarray | None, ...]:
        first, second = self._first[name], self._second[name]
        if len(first) != len(second):
            raise KeyError(name)
        return tuple(map(_through, first, second))

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._first if name in self._second)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _through(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    """Return where places come from when ``second`` takes them from what ``first`` took them from."""
    if first is None or second is None:
        return second if first is None else first
    return np.where(second < 0, -1, first[second])
