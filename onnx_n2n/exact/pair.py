"""Teacher and student once through finite fields, at some shapes: equal outputs mean equal functions."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from onnx_n2n.exact import sizes
from onnx_n2n.exact.chance import Bound, Comparisons
from onnx_n2n.exact.compared import Differs, pairs
from onnx_n2n.exact.field import Field
from onnx_n2n.exact.files import File
from onnx_n2n.exact.growth import Growth
from onnx_n2n.exact.lengths import Lengths
from onnx_n2n.exact.limit import keep
from onnx_n2n.exact.outside import Outside, undefined_at
from onnx_n2n.exact.ranges import Constants, Ranges
from onnx_n2n.exact.relations import Place, Relation, Walk, walked
from onnx_n2n.exact.survey import Survey, dead, seen
from onnx_n2n.exact.undecided import Undecided
from onnx_n2n.exact.unrounded import Exact
from onnx_n2n.exact.verdict import Verdict, rounded_up
from onnx_n2n.exact.watched import TooLarge, Watched
from onnx_n2n.exact.witness import Search, Witness, inputs

CERTAIN = 1e-12  # a verdict "equal" has at most this chance to be wrong
PRIMES, MOST = 5, 9  # so many at least, and at most so many if the chance of an error asks for them
SPARE = 4  # the chance that is found without numbers may be so much smaller than it is
SAMPLED = 1 << 26  # models with more constants are not run over doubles as well, nor is kept where these go


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


@dataclass
class Means:
    """How runs are made: what one set of shapes has needed, the next one begins with.

    Args:
        primes: How many primes are drawn.
        laws: Whether functions are known that change nothing when they are applied once more.
        products: Whether numbers that inputs have a part in are multiplied.
    """

    primes: int
    laws: bool = False
    products: bool = True

    def more(self, wanted: int) -> bool:
        """Make the chance of an error smaller, by about so many primes; return whether there is a way to."""
        if self.primes < MOST:
            self.primes = max(self.primes + 1, wanted)
        elif self.products:  # a product of polynomials has the degree of both, a function 1
            self.primes, self.products = PRIMES, False
        else:
            return False
        return True


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
        surveys: What has been found by runs without numbers, by the side and the shapes of inputs.
        constants: What these have found of constants.
    """

    teacher: File
    student: File
    gained: Collection[str] = ()
    growth: Growth | None = None
    dead: bool = False
    trace: bool = False
    surveys: dict[tuple[int, tuple[tuple[str, tuple[int, ...]], ...]], Survey] = field(default_factory=dict)
    constants: Constants = field(default_factory=dict)

    @property
    def large(self) -> bool:
        """Whether a run takes so long that one is made only where it has to be."""
        return _elements(self.teacher) > SAMPLED

    @property
    def roots(self) -> tuple[int, ...]:
        """The small primes that have to have roots modulo the primes of a run."""
        return () if self.growth is None else self.growth.roots

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
        for side in (0, 1):
            surveys = self._read(attempt, side)
            others = surveys[-1], *surveys[:-1]
            sides.append([Lengths(each.shapes, each.emptied) for each in others])
        return list(zip(*sides, strict=True))

    def shows(self, one: sizes.Attempt, two: sizes.Attempt) -> bool:
        """Return whether runs at some shapes read all, and tell apart whatever those at others do."""
        try:
            return all(seen(*self._read(one, side)) >= seen(*self._read(two, side)) for side in (0, 1))
        except Undecided:
            return False

    def _read(self, attempt: sizes.Attempt, side: int) -> list[Survey]:
        """Return what runs without numbers show of a model, if they read all of its constants."""
        found = []
        for shapes in attempt:
            found.append(self.survey(shapes, side))
            self.require_read(found[-1:])
        return found

    def survey(self, shapes: sizes.Shapes, side: int) -> Survey:
        """Return what a run without numbers shows of the teacher (0) or the student (1); it is made once.

        Raises:
            Misfit: If the run cannot be made.
        """
        key = side, tuple(sorted(shapes.items()))
        if key not in self.surveys:
            before = self.survey(shapes, 0).comparisons.copied() if side else Comparisons()
            world = Ranges(before, self.constants)
            run = Watched(world, (self.teacher, self.student)[side])
            run.trail.carried = {} if _elements(run.file) <= SAMPLED else None
            try:
                results = run.outputs(inputs(world, self.teacher, shapes))
            except Undecided as why:
                raise Misfit(why.reason, why.node, why.operator) from why
            self.surveys[key] = Survey.of(run, world, results)
        return self.surveys[key]

    def misfit(self, shapes: sizes.Shapes) -> Undecided | None:
        """Say why the student does not take some shapes, or gives others for them, although the teacher takes them."""
        said = ", ".join(f"{name}[{','.join(map(str, shape))}]" for name, shape in shapes.items())
        try:
            wanted = self.survey(shapes, 0).outputs
        except Misfit:
            return None
        try:
            given = self.survey(shapes, 1).outputs
        except Misfit as why:
            reason = f"the teacher takes {said}, and the student does not: {why.reason}"
            return None if isinstance(why.__cause__, TooLarge) else Undecided(reason, why.node, why.operator)
        other = (name for name, shape in wanted.items() if name not in self.gained and given.get(name) != shape)
        name = next(other, None)
        return None if name is None else Undecided(f"for {said} output {name!r} has another shape in the student")

    def primes(self, attempt: sizes.Attempt) -> int:
        """Return about how many primes runs with these shapes need, from runs without numbers."""
        chance = CERTAIN / len(attempt) / SPARE
        comparisons = (self.survey(shapes, 1).comparisons for shapes in attempt)
        return max(each.wanted(chance, len(self.roots), PRIMES, MOST) for each in comparisons)

    def dead_at(self, *batches: sizes.Shapes) -> bool:
        """Return whether what is unread at some shapes, which differ in nothing but batches, is so at any batch."""
        try:
            return all(dead([self.survey(shapes, side) for shapes in batches]) for side in (0, 1))
        except Misfit:
            return False

    def require_read(self, runs: Sequence[Watched] | Sequence[Survey]) -> None:
        """Raise Unread if runs have left elements of constants unread."""
        counts = tuple(run.reads.unread() for run in runs)
        if any(counts) and not (self.dead and not any(run.reads.elsewhere for run in runs)):
            place, unread = next((place, each) for place, each in enumerate(counts) if each)
            raise Unread(counts, _shape_of(runs[place].file, *next(iter(unread.items()))))

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
        lengths, means, total = self.lengths(attempt), Means(self.primes(attempt)), 0.0
        outside = [Outside((self.survey(shapes, 0).open, self.survey(shapes, 1).open)) for shapes in attempt]
        for place in range(len(attempt)):
            found = self._certain(attempt, place, lengths[place], outside[place], means)
            if isinstance(found, Verdict):
                return found
            total += found
        if total > CERTAIN:
            reason = f"the chance of an error would be {rounded_up(total):.0e}"
            return Verdict("undecided", primes=means.primes, shapes=attempt, reason=reason)
        if not self.large:
            against = self.search(attempt[0]).contradiction()
            if against is not None:
                return Verdict(
                    "undecided", primes=means.primes, shapes=attempt, output=against.output, reason=against.reason
                )
        beyond = tuple({each.node: each for side in outside for each in side.beyond()}.values())
        equal = Verdict("equal", rounded_up(total), means.primes, shapes=attempt, beyond=beyond)
        if self.growth is None:
            return equal
        constants, largest = self.growth.rounded(self.teacher, self.student)
        return replace(equal, constants=constants, largest_rounding=largest)

    def unlike(self, shapes: sizes.Shapes) -> Verdict | None:
        """Return the verdict on some more shapes if something is not equal there; None where nothing can be said."""
        attempt = (shapes,)
        try:
            outside = Outside((self.survey(shapes, 0).open, self.survey(shapes, 1).open))
            for laws in (False, True):
                world = Field(self.primes(attempt), self.roots, laws=laws)
                unequal = self.at(shapes, self.lengths(attempt)[0], outside, world)
                if unequal is None:
                    return None
        except Differs as how:
            return Verdict("different", shapes=attempt, output=how.output, reason=how.reason)
        except Undecided:
            return None
        assert unequal is not None
        return replace(self.explained(unequal), primes=len(world.primes))

    def _certain(
        self, attempt: sizes.Attempt, place: int, lengths: tuple[Lengths, Lengths], outside: Outside, means: Means
    ) -> Verdict | float:
        """Run both models on one set of shapes, by more means each time, until it is known whether they are equal.

        Returns:
            The chance of an error, which is too large where no means are left; or a verdict, if they are not equal.
        """
        limit, left = CERTAIN / len(attempt), len(attempt) - place
        while True:
            world = Field(means.primes, self.roots, laws=means.laws, products=means.products)
            try:
                unequal = self.at(attempt[place], lengths, outside, world, left=left)
            except Differs as how:
                return Verdict("different", shapes=(attempt[place],), output=how.output, reason=how.reason)
            undefined = None if unequal is not None else outside.undefined()
            if not means.laws and (unequal is not None or undefined is not None):
                means.laws = True
                continue
            if unequal is not None:
                return replace(self.explained(unequal), primes=means.primes)
            if undefined is not None:
                return Verdict(
                    "undecided", primes=means.primes, shapes=attempt, node=undefined.node,
                    operator=undefined.operator, reason=undefined_at(undefined),
                )  # fmt: skip
            chance = world.comparisons.chance(world.primes, len(self.roots))
            if chance <= limit or not means.more(world.comparisons.wanted(limit, len(self.roots), PRIMES, MOST)):
                return chance

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
        walk = self.walked(Field(PRIMES, self.roots), shapes)
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
            said = "a growth record may say" if self.growth is None else "the record does not say"
            reason = f"the teacher has no constant {place.constant!r} with these numbers, and {said} what it rounds"
        else:
            reason = f"only a law of {operator} that is not known here could make them equal, and no input parts them"
        return Verdict("undecided", shapes=(shapes,), output=output, node=node, operator=operator, reason=reason)


def _elements(file: File) -> int:
    return sum(int(np.prod(each.dims, dtype=np.int64)) for each in file.proto.graph.initializer)


def _shape_of(file: File, name: str, places: int) -> tuple[int, ...]:
    for tensor in file.proto.graph.initializer:
        if tensor.name == name:
            return tuple(tensor.dims)
    return (places,)
