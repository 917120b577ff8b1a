"""Folders that grow: from_pretrained loads what was written, strictly, and it computes what the old one does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.calling import call
from helpers.hubs import small
from helpers.needing import needs
from onnx_n2n import Deepen, Enlarge, Sequential, Widen
from onnx_n2n.checkpoint.files import grow_file
from onnx_n2n.errors import GrowthError, ModelError, OptionError, VerificationError
from onnx_n2n.huggingface import Output, deepen, run, student, taught, widen, writing
from onnx_n2n.huggingface.configs import Sizes, candidates, changed, epsilons, flat, silent
from onnx_n2n.huggingface.fitting import fitted
from onnx_n2n.huggingface.folder import opened
from onnx_n2n.huggingface.keys import read, written
from onnx_n2n.huggingface.layers import check_alike, deeper, order
from onnx_n2n.huggingface.less import nearest, otherwise
from onnx_n2n.huggingface.lineage import digest
from onnx_n2n.huggingface.loaded import loaded_alike
from onnx_n2n.huggingface.network import built
from onnx_n2n.huggingface.shown import unshown
from onnx_n2n.huggingface.writing import drafting, kept
from onnx_n2n.io import space
from onnx_n2n.io.rooms import PREFIX
from onnx_n2n.io.tensorfile import from_bytes
from onnx_n2n.record import record as records
from onnx_n2n.record.settings import Setting

torch = needs("torch")
T = needs("transformers")
needs("onnxscript")

SMALL = {
    "hidden_size": 16, "intermediate_size": 20, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4,
    "num_hidden_layers": 1, "vocab_size": 31, "max_position_embeddings": 32, "eos_token_id": 4, "bos_token_id": 1,
}  # fmt: skip
LISTS = ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")


def saved(folder: Path, config: Any, kind: Any, dtype: Any = torch.float32) -> Path:
    """Write a network with values as training leaves them, through links as the hub's cache has them."""
    torch.manual_seed(0)
    net = kind(config).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    net.to(dtype).save_pretrained(folder / "blobs")
    links = folder / "snapshot"
    links.mkdir()
    for file in (folder / "blobs").iterdir():
        (links / file.name).symlink_to(Path("..") / "blobs" / file.name)
    return links


def llama(folder: Path, **options: Any) -> Path:
    return saved(folder, T.LlamaConfig(**SMALL | options), T.LlamaForCausalLM)


def logits(folder: Path, ids: Any) -> Any:
    """Load a folder strictly, and run it."""
    kind = T.AutoModelForCausalLM
    net, info = kind.from_pretrained(folder, output_loading_info=True, ignore_mismatched_sizes=True)
    assert not any(info.get(each) for each in LISTS), info
    with torch.no_grad():
        return net.eval()(input_ids=ids).logits.float().numpy()


def same(old: Path, new: Path) -> None:
    ids = torch.randint(0, 31, (3, 13), generator=torch.Generator().manual_seed(1))
    before = logits(old, ids)
    np.testing.assert_allclose(logits(new, ids), before, rtol=0, atol=1e-5 * abs(before).max())


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
        return SimpleNamespace(record=None)

    monkeypatch.setattr("onnx_n2n.huggingface.several.widen", grow)
    monkeypatch.setattr("onnx_n2n.huggingface.writing.check_output", lambda *_, **__: None)
    small(tmp_path / "model")
    run(tmp_path / "model", Sequential(*[Widen(factor=factor) for factor in (2, 3, 4)]), Output(tmp_path / "new"))
    assert found == [{"0"}, {"0", "1"}, {"1"}]


def test_layers_are_added_and_then_grow_and_checkpoints_follow(tmp_path: Path) -> None:
    """With weights of 16 bits. The old folder's own weights become the new one's by the one record of both passes."""
    old = saved(tmp_path / "old", T.LlamaConfig(**SMALL), T.LlamaForCausalLM, torch.bfloat16)
    (old / "growth.record").write_bytes(b"of before")
    grown = run(old, Sequential(Deepen(count=1), Widen(factor=2)), Output(tmp_path / "new"))
    same(old, tmp_path / "new")
    new = opened(tmp_path / "new")
    assert (new.config["num_hidden_layers"], new.config["hidden_size"]) == (2, 32)
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


def test_layers_with_norms_behind_their_sums_are_refused(tmp_path: Path) -> None:
    """Such a norm of what a norm has scaled is another one, whatever was added."""
    old = saved(tmp_path / "old", T.BertConfig(**SMALL), T.BertForMaskedLM)
    with pytest.raises(VerificationError, match=r"'bert\S+0\.attention\.output\.LayerNorm\.weight' is in none of them"):
        deepen(old, Deepen(count=1), Output(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_copies_of_layers_keep_their_windows(tmp_path: Path) -> None:
    """The class works out by the number of a layer whether it has a window, and the example is shorter than that."""
    options = {"use_sliding_window": True, "sliding_window": 12, "max_window_layers": 1, "num_hidden_layers": 2}
    config = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", **SMALL, **options}
    network = built(config)
    full, window = "full_attention", "sliding_attention"
    found = deeper(network, 1, 1, set(network.shapes))
    assert found.fields == {"num_hidden_layers": 3, "layer_types": [full, full, window]}
    assert deeper(network, 0, 2, set(network.shapes)).fields == found.fields
    plain = built({**config, "use_sliding_window": False})
    assert deeper(plain, 1, 1, set(plain.shapes)).fields == {"num_hidden_layers": 3}  # what the class says by itself


def test_ids_that_are_sizes_by_chance_stay() -> None:
    network = built({"architectures": ["LlamaForCausalLM"], "model_type": "llama", **SMALL, "eos_token_id": [4, 2]})
    candidate = next(candidates(network, Sizes({4: 8}), {}, set(network.shapes)))
    assert candidate.fields["eos_token_id"] == [8, 2]  # what is left out next
    assert silent(candidate, network) == {"eos_token_id": False}


def test_fields_that_fit_together_only_are_tried_together() -> None:
    """The width alone gives OPT a projection behind its embedding."""
    sizes = {"hidden_size": 16, "word_embed_proj_dim": 16, "ffn_dim": 20, "num_attention_heads": 4, "vocab_size": 31}
    config = {"architectures": ["OPTForCausalLM"], "model_type": "opt", **sizes, "num_hidden_layers": 1}
    network = built({**config, "max_position_embeddings": 32})
    found = next(candidates(network, Sizes({16: 32, 20: 40, 4: 8}), {}, set(network.shapes))).fields
    assert {"hidden_size", "word_embed_proj_dim", "ffn_dim"} <= set(found)


def test_layers_of_another_kind_than_what_they_are_made_of_are_refused() -> None:
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **SMALL, "num_hidden_layers": 2}
    network, made = built(config), built({**config, "num_hidden_layers": 3})
    check_alike(network, made, {"model.layers": [0, 0, 1]})
    made.module.model.layers[2].mlp.window = 12
    with pytest.raises(GrowthError, match=r"'mlp.window' of layer 2 in .* would be 12, and is None in layer 1"):
        check_alike(network, made, {"model.layers": [0, 0, 1]})


def test_what_no_output_shows_stays() -> None:
    """A model that reads images too is traced with text."""
    inner = {"text_config": {"model_type": "llama", **SMALL}, "vision_config": {
        "model_type": "clip_vision_model", "hidden_size": 24, "intermediate_size": 28, "num_attention_heads": 4,
        "num_hidden_layers": 1, "image_size": 8, "patch_size": 4}}  # fmt: skip
    config = {"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava", "image_token_id": 30, **inner}
    network = built(config)
    shown = {name for name in network.shapes if "language_model" in name or "lm_head" in name}
    found = deeper(network, 1, 1, shown)
    assert found.fields == {"text_config.num_hidden_layers": 2}
    before = unshown(network, shown)
    assert unshown(found.network, shown, found.sources) == before
    assert unshown(built(changed(config, {"text_config.num_attention_heads": 8})), shown) == before
    # changes no shape, and what heads of the tower see
    assert unshown(built(changed(config, {"vision_config.num_attention_heads": 8})), shown) != before
    fields = next(candidates(network, Sizes({4: 8, 20: 40}), {}, shown)).fields
    assert fields["text_config.intermediate_size"] == 40
    assert not [path for path in fields if path.startswith("vision_config")]


def test_a_class_that_would_compute_something_else_is_refused(tmp_path: Path) -> None:
    old = llama(tmp_path / "old")
    asked = Widen(groups={"model.layers.0.mlp.gate_proj": 30})
    with pytest.raises(GrowthError, match="something else"):
        widen(old, asked, Output(tmp_path / "new"), {"hidden_act": "relu"})
    assert not (tmp_path / "new").exists()


def test_a_norm_with_a_gain_of_16_bits_keeps_its_length(tmp_path: Path) -> None:
    """That gain times the root of 2/3 would be rounded, so the graph scales the mean, as the class cannot."""
    old = saved(tmp_path / "old", T.LlamaConfig(**SMALL), T.LlamaForCausalLM, torch.bfloat16)
    with pytest.raises(GrowthError, match=r"one more Mul in 'model\.layers\.0\.input_layernorm', and"):
        widen(old, Widen(groups={"stream": 24}), Output(tmp_path / "new"))


def test_what_goes_with_a_folder_only_is_refused_for_a_file(tmp_path: Path) -> None:
    model = Path(__file__).parents[2] / "models" / "resnet.onnx"
    for option in (("--config", "hidden_size=3"), ("--max-shard-size", "5GB")):
        found = call("widen", model, "-o", tmp_path / "new.onnx", *option)
        assert found.exit_code == 2
        assert f"{option[0]} is for a Hugging Face folder" in found.stderr
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "config.json").write_text("{}")
    for flag in (["--html", tmp_path / "page.html"], ["--no-verify"], ["--dry-run"], ["--strict"]):
        found = call("widen", tmp_path / "folder", "-o", tmp_path / "new", *flag)
        assert found.exit_code == 2, found.output
        assert "does not go with a Hugging Face folder" in found.stderr


def test_what_does_not_grow_as_asked_is_said_and_the_nearest_factor_that_does(tmp_path: Path) -> None:
    """BERT normalises what all its layers add to, so that grows by whole factors, and its heads with it."""
    sizes = {name: value for name, value in SMALL.items() if name not in {"num_key_value_heads", "head_dim"}}
    with taught(saved(tmp_path / "old", T.BertConfig(**sizes), T.BertForMaskedLM)) as teacher:
        asked = Widen(factor=1.5)
        fit = fitted(teacher, asked, {})
        assert fit.candidate.fields["intermediate_size"] == 30
        assert "hidden_size" not in fit.candidate.fields
        (note,) = otherwise(teacher, asked, fit, {})
        assert note == "'stream' and 1 more keep their sizes: no config of BertForMaskedLM has their new sizes"
        assert nearest(teacher, asked, {}).startswith("with a factor of 2 the class has a config")
        whole = Widen(factor=1.5, groups={"bert.encoder.layer.0.attention.self.query.heads": 8})
        (note,) = otherwise(teacher, whole, fitted(teacher, whole, {}), {})
        assert note.startswith("'stream' grows from 16 to 32: 24 was asked for; only whole multiples of 16 are")
        assert not otherwise(teacher, Widen(factor=2), fitted(teacher, Widen(factor=2), {}), {})


@given(st.integers(1, 20), st.data())
def test_copies_stand_before_their_originals(length: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 3 * length))
    every = data.draw(st.integers(1, length))
    found = order(length, count, every)
    assert sorted(set(found)) == list(range(length))
    assert found == sorted(found)
    assert len(found) == length + (count or -(-length // every))


def test_fields_of_nested_configs_are_changed() -> None:
    config = {"a": 1, "inner": {"b": [2, 3]}}
    assert dict(flat(config)) == {"a": 1, "inner.b": [2, 3]}
    assert changed(config, {"inner.b": [4, 5]}) == {"a": 1, "inner": {"b": [4, 5]}}
    assert config["inner"] == {"b": [2, 3]}


def test_a_field_says_one_number() -> None:
    config = {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", **SMALL, "rms_norm_eps": 1e-5}
    qwen, network = built(config), built({**config, "architectures": ["LlamaForCausalLM"], "initializer_range": 1e-5})
    outer = [f"model.{name}" for name in ("layers.0.input_layernorm", "layers.0.post_attention_layernorm", "norm")]
    homes, before = {f"add_{place}": path for place, path in enumerate(outer)}, float(np.float32(1e-5))
    moved = [Setting(name, "1", before, 5e-6) for name in homes]
    assert epsilons(network, moved, homes) == {"rms_norm_eps": 5e-6}  # and not the range, which no module goes by
    assert epsilons(network, [Setting("scale", "1", 2.0, 2.0)], homes) == {}
    with pytest.raises(GrowthError, match=r"'rms_norm_eps' .* and to stay 1e-05 for 'model.layers.0.self_attn.k_norm'"):
        epsilons(qwen, moved, homes)
    with pytest.raises(GrowthError, match=r"and to stay 1e-05 for 'model.norm'"):
        epsilons(network, moved[:2], homes)
    with pytest.raises(GrowthError, match=r"be 5e-06 for .*, and 2e-06 for 'model.norm'"):
        epsilons(network, [*moved[:2], Setting("add_2", "1", before, 2e-6)], homes)
    for strange in (Setting("add_2", "1", 3e-4, 2e-4), Setting("other", "1", before, 5e-6)):
        with pytest.raises(GrowthError, match="and no field of the config says that number"):
            epsilons(network, [*moved[:2], Setting("add_2", "1", before, 5e-6), strange], homes)


def test_prefixes_come_and_go_as_the_class_says() -> None:
    config = {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_embd": 8, "n_head": 2, "n_layer": 1,
              "vocab_size": 11, "n_positions": 16}  # fmt: skip
    network = built(config)
    keys = [name.removeprefix("transformer.") for name in network.shapes if name != "lm_head.weight"]
    found = read(network, [*keys, "strange"])
    assert found.unread == ("strange",)
    assert not found.lacking
    assert found.plain["transformer.h.0.ln_1.weight"] == "h.0.ln_1.weight"
    assert found.plain[network.one["lm_head.weight"]] == "wte.weight"


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_experts_are_made_and_unmade(tmp_path: Path, kind: str) -> None:
    config = T.MixtralConfig(**SMALL, num_local_experts=3, num_experts_per_tok=2)
    folder = opened(saved(tmp_path, config, T.MixtralForCausalLM, getattr(torch, kind)))
    network = built(folder.config)
    found = read(network, folder.tensors)
    assert found.made
    assert not found.unread
    for made in found.made:
        again = written(network, made, made.make(network, folder))
        assert set(again) == {key for keys in made.keys.values() for key in keys}
        for key, array in again.items():
            np.testing.assert_array_equal(array, folder.array(key))


def test_buffers_are_those_of_the_class() -> None:
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **SMALL, "rope_theta": 100.0}
    network = built(config)
    real = T.LlamaForCausalLM(T.LlamaConfig.from_dict(config))
    name = "model.rotary_emb.inv_freq"
    np.testing.assert_array_equal(network.buffers[name], real.get_buffer(name).numpy())


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
