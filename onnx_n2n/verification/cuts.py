"""Teacher and student held against each other with the same decisions.

Where rounding decides, a right student may decide otherwise. So what goes *into* each decision is compared, within the
rounding error that is granted to any tensor, and what follows is compared with the decision that the teacher took: the
student runs on with it. A student that is right up to ties and quanta passes, and one that is wrong by more does not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper

from onnx_n2n.errors import RunError
from onnx_n2n.graph.operators import operator_of
from onnx_n2n.graph.subgraphs import body_protos
from onnx_n2n.io.messages import replace
from onnx_n2n.verification.decisions import STEADY, Kind, Named, kind_of, within
from onnx_n2n.verification.differences import is_real
from onnx_n2n.verification.inputs import nudged
from onnx_n2n.verification.localise import Index, Trace, Wrong, wrong
from onnx_n2n.verification.quanta import inlined
from onnx_n2n.verification.sessions import Feed, SessionModel, Timed, run, session
from onnx_n2n.verification.yardstick import Grain

# Endings of names: of a tensor that is read out, of what a node itself decides, of what is decided for it, and of the
# mask of entries in which it decides itself all the same.
TAP, OWN, FORCED, MASK = ".tap", ".own", ".forced", ".mask"


@dataclass(frozen=True)
class RoundingDecision:
    """A node of the teacher at which rounding decides, and its counterpart in the student.

    Attributes:
        teacher: The node.
        student: The counterpart, which makes tensors of the same names.
        kind: How it decides.
    """

    teacher: onnx.NodeProto
    student: onnx.NodeProto
    kind: Kind

    @property
    def makes(self) -> list[str]:
        """Names of what it decides."""
        return [name for name in self.teacher.output if name]

    def reads(self) -> Iterator[tuple[str, str]]:
        """Names of what goes in, in the teacher and in the student."""
        return ((a, b) for a, b in zip(self.teacher.input, self.student.input, strict=True) if a)


@dataclass(frozen=True)
class Held:
    """What came of holding two models against each other with the same decisions.

    Attributes:
        answers: The student's outputs, per feed.
        nudged: The teacher's outputs for feeds one rounding step off, per feed.
        wrong: What goes into a decision and is wrong, the first such tensor.
        rounded: Nodes at which rounding decided.
        left: Whether there are decisions that were not compared, since they stand in a body or have no counterpart.
        selects: Whether one of those selects.
        models: Teacher and student with the decisions as inputs.
        feeds: A feed of each of these, one on which something is wrong if any is.
    """

    answers: tuple[list[Any], ...]
    nudged: tuple[list[Any], ...]
    wrong: Wrong | None
    rounded: tuple[Named, ...]
    left: bool
    selects: bool
    models: tuple[SessionModel, SessionModel]
    feeds: tuple[Feed, Feed]


class Pair:
    """A teacher and a student whose decisions are the same.

    Args:
        old: The teacher.
        new: The student.
        trace: Index of the student's tensors into the teacher's, by name.
        random: Tensors that depend on random numbers: decisions on them are not compared.
        provider: Execution provider to run both on.
        limit: How many seconds one run may take.
    """

    def __init__(
        self,
        old: SessionModel,
        new: SessionModel,
        trace: Trace,
        random: Collection[str],
        provider: str,
        limit: float,
    ) -> None:
        self._sources = old, new
        self._protos = inlined(old.proto()), inlined(new.proto())
        self._trace, self._random = trace, frozenset(random)
        self._provider, self._limit = provider, limit

    def hold(self, feeds: Sequence[Feed], names: Sequence[str], grain: Grain, seed: int) -> Held:
        """Compare what goes into all decisions, and run the student on with the teacher's.

        Args:
            feeds: Inputs.
            names: Names of the outputs.
            grain: How finely the teacher calculates.
            seed: Seed of what is drawn to find the rounding error.

        Raises:
            ModelError: ONNX Runtime refuses one of the graphs with the teacher's decisions as inputs.
            RunError: ONNX Runtime fails on one of them.
            TimeLimitError: A run takes longer than it may.
        """
        paired, others = self._paired()
        plain = self._open(0, tapped(self._protos[0], _tensors(paired, 0)))
        first = self._read(plain, feeds[0], _tensors(paired, 0))
        grown = self._open(1, tapped(self._protos[1], _tensors(paired, 1)))
        decisions = self._shared(paired, first, self._read(grown, feeds[0], _tensors(paired, 1)))
        others += [each.kind for each in paired if each not in decisions and _rounds(each, first)]
        cuts = [self._sources[side].holding(self._cut(side, decisions, first, names)) for side in (0, 1)]
        same, ours = (Timed(session(cut, self._provider), self._limit) for cut in cuts)
        taps = [_tensors(decisions, side, own=True) for side in (0, 1)]
        answers, near, found, rounded = [], [], None, []
        kept: tuple[Feed, Feed] | None = None
        for feed in feeds:
            truth = self._read(plain, feed, _tensors(decisions, 0))
            mine, theirs = ({**feed, **self._forced(side, decisions, truth)} for side in (0, 1))
            nudge = self._read(same, {**mine, **nudged(feed, seed)}, [*taps[0], *names])
            student = self._read(ours, theirs, [*taps[1], *names])
            for each in decisions:
                if found is None and (found := self._wrong(each, truth, nudge, student, grain)) is not None:
                    kept = mine, theirs
                if self._differs(each, truth, student):
                    rounded.append(Named.of(each.teacher))
            kept = kept or (mine, theirs)
            answers.append([student[name] for name in names])
            near.append([nudge[name] for name in names])
        assert kept is not None  # there is a feed
        selects, left = Kind.WHOLE in others, bool(others)
        again = tuple(dict.fromkeys(rounded))
        return Held(tuple(answers), tuple(near), found, again, left, selects, (cuts[0], cuts[1]), kept)

    def _paired(self) -> tuple[list[RoundingDecision], list[Kind]]:
        """Decisions with a counterpart that does the same, and the kinds of the others."""
        old, new = (proto.graph for proto in self._protos)
        alive = _alive(old)
        theirs = {node.output[0]: node for node in new.node if node.output}
        found: list[RoundingDecision] = []
        inner = (each for node in old.node for body in body_protos(node) for each in within(body))
        others = [kind for kind in map(kind_of, inner) if kind is not None]
        for node in old.node:
            kind = kind_of(node)
            if kind is None or alive.isdisjoint(node.input) or not self._random.isdisjoint(node.input):
                continue
            other = theirs.get(node.output[0])
            if kind is Kind.INSIDE or other is None or _said(node) != _said(other):
                others.append(kind)
            else:
                found.append(RoundingDecision(node, other, kind))
        return found, others

    def _shared(
        self, paired: Sequence[RoundingDecision], old: Mapping[str, Any], new: Mapping[str, Any]
    ) -> list[RoundingDecision]:
        """Decisions on real numbers, of which all that goes in and comes out can be compared, by what they do once."""
        return [each for each in paired if _rounds(each, old) and self._comparable(each, old, new)]

    def _comparable(self, each: RoundingDecision, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
        """Whether all that a decision reads and makes has the shape that its index says, on one feed."""
        both = [*each.reads(), *((name, name) for name in each.makes)]
        if each.kind is Kind.WHOLE:  # of what it makes, rounding may decide the length
            same = all(np.shape(old[a]) == np.shape(new[b]) for a, b in each.reads())
            return same and all(_plain(self._index(*names, old)) for names in both)
        indices = [self._index(*names, old) for names in both]
        if not all(self._fits(index, old[a], new[b]) for index, (a, b) in zip(indices, both, strict=True)):
            return False
        places = [_places(index, np.shape(old[name])) for index, (name, _) in zip(indices, both, strict=True)]
        whole = [each for each in places if len(each) == max(map(len, places))]
        return all(map(_one, zip(*whole, strict=True)))

    def _index(self, old: str, new: str, values: Mapping[str, Any]) -> Index:
        index = self._trace.get(old) if old == new else None
        return index if index and len(index) == np.ndim(values[old]) else (None,) * np.ndim(values[old])

    @staticmethod
    def _fits(index: Index, old: np.ndarray, new: np.ndarray) -> bool:
        wanted = tuple(size if axis is None else len(axis) for axis, size in zip(index, np.shape(old), strict=True))
        return np.shape(new) == wanted and all(
            axis is None or axis.max(initial=-1) < size for axis, size in zip(index, np.shape(old), strict=True)
        )

    def _forced(
        self, side: int, decisions: Sequence[RoundingDecision], truth: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        """What the teacher decided, as inputs; in the student by its own index, with a mask where that has gaps."""
        found = {}
        for name in (name for each in decisions for name in each.makes):
            index = self._index(name, name, truth) if side else (None,) * np.ndim(truth[name])
            places = _places(index, np.shape(truth[name]))
            if any(place.max(initial=-1) >= size for place, size in zip(places, np.shape(truth[name]), strict=True)):
                raise RunError(f"the index of {name!r} is that of another length")
            picked = np.ix_(*(np.maximum(place, 0) for place in places))
            found[name] = np.asarray(np.asarray(truth[name])[picked])
            if any((place < 0).any() for place in places):
                found[name + FORCED] = found.pop(name)
                known = np.ix_(*(np.flatnonzero(place >= 0) for place in places))
                gaps = np.ones([len(place) for place in places], bool)
                gaps[known] = False
                found[name + MASK] = gaps
        return found

    def _cut(
        self, side: int, decisions: Sequence[RoundingDecision], truth: Mapping[str, Any], names: Sequence[str]
    ) -> onnx.ModelProto:
        """A model in which each decision comes from outside; what the node itself decides can be read too."""
        forced = self._forced(side, decisions, truth)
        proto = onnx.ModelProto.FromString(self._protos[side].SerializeToString())
        made = {name for each in decisions for name in each.makes}
        nodes = []
        for node in proto.graph.node:
            nodes.append(node)
            for slot, name in enumerate(node.output):
                if name in made:
                    node.output[slot] = name + OWN
                    if name + MASK in forced:
                        nodes.append(helper.make_node("Where", [name + MASK, name + OWN, name + FORCED], [name]))
        replace(proto.graph.node, nodes)
        replace(proto.graph.value_info, [info for info in proto.graph.value_info if info.name not in made])
        for name, array in forced.items():
            kind = ir.DataType.from_numpy(array.dtype) if array.dtype != object else ir.DataType.STRING
            proto.graph.input.append(helper.make_tensor_value_info(name, kind.value, [None] * array.ndim))
        replace(proto.graph.output, [output for output in proto.graph.output if output.name not in made])
        return tapped(proto, [*_tensors(decisions, side, own=True), *names])

    def _open(self, side: int, proto: onnx.ModelProto) -> Timed:
        return Timed(session(self._sources[side].holding(proto), self._provider), self._limit)

    @staticmethod
    def _read(model: Timed, feed: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        names = list(dict.fromkeys(names))
        values = run(model, feed, [name + TAP for name in names]) if names else []
        return dict(zip(names, values, strict=True))

    def _wrong(
        self,
        each: RoundingDecision,
        truth: Mapping[str, Any],
        nudge: Mapping[str, Any],
        got: Mapping[str, Any],
        grain: Grain,
    ) -> Wrong | None:
        """The first wrong tensor: one that goes into a decision, or an output that is as steady as what goes in."""
        steady = [each.teacher.output[slot] for slot in STEADY.get(operator_of(each.teacher), ())]
        pairs = [(old, old, new) for old, new in each.reads()]
        for old, near, new in (*pairs, *((name, name + OWN, name + OWN) for name in steady if name)):
            index = self._index(old, new.removesuffix(OWN), truth)
            if is_real(truth[old]):
                how = wrong(index, truth[old], nudge[near], got[new], grain)
            else:
                how = None if _alike(index, truth[old], got[new]) else "its whole numbers differ"
            if how:
                maker = {name: node for node in self._protos[0].graph.node for name in node.output}.get(
                    old, each.teacher
                )
                return Wrong(old, maker.name, maker.op_type, how)
        return None

    def _differs(self, each: RoundingDecision, truth: Mapping[str, Any], got: Mapping[str, Any]) -> bool:
        return not all(_alike(self._index(name, name, truth), truth[name], got[name + OWN]) for name in each.makes)


def _rounds(each: RoundingDecision, values: Mapping[str, Any]) -> bool:
    """Whether real numbers go into a decision; whole ones have no rounding error."""
    return any(is_real(values[name]) for name, _ in each.reads())


def tapped(proto: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """A model that gives further tensors, whatever they are: inputs, weights, or what nodes make."""
    found = onnx.ModelProto()
    found.CopyFrom(proto)
    for name in dict.fromkeys(names):
        found.graph.node.append(helper.make_node("Identity", [name], [name + TAP]))
        found.graph.output.append(onnx.ValueInfoProto(name=name + TAP))
    return found


def _tensors(decisions: Sequence[RoundingDecision], side: int, *, own: bool = False) -> list[str]:
    """What decisions read and make, in the teacher (0) or the student (1)."""
    reads = [names[side] for each in decisions for names in each.reads()]
    return [*reads, *(name + OWN * own for each in decisions for name in each.makes)]


def _said(node: onnx.NodeProto) -> object:
    """A value that is equal for two nodes that decide alike when they read the same."""
    attributes = sorted(attribute.SerializeToString() for attribute in node.attribute)
    return operator_of(node), list(node.output), [bool(name) for name in node.input], attributes


def _plain(index: Index) -> bool:
    return all(axis is None or np.array_equal(axis, np.arange(len(axis))) for axis in index)


def _places(index: Index, shape: Sequence[int]) -> list[np.ndarray]:
    return [np.arange(size) if axis is None else axis for axis, size in zip(index, shape, strict=True)]


def _one(axes: Sequence[np.ndarray]) -> bool:
    """Whether an axis is the same in all tensors, except for those that are broadcast along it."""
    known = [axis for axis in axes if len(axis) > 1]
    return all(np.array_equal(axis, known[0]) for axis in known[1:])


def _alike(index: Index, old: Any, new: Any) -> bool:
    """Whether a tensor holds what its index says, to the last bit; entries without a counterpart may hold anything."""
    places = _places(index, np.shape(old))
    if np.shape(new) != tuple(map(len, places)):
        return False
    mine = np.asarray(new)[np.ix_(*(np.flatnonzero(place >= 0) for place in places))]
    theirs = np.asarray(old)[np.ix_(*(place[place >= 0] for place in places))]
    return np.array_equal(mine, theirs, equal_nan=is_real(old) and mine.dtype == theirs.dtype)


def _alive(graph: onnx.GraphProto) -> set[str]:
    """Tensors that depend on the inputs."""
    held = {tensor.name for tensor in graph.initializer}
    alive = {value.name for value in graph.input} - held
    for node in graph.node:
        reads = {*node.input, *(name for body in body_protos(node) for inner in within(body) for name in inner.input)}
        if not alive.isdisjoint(reads):
            alive.update(filter(None, node.output))
    return alive
