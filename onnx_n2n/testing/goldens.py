"""Golden models: what a model computes is recorded once, and compared ever after."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx.external_data_helper import load_external_data_for_model

from onnx_n2n.errors import InputError, N2NError, OptionError, told
from onnx_n2n.io.kinds import plain
from onnx_n2n.testing import documents, messages
from onnx_n2n.testing.documents import Golden
from onnx_n2n.testing.places import dotted, inside, shown, stem
from onnx_n2n.verification.inputs import read_inputs
from onnx_n2n.verification.interfaces import formed
from onnx_n2n.verification.mapped import weight
from onnx_n2n.verification.recorded import Holding, hold, record
from onnx_n2n.verification.runtime import TIME_LIMIT, runtime
from onnx_n2n.verification.sessions import AnyModel, Provider, opened, short
from onnx_n2n.verification.verdict import verify

Feeds = Mapping[str, np.ndarray] | Sequence[Mapping[str, np.ndarray]] | str | os.PathLike[str]

KEPT = 1 << 20  # bytes of weights up to which a model is kept beside what it computes
KEPT_FOR_EXACT = 1 << 26  # the same where the exact check needs it

DIFFERENT = "the model does not compute what was recorded"


class Goldens:
    """The golden models of one test: what the fixture ``onnx_golden`` is."""

    def __init__(
        self, folder: Path, parts: tuple[str, ...], test: str, *, update: bool, on_record: Callable[[str], None]
    ) -> None:
        """Say where golden files are.

        Args:
            folder: The golden folder.
            parts: The folders in it that are those of the test's module.
            test: The test, as pytest names it: ``tests/test_it.py::test_that``.
            update: Whether to record what is not there, or is another.
            on_record: Is told each file that is recorded.
        """
        self._folder, self._parts, self._update, self._on_record = folder, parts, update, on_record
        self._test = test
        self._claimed: set[str] = set()

    def check(
        self,
        model: AnyModel,
        name: str | None = None,
        *,
        inputs: Feeds | None = None,
        shapes: Mapping[str, tuple[int, ...]] | None = None,
        provider: Provider = "cpu",
        time_limit: float = TIME_LIMIT,
        exact: bool = False,
    ) -> None:
        """Assert that a model computes what was recorded, within the rounding error that was measured then.

        Args:
            model: Whatever holds one: a path, a folder with a ``model.onnx``, bytes, a file object, a ``ModelProto``, a
                graphsurgeon ``Graph``, an ``onnx_ir.Model`` or a ``torch.onnx.ONNXProgram``.
            name: What the model is called, where a test checks several.
            inputs: A feed, or several, or an npz file of one, which are recorded; without one, they are drawn.
            shapes: Shapes of inputs to draw, for free dimensions.
            provider: Where to run, as for `onnx_n2n.verify`.
            time_limit: How many seconds one run may take.
            exact: Whether to hold the model against the recorded one by the exact check too.

        Raises:
            AssertionError: It does not, or that cannot be told; or nothing is recorded, and pytest runs without
                ``--update-golden``. The message says what to do.
        """
        __tracebackhide__ = True  # pytest shows the line of the test
        feeds = {"inputs": inputs, "shapes": shapes}
        running = {"provider": provider, "time_limit": time_limit}
        try:
            model = plain(model).model  # it is read several times
            place = self._place(name)
            complaint = self._complaint(place, name or "", model, feeds, running, exact)
            if complaint and self._update:
                golden = self._recorded(name or "", model, feeds, running, exact)
                inside(self._folder, self._parts)
                documents.write(place, golden)
                self._on_record(shown(place))
                complaint = ""
        except N2NError as error:
            complaint = str(error)
        if complaint:
            raise AssertionError(complaint)

    def _place(self, name: str | None) -> Path:
        """Where the document of a check is; one test may ask for each place once."""
        _, _, test = self._test.partition("::")
        place = inside(self._folder, self._parts) / f"{stem(dotted(test) or 'module', name)}.json"
        if place.name.casefold() in self._claimed:
            raise OptionError(
                f"two checks of one test have the golden file {shown(place)!r}",
                hint="name them: `onnx_golden.check(model, 'student')`",
            )
        self._claimed.add(place.name.casefold())
        return place

    @property
    def _id(self) -> str:
        """The test, by what its module is called: folders may be renamed."""
        module, *test = self._test.split("::")
        return "::".join((module.rpartition("/")[2], *test))

    def _complaint(
        self, place: Path, name: str, model: AnyModel, feeds: Mapping[str, Any], running: Mapping[str, Any], exact: bool
    ) -> str:
        """What is wrong with a model, or with what is recorded; empty if nothing is."""
        if not os.path.lexists(place):
            _given(feeds["inputs"])
            with opened(model) as source:  # whoever has no such file need not hear of recording it
                source.skeleton()
            return f"nothing is recorded for this model: there is no {shown(place)}.\n  {self._how('To record it')}"
        if (theirs := documents.owner(place)) != (self._id, name):
            said = f"{theirs[0]}, check {theirs[1]!r}" if theirs[1] else theirs[0]
            raise OptionError(
                f"{shown(place)!r} belongs to another test: {said}",
                hint="rename one of them, or remove the file if that test is gone",
            )
        try:
            return self._compared(place, documents.read(place), model, feeds, running, exact)
        except N2NError:
            if self._update:  # the recording may be damaged; if it is the model, recording says so again
                return DIFFERENT
            raise

    def _compared(
        self,
        place: Path,
        golden: Golden,
        model: AnyModel,
        feeds: Mapping[str, Any],
        running: Mapping[str, Any],
        exact: bool,
    ) -> str:
        lines = [f"{each}; it was recorded with others" for each in _other_feeds(golden, **feeds)]
        if not lines:
            holding = hold(golden.recording, model, kept=golden.model, **running)
            lines = [] if holding.ok else list(_lines(golden, holding))
        if exact and not lines:
            lines = ["the recorded model was not kept, and the exact check needs it"]
            if golden.model is not None:
                verdict = verify(golden.model, model, exact=True)
                lines = [] if verdict else [f"exact check: {verdict}"]
        if not lines:
            return ""
        return "\n  ".join([f"{DIFFERENT} in {shown(place)}", *lines, self._how("If it is meant to, record it again")])

    def _recorded(
        self, name: str, model: AnyModel, feeds: Mapping[str, Any], running: Mapping[str, Any], exact: bool
    ) -> Golden:
        """Record a model.

        Raises:
            N2NError: It cannot be run, or not be decided by the exact check.
        """
        given = _given(feeds["inputs"])
        recording = record(model, inputs=given or None, shapes=feeds["shapes"], **running)
        kept = _kept(model, KEPT_FOR_EXACT if exact else KEPT)
        if exact and kept is None:
            reason = f"the exact check needs the model, and one of more than {KEPT_FOR_EXACT:,} bytes is not kept"
            raise OptionError(reason, hint="leave out `exact=True`")
        if exact and not (verdict := verify(kept or b"", model, exact=True)):
            raise InputError(f"the exact check would never pass. {verdict.sentence}", hint="leave out `exact=True`")
        return Golden(self._id, name, len(given), runtime().__version__, recording, kept)

    def _how(self, what: str) -> str:
        return f'{what}: pytest --update-golden "{self._test}"'


def _given(inputs: Feeds | None) -> list[Mapping[str, np.ndarray]]:
    """The feeds that are given, which may be none.

    Raises:
        InputError: A file cannot be read.
        OptionError: It is no feed.
    """
    if isinstance(inputs, str | os.PathLike):
        return [read_inputs(Path(inputs))]
    feeds = [inputs] if isinstance(inputs, Mapping) else [] if inputs is None else inputs
    if not isinstance(feeds, Sequence) or not all(isinstance(each, Mapping) for each in feeds):
        reason = f"`inputs=` takes a mapping of arrays by input, several of these, or a path, not {type(inputs)}"
        raise OptionError(reason)
    return list(feeds)


def _other_feeds(
    golden: Golden, inputs: Feeds | None, shapes: Mapping[str, tuple[int, ...]] | None
) -> Iterator[str]:
    """How feeds that are asked for differ from those that were recorded."""
    given, feeds = _given(inputs), golden.recording.trial.feeds
    if len(given) != golden.given:
        yield f"{len(given) or 'no'} inputs are given, and there were {golden.given or 'none'}"
        return
    for k, (new, old) in enumerate(zip(given, feeds, strict=False)):
        for name in sorted({*new, *old}):
            one, two = (np.asarray(feed[name]) if name in feed else None for feed in (old, new))
            if one is None or two is None or formed(one) != formed(two) or one.tobytes() != two.tobytes():
                yield f"input {name!r} of feed {k} is another"
    for name, shape in (shapes or {}).items():
        if name not in feeds[0] or feeds[0][name].shape != tuple(shape):
            yield f"input {name!r} is asked for with the shape {list(shape)}"


def _lines(golden: Golden, holding: Holding) -> Iterator[str]:
    """What is wrong with a model that is not what was recorded."""
    yield from messages.interface(holding.differences, "recorded", "now")
    if holding.reason is not None:
        yield f"it does not run: {holding.reason.removeprefix('unknown: ')}"
    else:
        yield from messages.outputs(holding.outputs, holding.differences, holding.places)
    if holding.wrong is not None:
        yield f"first tensor that differs: {holding.wrong}"
    if holding.moved:
        yield f"the recorded model itself gives another {holding.moved[0]!r} here: it is ONNX Runtime, or the machine"
    now = short(holding.provider), str(runtime().__version__)
    before = short(golden.recording.provider), golden.runtime
    yield "; ".join(
        f"{what} on {where} by ONNX Runtime {version}"
        for what, (where, version) in (("recorded", before), ("run", now))
    )


def _kept(model: AnyModel, most: int) -> bytes | None:
    """A model as one file; None where it is larger than that."""
    with opened(model) as source:
        if weight(source.skeleton()) > most:
            return None
        if isinstance(source.data, Path) and source.data.stat().st_size > 2 * most:
            return None
        with told("the model cannot be kept"):
            proto = source.proto()
            folder = source.data.parent if isinstance(source.data, Path) else source.folder
            load_external_data_for_model(proto, str(folder or Path()))
            data = bytes(proto.SerializeToString(deterministic=True))
        return data if len(data) <= most else None
