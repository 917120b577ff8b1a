"""Folders that grow: from_pretrained loads what was written, strictly, and it computes what the old one does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from helpers.calling import call
from helpers.hubs import small
from helpers.needing import needs
from helpers.pretrained import SMALL, llama, same, saved
from onnx_n2n import Deepen, Enlarge, Sequential, Widen
from onnx_n2n.checkpoint.files import grow_file
from onnx_n2n.errors import GrowthError, ModelError, OptionError, VerificationError
from onnx_n2n.huggingface import Output, deepen, run, student, taught, widen, writing
from onnx_n2n.huggingface.carrying import carried, others, paired
from onnx_n2n.huggingface.fitting import fitted
from onnx_n2n.huggingface.folder import opened
from onnx_n2n.huggingface.less import nearest, otherwise
from onnx_n2n.huggingface.lineage import digest
from onnx_n2n.huggingface.loaded import loaded_alike
from onnx_n2n.huggingface.writing import drafting, kept
from onnx_n2n.io import space
from onnx_n2n.io.rooms import PREFIX
from onnx_n2n.io.tensorfile import from_bytes
from onnx_n2n.record import record as records

torch = needs("torch")
T = needs("transformers")
needs("onnxscript")


def test_a_folder_grows_wider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = llama(tmp_path / "old", rms_norm_eps=1e-5, initializer_range=1e-5)
    (old / "2_Dense").mkdir()
    (old / "2_Dense" / "model.safetensors").write_bytes(b"of another module")
    mine = {path.stat().st_ino for path in tmp_path.rglob("*")}
    compared, weights = student._compared, list[int]()

    def looking(*given: Any, **named: Any) -> Any:
        there = {path.stat().st_ino: path for path in tmp_path.rglob("*") if path.is_file()}
        new = [path for inode, path in there.items() if inode not in mine and path.suffix in {".data", ".safetensors"}]
        weights.append(sum(path.stat().st_size for path in new))
        return compared(*given, **named)

    monkeypatch.setattr(student, "_compared", looking)
    found = call("widen", old, "-o", tmp_path / "new", "--factor", 1.5, "--json")
    assert found.exit_code == 0, found.output
    same(old, tmp_path / "new")
    assert weights == [(tmp_path / "new" / "model.safetensors").stat().st_size]  # they are written once
    report = json.loads(found.stdout)
    config = {name: json.loads((folder / "config.json").read_text()) for name, folder in
              (("old", old), ("new", tmp_path / "new"))}  # fmt: skip
    apart = {name for name in config["new"] if config["new"][name] != config["old"].get(name)}
    assert apart == set(report["config"])
    assert apart == {"hidden_size", "intermediate_size", "num_attention_heads", "rms_norm_eps"}
    assert config["new"]["eos_token_id"] == 4  # the number that heads were, and of nothing that grows
    assert report["exact"]["state"] == "equal", report["exact"]  # also what the class works out of its epsilon
    assert report["left"] == ["2_Dense/"]  # its weights have not grown
    assert not (tmp_path / "new" / "2_Dense").exists()
    assert (tmp_path / "new" / "generation_config.json").exists()
    assert (tmp_path / "new" / report["record"]).exists()
    assert report["followable"] == {"ok": True, "obstacles": []}
    multiplied = report["multiply_adds"]
    assert multiplied["after"] > multiplied["before"] > 0
    assert multiplied["most"] == multiplied["times"] == multiplied["after"] / multiplied["before"]
    assert multiplied["inputs"]["input_ids"]


def test_both_classes_run_in_16_bits_before_the_new_one_is_written(tmp_path: Path) -> None:
    old = saved(tmp_path / "old", T.LlamaConfig(**SMALL), T.LlamaForCausalLM, torch.bfloat16)
    found = call("widen", old, "-o", tmp_path / "new", "--verify", "class", "--json")
    assert found.exit_code == 0, found.output
    verdict = json.loads(found.stdout)["class"]
    assert verdict["provider"] == "PyTorch in bfloat16"
    assert "[3,64]" in verdict["inputs"]
    assert 0 <= verdict["error"] < 4 * verdict["rounding_error"] < 0.1
    assert "on PyTorch in bfloat16" in (tmp_path / "new" / "README.md").read_text()


def test_what_from_pretrained_does_not_load_as_it_is_is_wrong(tmp_path: Path) -> None:
    with taught(llama(tmp_path / "old")) as teacher:
        old, network, model = teacher.folder, teacher.network, teacher.analysis.model

    def attempt(**fields: Any) -> bool:
        draft.configure(fields)
        return loaded_alike(old.path, draft.path, network, model).ok

    with drafting(old, tmp_path / "new", {key: kept(old, key) for key in old.tensors}) as draft:
        with pytest.raises(VerificationError, match="does not load the new model as it is: missing_keys"):
            attempt(num_hidden_layers=2)
        with pytest.raises(VerificationError, match="mismatched_keys"):
            attempt(intermediate_size=24)
        with pytest.raises(VerificationError, match="PyTorch cannot run"):
            attempt(num_attention_heads=3)
        assert not attempt(rms_norm_eps=0.5)
        assert attempt()


def test_a_full_disk_is_refused_before_a_weight_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = llama(tmp_path / "old")
    monkeypatch.setattr(space, "free", lambda _: 20_000)
    monkeypatch.setattr(writing, "pour", lambda *_: pytest.fail("a weight was written"))
    with pytest.raises(ModelError, match=r"new' needs 3.* kB, and 20.0 kB are free on its disk"):
        widen(old, Widen(factor=2), Output(tmp_path / "new"))
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_folder_in_between_goes_as_soon_as_it_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = list[set[str]]()

    def grow(folder: Path, change: Widen, output: Output, *_: Any) -> SimpleNamespace:
        shutil.copytree(folder, output.path)
        found.append({path.parent.parent.name for path in tmp_path.glob(f"{PREFIX}*/new/*/model/config.json")})
        return SimpleNamespace(record=None, joined=lambda later: later)

    monkeypatch.setattr("onnx_n2n.huggingface.several.widen", grow)
    monkeypatch.setattr("onnx_n2n.huggingface.writing.check_output", lambda *_, **__: None)
    small(tmp_path / "model")
    run(tmp_path / "model", Sequential(*[Widen(factor=factor) for factor in (2, 3, 4)]), Output(tmp_path / "new"))
    assert found == [{"0"}, {"0", "1"}, {"1"}]


def test_layers_are_added_and_then_grow_and_checkpoints_follow(tmp_path: Path) -> None:
    """With weights of 16 bits. The old folder's own weights become the new one's by the one record of both passes."""
    old = saved(tmp_path / "old", T.LlamaConfig(**SMALL), T.LlamaForCausalLM, torch.bfloat16)
    (old / "growth.record").write_bytes(b"of before")
    (old / "onnx").mkdir()
    (old / "onnx" / "model.onnx").write_bytes(b"of before")
    grown = run(old, Sequential(Deepen(count=1), Widen(factor=2, exclude=["nothing"])), Output(tmp_path / "new"))
    same(old, tmp_path / "new")
    new = opened(tmp_path / "new")
    assert (new.config["num_hidden_layers"], new.config["hidden_size"]) == (2, 32)
    assert grown.written.fields["num_hidden_layers"] == (1, 2)  # by the first pass
    assert grown.written.fields["hidden_size"] == (16, 32)
    assert grown.written.left == ("onnx/",)
    assert grown.parameters_before == T.LlamaForCausalLM.from_pretrained(old).num_parameters()
    assert [note.partition(" matches")[0] for note in grown.notes] == ["'nothing' of `exclude=`"]
    assert grown.exact.state == "equal"
    assert {each.dtype for each in new.tensors.values()} == {"BF16"}
    assert grown.written.record == "growth-2.record"
    record = records.load(tmp_path / "new" / "growth-2.record")
    assert [step.text.partition("{")[0] for step in record.steps] == ["deepen", "widen"]
    assert (record.teacher, record.student) == (digest(opened(old)), digest(new))
    found = grow_file(record, old / "model.safetensors", tmp_path / "followed.safetensors")
    assert len(found.added) == len(found.renamed) == 9
    followed = from_bytes((tmp_path / "followed.safetensors").read_bytes())[0]
    assert followed.keys() == new.tensors.keys()
    for key, array in followed.items():
        np.testing.assert_array_equal(array, new.array(key))
    assert (tmp_path / "new" / "README.md").read_text().count("made this model out of `snapshot`") == 2


def test_layers_that_end_in_experts_are_added(tmp_path: Path) -> None:
    """The class makes one parameter of the tensors of all experts, and chooses from it for each token."""
    options = {name: value for name, value in SMALL.items() if name != "head_dim"}
    config = T.OlmoeConfig(**options, num_experts=3, num_experts_per_tok=2)
    old = saved(tmp_path / "old", config, T.OlmoeForCausalLM)
    grown = deepen(old, Deepen(count=1), Output(tmp_path / "new"))
    same(old, tmp_path / "new")
    assert grown.exact.state == "equal"
    new = opened(tmp_path / "new")
    zero = {key for key in new.tensors if not new.array(key).any()}
    experts = {f"model.layers.0.mlp.experts.{number}.down_proj.weight" for number in range(3)}
    assert zero == {*experts, "model.layers.0.self_attn.o_proj.weight"}


def test_experts_and_what_lies_behind_them_grow(tmp_path: Path) -> None:
    config = T.MixtralConfig(**SMALL, num_local_experts=3, num_experts_per_tok=2)
    old = saved(tmp_path / "old", config, T.MixtralForCausalLM)
    grown = widen(old, Widen(factor=2), Output(tmp_path / "new"))
    assert grown.exact.state == "equal"
    assert {"hidden_size", "intermediate_size", "num_attention_heads"} <= grown.written.fields.keys()
    assert not grown.notes
    assert T.MixtralForCausalLM.from_pretrained(tmp_path / "new").config.num_local_experts == 3


def test_layers_with_norms_behind_their_sums_are_refused(tmp_path: Path) -> None:
    """Such a norm of what a norm has scaled is another one, whatever was added."""
    old = saved(tmp_path / "old", T.BertConfig(**SMALL), T.BertForMaskedLM)
    with pytest.raises(VerificationError, match=r"'bert\S+0\.attention\.output\.LayerNorm\.weight' is in none of them"):
        deepen(old, Deepen(count=1), Output(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_a_class_that_would_compute_something_else_is_refused(tmp_path: Path) -> None:
    old = llama(tmp_path / "old")
    asked = Widen(groups={"model.layers.0.mlp.gate_proj": 30})
    with pytest.raises(GrowthError, match="something else"):
        widen(old, asked, Output(tmp_path / "new"), {"hidden_act": "relu"})
    assert not (tmp_path / "new").exists()


GEMMA = {**SMALL, "query_pre_attn_scalar": 4, "sliding_window": 16, "max_position_embeddings": 33, "hidden_size": 12}
FIVE = {"vocab_size": 31, "d_model": 12, "d_kv": 4, "d_ff": 20, "num_layers": 1, "num_heads": 2,
        "decoder_start_token_id": 0}  # fmt: skip


def test_weights_make_up_for_the_root_of_the_hidden_size(tmp_path: Path) -> None:
    """Gemma's class multiplies embeddings, which are its head too, by that root. Its gains are stored beside one."""
    old = saved(tmp_path / "old", T.Gemma2Config(**GEMMA), T.Gemma2ForCausalLM)
    grown = widen(old, Widen(factor=1.5), Output(tmp_path / "new"))
    same(old, tmp_path / "new")
    assert grown.written.fields["hidden_size"] == (12, 18)
    assert (grown.exact.state, grown.notes, grown.obstacles) == ("equal", (), ())
    record = records.load(tmp_path / "new" / "growth.record")
    assert not grow_file(record, old / "model.safetensors", tmp_path / "followed.safetensors").added
    new, followed = opened(tmp_path / "new"), from_bytes((tmp_path / "followed.safetensors").read_bytes())[0]
    for key, array in followed.items():
        np.testing.assert_array_equal(array, new.array(key))
    table = opened(old).array("model.embed_tokens.weight")
    np.testing.assert_allclose(followed["model.embed_tokens.weight"][:, :12] * 1.5**0.5, table, rtol=1e-6)


def test_weights_of_16_bits_are_not_rounded_for_it(tmp_path: Path) -> None:
    """T5's class multiplies by one over that root in front of its head: by 4 it is halved, and by 2 the gain is not."""
    old = saved(tmp_path / "old", T.T5Config(**FIVE), T.T5ForConditionalGeneration, torch.bfloat16)
    with taught(old) as teacher:
        for factor, gain in ((4, 2.0), (2, None)):
            fit = fitted(teacher, Widen(factor=factor, only=["stream"]), {})
            _, graph = student.becoming(teacher, fit.candidate.fields, Output(tmp_path / "new"))
            pairs = paired(teacher, fit.larger, graph)
            made = carried(teacher, fit.larger, tuple(others(pairs, fit.larger.network)))
            before, after = (each.weights["decoder.final_layer_norm.weight"].numpy() for each in (fit.larger, made))
            assert (made is fit.larger) == (gain is None)
            np.testing.assert_array_equal(after.astype(float), before.astype(float) * (gain or 1))
            stays = [len(each.result.growth.settings) for each in (fit.larger, made)]
            assert stays[0] - stays[1] == (gain is not None)  # code need not keep the number any more


def test_a_number_for_which_no_weights_make_up_is_said(tmp_path: Path) -> None:
    old = saved(tmp_path / "old", T.T5Config(**FIVE), T.T5ForConditionalGeneration, torch.bfloat16)
    with pytest.raises(GrowthError, match=r"ion' multiplies by 0\.204124 then, not by 0\.288675, and no weights"):
        widen(old, Widen(factor=2, only=["stream"]), Output(tmp_path / "new"))


LONG = {"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 8,
        "short_factor": [1.0, 1.5], "long_factor": [2.0, 5.0]}  # fmt: skip


def test_numbers_that_the_code_of_a_class_writes_are_known(tmp_path: Path) -> None:
    """Phi-3 takes a list of its config as a tensor whenever it runs; it counts beyond a length."""
    config = T.Phi3Config(**SMALL, pad_token_id=0, rope_parameters=LONG, original_max_position_embeddings=8)
    old = saved(tmp_path / "old", config, T.Phi3ForCausalLM)
    assert widen(old, Widen(factor=2), Output(tmp_path / "new")).exact.state == "equal"
    same(old, tmp_path / "new")  # of 13 tokens
    with taught(old) as teacher:
        numbers = [np.ravel(value.const_value) for value in teacher.analysis.model.graph.initializers.values()]
    assert any(np.allclose(each, [1 / 2, 1 / 500]) for each in numbers if each.dtype.kind == "f" and each.size == 2)


def test_weights_of_16_bits_are_cast_where_they_are_needed_first(tmp_path: Path) -> None:
    """What runs node by node, as the exact check, has the numbers of a few in memory, and not those of all."""
    old = saved(tmp_path / "old", T.LlamaConfig(**SMALL), T.LlamaForCausalLM, torch.bfloat16)
    with taught(old) as teacher:
        nodes = list(teacher.analysis.model.graph)
        casts = [place for place, node in enumerate(nodes) if node.name.endswith(".cast")]
        assert len(casts) == sum(value.dtype == 16 for value in teacher.analysis.model.graph.initializers.values())
        for place in casts:
            user = next(node for node in nodes[place:] if not node.name.endswith(".cast"))
            assert nodes[place].outputs[0] in user.inputs


def test_a_norm_with_a_gain_of_16_bits_keeps_its_length(tmp_path: Path) -> None:
    """That gain times the root of 2/3 would be rounded, so the graph scales the mean, as the class cannot.

    Its graph shows that, before any weight is made.
    """
    old, steps = saved(tmp_path / "old", T.LlamaConfig(**SMALL), T.LlamaForCausalLM, torch.bfloat16), list[str]()
    with pytest.raises(GrowthError, match=r"one more Mul in 'model\.layers\.0\.input_layernorm', and"):
        widen(old, Widen(groups={"stream": 24}), Output(tmp_path / "new", progress=steps.append))
    assert "writing the model" not in steps


CODE = """
from transformers import LlamaConfig, LlamaForCausalLM

class ToyConfig(LlamaConfig):
    model_type = "toy"

class ToyForCausalLM(LlamaForCausalLM):
    config_class = ToyConfig

    def forward(self, *given, **named):
        found = super().forward(*given, **named)
        found.logits = found.logits.tanh()
        return found
"""


def test_code_that_a_folder_brings_is_run_only_if_somebody_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    old = llama(tmp_path / "old")
    classes = {"AutoConfig": "modeling_toy.ToyConfig", "AutoModelForCausalLM": "modeling_toy.ToyForCausalLM"}
    config = json.loads((old / "config.json").read_text())
    config |= {"architectures": ["ToyForCausalLM"], "model_type": "toy", "auto_map": classes}
    (tmp_path / "old" / "blobs" / "config.json").write_text(json.dumps(config))
    (old / "modeling_toy.py").write_text(f"print('run')\n{CODE}")
    found = call("inspect", old)
    assert found.exit_code == 3
    assert "no class 'ToyForCausalLM'" in found.stderr
    assert "only run with --trust-remote-code" in found.stderr
    assert not found.stdout
    assert not (tmp_path / "modules").exists()
    found = call("widen", old, "-o", tmp_path / "new", "--verify", "class", "--trust-remote-code", "--json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["exact"]["state"] == "equal"
    ids = torch.randint(0, 31, (3, 13), generator=torch.Generator().manual_seed(1))
    before, after = (
        T.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)(input_ids=ids).logits.detach().numpy()
        for folder in (old, tmp_path / "new")
    )
    assert abs(before).max() <= 1
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-5)
    (old / "modeling_toy.py").write_text("import nothing_of_this_name")
    found = call("inspect", old, "--trust-remote-code")
    assert found.exit_code == 3
    assert "the code 'modeling_toy.ToyForCausalLM' of" in found.stderr
    assert "Traceback" not in found.stderr


def test_what_goes_with_a_folder_only_is_refused_for_a_file(tmp_path: Path) -> None:
    model = Path(__file__).parents[2] / "models" / "resnet.onnx"
    for option in (("--config", "hidden_size=3"), ("--max-shard-size", "5GB"), ("--trust-remote-code",)):
        found = call("widen", model, "-o", tmp_path / "new.onnx", *option)
        assert found.exit_code == 2
        assert f"{option[0]} is for a Hugging Face folder" in found.stderr
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "config.json").write_text("{}")
    for flag in (["--html", tmp_path / "page.html"], ["--no-verify"], ["--dry-run"], ["--strict"]):
        found = call("widen", tmp_path / "folder", "-o", tmp_path / "new", *flag)
        assert found.exit_code == 2, found.output
        assert "does not go with a Hugging Face folder" in found.stderr


HEADS = "bert.encoder.layer.0.attention.self.query.heads"


def test_what_does_not_grow_as_asked_is_said_and_the_nearest_factor_that_does(tmp_path: Path) -> None:
    """BERT normalises what all its layers add to, so that grows by whole factors, and its heads with it."""
    sizes = {name: value for name, value in SMALL.items() if name not in {"num_key_value_heads", "head_dim"}}
    with taught(saved(tmp_path / "old", T.BertConfig(**sizes), T.BertForMaskedLM)) as teacher:
        asked = Widen(factor=1.5)
        fit = fitted(teacher, asked, {})
        assert fit.candidate.fields["intermediate_size"] == 30
        assert "hidden_size" not in fit.candidate.fields
        (note,) = otherwise(teacher, asked, fit, {})
        why = "no config of BertForMaskedLM says what it would become"
        assert note == f"'stream' keeps its size, and so do 1 more: {why}"
        assert nearest(teacher, asked, {}).startswith("with a factor of 2 the class has a config")
        whole = Widen(factor=1.5, groups={HEADS: 8})
        (note,) = otherwise(teacher, whole, fitted(teacher, whole, {}), {})
        assert note.startswith("'stream' grows from 16 to 32: 24 was asked for; only whole multiples of 16 are")
        assert not otherwise(teacher, Widen(factor=2), fitted(teacher, Widen(factor=2), {}), {})
        little = Widen(factor=1.1, only=["bert.encoder.layer.0.intermediate.dense", HEADS])
        (note,) = otherwise(teacher, little, fitted(teacher, little, {}), {})
        assert note == f"{HEADS!r} keeps its size: a factor of 1.1 adds not even one to it"


def test_what_a_folder_lacks_is_said(tmp_path: Path) -> None:
    old = llama(tmp_path / "old")
    path = old / "config.json"
    text = path.read_text()

    def changing(**fields: Any) -> None:
        (tmp_path / "old" / "blobs" / "config.json").write_text(json.dumps(json.loads(text) | fields))

    changing(num_hidden_layers=2)
    with pytest.raises(ModelError, match=r"has no .model\.layers\.1.*at random"):
        widen(old, Widen(), Output(tmp_path / "new"))
    changing(intermediate_size=24)
    with pytest.raises(ModelError, match="not of the shape"):
        widen(old, Widen(), Output(tmp_path / "new"))
    changing(architectures=["Nothing"])
    with pytest.raises(ModelError, match="no class 'Nothing'"):
        widen(old, Widen(), Output(tmp_path / "new"))
    changing(architectures=None)
    with pytest.raises(ModelError, match="of which class"):
        widen(old, Widen(), Output(tmp_path / "new"))
    with pytest.raises(OptionError, match="'enlarge' does not go"):
        run(old, Sequential(Widen(), Enlarge("3x3")), Output(tmp_path / "new"))
    with pytest.raises(OptionError, match="`after="):
        deepen(old, Deepen(after=["x"]), Output(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
