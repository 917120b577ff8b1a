"""Teacher and student once through finite fields: equal outputs mean equal functions."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from onnx_n2n.errors import OptionError
from onnx_n2n.exact import growth, sizes
from onnx_n2n.exact import operators as _operators  # registers them
from onnx_n2n.exact.chance import Bound, Comparisons
from onnx_n2n.exact.compared import Differs, pairs
from onnx_n2n.exact.field import Field
from onnx_n2n.exact.files import File, load
from onnx_n2n.exact.growth import Growth
from onnx_n2n.exact.interface import difference
from onnx_n2n.exact.lengths import Lengths
from onnx_n2n.exact.limit import TooLong, keep, too_long, within
from onnx_n2n.exact.outside import Outside, undefined_at
from onnx_n2n.exact.ranges import Ranges
from onnx_n2n.exact.relations import Place, Relation, Walk, walked
from onnx_n2n.exact.survey import Survey, dead
from onnx_n2n.exact.undecided import Undecided
from onnx_n2n.exact.unrounded import Exact
from onnx_n2n.exact.verdict import Verdict, rounded_up
from onnx_n2n.exact.watched import LARGEST, TooLarge, Watched
from onnx_n2n.exact.witness import Search, Witness, inputs

CERTAIN = 1e-12  # a verdict "equal" has at most this chance to be wrong
PRIMES, MOST = 5, 9  # so many at least, and at most so many if the chance of an error asks for them
SPARE = 4  # the chance that is found without numbers may be so much smaller than it is
SECONDS = 60.0  # no further shapes are tried after so long
REPEATED = 12  # shapes that do not fit at one place for one reason, after which no more are tried
SAMPLED = 1 << 26  # models with more constants are not run over doubles as well, nor is kept where these go
LONGEST = 1 << 14  # rows of a table that a run may be made long enough for
Model = onnx.ModelProto | Path | str | File

__all__ = ["CERTAIN", "Model", "check"]
assert _operators


class Unread(Undecided):
    """Some of a constant's elements have no part in a run: they could be anything.

    Args:
        counts: How many elements of which constants, of teacher and student.
        shape: The shape of the first one.
    """

    def __init__(self, counts: tuple[dict[str, int], ...], shape: tuple[int, ...]) -> None:
        name, places = next(each for side in counts for each in side.items())
        super().__init__(f"{places} of {int(np.prod(shape))} elements of {name!r} have no part in a run")
        self.counts, self.shape = counts, shape


class Misfit(Undecided):
    """A run without numbers cannot be made with some shapes, which takes no time to find out."""


@dataclass(frozen=True)
class Unequal:
    """Residues that differ.

    Args:
        shapes: The shapes of inputs.
        world: The primes and functions.
        output: The output.
        share: Which share of its numbers differs.
    """

    shapes: sizes.Shapes
    world: Field
    output: str
    share: float


@dataclass(frozen=True)
class Pair:
    """Two models that are compared.

    Args:
        teacher: One model.
        student: The other one.
        gained: Outputs of the student that may be longer than the teacher's along one axis.
        growth: What a record says of constants before rounding; None without one.
        dead: Whether elements of constants may have no part in a run.
        trace: Whether to say of each tensor of the student what it is in the teacher.
        surveys: What has been found by runs without numbers, by the shapes of inputs.
    """

    teacher: File
    student: File
    gained: Collection[str] = ()
    growth: Growth | None = None
    dead: bool = False
    trace: bool = False
    surveys: dict[tuple[tuple[str, tuple[int, ...]], ...], tuple[Survey, Survey]] = field(default_factory=dict)

    def exact(self, world: Any) -> Exact | None:
        """Return the student's numbers before rounding."""
        return None if self.growth is None else self.growth.exact(world, self.teacher, self.student)

    def lengths(self, attempt: sizes.Attempt) -> list[tuple[Lengths, Lengths]]:
        """Return for each set of shapes which lengths of both models differ from those of another set.

        Raises:
            Misfit: If a run cannot be made.
            Unread: If it would leave constants unread.
        """
        sides = []
        for shapes in attempt:
            sides.append(self.surveyed(shapes))
            self.require_read(sides[-1])
        return [(Lengths(one.shapes), Lengths(two.shapes)) for one, two in (sides[-1], *sides[:-1])]

    def surveyed(self, shapes: sizes.Shapes) -> tuple[Survey, Survey]:
        """Return what runs without numbers show of both models; they are made once for the same shapes.

        Raises:
            Misfit: If a run cannot be made.
        """
        key = tuple(sorted(shapes.items()))
        if key not in self.surveys:
            both = Comparisons()
            worlds = Ranges(both), Ranges(both)
            runs = Watched(worlds[0], self.teacher), Watched(worlds[1], self.student)
            for run in runs:
                run.trail.carried = {} if _elements(run.file) <= SAMPLED else None
                try:
                    run.outputs(inputs(run.world, self.teacher, shapes))
                except Undecided as why:
                    raise Misfit(why.reason, why.node, why.operator) from why
            self.surveys[key] = Survey.of(runs[0], worlds[0]), Survey.of(runs[1], worlds[1])
        return self.surveys[key]

    def primes(self, attempt: sizes.Attempt) -> int:
        """Return about how many primes runs with these shapes need, from runs without numbers."""
        roots = 0 if self.growth is None else len(self.growth.roots(self.teacher, self.student))
        chance = CERTAIN / len(attempt) / SPARE
        comparisons = (self.surveyed(shapes)[-1].comparisons for shapes in attempt)
        return max(each.wanted(chance, roots, PRIMES, MOST) for each in comparisons)

    def dead_at(self, *batches: sizes.Shapes) -> bool:
        """Return whether what is unread at some shapes, which differ in nothing but batches, is so at any batch."""
        try:
            sides = [self.surveyed(shapes) for shapes in batches]
        except Misfit:
            return False
        return all(dead(side) for side in zip(*sides, strict=True))

    def require_read(self, runs: tuple[Watched, Watched] | tuple[Survey, Survey]) -> None:
        """Raise Unread if runs have left elements of constants unread."""
        counts = tuple(run.reads.unread() for run in runs)
        if any(counts) and not (self.dead and not any(run.reads.elsewhere for run in runs)):
            run = runs[0] if counts[0] else runs[1]
            raise Unread(counts, _shape_of(run.file, *next(iter(run.reads.unread().items()))))

    def at(
        self, shapes: sizes.Shapes, lengths: tuple[Lengths, Lengths], outside: Outside, world: Field, *, left: int = 1
    ) -> Unequal | None:
        """Run both models once: return what is not equal.

        Where ``left`` sets of shapes are left, and all runs as long as the teacher's would be too long, it ends there.

        Raises:
            Differs: If an output differs whatever its numbers are.
            Undecided: If the run cannot be made, or leaves constants unread.
        """
        given = inputs(world, self.teacher, shapes)
        runs = (
            Watched(world, self.teacher, lengths=lengths[0]),
            Watched(world, self.student, self.exact(world), lengths[1]),
        )
        started = time.monotonic()
        outside.watch(world, 0)
        first = runs[0].outputs(given)
        keep((2 * left - 1) * (time.monotonic() - started))
        outside.watch(world, 1)
        results = first, runs[1].outputs(given)
        compared, bound = 0, Bound()
        for name, old, new in pairs(runs, results, self.gained):
            compared, bound = compared + 1, bound.joined(old.bound).joined(new.bound)
            wrong = (old.values != new.values).any(0)
            if wrong.any():
                return Unequal(shapes, world, name, float(np.mean(wrong)))
        world.comparisons.add("output", compared, bound)
        for one, two in (runs, runs[::-1]):
            for what in one.decided.keys() - two.decided.keys():
                side = "teacher" if one is runs[0] else "student"
                place = one.decided[what]
                where = f" at {what[0]} node {place!r}" if isinstance(what, tuple) else ""
                raise Undecided(f"what depends on a length is decided otherwise in the {side}{where}", place)
        self.require_read(runs)
        return None

    def on(self, attempt: sizes.Attempt) -> Verdict:
        """Run both models on sets of shapes, all of which have to come out equal."""
        roots = () if self.growth is None else self.growth.roots(self.teacher, self.student)
        lengths, limit = self.lengths(attempt), CERTAIN / len(attempt)
        outside = [Outside((one.open, two.open)) for one, two in map(self.surveyed, attempt)]
        total, count, laws, products = 0.0, self.primes(attempt), False, True
        for place, shapes in enumerate(attempt):
            while True:
                world = Field(count, roots, laws=laws, products=products)
                try:
                    left = len(attempt) - place
                    unequal = self.at(shapes, lengths[place], outside[place], world, left=left)
                except Differs as how:
                    return Verdict("different", shapes=(shapes,), output=how.output, reason=how.reason)
                if unequal is not None and laws:
                    return replace(self.explained(unequal), primes=count)
                undefined = None if unequal is not None else outside[place].undefined()
                if undefined is not None and laws:
                    return Verdict(
                        "undecided", primes=count, shapes=attempt, node=undefined.node, operator=undefined.operator,
                        reason=undefined_at(undefined),
                    )  # fmt: skip
                chance = world.comparisons.chance(world.primes, len(roots))
                if unequal is not None or undefined is not None:
                    laws = True
                elif chance <= limit:
                    break
                elif count < MOST:
                    count = max(count + 1, world.comparisons.wanted(limit, len(roots), PRIMES, MOST))
                elif products:
                    count, products = PRIMES, False  # a product of polynomials has the degree of both, a function 1
                else:
                    break
            total += chance
        if total > CERTAIN:
            reason = f"the chance of an error would be {rounded_up(total):.0e}"
            return Verdict("undecided", primes=count, shapes=attempt, reason=reason)
        if _elements(self.teacher) <= SAMPLED:
            against = self.search(attempt[0]).contradiction()
            if against is not None:
                return Verdict("undecided", primes=count, shapes=attempt, output=against.output, reason=against.reason)
        beyond = tuple({each.node: each for side in outside for each in side.beyond()}.values())
        found = Verdict("equal", rounded_up(total), count, shapes=attempt, beyond=beyond)
        if self.growth is None:
            return found
        constants, largest = self.growth.rounded(self.teacher, self.student)
        return replace(found, constants=constants, largest_rounding=largest)

    def search(self, shapes: sizes.Shapes) -> Search:
        """Return what looks for an input on which the models differ."""
        return Search(self.teacher, self.student, shapes, None if self.growth is None else self.exact, self.gained)

    def explained(self, unequal: Unequal) -> Verdict:
        """Say whether residues that differ mean that the models do: a witness shows it, else it is undecided."""
        shapes, output = unequal.shapes, unequal.output
        witness = self.search(shapes).found()
        walk = self.walked(unequal.world, shapes)
        wrong = output if witness is None else witness.output
        place = None if walk is None else walk.place(wrong, why=witness is None)
        found = self._said(unequal, witness, place)
        return replace(found, relations=walk.relations) if walk is not None and self.trace else found

    def walked(self, world: Field, shapes: sizes.Shapes) -> Walk | None:
        """Return what each tensor of the student is in the teacher, or None where that cannot be told."""
        given = inputs(world, self.teacher, shapes)
        try:
            return walked(world, self.teacher, self.student, given, self.exact(world), trace=self.trace)
        except (Undecided, MemoryError):
            return None

    def relations(self, shapes: sizes.Shapes) -> tuple[Relation, ...]:
        """Return what each tensor of the student is in the teacher; nothing where that cannot be told."""
        roots = () if self.growth is None else self.growth.roots(self.teacher, self.student)
        walk = self.walked(Field(PRIMES, roots), shapes)
        return () if walk is None else walk.relations

    def _said(self, unequal: Unequal, witness: Witness | None, place: Place | None) -> Verdict:
        shapes, output = unequal.shapes, unequal.output
        node, operator = ("", "") if place is None else (place.node, place.operator)
        if witness is not None:
            return Verdict(
                "different", shapes=(shapes,), output=witness.output, node=node, operator=operator,
                reason=witness.reason,
            )  # fmt: skip
        if place is None:
            reason = f"{unequal.share:.0%} of its numbers are not shown to be equal, and no input shows a difference"
        elif place.constant:
            reason = f"what {place.constant!r} was before it was rounded needs a record"
        else:
            reason = f"it needs a property of {operator} at node {node!r}"
        return Verdict("undecided", shapes=(shapes,), output=output, node=node, operator=operator, reason=reason)


def check(
    teacher: Model,
    student: Model,
    *,
    record: Path | str | Mapping[str, Any] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    gained: Collection[str] = (),
    seconds: float = math.inf,
    trace: bool = False,
) -> Verdict:
    """Say whether two models compute the same for every input of some shapes, in exact arithmetic.

    >>> from onnx_n2n.exact import check
    >>> assert check("teacher.onnx", "student.onnx")

    Args:
        teacher: The model that is right: a path or an ``onnx.ModelProto``.
        student: The model to judge.
        record: What the student's constants were before they were rounded: a growth record, by its path, or its
            document with ``arrays``. Without one, that in the folder of the student's file is taken, if there is one.
        shapes: Shapes of inputs, for free axes; those of others are chosen.
        gained: Outputs in which the student may say more along one axis, behind what the teacher says.
        seconds: How long it may take, or it is undecided.
        trace: Whether to say of each tensor of the student what it is in the teacher. This takes another run.

    Raises:
        ModelError: If a model or the record cannot be read.
        OptionError: If a shape does not fit its input, or there is no output that has gained.
    """
    started = time.monotonic()
    one, two = (each if isinstance(each, File) else load(each) for each in (teacher, student))
    names = {each.name for each in one.proto.graph.output}
    if strange := sorted(set(gained) - names):
        raise OptionError(f"the teacher has no output {strange[0]!r}", hint=f"there is {', '.join(sorted(names))}")
    output, reason = difference(one, two)
    if reason:
        found = Verdict("different", output=output, reason=reason)
    else:
        pair = Pair(one, two, gained, _growth(student, record), trace=trace)
        try:
            with within(seconds):
                found = _compared(pair, shapes or {}, started)
            if trace and found.relations is None and found.shapes:
                found = replace(found, relations=pair.relations(found.shapes[0]))
        except TooLong:
            found = Verdict("undecided", reason=too_long(seconds))
        except Undecided as why:
            found = Verdict("undecided", node=why.node, operator=why.operator, reason=why.reason)
        except MemoryError:
            found = Verdict("undecided", reason="there is not enough memory to run the models")
    return replace(found, seconds=time.monotonic() - started)


def _compared(pair: Pair, fixed: Mapping[str, tuple[int, ...]], started: float) -> Verdict:
    """Try shapes until a run of both models decides; say why not what came nearest to it."""
    given = list(pair.teacher.inputs)
    batches, others = sizes.names(given, fixed)
    if not batches and not others:
        pair = replace(pair, dead=True)  # there are no other shapes in which an element could have a part
    tried = Tried(pair, started, () if others else tuple(sizes.attempts(given, fixed)))
    if (found := tried.first(sizes.attempts(given, fixed))) is not None:
        return found
    lengths = () if not tried.unread else sorted({each for each in tried.unread[-1].shape if 1 < each <= LONGEST})
    for length in lengths:
        if (found := tried.first(sizes.attempts(given, fixed, reaching=length))) is not None:
            return found
    raise next(reversed(tried.unread), None) or tried.why or Undecided("no shapes were found that fit the inputs")


@dataclass
class Tried:
    """Shapes that have been tried.

    Args:
        pair: The models.
        started: When the check began.
        batches: All shapes that may be tried, where these differ in nothing but batches.
        why: Why the first ones did not decide.
        unread: What constants they left unread; this may be mended by larger ones.
    """

    pair: Pair
    started: float
    batches: tuple[sizes.Attempt, ...] = ()
    why: Undecided | None = None
    unread: list[Unread] = field(default_factory=list)

    def first(self, attempts: Iterator[sizes.Attempt]) -> Verdict | None:
        """Return the verdict on the first shapes that decide."""
        last, times = None, 0
        for attempt in attempts:
            if time.monotonic() - self.started > SECONDS:
                break
            try:
                return self._on(attempt)
            except Unread as unread:
                self.unread.append(unread)
            except Undecided as why:
                self.why = self.why or why
                place = why.node, why.operator, why.reason
                times = times + 1 if place == last else 1
                if times == (REPEATED if isinstance(why, Misfit) else 2) or isinstance(why, TooLarge):
                    break  # other lengths change nothing, or make it worse
                last = place
        return None

    def _on(self, attempt: sizes.Attempt) -> Verdict:
        """Return the verdict on some shapes, where what they leave unread may be so at any batch."""
        try:
            return self.pair.on(attempt)
        except Unread:
            if not self._dead(attempt):
                raise
        return replace(self.pair, dead=True).on(attempt)

    def _dead(self, attempt: sizes.Attempt) -> bool:
        """Return whether what some batches leave unread is so at any: a large one has to leave it unread as well."""
        if self.pair.dead or not self.batches:
            return False
        made = max(each.made for each in self.pair.surveyed(attempt[0])) / _size(attempt[0])
        large = [shapes for each in self.batches for shapes in each if made * _size(shapes) < LARGEST]
        return self.pair.dead_at(*attempt, max(large, key=_size, default=attempt[0]))


def _size(shapes: sizes.Shapes) -> int:
    return sum(int(np.prod(each)) for each in shapes.values())


def _elements(file: File) -> int:
    return sum(int(np.prod(each.dims, dtype=np.int64)) for each in file.proto.graph.initializer)


def _shape_of(file: File, name: str, places: int) -> tuple[int, ...]:
    for tensor in file.proto.graph.initializer:
        if tensor.name == name:
            return tuple(tensor.dims)
    return (places,)


def _growth(student: Model, record: Path | str | Mapping[str, Any] | None) -> Growth | None:
    """Return what a growth record says of constants before rounding: the one given, or that beside the student."""
    if record is not None:
        return growth.read(record)
    return growth.beside(student) if isinstance(student, str | Path) else None
