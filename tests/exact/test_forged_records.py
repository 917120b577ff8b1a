"""Students that are wrong, and records that say otherwise: what a record only claims is never taken."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from helpers.enlarging import UNPROVEN
from helpers.graphs import model
from helpers.growths import QUIET, changed, claimed, constant, document
from onnx_n2n.errors import ModelError
from onnx_n2n.exact import check, growth
from onnx_n2n.exact.files import File
from onnx_n2n.passes import Widen

FEW = settings(deadline=None, max_examples=5, suppress_health_check=[HealthCheck.too_slow])
TWO = model("h = MatMul(x, W) r = Relu(h) y = MatMul(r, V)", "float[N,4] x", "y", W=(4, 6), V=(6, 3))
GROWN = Widen(factor=1.5, init="net2net", noise=0.1)(QUIET, proof=UNPROVEN)


@FEW
@given(st.data())
def test_a_number_that_is_off_is_never_equal(data: st.DataObject) -> None:
    names = [each.name for each in GROWN.model.graph.initializer if each.data_type == onnx.TensorProto.FLOAT]
    array = constant(GROWN.model, name := data.draw(st.sampled_from(names)))
    place = data.draw(st.integers(0, array.size - 1))
    array.reshape(-1)[place] += (
        np.spacing(np.float32(max(1, abs(array.reshape(-1)[place]))))
        * data.draw(st.sampled_from([-1, 1]))
        * 2.0 ** data.draw(st.integers(2, 20))
    )
    wrong = changed(GROWN.model, **{name: array})
    enlarged = array.copy()
    enlarged.reshape(-1)[place] += 1
    assume(moves(changed(GROWN.model, **{name: enlarged})))  # what a fresh channel holds has no part yet
    assert check(QUIET, wrong, record=document(GROWN)).state != "equal"


def moves(model: onnx.ModelProto) -> bool:
    """Say whether a model computes something else than the student that was not changed."""
    feeds = {"x": np.random.default_rng(0).normal(size=(2, 5, 3)).astype("f4")}
    one, two = (ReferenceEvaluator(each).run(None, feeds) for each in (model, GROWN.model))
    return not all(np.allclose(*each) for each in zip(one, two, strict=True))


@pytest.mark.parametrize("form", [
    {"tensor": "W"},
    {"times": [{"tensor": "W"}, {"number": [3, 3]}]},
    {"plus": [{"tensor": "W"}, {"number": [1, 3]}, {"number": [-1, 3]}]},
    {"power": [{"power": [{"tensor": "W"}, [1, 1]]}, [1, 1]]},
    {"times": [{"tensor": "W"}, {"power": [{"number": [2, 1]}, [1, 2]]}, {"power": [{"number": [1, 2]}, [1, 2]]}]},
])  # fmt: skip
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_what_a_type_holds_is_not_rounded(form: Any, kind: str) -> None:
    """The attack: the student is one unit off, and the record says that it stands for the teacher's number."""
    text = "h = MatMul(x, W) r = Relu(h) y = MatMul(r, V)"
    values = {"W": np.random.default_rng(1).normal(size=(4, 6)), "V": np.ones((6, 3))}
    word = {"f4": "float", "f8": "double"}[kind]
    teacher = model(text, f"{word}[N,4] x", "y", **{name: each.astype(kind) for name, each in values.items()})
    array = constant(teacher, "W")
    wrong = changed(teacher, W=np.nextafter(array, np.inf, dtype=array.dtype))
    assert check(teacher, wrong, record=claimed({"W": form})).state != "equal"
    assert check(teacher, teacher, record=claimed({"W": form})).state == "equal"


@pytest.mark.parametrize("squared", [[1, 1], [4, 4], [9, 16]])
def test_what_a_type_holds_is_not_rounded_beside_an_offset_either(squared: list[int]) -> None:
    """The attack: the student is a unit off, and by the record it is the weight beside one, scaled and rounded."""
    teacher = changed(TWO, W=np.full((4, 6), 0.75, np.float32))
    scale = (squared[0] / squared[1]) ** 0.5
    right = np.full((4, 6), 1.75 * scale - 1, np.float32)
    entry = {"teacher": "W", "student": "W", "before": [4, 6], "axes": [], "scale": scale, "zero": None,
             "squared": squared, "offset": 1.0}  # fmt: skip
    lie = claimed()
    lie["steps"][0]["tensors"] = [entry]
    wrong = changed(teacher, W=np.nextafter(right, np.float32(1)))
    assert check(teacher, wrong, record=lie).state != "equal"


def test_a_weight_that_the_teacher_has_is_never_taken() -> None:
    """The attack: one weight is off by a unit, and the form of the next one, which is unchanged, makes up for it."""
    teacher = changed(TWO, W=np.full((4, 6), 0.75, np.float32))
    factor = 1 + 2.0**-23
    wrong = changed(teacher, W=(constant(teacher, "W").astype(np.float64) * factor).astype(np.float32))
    by = Fraction(float(constant(wrong, "W")[0, 0])) / Fraction(3, 4)
    assert by != 1
    lie = {"times": [{"tensor": "V"}, {"number": [by.denominator, by.numerator]}]}
    assert check(teacher, wrong, record=claimed({"V": lie})).state != "equal"


def test_copies_of_what_a_type_holds_sum_to_exactly_that() -> None:
    """The attack: the copies of a weight are off by less than its unit, and the record says that it was rounded."""
    teacher = changed(TWO, V=np.full((6, 3), 0.75, np.float32))
    double = {"index": "0", "share": "1", "copies": "0", "fresh": None, "row": None}
    entry = {"teacher": "V", "student": "V", "before": [6, 3], "axes": [{"axis": 0, **double}], "scale": 1.0,
             "zero": None, "squared": [1, 1]}  # fmt: skip
    lie = claimed()
    lie["steps"][0]["tensors"] = [entry]
    index = np.arange(12) % 6
    lie["arrays"] = {"0": index, "1": np.full(12, 0.5)}
    copies = constant(teacher, "V")[index] / 2
    wide = changed(teacher, W=constant(teacher, "W")[:, index], V=copies)
    assert check(teacher, wide, record=lie).state == "equal"
    copies[3, 1] = np.nextafter(copies[3, 1], np.float32(1))
    assert check(teacher, changed(wide, V=copies), record=lie).state != "equal"


@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("bits", [60, 120, 400])
def test_a_form_whose_numbers_cancel_is_not_known(kind: str, bits: int) -> None:
    """The attack: in any number of digits a form is what the student holds, and exactly it is what the teacher has."""
    word = {"f4": "float", "f8": "double"}[kind]
    values = {"W": np.random.default_rng(1).normal(size=(4, 6)), "V": np.ones((6, 3))}
    arrays = {name: each.astype(kind) for name, each in values.items()}
    text = "h = MatMul(x, W) r = Relu(h) y = MatMul(r, V)"
    teacher = model(text, f"{word}[N,4] x", "y", **arrays)  # type: ignore[arg-type]
    wrong = changed(teacher, W=arrays["W"] * 1.5)
    less = {"times": [{"student": "W"}, {"number": [-1, 1]}]}
    far = [{"number": [1 << bits, 1]}, {"number": [-(1 << bits), 1]}]
    form = {"plus": [{"tensor": "W"}, less, *far, {"student": "W"}]}
    assert check(teacher, wrong, record=claimed({"W": form})).state != "equal"


def copied(count: int, teacher: str = "V") -> dict[str, Any]:
    """Return a record that says that a weight for one channel has become one for so many copies of it."""
    double = {"index": "0", "share": "1", "copies": "2", "fresh": None, "row": None}
    entry = {"teacher": teacher, "student": "U", "before": [1, 1], "axes": [{"axis": 0, **double}], "scale": 1.0,
             "zero": None, "squared": [1, 1]}  # fmt: skip
    lie = claimed()
    lie["steps"][0]["tensors"] = [entry]
    lie["arrays"] = {"0": np.zeros(count, int), "1": np.ones(count), "2": np.zeros(count, int)}
    return lie


def test_copies_that_nearly_cancel_are_summed_without_loss() -> None:
    """The attack: in doubles the copies sum to the teacher's weight, since one of them is too small to count."""
    text, x = "h = MatMul(x, W) r = Relu(h) y = MatMul(r, {})", "float[N,3] x"
    w = np.float32([[1], [-2], [3]])
    teacher = model(text.format("V"), x, "y", W=w, V=np.float32([[1 / 3]]))
    copies = np.float32([[2.0**60], [7], [-(2.0**60)], [1 / 3]])
    wrong = model(text.format("U"), x, "y", W=np.repeat(w, 4, 1), U=copies)
    assert check(teacher, wrong, record=copied(4)).state != "equal"
    copies[1] = 0
    assert check(teacher, changed(wrong, U=copies), record=copied(4)).state == "equal"


def test_a_sum_of_many_numbers_excuses_none_of_them() -> None:
    """The attack: one weight is off by less than a unit of the sum of all, which the record says are copies of one."""
    count = 1 << 14
    weights = np.random.default_rng(0).uniform(1, 2, (count, 1)).astype(np.float32)
    weights[-1] = 3
    total = sum(Fraction(float(each)) for each in weights.reshape(-1))
    text, x = "y = MatMul(x, {})", f"float[N,{count}] x"
    teacher = model(text.format("V"), x, "y", V=weights)
    other = weights.copy()
    other[-1] += np.float32(2.0**-11)
    lie = copied(count, "T")
    before = {"T": {"shaped": [{"number": [total.numerator, total.denominator]}, [1, 1]]}}
    lie["steps"].insert(0, {"tensors": [], "new": [], "forms": {"tensors": before, "settings": {}}})
    wrong = model(text.format("U"), x, "y", U=other)
    assert growth.read(lie).rounded(File(teacher), File(wrong))[0] == 1
    assert check(teacher, wrong, record=lie).state != "equal"


def test_a_record_does_not_speak_of_nodes_that_a_rule_makes() -> None:
    """The attack: the activation inside of a node has the node's name, and an attribute that is called like its own."""
    def fused(slope: float, name: str) -> onnx.ModelProto:
        gemm = f'com.microsoft.FusedGemm<alpha=0.5, activation="LeakyRelu", activation_alpha={slope}>'
        made = model(f"y = {gemm}(x, W)", "float[N,4] x", "y", W=(4, 3))
        made.graph.node[0].name = name
        return made

    lie = claimed(settings={"s.alpha": {"number": [1, 2]}})
    assert check(fused(0.5, "t"), fused(0.5, "s"), record=lie).state == "equal"
    assert check(fused(0.5, "t"), fused(9.0, "s"), record=lie).state != "equal"


def test_an_attribute_that_is_written_twice_is_never_taken() -> None:
    """The attack: the record speaks of the first one, and the node means the last one."""
    teacher = model("y = Gemm<alpha=0.5>(x, W)", "float[N,4] x", "y", W=(4, 3))
    wrong = onnx.ModelProto.FromString(teacher.SerializeToString())
    wrong.graph.node[0].name = "s"
    wrong.graph.node[0].attribute.append(onnx.helper.make_attribute("alpha", 9.0))
    assert check(teacher, wrong, record=claimed(settings={"s.alpha": {"number": [1, 2]}})).state != "equal"


def test_a_constant_that_a_function_is_called_with_is_never_taken() -> None:
    """The attack: a node of a function holds a tensor as well, of which the record speaks."""
    text = '''<ir_version: 10, opset_import: ["": 18, "my": 1]> g (float[N,2] x) => (float[N,2] y) {
        y = my.F<v: tensor = float[2] {%s}>(x) }
        <domain: "my", opset_import: ["": 18]> F <v> (a) => (b) { c = Constant<value: tensor = @v>() b = Mul(a, c) }'''
    teacher, wrong = (onnx.parser.parse_model(text % each) for each in ("1, 2", "1, 9"))
    held = wrong.functions[0].node[0].attribute[0]
    held.t.CopyFrom(numpy_helper.from_array(np.float32([1, 2]), "c"))
    for each in (teacher, wrong):
        each.graph.initializer.append(numpy_helper.from_array(np.float32([0.5, 1]), "W"))
    form = {"times": [{"tensor": "W"}, {"number": [2, 1]}]}
    assert check(teacher, wrong, record=claimed({"c": form})).state != "equal"


def test_a_number_that_an_attribute_holds_is_not_rounded_often() -> None:
    """The attack: two steps round an attribute, which is two units off, to what the teacher has."""
    def gemm(alpha: float, name: str) -> onnx.ModelProto:
        weights = np.arange(12, dtype=np.float32).reshape(4, 3)
        made = model(f"y = Gemm<alpha={alpha:.12g}>(x, W)", "float[N,4] x", "y", W=weights)
        made.graph.node[0].name = name
        return made

    step = claimed(settings={"s.alpha": {"number": [1, 2]}})["steps"][0]
    again = claimed(settings={"s.alpha": {"setting": "s.alpha"}})["steps"][0]
    assert check(gemm(0.5, "t"), gemm(0.5 + 2.0**-24, "s"), record={"steps": [step, again]}).state != "equal"


@pytest.mark.parametrize("form", [
    {"tensor": "V"}, {"tensor": "absent"}, {"student": "W"}, {"number": [1, 0]}, {"number": ["1", 2]}, {"array": "9"},
    {"times": []}, {"power": [{"tensor": "W"}, [10**9, 1]]}, {"shaped": [{"tensor": "W"}, [7, -1]]}, {}, [], None, 3,
    {"power": [{"number": [-1, 2]}, [1, 2]]}, {"strange": 1}, {"setting": "no.node"}, {"times": 1},
])  # fmt: skip
def test_forms_that_say_nothing_leave_what_is_stored(form: Any) -> None:
    wrong = changed(TWO, W=np.nextafter(constant(TWO, "W"), np.float32(9)))
    for lie in (claimed({"W": form}), claimed(settings={"y.alpha": form})):
        assert check(TWO, wrong, record=lie).state != "equal"
        assert check(TWO, TWO, record=lie).state == "equal"


def test_a_form_inside_of_too_many_others_says_nothing() -> None:
    form: Any = {"tensor": "W"}
    for _ in range(5000):
        form = {"times": [form]}
    assert check(TWO, TWO, record=claimed({"W": form})).state == "equal"


def test_a_name_of_two_nodes_stands_for_none() -> None:
    gemm = "h = Gemm<alpha=0.3>(x, W) y = Gemm<alpha=0.7>(h, V)"
    teacher = model(gemm, "float[N,4] x", "y", W=(4, 6), V=(6, 3))
    wrong = onnx.ModelProto.FromString(teacher.SerializeToString())
    for node, by in zip(wrong.graph.node, (1.5, 1 / 1.5), strict=True):
        node.name, node.attribute[0].f = "same", node.attribute[0].f * by
    form = {"times": [{"number": [45, 100]}]}
    assert check(teacher, wrong, record=claimed(settings={"same.alpha": form})).constants == 0


def test_hints_about_roots_are_never_trusted() -> None:
    for by in ([1, 2], [3, 7], [9, 4]):
        lie = {"times": [{"setting": "n.epsilon"}, {"number": by}]}
        other = {"times": [{"setting": "o.epsilon"}, {"number": [by[1], by[0]]}]}
        hints = claimed(settings={"n.epsilon": lie, "o.epsilon": other})
        assert check(QUIET, QUIET, record=hints).state == "equal"
        gain = constant(QUIET, "g")
        wrong = changed(QUIET, g=(gain * np.sqrt(by[0] / by[1])).astype(np.float32))
        assert check(QUIET, wrong, record=hints).state != "equal"


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to everything in a document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for key, part in inside for each in leaves(part, (*path, key)))]


@FEW
@given(st.data())
def test_a_record_that_is_damaged_leaves_what_is_stored(data: st.DataObject) -> None:
    lie = document(GROWN)
    *path, last = data.draw(st.sampled_from([each for each in leaves(lie["steps"]) if each]))
    inside = lie["steps"]
    for key in path:
        inside = inside[key]
    inside[last] = data.draw(st.sampled_from([None, -1, 2, 0.5, "0", "W", [], {}, [3, 5], {"number": [1, 3]}, 10**30]))
    array = constant(GROWN.model, "W")
    array[0, 0] = np.nextafter(array[0, 0], np.float32(9))  # exact, so that no record excuses it
    assert check(QUIET, changed(GROWN.model, W=array), record=lie).state != "equal"
    assert check(QUIET, GROWN.model, record=lie).state in {"equal", "undecided"}


def test_a_file_that_is_no_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    for name in ("x.safetensors", "absent.safetensors"):
        with pytest.raises(ModelError):
            growth.read(tmp_path / name)


def test_copies_that_sum_to_a_weight_have_no_offset() -> None:
    """The attack: each copy is larger by the offset, and so is their sum."""
    teacher = changed(TWO, V=np.full((6, 3), 1 / 3, np.float32))
    lie = claimed()
    double = {"axis": 0, "index": "0", "share": "1", "copies": "0", "fresh": None, "row": None}
    lie["steps"][0]["tensors"] = [
        {"teacher": "V", "student": "V", "before": [6, 3], "axes": [double], "scale": 0.5**0.5, "zero": None,
         "squared": [1, 2], "offset": 1.0},
    ]  # fmt: skip
    index = np.arange(12) % 6
    lie["arrays"] = {"0": index, "1": np.full(12, 0.5)}
    total = (constant(teacher, "V").astype(np.float64) + 1) * 0.5**0.5 - 1
    wrong = changed(teacher, W=constant(teacher, "W")[:, index], V=(total[index] / 2).astype(np.float32))
    found = check(teacher, wrong, record=lie)
    assert found.state != "equal"
    assert "offset" in found.reason or found.state == "different"
