"""What a model computes is recorded once; what computes something else fails, and says how."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnx_ir as ir
import pytest

from helpers.calling import files, net, rewritten
from helpers.graphs import model
from onnx_n2n.errors import N2NError
from onnx_n2n.io import tensorfile
from onnx_n2n.testing import Goldens, documents, goldens
from onnx_n2n.verification import sessions
from onnx_n2n.verification.yardstick import recalled, ungranted

TEST = "tests/test_it.py::test_that"


def fixture(folder: Path, *, update: bool = False, test: str = TEST) -> Goldens:
    return Goldens(folder / "golden", ("test_it",), test, update=update, on_record=lambda _: None)


def record(folder: Path, teacher: Any, name: str | None = None, **options: Any) -> Path:
    """Record a model, and return its document."""
    fixture(folder, update=True).check(teacher, name, **options)
    return folder / "golden" / "test_it" / ("test_that.json" if name is None else f"test_that.{name}.json")


def complaint(folder: Path, student: Any, name: str | None = None, **options: Any) -> str:
    """Return what is said of a model that does not pass."""
    before = files(folder)
    with pytest.raises(AssertionError) as failure:
        fixture(folder).check(student, name, **options)
    assert type(failure.value) is AssertionError
    assert files(folder) == before
    return str(failure.value)


def changed(proto: onnx.ModelProto, by: float = 0.1) -> onnx.ModelProto:
    """Return a model with one number of its first weight moved."""
    found = onnx.ModelProto.FromString(proto.SerializeToString())
    array = onnx.numpy_helper.to_array(found.graph.initializer[0]).copy()
    array.flat[0] += by
    found.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(array, found.graph.initializer[0].name))
    return found


def test_what_is_not_recorded_fails_and_says_how_to_record_it(folder: Path) -> None:
    said = complaint(folder, net())
    assert "golden/test_it/test_that.json" in said
    assert f'pytest --update-golden "{TEST}"' in said
    assert not (folder / "golden").exists()


@pytest.mark.parametrize("update", [False, True])
@pytest.mark.parametrize(
    ("student", "options", "what"),
    [("no.onnx", {}, "'no.onnx' does not exist"), ("net.onnx", {"inputs": "no.npz"}, "no.npz")],
)
def test_a_file_that_is_missing_is_what_is_said(
    folder: Path, student: str, options: dict[str, Any], what: str, *, update: bool
) -> None:
    with pytest.raises(AssertionError, match=what) as failure:
        fixture(folder, update=update).check(student, **options)
    assert "recorded" not in str(failure.value)


def test_every_kind_of_model_is_what_was_recorded(folder: Path) -> None:
    record(folder, net())
    for same in ("net.onnx", net(), net().SerializeToString(), ir.from_proto(net()), gs.import_onnx(net())):
        fixture(folder).check(same)


@pytest.mark.parametrize("exact", [False, True])
def test_a_model_that_can_be_read_once_is_recorded_and_compared(exact: bool, folder: Path) -> None:
    inside = folder / "exported"
    inside.mkdir()
    onnx.save(net(), inside / "model.onnx", save_as_external_data=True, location="w.data", size_threshold=0)
    record(folder, io.BytesIO(net().SerializeToString()), exact=exact)
    record(folder, inside, "folder", exact=exact)
    for name in (None, "folder"):
        for same in (inside, io.BytesIO(net().SerializeToString()), bytearray(net().SerializeToString())):
            fixture(folder).check(same, name, exact=exact)


def test_another_function_fails_with_all_that_is_known(folder: Path) -> None:
    place = record(folder, net())
    said = complaint(folder, changed(net()))
    for part in (
        "does not compute what was recorded in golden/test_it/test_that.json", "output 'y' is off by", "allowed",
        "rounding error", "furthest at [", "recorded", "first tensor that differs: h (from a Conv node)",
        "recorded on CPU by ONNX Runtime", "run on CPU", "--update-golden",
    ):  # fmt: skip
        assert part in said
    assert place.with_suffix(".onnx").exists()
    place.with_suffix(".onnx").unlink()  # a damaged one fails too
    assert "test_that.onnx' does not exist" in complaint(folder, net())


def test_rounding_is_no_difference(folder: Path) -> None:
    record(folder, net())
    fixture(folder).check(changed(net(), 1e-7))
    fixture(folder).check(rewritten("h = Conv(x, w) i = Neg(h) j = Neg(i) r = Relu(j) y = Conv(r, v)"))


def test_an_output_of_zeros_passes_only_as_it_was_recorded(folder: Path) -> None:
    """It has no size, so that no difference is small beside it; what rounding moves it by is measured."""
    body = "h = MatMul(x, w) n = Abs(h) m = Neg(n) r = {} y = Add(r, b)"
    some = {"w": (6, 3), "z": np.zeros(3, np.float32)}

    def dead(relu: str, bias: float) -> onnx.ModelProto:
        return model(body.format(relu), "float[2,6] x", "y", **some, b=np.full(3, bias, np.float32))

    record(folder, dead("Relu(m)", 0.0))
    fixture(folder).check(dead("Max(m, z)", 0.0))
    said = complaint(folder, dead("Max(m, z)", 1e-5))
    assert "output 'y' is off by 1.0e-05 (allowed 0.0e+00, rounding error 0.0e+00)" in said


def test_an_output_of_zeros_may_be_off_by_what_rounding_moves_it(folder: Path) -> None:
    """What is subtracted is equal to what it is subtracted from, until weights are moved by a rounding step."""
    body = "z = Mul(x, nothing) s = Add(z, one) d = Sub(s, other) y = Add(d, e)"
    ones = {"one": np.ones((8, 8), np.float32), "other": np.ones((8, 8), np.float32)}

    def cancelling(off: float) -> onnx.ModelProto:
        return model(body, "float[1,8] x", "y", nothing=np.float32([0]), e=np.float32([off]), **ones)

    record(folder, cancelling(0.0))
    fixture(folder).check(cancelling(5e-7))
    assert "output 'y'" in complaint(folder, cancelling(1e-5))


def test_recording_leaves_alone_what_passes_and_replaces_what_does_not(folder: Path) -> None:
    record(folder, net())
    before = files(folder)
    record(folder, changed(net(), 1e-7))
    assert files(folder) == before
    record(folder, changed(net()))
    assert files(folder) != before
    fixture(folder).check(changed(net()))
    record(folder, net())
    assert files(folder) == before


def test_a_model_that_is_not_kept_any_longer_is_removed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = record(folder, net())
    monkeypatch.setattr(goldens, "KEPT", 8)
    record(folder, changed(net()))
    assert sorted(each.name for each in place.parent.iterdir()) == ["test_that.json", "test_that.safetensors"]
    said = complaint(folder, net())
    assert "output 'y' is off by" in said
    assert "first tensor" not in said


@pytest.mark.parametrize(
    ("student", "said"),
    [
        (rewritten("h = Conv(x, w) r = Relu(h) z = Conv(r, v)"), None),
        (model("y = Cast<to=11>(x)", "float[N,3,6,6] x", "y"), "output 'y' has another type: recorded float[N,2,6,6]"),
        (rewritten("h = Conv(x, w) r = Relu(h) y = Conv<strides=[2,2]>(r, v)"), "output 'y' has another shape"),
        (model("h = Conv(z, w) r = Relu(h) y = Conv(r, v)", "float[N,3,6,6] z", "y", w=(4, 3, 1, 1), v=(2, 4, 1, 1)),
         "input 'x' (float[N,3,6,6]) is missing"),
    ],
)  # fmt: skip
def test_another_interface_is_told_first(student: onnx.ModelProto, said: str | None, folder: Path) -> None:
    record(folder, net())
    if said is None:
        student.graph.output[0].name, said = "z", "output 'y' (float[N,2,6,6]) is missing"
    assert complaint(folder, student).splitlines()[1].strip().startswith(said)


def test_values_of_all_kinds_are_recorded(folder: Path) -> None:
    body = """a = Cast<to=10>(x) b = Cast<to=10>(x) c = Cast<to=11>(x) d = ArgMax(x) e = Greater(x, x) h = Relu(x)
              f = SequenceConstruct(x, h)"""
    teacher = model(body, "float[2,3] x", "a, b, c, d, e, f")
    place = record(folder, teacher)
    fixture(folder).check(teacher)
    golden = documents.read(place)
    again = documents.read(record(folder, teacher, "again"))
    assert json.loads(place.read_text())["recorded"].keys() == set("abcdef")
    for one, other in zip(golden.recording.sticks, again.recording.sticks, strict=True):
        assert one.forms == other.forms
        assert all(np.array_equal(*pair) for pair in zip(one.limits, other.limits, strict=True))
    mistakes = (("f", "(x, h)", "(h, h)"), ("d", "ArgMax", "ArgMin"), ("b", "b = Cast<to=10>", "b = Cast<to=1>"))
    for name, old, new in mistakes:
        wrong = model(body.replace(old, new), "float[2,3] x", "a, b, c, d, e, f")
        assert f"output '{name}'" in complaint(folder, wrong)


def test_texts_are_recorded(folder: Path) -> None:
    texts = model("c = Cast<to=8>(i)", "int64[4] i", "c")
    record(folder, texts)
    fixture(folder).check(texts)
    assert "output 'c'" in complaint(folder, model("n = Neg(i) c = Cast<to=8>(n)", "int64[4] i", "c"))


def test_half_precision_is_recorded(folder: Path) -> None:
    half = model("h = Cast<to=16>(x) y = Cast<to=1>(h)", "float[4,3] x", "h, y")
    record(folder, half)
    fixture(folder).check(half)
    wrong = model("h = Cast<to=10>(x) y = Cast<to=1>(h)", "float[4,3] x", "h, y")
    assert "output 'h' has another type: recorded bfloat16[4,3], now float16[4,3]" in complaint(folder, wrong)


def test_what_was_measured_is_recorded(folder: Path) -> None:
    """The tolerance of a recording is that of the run it was made of."""
    from onnx_n2n.verification.recorded import record as measured

    sticks = measured("net.onnx", provider="cpu").sticks
    for one, other in zip(sticks, documents.read(record(folder, "net.onnx")).recording.sticks, strict=True):
        assert (one.scale, one.rounding_error, one.movement, one.vacuous) == pytest.approx(
            (other.scale, other.rounding_error, other.movement, other.vacuous)
        )
        assert all(np.allclose(*pair, rtol=1e-12) for pair in zip(one.limits, other.limits, strict=True))


def test_what_draws_is_not_compared_and_what_trains_is_another_model(folder: Path) -> None:
    body = "h = Conv(x, w) k = Dropout(h, p, t) y = Conv(k, v) z = RandomNormalLike(y)"
    options = {"w": (4, 3, 1, 1), "v": (2, 4, 1, 1), "p": np.float32(0.5)}
    resting, training = (
        model(body, "float[2,3,6,6] x", "y, z", t=np.asarray(trains), **options) for trains in (False, True)
    )
    record(folder, resting)
    fixture(folder).check(resting)
    assert "output 'y'" in complaint(folder, training)
    record(folder, training, "training")
    fixture(folder).check(training, "training")
    fixture(folder).check(resting, "training")


def test_given_inputs_are_recorded_and_must_stay(folder: Path) -> None:
    feed = {"x": np.linspace(-1, 1, 2 * 3 * 36, dtype=np.float32).reshape(2, 3, 6, 6)}
    np.savez("data.npz", **feed)
    record(folder, "net.onnx", inputs=feed)
    fixture(folder).check("net.onnx", inputs=[feed])
    fixture(folder).check("net.onnx", inputs="data.npz")
    assert "no inputs are given" in complaint(folder, "net.onnx")
    assert "input 'x' of feed 0 is another" in complaint(folder, "net.onnx", inputs={"x": feed["x"] + 1})
    record(folder, "net.onnx", "drawn", shapes={"x": (5, 3, 6, 6)})
    fixture(folder).check("net.onnx", "drawn", shapes={"x": (5, 3, 6, 6)})
    assert "[4, 3, 6, 6]" in complaint(folder, "net.onnx", "drawn", shapes={"x": (4, 3, 6, 6)})


def test_one_file_is_for_one_check(folder: Path) -> None:
    golden = fixture(folder, update=True)
    golden.check(net())
    golden.check(net(), "student")
    for name in (None, "student", "STUDENT"):
        with pytest.raises(AssertionError, match="Name them"):
            golden.check(net(), name)
    for update in (False, True):
        with pytest.raises(AssertionError, match="belongs to another test"):
            fixture(folder, test="tests/other.py::test_that", update=update).check(net())


def test_only_golden_files_are_replaced(folder: Path) -> None:
    place = folder / "golden" / "test_it" / "test_that.json"
    place.parent.mkdir(parents=True)
    others = ((".json", '{"mine": 1}'), (".json", "[]"), (".json", "{"), (".onnx", "mine"), (".safetensors", "mine"))
    for name, text in others:
        theirs = place.with_suffix(name)
        theirs.write_text(text)
        before = files(folder)
        with pytest.raises(AssertionError, match=r"golden file|damaged"):
            fixture(folder, update=True).check(net())
        assert files(folder) == before
        theirs.unlink()
    place.symlink_to(folder / "elsewhere.json")
    with pytest.raises(AssertionError, match=r"link|exist"):
        fixture(folder, update=True).check(net())
    assert not (folder / "elsewhere.json").exists()


def test_a_document_names_no_file_of_others(folder: Path) -> None:
    place = record(folder, net())
    theirs = place.with_name("theirs.onnx")
    theirs.write_text("theirs")
    document = json.loads(place.read_text())
    document["files"] |= {"theirs.onnx": "0", "../x": "0"}
    place.write_text(json.dumps(document))
    record(folder, changed(net()))
    assert theirs.read_text() == "theirs"


def test_damage_is_told_and_mended_by_recording(folder: Path) -> None:
    place = record(folder, net())
    numbers = place.with_suffix(".safetensors")
    numbers.write_bytes(numbers.read_bytes()[:-1] + b"\0")
    assert "test_that.safetensors' is not the file that was recorded" in complaint(folder, net())
    record(folder, net())
    fixture(folder).check(net())
    document = json.loads(place.read_text())
    for broken in (document | {"grain": []}, document | {"recorded": 3}, document | {"files": {}}):
        place.write_text(json.dumps(broken))
        assert "is damaged" in complaint(folder, net())
    place.write_text(json.dumps(document | {"recorded": 3}))
    record(folder, net())
    fixture(folder).check(net())


@pytest.mark.parametrize("files", [5, True, "x", None, []])
def test_a_document_that_names_no_files_is_damaged(files: object, folder: Path) -> None:
    place = record(folder, net())
    document = json.loads(place.read_text()) | {"files": files}
    place.write_text(json.dumps(document))
    for update in (False, True):
        with pytest.raises(AssertionError, match="is damaged"):
            fixture(folder, update=update).check(net())
    assert json.loads(place.read_text()) == document


@pytest.mark.parametrize(("layout", "interface"), [("[" * 100_000, None), ("{}", None), (None, b"\x08"), (None, b"x")])
def test_numbers_that_were_made_up_are_damaged(layout: str | None, interface: bytes | None, folder: Path) -> None:
    """Their digest may be right all the same."""
    place = record(folder, net())
    numbers = place.with_suffix(".safetensors")
    arrays, metadata = tensorfile.from_bytes(numbers.read_bytes())
    if interface is not None:
        arrays["interface"] = np.frombuffer(interface, np.uint8)
    numbers.write_bytes(tensorfile.to_bytes(arrays, metadata if layout is None else {"layout": layout}))
    document = json.loads(place.read_text())
    document["files"][numbers.name] = hashlib.sha256(numbers.read_bytes()).hexdigest()
    place.write_text(json.dumps(document))
    assert "is damaged" in complaint(folder, net())
    record(folder, net())
    fixture(folder).check(net())


def test_another_runtime_is_told_from_another_model(folder: Path) -> None:
    place = record(folder, net())
    golden = documents.read(place)
    trial = golden.recording.trial
    truth = tuple([values[0] * 1.5] for values in trial.truth)
    documents.write(place, replace(golden, recording=replace(golden.recording, trial=replace(trial, truth=truth))))
    assert "the recorded model itself gives another 'y' here" in complaint(folder, net())


def test_rounding_that_decides_is_told_from_a_wrong_model(folder: Path) -> None:
    """Ten steps of a quantised number flip by rounding; the recorded model says so, and a wrong scale is no flip."""
    body = "h = MatMul(x, w) q, s, z = DynamicQuantizeLinear(h) d = DequantizeLinear(q, s, z) y = MatMul(d, v)"
    options = {"w": (8, 16), "v": (16, 4)}
    teacher = model(body, "float[4,8] x", "y", **options)
    record(folder, teacher)
    fixture(folder).check(changed(teacher, 1e-7))
    assert "output 'y' is off" in complaint(folder, changed(teacher, 0.5))


def test_the_exact_check_is_asked_too(folder: Path) -> None:
    place = record(folder, net(), exact=True)
    same = rewritten("h = Conv(x, w) i = Neg(h) j = Neg(i) r = Relu(j) y = Conv(r, v)")
    fixture(folder).check(same, exact=True)
    fixture(folder).check(changed(net(), 1e-7))
    assert "exact check: " in complaint(folder, changed(net(), 1e-6), exact=True)
    document = json.loads(place.read_text())
    document["files"].popitem()
    place.write_text(json.dumps(document))
    assert "was not kept" in complaint(folder, net(), exact=True)


def test_what_the_exact_check_cannot_decide_is_not_recorded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = model("y = Relu(x) z = Bernoulli(x)", "float[2,3] x", "y, z")
    with pytest.raises(AssertionError, match="no rule for"):
        fixture(folder, update=True).check(drawn, exact=True)
    monkeypatch.setattr(goldens, "KEPT_FOR_EXACT", 8)
    with pytest.raises(AssertionError, match="more than 8 bytes"):
        fixture(folder, update=True).check(net(), exact=True)
    assert not (folder / "golden").exists()


def test_golden_models_are_small(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "LARGEST", 1000)
    with pytest.raises(AssertionError, match="may have 1,000"):
        fixture(folder, update=True).check(net())
    assert not (folder / "golden").exists()


def test_weights_in_other_files_are_kept(folder: Path) -> None:
    onnx.save(net(), "apart.onnx", save_as_external_data=True, location="apart.data", size_threshold=0)
    place = record(folder, "apart.onnx")
    (folder / "apart.data").unlink()
    assert "first tensor that differs" in complaint(folder, changed(net()))
    assert not onnx.load(place.with_suffix(".onnx"), load_external_data=False).graph.initializer[0].external_data


@pytest.mark.parametrize("student", ["missing.onnx", b"", b"no model"])
def test_what_is_no_model_is_told(student: Any, folder: Path) -> None:
    record(folder, net())
    before = files(folder)
    for update in (False, True):
        with pytest.raises(AssertionError):
            fixture(folder, update=update).check(student)
    assert files(folder) == before


def test_without_onnx_runtime_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Any:
        raise N2NError("this needs ONNX Runtime, and no build of it is installed", hint="run: pip install it")

    record(folder, net())
    monkeypatch.setattr(sessions, "runtime", none)
    assert "pip install" in complaint(folder, net())


def test_a_random_output_that_is_gone_fails(folder: Path) -> None:
    body = "r = RandomNormalLike(x) y = Neg(x)"
    record(folder, model(body, "float[2,3] x", "r, y"))
    assert "output 'r'" in complaint(folder, model(body, "float[2,3] x", "y"))


def test_outputs_that_are_empty_are_not_recorded(folder: Path) -> None:
    with pytest.raises(AssertionError, match="nothing would be compared"):
        record(folder, model("y = Neg(x)", "float[N,3] x", "y"), inputs={"x": np.zeros((0, 3), np.float32)})
    assert not list(folder.rglob("*.json"))


@pytest.mark.parametrize("inputs", [7, [3], b"x", {1, 2}])
def test_what_is_no_feed_is_said(folder: Path, inputs: Any) -> None:
    with pytest.raises(AssertionError, match="`inputs=` takes a mapping"):
        record(folder, net(), inputs=inputs)


@pytest.mark.parametrize("name", [5, b"x"])
def test_a_name_that_is_no_text_is_said(folder: Path, name: Any) -> None:
    with pytest.raises(AssertionError, match="is a text, not"):
        record(folder, net(), name)


def test_a_name_with_half_a_character_is_found_again(folder: Path) -> None:
    fixture(folder, update=True).check(net(), "\ud800")
    fixture(folder).check(net(), "\ud800")
    with pytest.raises(AssertionError, match="does not compute"):
        fixture(folder).check(changed(net()), "\ud800")


@pytest.mark.parametrize("granted", [True, False])
def test_what_is_read_is_as_strict_as_what_was_recorded(folder: Path, *, granted: bool) -> None:
    """An output that tells nothing is granted no rounding error, however large that is."""
    place = record(folder, net())
    golden = documents.read(place)
    recording = golden.recording
    wide = [recalled(stick.truth, recording.grain, rounding_error=0.5, movement=stick.movement, is_vacuous=not granted)
            for stick in recording.sticks]  # fmt: skip
    sticks = tuple(wide if granted else [ungranted(stick, recording.grain) for stick in wide])
    documents.write(place, replace(golden, recording=replace(recording, sticks=sticks)))
    again = documents.read(place).recording.sticks
    assert [stick.tolerance for stick in again] == pytest.approx([stick.tolerance for stick in sticks])
    assert [stick.rounding_error for stick in again] == [0.5] * len(sticks)


@pytest.mark.parametrize(("key", "value"), [("rounding_error", 1.0), ("tolerance", 1.0), ("movement", 10**400)])
def test_a_document_that_says_that_more_was_measured_grants_no_more(folder: Path, key: str, value: Any) -> None:
    place = record(folder, net())
    document = json.loads(place.read_text("utf-8"))
    next(iter(document["recorded"].values()))[key] = value
    place.write_text(json.dumps(document), "utf-8")
    assert ("does not compute" if key == "rounding_error" else "damaged") in complaint(folder, changed(net()))
