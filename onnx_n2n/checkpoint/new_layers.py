"""New layers in a checkpoint: which names they get, and which names others get that stand behind them.

A copy of a block that has a number, ``h.0`` or ``layer1.1``, takes its number, and the blocks from there on move up by
one, as they do in code that makes so many of them. Where a record has the names of a network's own class, all get
these. Other layers are called after their neighbour, ``conv1_deeper``. Values are the student's, of the epoch that was
exported, or those of the layer that is copied and zeros. Both are right for any other epoch: a block adds zero and an
identity layer gives back what it is given, whatever the other parameters are, and growth keeps both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from onnx_n2n.checkpoint.making import Apply, Making, Plan, blank, lines_of
from onnx_n2n.checkpoint.numbered import block_of, following, numbers, renumbered
from onnx_n2n.checkpoint.rounding import unrounded
from onnx_n2n.errors import GrowthError
from onnx_n2n.io.lazy import Spec, made_of, specs_of
from onnx_n2n.record.layouts import SAME
from onnx_n2n.record.provenance import Origin, unpacked
from onnx_n2n.record.record import New, Record, Step
from onnx_n2n.record.steps import COPY, LAYER, ZERO

Arrays = Mapping[str, np.ndarray]
After = Callable[[int, Arrays, Apply], np.ndarray]
"""Makes a parameter as it is after so many steps, of those before all."""
MARK = "_deeper"
COUNTER = "num_batches_tracked"  # a norm of PyTorch has one, and a model has not


@dataclass(frozen=True)
class Inserted:
    """A checkpoint with the new layers in it.

    Attributes:
        arrays: All parameters by name, in the order in which a network has them that was written with these layers.
        added: The new ones, by the parameter that each is like, or an empty text.
        waiting: Those of them that are copies in a layer which adds zero.
        renamed: Parameters of the checkpoint that go by another name now.
    """

    arrays: Arrays
    added: Mapping[str, str]
    waiting: frozenset[str]
    renamed: Mapping[str, str]


def insert(
    record: Record, arrays: Arrays, before: Arrays, student: ir.Model | None, given: Mapping[str, str]
) -> Inserted:
    """Put in what passes have added.

    Args:
        record: The record, with the names that the checkpoint has.
        arrays: The grown parameters.
        before: The same before they grew.
        student: The last student; it has the values of what is no copy.
        given: Names of parameters by the names that new weights have in the student.

    Raises:
        GrowthError: There is no student and one is needed, or it lacks a weight, or a name is taken.
    """
    state = _State(record, arrays, before)
    for number, step in enumerate(record.steps):
        state.rename(step)
        for _, news in groupby(step.new, key=lambda new: new.place):
            state.place(list(news), number, student, given)
        state.follow(step)
    if not state.added and not state.renamed:
        return Inserted(arrays, {}, frozenset(), {})
    specs = {name: each.spec for name, each in state.arrays.items()}
    made = made_of(arrays, specs, lambda name: state.arrays[name].make())
    return Inserted(made, state.added, frozenset(state.waiting), state.renamed)


class _Made(NamedTuple):
    """A parameter that can be made."""

    spec: Spec
    make: Callable[[], np.ndarray]


class _State:
    """A checkpoint in the making, and what is known of the weights after the steps so far."""

    def __init__(self, record: Record, arrays: Arrays, before: Arrays) -> None:
        specs = specs_of(arrays)
        self.record, self.before = record, before
        self.arrays = {name: _Made(spec, partial(arrays.__getitem__, name)) for name, spec in specs.items()}
        self.known: dict[str, tuple[Origin, ...]] = {name: tuple(found) for name, found in record.origins.items()}
        self.coming: dict[str, tuple[Origin, ...]] = {}  # of new weights, once a step is done
        self.added: dict[str, str] = {}
        self.waiting: set[str] = set()
        self.renamed: dict[str, str] = {}
        self.copied: dict[str, After] = {}
        self.plans: dict[int, Plan] = {}

    def rename(self, step: Step) -> None:
        """Give parameters the names that they have in the class of which a step is, and what else is in their layers.

        Raises:
            GrowthError: Two would have one name.
        """
        if all(new.kind != LAYER for new in step.new):
            return
        moves = {
            name: renumbered(name, each.teacher, each.student)
            for each in step.remade
            for origin in self.known.get(each.teacher, ())
            for name in origin.names
        }
        layers = dict(numbers(*pair) for pair in moves.items() if len(set(pair)) > 1)

        def moved(name: str) -> str:
            stem = next((stem for stem in layers if name.startswith(stem)), "")
            return moves.get(name) or f"{layers.get(stem, stem)}{name.removeprefix(stem)}"

        names = Counter(map(moved, self.arrays))
        if double := [name for name, times in names.items() if times > 1]:
            raise GrowthError(f"two parameters of the checkpoint would be called {double[0]!r}")
        self._rename(moved)

    def follow(self, step: Step) -> None:
        """Go on to the names that weights have after a step."""
        before = self.known
        grown = {each.student: before[each.teacher] for each in step.remade if each.teacher in before}
        self.known, self.coming = {**before, **grown, **self.coming}, {}

    def place(self, news: Sequence[New], number: int, student: ir.Model | None, given: Mapping[str, str]) -> None:
        """Put in what stands at one place of a step, as it is after later steps."""
        likes = {new: self._like(new) for new in news}
        names = [name for origins in likes.values() for origin in origins for name in origin.names]
        block = block_of(names) if news[0].kind == "block" else ""
        whole = {name for name in self.arrays if name.startswith(f"{block}.")} - self._counters()
        ends: dict[str, int] = {}
        if news[0].kind == LAYER:
            if lacking := [new.like for new, origins in likes.items() if not origins]:
                raise GrowthError(f"the checkpoint has no {lacking[0]!r}, of which a new layer has a copy")
            at = min(place for place, name in enumerate(self.arrays) if name in names)
        elif block and whole == set(names):
            self._move_up(block)
            likes = {new: self._like(new) for new in news}
            at = next(place for place, name in enumerate(self.arrays) if name.startswith(f"{following(block)}."))
        else:
            ends = {_home(name): place + 1 for place, name in enumerate(self.arrays) if name in names}
            block, at = "", max(ends.values(), default=0)
        found: dict[str, _Made] = {}
        modules: dict[tuple[str, int], str] = {}  # of the first, second, ... layer that is called after a module
        seen: Counter[str] = Counter()
        now = {each.teacher: each.student for each in self.record.steps[number].remade}
        for new, origins in likes.items():
            if block and not origins:  # what is no parameter in the block is none in its copy
                continue
            known = []
            for origin in origins or [Origin((new.student,), SAME, "", "name")]:
                own = []
                for like in origin.names:
                    if new.kind == LAYER:
                        own.append(renumbered(like, now.get(new.like, new.like), new.student))
                    else:
                        own.append(given.get(new.student) or self._name(like, block, seen[like], modules))
                    seen[like] += 1
                nodes = self._copies(new, origin)
                for name, made in zip(own, self._made(new, number, origin, own, nodes, student), strict=True):
                    if name in found and not np.array_equal(found[name].make(), made.make()):
                        raise GrowthError(
                            f"{name!r} of an added layer would be two parameters, of which only one adds zero, and is "
                            f"one in the layer that it copies: {new.student!r} is one of them",
                            hint="name it by `names=`, and have both in the network's own code",
                        )
                    found[name] = made
                self.added |= dict(zip(own, origin.names if origins else ("",) * len(own), strict=True))
                self.waiting |= set(own) if new.made == COPY else set()
                known += [replace(origin, names=tuple(own), node=node, tied="") for node in nodes or ("",)]
            self.coming[new.student] = tuple(known)
        for name in list(found):
            module, like = name.rpartition(".")[0], self.added[name].rpartition(".")[0]
            if f"{like}.{COUNTER}" in self.arrays:
                found[f"{module}.{COUNTER}"] = self.arrays[f"{like}.{COUNTER}"]
                self.added[f"{module}.{COUNTER}"] = f"{like}.{COUNTER}"
        if taken := [name for name in found if name in self.arrays]:
            reason = f"a new parameter would be called {taken[0]!r}, which there is"
            raise GrowthError(reason, hint="name it by `names=`")
        order = {name: place for place, name in enumerate(self.arrays)}
        fresh = sorted(found, key=lambda name: order.get(self.added[name], len(order)))
        places = {name: ends.get(_home(self.added[name]), at) - 0.5 for name in fresh} | order
        every = {**self.arrays, **found}
        self.arrays = {name: every[name] for name in sorted([*fresh, *order], key=places.__getitem__)}

    # Values -----------------------------------------------------------------------------------------------------------

    def _made(
        self, new: New, number: int, origin: Origin, own: Sequence[str], nodes: Sequence[str], student: ir.Model | None
    ) -> list[_Made]:
        """Return the parameters in a new weight of a step, by their own names, as they are after later steps.

        Raises:
            GrowthError: They are in a student that is not there, or lacks the weight.
        """
        if new.made and (student is None or new.kind == LAYER):
            self.copied |= {name: self._copied(new, number, origin, own, name, nodes) for name in own}
            return [self._last(self.copied[name]) for name in own]
        if student is None:
            raise GrowthError("layers were added, and their values are in the student", hint="pass it by `student=`")
        value = _value(new, nodes, replace(self.record, steps=self.record.steps[number + 1 :]), student)
        arrays = unpacked(origin, value.numpy())
        return [
            _Made(Spec(array.shape, array.dtype), partial(_part, origin, value, place))
            for place, array in enumerate(arrays)
        ]

    def _copied(
        self, new: New, number: int, origin: Origin, own: Sequence[str], name: str, nodes: Sequence[str]
    ) -> After:
        """Return what makes one of the parameters in a new weight: those before its step, or zeros, and growth."""
        sources, layout = [self._after(like) for like in origin.names], replace(origin, names=tuple(own), tied="")

        def make(steps: int, arrays: Arrays, to: Apply) -> np.ndarray:
            begun = [source(number, arrays, to) for source in sources]
            begun = [np.zeros(each.shape, each.dtype) if new.made == ZERO else each for each in begun]
            later = replace(self.record, steps=self.record.steps[number + 1 : steps])
            lines = [lines_of(later, new.student, replace(layout, node=node)) for node in nodes or ("",)]
            making = Making(new.student, layout, tuple(own), tuple(line for each in lines for line in each))
            return making.make(name, dict(zip(own, begun, strict=True)), to)

        return make

    def _after(self, name: str) -> After:
        """Return what makes a parameter, by the name that it has now."""
        if name in self.copied:
            return self.copied[name]
        first = {now: old for old, now in self.renamed.items()}.get(name, name)
        return lambda steps, arrays, to: self._plan(steps).make(first, arrays, to)

    def _plan(self, steps: int) -> Plan:
        if steps not in self.plans:
            self.plans[steps] = Plan.of(replace(self.record, steps=self.record.steps[:steps]), self.before)
        return self.plans[steps]

    def _last(self, after: After) -> _Made:
        """Return a parameter after all steps; it shares no memory with what it is a copy of."""
        specs, steps = specs_of(self.before), len(self.record.steps)
        blanks = {name: np.broadcast_to(np.zeros((), spec.dtype), spec.shape) for name, spec in specs.items()}
        array = after(steps, blanks, blank)
        return _Made(Spec(array.shape, array.dtype), lambda: np.array(after(steps, self.before, unrounded)))

    # Names ------------------------------------------------------------------------------------------------------------

    def _like(self, new: New) -> list[Origin]:
        """Return the parameters that those of a new weight are called after, each once."""
        found = {
            origin.names: origin
            for origin in self.known.get(new.like, ())
            if (not new.readers or not origin.node or origin.node in new.readers)
            and origin.names
            and all(name in self.arrays for name in origin.names)
        }
        return list(found.values())

    def _copies(self, new: New, like: Origin) -> tuple[str, ...]:
        """Return the nodes that read a new weight as the parameter that it is called after is read; none for all."""
        readers = {origin.node for origin in self.known.get(new.like, ()) if origin.names == like.names}
        return tuple(copy for node, copy in zip(new.readers, new.copies, strict=False) if node in readers)

    def _counters(self) -> set[str]:
        return {name for name in self.arrays if name.endswith(f".{COUNTER}")}

    def _name(self, like: str, block: str, number: int, modules: dict[tuple[str, int], str]) -> str:
        """Return the name of a new parameter: that of a block that has moved up, or in a module of its own."""
        if block:
            return f"{block}.{like.removeprefix(f'{following(block)}.')}"
        module, _, last = like.rpartition(".")
        if like in self.arrays and (module, number) not in modules:
            taken = {name.rpartition(".")[0] for name in self.arrays} | set(modules.values())
            names = (f"{module}{MARK}{count or ''}" for count in (0, *range(2, len(taken) + 3)))
            modules[module, number] = next(name for name in names if name not in taken)
        return f"{modules[module, number]}.{last}" if like in self.arrays else like

    def _move_up(self, block: str) -> None:
        """Give a block, and those behind it, the next number."""
        stem, _, first = block.rpartition(".")

        def moved(name: str) -> str:
            number, _, rest = name.removeprefix(f"{stem}.").partition(".")
            if not name.startswith(f"{stem}.") or not number.isdecimal() or int(number) < int(first):
                return name
            return f"{stem}.{int(number) + 1}.{rest}"

        self._rename(moved)

    def _rename(self, moved: Callable[[str], str]) -> None:
        """Give parameters other names."""
        first_names = {now: old for old, now in self.renamed.items()}
        for name in self.arrays:
            if moved(name) != name and name not in self.added:
                self.renamed[first_names.get(name, name)] = moved(name)
        self.arrays = {moved(name): array for name, array in self.arrays.items()}
        self.added = {moved(name): moved(like) for name, like in self.added.items()}
        self.waiting = set(map(moved, self.waiting))
        self.copied = {moved(name): after for name, after in self.copied.items()}
        self.known, self.coming = (
            {
                weight: tuple(replace(origin, names=tuple(map(moved, origin.names))) for origin in origins)
                for weight, origins in known.items()
            }
            for known in (self.known, self.coming)
        )


def _part(origin: Origin, value: ir.TensorProtocol, number: int) -> np.ndarray:
    return unpacked(origin, value.numpy())[number]


def _value(new: New, nodes: Sequence[str], later: Record, student: ir.Model) -> ir.TensorProtocol:
    """Return the values that a new weight has in the last student, for some of the nodes that read it, or for all.

    Raises:
        GrowthError: If there is no such weight, or it grew differently for these.
    """
    lines = list(later.lines(new.student))
    own = [(name, line) for name, line in lines if not line or not {*nodes}.isdisjoint(line[-1].readers)]
    found: list[ir.TensorProtocol] = []
    for name, line in own or lines:
        value = student.graph.initializers.get(name)
        tensor = None if value is None else value.const_value
        shape = line[-1].after if line else new.shape
        if tensor is None or tensor.shape != shape:
            raise GrowthError(
                f"the student has no weight {name!r} of the shape {list(shape)}, which the record says was added",
                shapes="" if tensor is None else f"it has one of {list(tensor.shape)}",
                hint="`student=` is the model that was written together with the record, with the last one of several",
            )
        found.append(tensor)
    if not all(np.array_equal(found[0].numpy(), other.numpy()) for other in found[1:]):
        raise GrowthError(
            f"{new.student!r} of an added layer is used in several places that grew differently, so that it cannot "
            "stay one parameter",
            hint="widen first and deepen then, or `exclude=` what reads it",
        )
    return found[0]


def _home(name: str) -> str:
    """Return what a parameter's module is in. All of that stands together, as in ``model.parameters()``."""
    return name.rpartition(".")[0].rpartition(".")[0]
