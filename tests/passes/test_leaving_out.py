"""The search for what makes a student wrong: laws over all sets of parts that may be wrong together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

import onnx_n2n
from helpers.graphs import STABLE
from onnx_n2n.passes.leaving_out import Failure, Part, leave_out
from onnx_n2n.verification.localise import Wrong


@dataclass(frozen=True)
class Fake:
    """A pass over numbered parts."""

    chosen: frozenset[str]

    @property
    def modified(self) -> bool:
        return bool(self.chosen)

    def leave(self, parts: Collection[Part]) -> Fake:
        return replace(self, chosen=self.chosen.difference(part.name for part in parts))

    def pick(self, parts: Collection[Part]) -> Fake:
        return replace(self, chosen=self.chosen.intersection(part.name for part in parts))


@STABLE
@given(st.data(), st.integers(2, 20))
def test_what_is_left_out_makes_it_wrong_and_the_rest_is_right(data: st.DataObject, count: int) -> None:
    """Whatever sets of parts are wrong together, and wherever the first wrong tensor seems to be."""
    names = [str(n) for n in range(count)]
    bad = data.draw(st.lists(st.sets(st.sampled_from(names), min_size=1, max_size=3), min_size=1, max_size=4))
    near = data.draw(st.sets(st.sampled_from(names)))

    def attempt(change: Fake) -> Fake | Failure:
        wrong = any(each <= change.chosen for each in bad)
        cause = onnx_n2n.VerificationError("wrong")
        return Failure(cause, Wrong("t", "", "", "")) if wrong else change

    def parts(change: Fake) -> Sequence[Part]:
        return [Part(n, frozenset({"t"} if n in near else ())) for n in names if n in change.chosen]

    first = attempt(Fake(frozenset(names)))
    assert isinstance(first, Failure)
    try:
        rest = leave_out(Fake(frozenset(names)), first, attempt, parts)
    except onnx_n2n.VerificationError:
        assert set().union(*bad) == set(names)
        return
    lost = [found.part.name for found in rest.found]
    assert rest.change.chosen == set(names).difference(lost)
    assert not isinstance(attempt(rest.change), Failure)
    assert set(lost) <= set().union(*bad)
    assert len(lost) <= len(bad)
    for found in rest.found:
        assert isinstance(attempt(found.change), Failure)
        assert found.part.name in found.change.chosen
