"""A recipe says what a text of passes says, in files and mappings, and what else there is to say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import onnx_n2n
from helpers.calling import MODELS, call, files, net
from helpers.cutting import classifier
from helpers.graphs import STABLE
from helpers.values import filled
from onnx_n2n.io import yaml_files
from onnx_n2n.passes import Cut, Deepen, Enlarge, Outputs, Sequential, Widen, from_recipe, parse, to_recipe
from onnx_n2n.passes.recipe_schema import schema
from onnx_n2n.passes.recipes import KEYS, instructions

KINDS = (Widen, Deepen, Enlarge, Outputs, Cut)
SCHEMA = Path(__file__).parents[2] / "docs" / "recipe.schema.json"
COMMAND = "python -m onnx_n2n.passes.recipe_schema > docs/recipe.schema.json"
TEXTS = st.text(max_size=6) | st.sampled_from(
    ["no", "on", "010", "1e3", "1:30", "~", "null", "2026-12-01", "*", "&a", "<<", "- a", "a: b", "#", "!x", "'",
     "\ud800", "😀", "\x85", "%", "x" * 900]
)  # fmt: skip
SETTINGS = {
    "verify": st.booleans(), "exact": st.booleans(), "strict": st.booleans(), "budget": TEXTS,
    "inputs": TEXTS.filter(bool), "provider": TEXTS, "time_limit": st.floats(0, exclude_min=True, allow_infinity=True),
    "custom_ops": st.lists(TEXTS), "shapes": st.dictionaries(TEXTS, st.lists(st.integers(0, 9)), max_size=2),
}  # fmt: skip
TYPES = {"object": Mapping, "array": list, "string": str, "integer": int, "number": int | float, "null": None.__class__}


def passes(texts: st.SearchStrategy[str] = TEXTS) -> st.SearchStrategy[Sequential]:
    one = st.sampled_from(KINDS).flatmap(lambda kind: filled(kind, texts).map(lambda said: kind(**said)))
    return st.lists(one, min_size=1, max_size=3).map(lambda all_: Sequential(*all_))


def fits(value: Any, rule: Mapping[str, Any]) -> bool:
    """Whether a value is as a schema says, as far as ours say anything."""
    if "anyOf" in rule and not any(fits(value, each) for each in rule["anyOf"]):
        return False
    kind = rule.get("type")
    if kind == "boolean" or isinstance(value, bool):
        return kind in {None, "boolean"} and isinstance(value, bool) and "const" not in rule
    if kind and not isinstance(value, TYPES[kind]):
        return False
    if isinstance(value, Mapping):
        own, others = rule.get("properties", {}), rule.get("additionalProperties", True)
        if not set(rule.get("required", ())) <= value.keys() or (others is False and value.keys() - own.keys()):
            return False
        rest = others if isinstance(others, dict) else {}
        return all(fits(each, own.get(name, rest)) for name, each in value.items())
    if isinstance(value, list):
        return all(fits(each, rule.get("items", {})) for each in value) and len(value) >= rule.get("minItems", 0)
    inside = value in rule.get("enum", [value]) and value == rule.get("const", value)
    if not isinstance(value, int | float):
        return inside
    limits = (value >= rule.get("minimum", value), value <= rule.get("maximum", value))
    return inside and all(limits) and ("exclusiveMinimum" not in rule or value > rule["exclusiveMinimum"])


@settings(STABLE, deadline=None, max_examples=50)
@given(passes(TEXTS.filter(bool)))  # an empty name is lost in a text
def test_a_recipe_says_what_the_text_says(all_: Sequential) -> None:
    assert from_recipe(to_recipe(all_)) == all_
    assert from_recipe(to_recipe(str(all_))) == parse(str(all_)) == from_recipe({"passes": str(all_)})
    assert from_recipe({"passes": [str(all_)]}) == all_
    assert to_recipe(Sequential(all_, Widen())) == to_recipe(Sequential(*all_.passes, Widen()))


@settings(STABLE, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(all_=passes(), said=st.fixed_dictionaries({}, optional=SETTINGS), name=st.sampled_from(["r.yaml", "r.json"]))
def test_what_is_written_is_read(tmp_path: Path, all_: Sequential, said: dict[str, Any], name: str) -> None:
    recipe = to_recipe(all_, **said)
    place = tmp_path / name
    place.write_bytes(yaml_files.written(recipe, place))
    found = instructions(place)
    assert found.passes == all_
    assert {each: KEYS[each].valued(value) for each, value in said.items()} == {
        each: found.settings.get(each, KEYS[each].default) for each in said
    }
    assert found == instructions(recipe).__class__(found.passes, instructions(recipe).settings, found.source)
    assert fits(recipe, schema())
    if name == "r.json":
        assert json.loads(place.read_text("utf-8")) == recipe


def test_the_schema_is_current_and_refuses_what_is_refused() -> None:
    assert json.loads(SCHEMA.read_text("utf-8")) == schema(), f"Run\n\n    {COMMAND}\n"
    good = [{"passes": ["deepen", {"widen": {"factor": 2}}]}, {"passes": "widen"}, {"passes": [{"widen": None}]}]
    bad = [{}, {"passes": [{"widen": {"factr": 2}}]}, {"passes": [{"widen": {"factor": 0.5}}]}, {"passes": [], "a": 1},
           {"passes": [{"deepen": {"kind": "all"}}]}, {"passes": "widen", "time_limit": 0}, {"passes": 3},
           {"passes": [{"widen": {}, "deepen": {}}]}, {"passes": [{"deepen": {"count": True}}]}]  # fmt: skip
    for recipe in good:
        assert fits(recipe, schema())
        assert from_recipe(recipe)
    for recipe in bad:
        assert not fits(recipe, schema()), recipe
        with pytest.raises(onnx_n2n.OptionError):
            from_recipe(recipe)


def test_scalars_are_those_of_yaml_1_2(folder: Path) -> None:
    scalars = "no, on, 010, 1_0, 1:30, 1e3, .inf, ~, null, 2026-12-01, +1, True, '1', 0x1"
    Path("r.yaml").write_text(f"a: [{scalars}]\nno: 1\n")
    document = yaml_files.read(Path("r.yaml"), "recipe")
    assert document.values == {
        "a": ["no", "on", 10, "1_0", "1:30", 1000.0, np.inf, None, None, "2026-12-01", 1, True, "1", "0x1"], "no": 1
    }  # fmt: skip
    assert document.line(("no",)) == document.line(("no", "none", 3)) == 2
    assert document.line(("a", 3)) == document.line(("none",)) == 1


def test_json_of_another_program_is_read(folder: Path) -> None:
    Path("r.json").write_text('﻿{\n\t"passes":\t[{"widen": {"only": ["\\ud83d\\ude00", "a\\/b"]}}]\n}', "utf-8")
    assert from_recipe("r.json") == Sequential(Widen(only=["😀", "a/b"]))


WRONG = [  # what stands in the file, the line that the error names, and what it says
    ("", 1, "nothing is no recipe"), ("[]", 1, "nothing is no recipe"), ("- widen", 1, "a list is no recipe"),
    ("widen", 1, "'widen' is no recipe"), ("12", 1, "12 is no recipe"), ("{}", 1, "nothing is no recipe"),
    ("provider: cpu", 1, "has no passes"), ("passes:", 1, "nothing is no list"),
    ("passes: {}", 1, "nothing is no list"),
    ("passes: {widen: {}}", 1, "a mapping is no list of passes"), ("passes: [3]", 1, "3 is no pass"),
    ("passes: [[widen]]", 1, "a list is no pass"), ("passes: [~]", 1, "nothing is no pass"),
    ("passes: widen\nprovidr: cpu", 2, "no key 'providr'. Perhaps you mean 'provider'"),
    ("pases: [widen]", 1, "no key 'pases'. Perhaps you mean 'passes'"),
    ("passes: widen\nzzz: cpu", 2, "Keys of a recipe are passes, verify"),
    ("passes: widen\noutput: a.onnx", 2, "no key 'output'"),
    ("passes:\n- widn", 2, "no pass 'widn'. Perhaps you mean 'widen'"),
    ("passes:\n- widen: {}\n- depen: {}", 3, "no pass 'depen'. Perhaps you mean 'deepen'"),
    ("passes:\n- widen:\n    factr: 2", 3, "no option 'factr'. Perhaps you mean 'factor'"),
    ("passes:\n- widen:\n    zzz: 2", 3, "Options of widen are factor"),
    ("passes:\n- widen:\n  factor: 2", 2, "here is widen, factor"), ("passes:\n- {}", 2, "here is nothing"),
    ("passes: [widen: [factor]]", 1, "a list are no options of widen"), ("passes: [widen: 2]", 1, "2 are no options"),
    ("passes:\n- widen:\n    factor:", 3, "factor has no value"),
    ("passes: widen\nprovider:", 2, "provider has no value"),
    ("passes:\n- widen:\n    factor: much", 3, "factor=much has no meaning. It takes numbers"),
    ("passes:\n- widen:\n    factor: yes", 3, "factor=yes has no meaning"),
    ("passes:\n- widen:\n    factor: true", 3, "factor=True has no meaning"),
    ("passes:\n- widen:\n    factor: [2]", 3, "has no meaning"),
    ("passes:\n- widen:\n    factor: 0.5", 3, "must be a finite number of at least 1, not 0.5"),
    ("passes:\n- widen:\n    factor: .inf", 3, "must be a finite number of at least 1, not inf"),
    ("passes:\n- deepen:\n    count: 1.5", 3, "count=1.5 has no meaning. It takes whole numbers"),
    ("passes:\n- deepen:\n    kind: all", 3, "must be one of auto, block"),
    ("passes:\n- deepen:\n    kernel: 3", 3, "It takes texts; put quotes around it"),
    ("passes:\n- enlarge:\n    kernel: 3", 3, "It takes texts; put quotes around it"),
    ("passes:\n- widen:\n    only: {a: 1}", 3, "It takes texts."),
    ("passes:\n- widen:\n    only: [[a]]", 3, "no meaning"),
    ("passes:\n- widen:\n    groups: [a]", 3, "groups is a mapping, and not a list"),
    ("passes:\n- widen:\n    groups: [[a, 2]]", 3, "groups is a mapping"),
    ("passes:\n- widen:\n    groups: {a: b}", 3, "no meaning"),
    ("passes:\n- deepen:\n    calibrate: 3", 3, "a path, and"),
    ("passes:\n- cut:\n    softmax: yes", 3, "It takes True or False"),
    ("passes: widen\nverify: on", 2, "It takes True or False"), ("passes: widen\nexact: 2", 2, "no meaning"),
    ("passes: widen\ninputs: {x: [1]}", 2, "inputs is a path, and not a mapping"),
    ("passes: widen\nshapes: {x: 3}", 2, "no meaning"), ("passes: widen\nshapes: [x, 3]", 2, "shapes is a mapping"),
    ("passes: widen\nbudget: 2", 2, "put quotes around it"), ("passes: widen\ntime_limit: 0", 2, "must be above 0"),
    ("passes: widen\ncustom_ops: [1]", 2, "no meaning"), ("passes: widen{factr=2}", 1, "no option 'factr'. Perhaps"),
    ("passes: widen{", 1, "not of the form"), ("passes: [widen]\npasses: [deepen]", 2, "'passes' stands there twice"),
    ("passes:\n- widen: {factor: 2, factor: 3}", 2, "'factor' stands there twice"),
    ("a: &a [widen]\npasses: *a", 2, "an alias"), ("passes: [widen: {<<: {factor: 2}}]", 1, "no option '<<'"),
    ("passes: !!python/object/apply:os.system [ls]", 1, "has no meaning"), ("passes: !mine widen", 1, "tag !mine"),
    ("passes: [widen: {factor: !!int x}]", 1, "'x' has no meaning"), ("passes: [widen", 1, "expected"),
    ("passes: [widen]\n---\npasses: [widen]", 2, "another document"),
    ("passes:\n\t- widen", 2, "cannot start any token"),
    ("? [a]\n: b", 1, "a key is no text"), ("passes: [widen: {seed: " + "9" * 5000 + "}]", 1, "no meaning"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "said"), WRONG)
def test_what_is_no_recipe_is_refused_with_its_line(folder: Path, text: str, line: int, said: str) -> None:
    Path("r.yaml").write_text(text)
    with pytest.raises(onnx_n2n.OptionError) as refusal:
        from_recipe("r.yaml")
    assert str(refusal.value).startswith("'r.yaml', line ")
    assert said in str(refusal.value)
    assert f"line {line}:" in str(refusal.value)
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\x00\x01", "no recipe"), (b"\xff\xfe\x00", "it is no text"), (b"[" * 5000, "nested too deep"),
     (b"#" * (yaml_files.LARGEST + 1), "it has 1.0 MB"), (net().SerializeToString(), "is no recipe")],
    ids=["characters", "bytes", "deep", "large", "model"],
)  # fmt: skip
def test_what_is_no_text_is_no_recipe(folder: Path, content: bytes, said: str) -> None:
    Path("r.yaml").write_bytes(content)
    there = files(folder)
    done = call("run", "net.onnx", "--recipe", "r.yaml")
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: 'r.yaml' is no recipe")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert files(folder) == there


def test_a_mapping_is_refused_at_a_place() -> None:
    with pytest.raises(onnx_n2n.OptionError, match=r"the recipe at passes\[1\]\.widen\.factr: widen has no option"):
        from_recipe({"passes": ["deepen", {"widen": {"factr": 2}}]})
    with pytest.raises(onnx_n2n.OptionError, match="the recipe: the recipe has no passes"):
        from_recipe({"verify": False})
    with pytest.raises(onnx_n2n.OptionError, match="no key 'factor'"):
        to_recipe("widen", factor=2)
    with pytest.raises(onnx_n2n.OptionError, match="cannot hold arrays"):
        to_recipe("widen", inputs={"x": np.ones(3)})
    with pytest.raises(onnx_n2n.ModelError, match=r"'none.yaml' does not exist"):
        from_recipe("none.yaml")


# --- files


def same(one: str, other: str) -> bool:
    return Path(one).read_bytes() == Path(other).read_bytes()


@pytest.mark.parametrize(
    "line",
    ["widen net.onnx --factor 1.5 --seed 3", "deepen net.onnx --kind identity", "cut net.onnx --after h",
     "enlarge net.onnx --kernel 3x3", "widen net.onnx --outputs 3 --factor 2 --input x:2,3,6,6 --provider cpu",
     "run net.onnx -p widen{factor=1.5},deepen --no-verify", "run net.onnx -p widen --exact --budget params=5x"],
)  # fmt: skip
def test_a_saved_recipe_makes_the_same_student(folder: Path, line: str) -> None:
    for name in ("r.yaml", "r.json"):
        done = call(*line.split(), "-o", "one.onnx", "--save-recipe", name, "--record", "r.growth", "--force", "--json")
        assert done.exit_code == 0, done.stderr
        assert json.loads(done.stdout)["recipe"] == name
        again = call("run", "net.onnx", "--recipe", name, "-o", "two.onnx", "--save-recipe", f"again-{name}", "--force")
        assert again.exit_code == 0, again.stderr
        assert same("one.onnx", "two.onnx")
        assert same(name, f"again-{name}")


def test_a_recipe_is_written_as_every_file_is(folder: Path) -> None:
    Path("r.yaml").write_text("passes: widen")
    there = files(folder)
    for code, words, said in [
        (2, "--save-recipe r.yaml", "exists already"), (2, "--save-recipe net.onnx --force", "is an input"),
        (2, "--save-recipe no/r.yaml", "does not exist"), (2, "--save-recipe -", "Name a file"),
        (2, "--save-recipe a.onnx -o a.onnx", "two files"), (2, "--save-recipe a --record a", "two files"),
        (2, "--save-recipe a --html a", "reads or writes besides"), (0, "--save-recipe new.yaml --dry-run", ""),
    ]:  # fmt: skip
        done = call("widen", "net.onnx", *words.split())
        assert (done.exit_code, said in done.stderr) == (code, True), (words, done.stderr)
        assert files(folder) == there, words
    for words in ["-o r.yaml", "--save-recipe r.yaml", "--record r.yaml", "--html r.yaml"]:
        done = call("run", "net.onnx", "--recipe", "r.yaml", *words.split(), "--force")
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.stderr
        assert files(folder) == there, words
    with pytest.raises(onnx_n2n.OptionError, match="in no file"):
        onnx_n2n.widen(net(), save_recipe="r.yaml")
    with pytest.raises(onnx_n2n.OptionError, match="a function for sessions"):
        onnx_n2n.widen("net.onnx", save_recipe="new.yaml", session_options=lambda _: None)
    with pytest.raises(onnx_n2n.OptionError, match="cannot hold arrays"):
        onnx_n2n.widen("net.onnx", save_recipe="new.yaml", inputs={"x": np.ones((1, 3, 6, 6), np.float32)})
    assert files(folder) == there


def test_the_recipe_of_a_student_without_a_part_leaves_it_out_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = to_recipe(Widen(factor=2).leave([type("Part", (), {"name": "w"})()]))  # type: ignore[list-item]
    assert recipe == {"passes": [{"widen": {"factor": 2.0, "without": ["w"]}}]}


def test_options_beat_the_recipe(folder: Path) -> None:
    recipe = {"passes": "widen", "verify": False, "provider": "none", "budget": "params=1.01x", "shapes": {"x": [1, 1]}}
    Path("r.json").write_text(json.dumps(recipe))
    refused = call("run", "net.onnx", "--recipe", "r.json")
    assert (refused.exit_code, "the budget allows" in refused.stderr) == (3, True)
    beaten = ["--verify", "--provider", "auto", "--budget", "params=9x", "--input", "x:2,3,6,6"]
    done = call("run", "net.onnx", "--recipe", "r.json", *beaten, "--json", "--save-recipe", "new.json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["verification"]["ok"]
    assert json.loads(Path("new.json").read_text("utf-8"))["budget"] == "params=9x"
    result = onnx_n2n.run(net(), recipe=recipe, budget="params=9x", shapes={"x": [2, 3, 6, 6]})
    assert result.report.verdict is None
    with pytest.raises(onnx_n2n.OptionError, match="'none'"):
        onnx_n2n.run(net(), recipe=recipe, verify=True)
    both = call("run", "net.onnx", "--recipe", "r.json", "-p", "widen")
    assert (both.exit_code, "both say what to do" in both.stderr) == (2, True)
    neither = call("run", "net.onnx")
    assert (neither.exit_code, "--passes, or a --recipe" in neither.stderr) == (2, True)
    missing = call("run", "net.onnx", "--recipe", "none.yaml")
    assert (missing.exit_code, "'none.yaml' does not exist" in missing.stderr) == (3, True)


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize("name", ["verify", "exact", "strict"])
def test_a_flag_beats_the_recipe_in_both_directions(folder: Path, name: str, *, stated: bool) -> None:
    Path("r.json").write_text(json.dumps({"passes": "widen", name: stated}))
    for flag, kept in ((), stated), ((f"--{name}",), True), ((f"--no-{name}",), False):
        done = call("run", "net.onnx", "--recipe", "r.json", *flag, "--save-recipe", "new.json", "--force")
        assert done.exit_code == 0, done.stderr
        assert json.loads(Path("new.json").read_text("utf-8")).get(name, name == "verify") is kept


@pytest.mark.parametrize("place", [["-p", "outputs{size=20}"], ["--recipe", "r.json"]])
def test_errors_name_options_of_passes_as_a_text_has_them(folder: Path, place: list[str]) -> None:
    Path("r.json").write_text(json.dumps({"passes": [{"outputs": {"size": 20}}]}))
    onnx.save(classifier(), "soft.onnx")
    assert "a Softmax with `softmax=True`" in call("run", "soft.onnx", *place).stderr
    assert "a Softmax with --softmax" in call("widen", "soft.onnx", "--outputs", "20").stderr
    onnx.save(classifier("y = MatMul(x, v) z = MatMul(x, u)", outputs="y, z", u=(6, 8)), "two.onnx")
    assert "Say which one with `output=`: 'y' or 'z'" in call("run", "two.onnx", *place).stderr
    assert "Say which one with --outputs NAME=SIZE" in call("widen", "two.onnx", "--outputs", "20").stderr
    assert "another output with -o" in call("run", "two.onnx", "-p", "widen", "-o", "two.onnx").stderr


@pytest.mark.parametrize("unit", ["params", "macs"])
def test_a_student_over_the_budget_is_refused_with_both_numbers(folder: Path, unit: str) -> None:
    there = files(folder)
    for dry in (True, False):
        with pytest.raises(onnx_n2n.GrowthError, match=r"would have [\d,]+ .* budget allows [\d,]+"):
            onnx_n2n.widen("net.onnx", 2, budget=f"{unit}=1.5x", dry_run=dry)
    done = call("widen", "net.onnx", "--factor", 2, "--budget", f"{unit}=1.5x")
    assert done.exit_code == 3
    assert "larger --budget" in done.stderr
    assert files(folder) == there
    assert onnx_n2n.widen(net(), 2, budget=f"{unit}=2x").modified  # it may cost as much
    with pytest.raises(onnx_n2n.OptionError, match="and the model has"):
        onnx_n2n.widen("net.onnx", 2, budget=f"{unit}=1")
    with pytest.raises(onnx_n2n.OptionError, match="is no budget"):
        onnx_n2n.widen("net.onnx", 2, budget="")


def test_the_golden_model_by_a_recipe_that_a_person_wrote(folder: Path) -> None:
    Path("r.yaml").write_text("# wider\npasses:\n  - widen: {factor: 1.2, exclude: 'stages.5.*'}\n  - deepen\n")
    by_recipe = onnx_n2n.run(onnx.load(MODELS / "resnet.onnx"), recipe="r.yaml", verify=False).model
    by_text = onnx_n2n.run(
        onnx.load(MODELS / "resnet.onnx"), "widen{factor=1.2,exclude=stages.5.*},deepen", verify=False
    ).model
    assert by_recipe.SerializeToString(deterministic=True) == by_text.SerializeToString(deterministic=True)


@pytest.mark.parametrize("recipe", [5, None, [], b"recipe.yaml", ["widen"]])
def test_what_is_neither_a_path_nor_a_mapping_is_no_recipe(recipe: Any) -> None:
    with pytest.raises(onnx_n2n.OptionError, match=r"a recipe is the path of a file or a mapping, not <class"):
        from_recipe(recipe)


@pytest.mark.parametrize("option", ["multiple_of", "seed", "groups"])
def test_a_whole_number_of_any_length_has_a_meaning_or_is_refused(option: str) -> None:
    """No float holds it."""
    huge = 10**400
    recipe = {"passes": [{"widen": {option: {"w": huge} if option == "groups" else huge}}]}
    passes = from_recipe(recipe)
    if option == "seed":
        assert onnx_n2n.run(net(), str(passes), verify=False).modified
    else:
        with pytest.raises(onnx_n2n.OptionError, match=r"would have 1,0.* channels|at most"):
            onnx_n2n.run(net(), str(passes), verify=False)
