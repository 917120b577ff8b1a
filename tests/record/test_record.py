"""Growth records: what is written is read again and is the same, and what is damaged is refused with a reason."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save_file

import onnx_n2n
from helpers.calling import MODELS, call, net
from helpers.damages import BYTES, STRUCTURAL, Draft, damaged
from helpers.enlarging import UNPROVEN
from helpers.graphs import STABLE, model
from helpers.growths import GROWTHS, record_of
from onnx_n2n.checkpoint.growth import grow
from onnx_n2n.errors import GrowthError, ModelError, N2NError
from onnx_n2n.io import tensorfile
from onnx_n2n.passes import Widen, parse
from onnx_n2n.record import record as records
from onnx_n2n.record.record import Record, Remade

DAMAGES = int(os.environ.get("N2N_DAMAGES", len(STRUCTURAL) + len(BYTES)))

ARRAYS = [
    np.zeros(()), np.arange(6).reshape(2, 3).T, np.ones((0, 3), np.uint8), np.array([1], np.float32), np.array([True]),
]  # fmt: skip


def told(each: Remade) -> tuple[Any, ...]:
    """All that is said of a weight, so that it can be compared."""
    rank, recipe = len(each.before), each.recipe
    padded = replace(
        recipe, fresh=recipe.fresh or (None,) * rank, rows=recipe.rows or (None,) * rank,
        mixed=recipe.mixed or (None,) * rank,
        summed=tuple(sorted(recipe.summed, key=lambda part: part.axis)),
    )  # fmt: skip
    dual = [None if vector is None else vector.tobytes() for vector in each.dual]
    shape = None if recipe.zero is None else recipe.zero.shape
    return each.teacher, each.student, each.before, each.readers, padded.key(), dual, recipe.noise, recipe.seed, shape


def assert_same(one: Record, other: Record) -> None:
    assert one.to_bytes() == other.to_bytes()
    assert (one.student, one.teacher) == (other.student, other.teacher)
    assert {name: tuple(found) for name, found in one.origins.items()} == other.origins
    for ours, theirs in zip(one.steps, other.steps, strict=True):
        for kind in ("remade", "apart"):
            assert [*map(told, getattr(ours, kind))] == [*map(told, getattr(theirs, kind))]
        rest: dict[str, Any] = {"remade": (), "apart": (), "forms": None}
        assert replace(ours, **rest).__dict__ == replace(theirs, **rest).__dict__


# --- laws


@pytest.mark.parametrize("name", GROWTHS)
def test_what_is_written_is_read(name: str, tmp_path: Path) -> None:
    record = record_of(name)
    assert record.steps
    record.save(tmp_path / "growth")
    assert (tmp_path / "growth").read_bytes() == record.to_bytes()
    assert_same(record, records.load(tmp_path / "growth"))


@pytest.mark.parametrize("name", ["resnet", "densenet", "mobile_se", "inception_bn", "unet"])
@pytest.mark.parametrize("text", ["widen{factor=1.5}", "widen{factor=2,init=net2net},enlarge"])
def test_what_is_written_of_real_models_is_read(name: str, text: str) -> None:
    record = parse(text)(onnx.load(MODELS / f"{name}.onnx"), proof=UNPROVEN).growth
    assert_same(record, records.from_file(record.to_bytes()))


def test_growths_have_all_that_a_record_can_hold() -> None:
    """Else the laws here say less than they seem to."""
    steps = [step for name in GROWTHS for step in record_of(name).steps]
    recipes = [each.recipe for step in steps for each in step.remade]
    for kind in ("new", "settings", "apart", "multiplied", "gained"):
        assert any(getattr(step, kind) for step in steps), kind
    for holds in (
        lambda recipe: recipe.summed and np.any(recipe.summed[0].share % 1),
        lambda recipe: any(flags is not None for flags in recipe.fresh),
        lambda recipe: any(mixture is not None for mixture in recipe.mixed),
        lambda recipe: any(row is not None and row.combination is None for row in recipe.rows),
        lambda recipe: any(row is not None and row.combination is not None for row in recipe.rows),
        lambda recipe: recipe.scale != 1,
        lambda recipe: recipe.offset != 0,
        lambda recipe: recipe.zero is not None and recipe.zero.ndim == 0,
        lambda recipe: recipe.zero is not None and recipe.zero.ndim > 0,
    ):
        assert any(map(holds, recipes))


def test_equal_runs_give_equal_bytes() -> None:
    """In another process too, where texts have other hashes."""
    script = "import sys, helpers.growths as t; sys.stdout.buffer.write(t.record_of('fresh').to_bytes())"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parents[1])}
    other = subprocess.run([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, check=True).stdout
    assert other == record_of("fresh").to_bytes()


def refusal(path: Path) -> str:
    """What is said of a record that cannot be read; nothing if it can."""
    try:
        records.load(path)
    except ModelError as failure:
        return str(failure)
    return ""


@pytest.mark.parametrize("number", range(DAMAGES))
def test_what_is_damaged_is_refused(number: int, tmp_path: Path) -> None:
    """Or it is the same, as where a bit of a space flips that nobody reads."""
    for kind, before, after in damaged([record_of(name) for name in GROWTHS], number):
        (tmp_path / "growth").write_bytes(after)
        said = refusal(tmp_path / "growth")
        if said:
            assert re.fullmatch(r"the growth record '.*growth' (is damaged|cannot be read): .{9,400}", said), kind
        else:
            assert kind in BYTES, kind
            assert records.load(tmp_path / "growth").to_bytes() == before, kind


@pytest.mark.parametrize("number", range(0, DAMAGES, 10))
def test_a_command_refuses_what_is_damaged(number: int, tmp_path: Path) -> None:
    save_file({"w": np.ones((4, 3, 1, 1), np.float32)}, tmp_path / "old.safetensors")
    kind, _, after = next(damaged([record_of(name) for name in GROWTHS], number))
    (tmp_path / "growth").write_bytes(after)
    command = ("grow-checkpoint", tmp_path / "old.safetensors", "--record", tmp_path / "growth", "-o", tmp_path / "new")
    result = call(*command)
    assert result.exit_code == 3, (kind, result.stderr)
    assert not (tmp_path / "new").exists()


def test_there_are_many_kinds_of_damage() -> None:
    assert len(STRUCTURAL) + len(BYTES) >= 60


@STABLE
@given(st.dictionaries(st.text(max_size=4), st.sampled_from(ARRAYS), max_size=6), st.dictionaries(st.text(), st.text()))
def test_a_file_of_tensors_has_one_form(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    tensors.pop("__metadata__", None)
    data = tensorfile.to_bytes(tensors, metadata)
    assert data == tensorfile.to_bytes(dict(reversed(tensors.items())), dict(reversed(metadata.items())))
    found, texts = tensorfile.from_bytes(data)
    assert texts == metadata
    for read in (found, load(data)):
        assert read.keys() == tensors.keys()
        for name, array in tensors.items():
            assert np.array_equal(read[name], array)
            assert read[name].dtype == array.dtype


# --- examples


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("an index too large", r"step 1, tensor '\w+', axis \d: index 1000000 is outside of the \d+ places there were"),
        ("another share", r"step 1, tensor '\w+', axis \d: the shares of the copies of the old place . sum to"),
        ("a scale that is none", r"tensor '\w+', 'scale': .* is no finite number above 0|NaN|Infinity is no number"),
        ("a share that is no number", r"axis \d, 'share': there is a number that is not finite"),
        ("a chain that breaks", "the first step does not begin at the teacher|two steps begin at the same model"),
    ],
)
def test_a_refusal_says_where_and_why(kind: str, says: str) -> None:
    draft = Draft.of(record_of("copies").to_bytes())
    STRUCTURAL[kind](Random(0), draft)
    with pytest.raises(Exception, match=says):
        records.from_file(draft.to_bytes(signed=True))


def test_a_record_without_a_digest_is_read_and_checked(tmp_path: Path) -> None:
    """As those were that the first versions wrote, with what stands for zero as a vector."""
    record = record_of("quantised")
    draft = Draft.of(record.to_bytes())
    del draft.metadata["digest"]
    zeros = {entry["zero"] for entry in draft.tensors() if entry["zero"]}
    assert any(draft.arrays[name].ndim == 0 for name in zeros)
    for name in zeros:
        draft.arrays[name] = np.atleast_1d(draft.arrays[name])
    (tmp_path / "growth").write_bytes(draft.to_bytes(signed=False))
    assert_same(record, records.load(tmp_path / "growth"))
    draft.document["steps"][0]["tensors"][0]["scale"] = 0
    (tmp_path / "growth").write_bytes(draft.to_bytes(signed=False))
    with pytest.raises(ModelError, match=r"'scale': 0 is no finite number above 0"):
        records.load(tmp_path / "growth")


def test_the_digest_is_of_the_document_in_any_order() -> None:
    draft = Draft.of(record_of("fresh").to_bytes())
    turned = dict(reversed(draft.document.items()))
    assert records.digest(draft.document, draft.arrays) == records.digest(turned, draft.arrays)
    draft.metadata["document"], draft.document = json.dumps(turned, indent=3), None
    assert_same(record_of("fresh"), records.from_file(draft.to_bytes(signed=False)))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "is not a file, but a folder"),
        (os.mkfifo, "is not a file, but a pipe"),
        (lambda path: path.write_bytes(b""), "cannot be read: header too small"),
        (lambda path: path.symlink_to(path), "cannot be read: Too many levels of symbolic links"),
        (lambda path: os.truncate(path.open("wb").name, records.MOST + 1), "has 1073741825 bytes, and none has more"),
        (lambda path: save_file({"a": np.ones(2)}, path), "it is no growth record"),
    ],
)
def test_what_is_no_file_of_a_record(make: Any, says: str, tmp_path: Path) -> None:
    make(tmp_path / "growth")
    with pytest.raises(ModelError, match=re.escape(says)):
        records.load(tmp_path / "growth")


def test_a_link_to_a_record_is_followed(tmp_path: Path) -> None:
    record_of("fresh").save(tmp_path / "growth")
    (tmp_path / "link").symlink_to("growth")
    assert_same(record_of("fresh"), records.load(tmp_path / "link"))


@pytest.mark.parametrize("layout", ["permuted:210", "permuted:(0,1=2)", "channels:0", "part", "gates:LSTM", "bias:GRU"])
def test_a_checkpoint_that_does_not_fit_is_refused(layout: str) -> None:
    record = record_of("copies")
    for shape in [(4, 3, 1, 1), (4,), (), (4, 3), (0, 3), (4, 3, 1, 1, 1), (5, 3, 1, 1)]:
        entries = {
            weight: (replace(found[0], layout=onnx_n2n.record.layouts.Layout.read(layout)),)
            for weight, found in record.origins.items()
        }
        arrays = {"w": np.ones(shape, np.float32), "v": np.ones((2, 4, 1, 1), np.float32)}
        with suppress(N2NError) if shape == (4, 3, 1, 1) else pytest.raises(N2NError):
            grow(replace(record, origins=entries), arrays)


def test_models_of_another_record_are_refused() -> None:
    """By their names and shapes, before anything is computed."""
    record, arrays = record_of("copies"), {"w": np.ones((4, 3, 1, 1)), "v": np.ones((2, 4, 1, 1))}
    opened = onnx_n2n.io.model.open_model
    assert set(grow(record, arrays, teacher=opened(net()).model).grown) == {"w", "v"}
    other = model("h = Conv(x, w) r = Relu(h) y = Conv(r, v)", "float[N,3,6,6] x", "y", w=(5, 3, 1, 1), v=(2, 5, 1, 1))
    with pytest.raises(GrowthError, match="weight 'w' of the teacher is not of the shape that the record says"):
        grow(record, arrays, teacher=opened(other).model)
    with pytest.raises(GrowthError, match="weight 'w' of the student is not of the shape that the record says"):
        grow(record, arrays, student=opened(other).model)


def test_steps_that_do_not_follow_are_refused() -> None:
    one, other = (Widen(factor=factor)(net(), proof=UNPROVEN).growth.steps[0] for factor in (1.5, 3.0))
    record = replace(record_of("fresh"), steps=(one, other))
    with pytest.raises(ModelError, match="two shapes for 'w' at one time"):
        list(record.lines("w"))
