"""Damaged growth records: what a disk, an editor, or somebody who means harm makes of a good one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from onnx_n2n.io.tensorfile import LENGTH, from_bytes, to_bytes
from onnx_n2n.record.record import Record, digest

ABSENT: Any = object()
HEX = "f" * 64


@dataclass
class Draft:
    """A record in parts, to be damaged."""

    document: Any
    arrays: dict[str, np.ndarray]
    metadata: dict[str, str]
    signature: str

    @classmethod
    def of(cls, data: bytes) -> Draft:
        arrays, metadata = from_bytes(data)
        return cls(json.loads(metadata["document"]), dict(arrays), metadata, metadata["digest"])

    def to_bytes(self, *, signed: bool) -> bytes:
        """Return the file, with the digest of what is in it now (``signed``), or of what was."""
        metadata = dict(self.metadata)
        if self.document is not None:
            metadata["document"] = json.dumps(self.document)
            if signed and metadata.get("digest") == self.signature:
                metadata["digest"] = digest(self.document, self.arrays)
        return to_bytes(self.arrays, metadata)

    def tensors(self, holds: Callable[[Any], Any] = bool) -> list[Any]:
        return [each for step in self.document["steps"] for each in step["tensors"] if holds(each)]

    def axes(self, holds: Callable[[Any], Any] = bool) -> list[Any]:
        return [axis for each in self.tensors() for axis in each["axes"] if holds(axis)]

    def put(self, axis: dict[str, Any], key: str, array: np.ndarray) -> None:
        """Give an axis an array of its own."""
        axis[key] = f"new{len(self.arrays)}"
        self.arrays[axis[key]] = array


Structural = Callable[[Random, Draft], bool | None]
"""Damages a draft; False where there is nothing that could be damaged so."""


def _number(key: str, change: Callable[[np.ndarray, int], Any]) -> Structural:
    """Return the damage of an array of an axis: ``change`` gets a copy and a place, and may return another array."""

    def damage(rng: Random, draft: Draft) -> bool:
        found = draft.axes(lambda axis: axis.get(key) not in {None, "ones"})
        if not found:
            return False
        axis = rng.choice(found)
        array = draft.arrays[axis[key]].copy()
        other = change(array, rng.randrange(len(array)))
        draft.put(axis, key, array if other is None else other)
        return True

    return damage


def _to(value: Any) -> Callable[[np.ndarray, int], None]:
    return lambda array, place: array.__setitem__(place, value)


def _field(where: Callable[[Draft], list[Any]], key: str, *values: Any) -> Structural:
    """Return the damage of a key of one of some dictionaries, by a value, or by taking it out."""

    def damage(rng: Random, draft: Draft) -> bool:
        found = where(draft)
        if not found:
            return False
        chosen, value = rng.choice(found), rng.choice(values)
        if value is ABSENT:
            del chosen[key]
        else:
            chosen[key] = value(chosen.get(key)) if callable(value) else copy.deepcopy(value)
        return True

    return damage


def _leaves(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield all places of a document: what holds a value, and the key under which it does."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _leaves(inner)


def _another_type(rng: Random, draft: Draft) -> None:
    holder, key = rng.choice(list(_leaves(draft.document)))
    whole = isinstance(holder[key], dict | list)
    holder[key] = rng.choice([1.5, "x", None] if whole else [{"a": [1]}, True, [[{}]]])


OPTIONAL = {"apart", "multiplied", "gained", "tied", "copies"}


def _missing(rng: Random, draft: Draft) -> None:
    entries = [*_steps(draft), *_news(draft), *_origins(draft), *draft.tensors(), *draft.axes()]
    holder = rng.choice([draft.document, *entries])
    del holder[rng.choice([key for key in holder if key not in OPTIONAL])]


def _unknown(rng: Random, draft: Draft) -> None:
    found = [draft.document, *draft.document["steps"], *draft.tensors(), *draft.axes()]
    rng.choice(found)[rng.choice(["Index", "apart ", "\x00", "ꙮ"])] = 0


def _swap_copies(rng: Random, draft: Draft) -> bool:
    """Say of places of two old ones that they are copies of one another."""
    for axis in rng.sample(found := draft.axes(lambda axis: axis["copies"]), len(found)):
        copies, share = (draft.arrays[axis[key]] for key in ("copies", "share"))
        whole = np.flatnonzero(share == 1)
        if len(whole) > 1:
            changed = copies.copy()
            changed[whole[0]] = copies[whole[1]]
            draft.put(axis, "copies", changed)
            return True
    return False


def _negative_share(rng: Random, draft: Draft) -> bool:
    """Let shares sum to 1 that are none."""
    for axis in rng.sample(found := draft.axes(lambda axis: axis["share"]), len(found)):
        share, copies = draft.arrays[axis["share"]].copy(), draft.arrays[axis["copies"]]
        alike = [np.flatnonzero(copies == key) for key in np.unique(copies)]
        pair = next((places for places in alike if len(places) > 1), None)
        if pair is not None:
            share[pair] = 0
            share[pair[:2]] = [2, -1]
            draft.put(axis, "share", share)
            return True
    return False


def _lost_place(rng: Random, draft: Draft) -> bool:
    found = draft.axes(lambda axis: draft.arrays[axis["index"]].any())
    if found:
        axis = rng.choice(found)
        index = draft.arrays[axis["index"]]
        draft.put(axis, "index", np.where(index == 0, index.max(), index))
    return bool(found)


def _twice(rng: Random, draft: Draft) -> bool:
    for entry in rng.sample(draft.tensors(), 1 if draft.tensors() else 0):
        entry["axes"].append(copy.deepcopy(entry["axes"][0]))
    return bool(draft.tensors())


def _chain(rng: Random, draft: Draft) -> None:
    first, whole = draft.document["steps"][0], draft.document
    holder, key, model = rng.choice(
        [(first, "parent", HEX), (whole, "teacher", HEX), (whole, "student", whole["teacher"])]
    )
    holder[key] = model


def _no_array(rng: Random, draft: Draft) -> bool:
    for axis in rng.sample(draft.axes(), 1 if draft.axes() else 0):
        del draft.arrays[axis["index"]]
    return bool(draft.axes())


def _text(change: Callable[[str], str]) -> Structural:
    """Return the damage of the text of the document."""

    def damage(_: Random, draft: Draft) -> None:
        draft.metadata["document"], draft.document = change(json.dumps(draft.document)), None

    return damage


def _metadata(key: str, value: Any) -> Structural:
    def damage(_: Random, draft: Draft) -> None:
        draft.metadata[key] = value

    return damage


def _no_document(_: Random, draft: Draft) -> None:
    del draft.metadata["document"]
    draft.document = None


def _steps(draft: Draft) -> list[Any]:
    return list(draft.document["steps"])


def _news(draft: Draft) -> list[Any]:
    return [new for step in _steps(draft) for new in step["new"]]


def _settings(draft: Draft) -> list[Any]:
    return [step["settings"] for step in _steps(draft)]


def _origins(draft: Draft) -> list[Any]:
    grown = {entry["teacher"] for entry in draft.document["steps"][0]["tensors"]}
    return [each for weight, entries in draft.document["origins"].items() for each in entries if weight in grown]


STRUCTURAL: Mapping[str, Structural] = {
    "an index too large": _number("index", _to(10**6)),
    "a negative index": _number("index", _to(-1)),
    "the place behind the last": _number("index", lambda index, place: index.__setitem__(place, index.max() + 1)),
    "an old place is lost": _lost_place,
    "an index of floats": _number("index", lambda index, _: index.astype(np.float64)),
    "an index of two axes": _number("index", lambda index, _: index[None]),
    "an index without axes": _number("index", lambda index, _: index[0].reshape(())),
    "a short index": _number("index", lambda index, _: index[:-1]),
    "an empty index": _number("index", lambda index, _: index[:0]),
    "an array that is not there": _no_array,
    "a share that is no number": _number("share", _to(np.nan)),
    "a share without end": _number("share", _to(np.inf)),
    "another share": _number("share", lambda share, at: share.__setitem__(at, 0.25 if share[at] == 0.5 else 0.5)),
    "shares below 0": _negative_share,
    "a long share": _number("share", lambda share, _: np.append(share, 0.0)),
    "shares of a quarter precision": _number("share", lambda share, _: share.astype(np.float16)),
    "shares where nothing is summed": _field(lambda d: d.axes(lambda axis: axis["share"]), "role", "makes"),
    "no shares where there are sums": _field(lambda d: d.axes(lambda axis: axis["share"]), "share", None),
    "copies of others": _swap_copies,
    "no copies": _field(lambda d: d.axes(lambda axis: axis["share"]), "copies", None),
    "a gradient that is no number": _number("gradient", _to(np.nan)),
    "a gradient below 0": _number("gradient", _to(-0.5)),
    "a gradient too large": _number("gradient", _to(1e300)),
    "a row that is no number": _number("row", _to(np.nan)),
    "a long row": _number("row", lambda row, _: np.append(row, 0.0)),
    "a row of another name": _field(lambda d: d.axes(lambda axis: axis["row"]), "row", "twos", 1),
    "a place that is fresh twice": _number("fresh", _to(2)),
    "a mixture of what is not there": _number("sources", _to(10**6)),
    "a mixture without sources": _number("sources", lambda sources, _: sources[:-1]),
    "a mixture that is no number": _number("weights", _to(np.nan)),
    "a mixture of too much": _number("weights", _to(1.5)),
    "a mixture of one axis": _number("weights", lambda weights, _: weights[:, 0]),
    "a scale that is none": _field(Draft.tensors, "scale", float("nan"), 0, -1.0, "1", None, True, 1e999, 10**400),
    "a square that is none": _field(Draft.tensors, "squared", [0, 1], [2**64, 1], [1], [5, 1], [1.0, 1], "1", None),
    "an offset that is none": _field(Draft.tensors, "offset", float("nan"), "1", None, [], True, 10**400),
    "an offset of copies": _field(
        lambda d: d.tensors(lambda each: any(axis["role"] == "reads" for axis in each["axes"])), "offset", 1.0,
    ),
    "an offset without a scale": _field(
        lambda d: d.tensors(lambda each: "squared" not in each), "offset", -1.0,
    ),
    "a noise that is none": _field(Draft.tensors, "noise", float("inf"), -1e-9, [], None),
    "seeds that are none": _field(Draft.tensors, "seed", [-1], [0.5], "0", None),
    "another shape before": _field(Draft.tensors, "before", lambda shape: [n + 1 for n in shape], lambda s: s[:-1]),
    "another shape after": _field(Draft.tensors, "after", lambda shape: [n + 1 for n in shape], lambda s: [*s, 1]),
    "an absurd shape": _field(Draft.tensors, "before", lambda s: [10**18] * len(s), lambda s: [2**63, *s[1:]]),
    "a negative shape": _field(Draft.tensors, "after", lambda shape: [-n for n in shape]),
    "a shape of floats": _field(Draft.tensors, "before", lambda shape: [float(n) for n in shape]),
    "an axis that is not there": _field(Draft.axes, "axis", 9, 10**30, -1, "0", 0.0),
    "an axis twice": _twice,
    "an axis forgotten": _field(Draft.tensors, "axes", [], lambda axes: axes[1:]),
    "a role that is none": _field(Draft.axes, "role", "watches", None),
    "something missing": _missing,
    "something unknown": _unknown,
    "something of another type": _another_type,
    "a chain that breaks": _chain,
    "a digest that is none": _field(_steps, "parent", "", "F" * 64, HEX[1:], HEX + "\n", None),
    "settings that are no pairs": _field(_settings, "eps", [1.0], [1, 2, 3], ["a", 1], [None, None], [0, float("nan")]),
    "a new weight of no shape": _field(_news, "shape", [-1], [1.5], "3", None),
    "copies of no readers": _field(_news, "copies", ["a"] * 9, "a", [0], None),
    "a new weight in no place": _field(_news, "place", -1, "0", None),
    "a layout that is none": _field(
        _origins, "layout", "up", "gates:XYZ", "permuted:00", "channels:x", "permuted:(0,1=0)"
    ),
    "a layout of other axes": _field(_origins, "layout", "permuted:0123456", "channels:8", "gates:LSTM"),
    "a source that is none": _field(_origins, "source", "rumour", None),
    "parameters that are none": _field(_origins, "names", [], ["a", "b", "c"], "ab", [1]),
    "a name that is no Unicode": _field(Draft.tensors, "teacher", "\ud800"),
    "no document": _no_document,
    "a document of a list": _text(lambda text: f"[{text}]"),
    "a document that is cut": _text(lambda text: text[: len(text) // 2]),
    "a document that is nested": _text(lambda text: f'{{"steps": {"[" * 100_000}{"]" * 100_000}, {text[1:]}'),
    "a document that says things twice": _text(lambda text: f'{{"student": "{HEX}", {text[1:]}'),
    "a number of many digits": _text(lambda text: f'{{"place": 1{"0" * 10_000}, {text[1:]}'),
    "another version": _metadata("version", "2"),
    "another format": _metadata("format", "pt"),
    "a note": _metadata("note", "mind the gap"),
    "a digest of nothing": _metadata("digest", "0"),
}


Bytes = Callable[[Random, bytes], bytes]


def _flipped(rng: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 8, 100])):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _flipped_header(rng: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    changed[rng.randrange(LENGTH.size + LENGTH.unpack_from(data)[0])] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _zeroed(rng: Random, data: bytes) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + bytes(len(data[start : start + 512])) + data[start + 512 :]


def _length(rng: Random, data: bytes) -> bytes:
    own = LENGTH.unpack_from(data)[0]
    return LENGTH.pack(rng.choice([0, own - 1, own + 1, own * 2, len(data), 2**31, 2**63, 2**64 - 1])) + data[8:]


def _header(change: Callable[[Random, dict[str, Any]], Any]) -> Bytes:
    """Return the damage of the header of a file."""

    def damage(rng: Random, data: bytes) -> bytes:
        end = LENGTH.size + LENGTH.unpack_from(data)[0]
        header = json.loads(data[LENGTH.size : end])
        text = change(rng, header) or json.dumps(header).encode()
        return LENGTH.pack(len(text)) + text + data[end:]

    return damage


def _repeated(_: Random, header: dict[str, Any]) -> bytes:
    return f'{json.dumps(header)[:-1]}, "0": {json.dumps(header["0"])}}}'.encode()


def _entry(key: str, *values: Any) -> Bytes:
    def change(rng: Random, header: dict[str, Any]) -> None:
        header[rng.choice(sorted(header.keys() - {"__metadata__"}))][key] = rng.choice(values)

    return _header(change)


def _exchanged(_: Random, header: dict[str, Any]) -> None:
    first, *_rest, last = sorted(header.keys() - {"__metadata__"})
    header[first], header[last] = header[last], header[first]


BYTES: Mapping[str, Bytes] = {
    "bits that flip": _flipped,
    "a bit of the header that flips": _flipped_header,
    "a file that is cut": lambda rng, data: data[: rng.randrange(len(data))],
    "a file that goes on": lambda rng, data: data + rng.randbytes(rng.randrange(1, 99)),
    "a file twice": lambda _, data: data * 2,
    "zeros in the middle": _zeroed,
    "no file at all": lambda _, __: b"",
    "any bytes": lambda rng, data: rng.randbytes(len(data)),
    "another length of the header": _length,
    "a header that is no text": _header(lambda _, __: b"\xff\xfe{}"),
    "a header that is a list": _header(lambda _, __: b"[1]"),
    "a header that is nested": _header(lambda _, __: b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
    "a tensor twice": _header(_repeated),
    "tensors exchanged": _header(_exchanged),
    "a tensor of another type": _entry("dtype", "F32", "BF16", "F4", "I63", "U64", None),
    "a tensor of another shape": _entry("shape", [1], [], [2**62, 2**62], [-1], "x"),
    "a tensor elsewhere": _entry("data_offsets", [0, 0], [0, 2**60], [8, 0], [-8, 0]),
    "metadata that are no texts": _header(lambda _, header: header.update(__metadata__={"format": 1})),
}


def damaged(records: list[Record], number: int) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield what is done to a record, its bytes before, and those after: by number, the same in every run."""
    rng, kinds = Random(number), [*STRUCTURAL, *BYTES]
    name = kinds[number % len(kinds)]
    for record in rng.sample(records, len(records)):
        data = record.to_bytes()
        if name in BYTES and any(step.remade for step in record.steps):  # else there are no tensors to damage
            yield name, data, BYTES[name](rng, data)
            return
        draft = Draft.of(data)
        if name in STRUCTURAL and STRUCTURAL[name](rng, draft) is not False:
            for signed in (True, False):
                yield f"{name}, {'signed' if signed else 'as it was signed'}", data, draft.to_bytes(signed=signed)
            return
    raise AssertionError(f"no record can be damaged by {name!r}")
