"""Models damaged on purpose: sound ones of many kinds, changed at random by bytes and by structure.

``mutated(number)`` gives the same files for the same number.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import onnx

from helpers.sound_models import sound
from helpers.structural_mutations import STRUCTURE


@dataclass(frozen=True)
class Mutated:
    """A damaged model.

    Attributes:
        changes: What was done to it, for whoever reads a failure.
        files: What to write, by name; ``m.onnx`` is the model.
    """

    changes: tuple[str, ...]
    files: dict[str, bytes]


def mutated(number: int) -> Mutated:
    """Damage a sound model; every third one by bytes."""
    rng = random.Random(number)
    names = sorted(sound())
    name = names[number % len(names)]
    files = dict(sound()[name])
    if number % 3 == 0:
        changes = [rng.choice(BYTES) for _ in range(rng.choice((1, 1, 2, 5)))]
        for change in changes:
            file = rng.choice(list(files)) if rng.random() < 0.2 else "m.onnx"
            files[file] = change(rng, files[file])
    else:
        proto = onnx.ModelProto.FromString(files["m.onnx"])
        changes = [rng.choice(STRUCTURE) for _ in range(rng.choice((1, 1, 1, 2, 4)))]
        for change in changes:
            change(rng, proto)
        files["m.onnx"] = proto.SerializeToString()
    return Mutated((name, *(change.__name__ for change in changes)), files)


# --- by bytes


def flip(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 4, 32)) if data else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def overwrite(rng: random.Random, data: bytes) -> bytes:
    start, end = _range(rng, data)
    return data[:start] + bytes(rng.choice((0, 255, 128, 10)) for _ in range(end - start)) + data[end:]


def cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def remove(rng: random.Random, data: bytes) -> bytes:
    start, end = _range(rng, data)
    return data[:start] + data[end:]


def repeat(rng: random.Random, data: bytes) -> bytes:
    start, end = _range(rng, data)
    return data[:end] + data[start:end] * rng.choice((1, 3)) + data[end:]


def insert(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(rng.randrange(1, 16)) + data[at:]


def swap(rng: random.Random, data: bytes) -> bytes:
    one, two, three, four = sorted(rng.randrange(len(data) + 1) for _ in range(4))
    return data[:one] + data[three:four] + data[two:three] + data[one:two] + data[four:]


def zero(rng: random.Random, data: bytes) -> bytes:
    start, end = _range(rng, data)
    return data[:start] + bytes(end - start) + data[end:]


def bottomless(rng: random.Random, data: bytes) -> bytes:
    """Add a graph that holds 2,000 more, each in the one before; protobuf itself neither builds nor reads it."""
    inner = b""
    for _ in range(2000):
        for tag in (6 << 3 | 2, 5 << 3 | 2, 1 << 3 | 2):  # a graph in an attribute of a node of a graph
            inner = bytes([tag]) + _length(len(inner)) + inner
    return data + bytes([7 << 3 | 2]) + _length(len(inner)) + inner


def _length(number: int) -> bytes:
    """Return a number as protobuf writes it."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


BYTES = [flip, flip, flip, overwrite, cut, remove, repeat, insert, swap, zero, bottomless]


def _range(rng: random.Random, data: bytes) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 2, 8, 40)))
