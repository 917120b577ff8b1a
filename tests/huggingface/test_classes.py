"""What a class of transformers says of its sizes, layers and tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.needing import needs
from helpers.pretrained import SMALL, network_of, saved
from onnx_n2n.errors import GrowthError, ModelError
from onnx_n2n.huggingface.configs import Sizes, candidates, changed, epsilons, flat, silent
from onnx_n2n.huggingface.folder import opened
from onnx_n2n.huggingface.keys import read, written
from onnx_n2n.huggingface.layers import check_alike, deeper, order
from onnx_n2n.huggingface.shown import unshown
from onnx_n2n.record.settings import Setting

torch = needs("torch")
T = needs("transformers")
needs("onnxscript")


def test_copies_of_layers_keep_their_windows(tmp_path: Path) -> None:
    """The class works out by the number of a layer whether it has a window, and the example is shorter than that."""
    options = {"use_sliding_window": True, "sliding_window": 12, "max_window_layers": 1, "num_hidden_layers": 2}
    config = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", **SMALL, **options}
    network = network_of(config)
    full, window = "full_attention", "sliding_attention"
    found = deeper(network, 1, 1, set(network.shapes))
    assert found.fields == {"num_hidden_layers": 3, "layer_types": [full, full, window]}
    assert deeper(network, 0, 2, set(network.shapes)).fields == found.fields
    plain = network_of({**config, "use_sliding_window": False})
    assert deeper(plain, 1, 1, set(plain.shapes)).fields == {"num_hidden_layers": 3}  # what the class says by itself


def test_ids_that_are_sizes_by_chance_stay() -> None:
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **SMALL, "eos_token_id": [4, 2]}
    network = network_of(config)
    candidate = next(candidates(network, Sizes({4: 8}), {}, set(network.shapes)))
    assert candidate.fields["eos_token_id"] == [8, 2]  # what is left out next
    assert silent(candidate, network) == {"eos_token_id": False}


def test_fields_that_fit_together_only_are_tried_together() -> None:
    """The width alone gives OPT a projection behind its embedding."""
    sizes = {"hidden_size": 16, "word_embed_proj_dim": 16, "ffn_dim": 20, "num_attention_heads": 4, "vocab_size": 31}
    config = {"architectures": ["OPTForCausalLM"], "model_type": "opt", **sizes, "num_hidden_layers": 1}
    network = network_of({**config, "max_position_embeddings": 32})
    found = next(candidates(network, Sizes({16: 32, 20: 40, 4: 8}), {}, set(network.shapes))).fields
    assert {"hidden_size", "word_embed_proj_dim", "ffn_dim"} <= set(found)


def test_layers_of_another_kind_than_what_they_are_made_of_are_refused() -> None:
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **SMALL, "num_hidden_layers": 2}
    network, made = network_of(config), network_of({**config, "num_hidden_layers": 3})
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
    network = network_of(config)
    shown = {name for name in network.shapes if "language_model" in name or "lm_head" in name}
    found = deeper(network, 1, 1, shown)
    assert found.fields == {"text_config.num_hidden_layers": 2}
    before = unshown(network, shown)
    assert unshown(found.network, shown, found.sources) == before
    assert unshown(network_of(changed(config, {"text_config.num_attention_heads": 8})), shown) == before
    # changes no shape, and what heads of the tower see
    assert unshown(network_of(changed(config, {"vision_config.num_attention_heads": 8})), shown) != before
    fields = next(candidates(network, Sizes({4: 8, 20: 40}), {}, shown)).fields
    assert fields["text_config.intermediate_size"] == 40
    assert not [path for path in fields if path.startswith("vision_config")]


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
    qwen = network_of(config)
    network = network_of({**config, "architectures": ["LlamaForCausalLM"], "initializer_range": 1e-5})
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
    network = network_of(config)
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
    network = network_of(folder.config)
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
    network = network_of(config)
    real = T.LlamaForCausalLM(T.LlamaConfig.from_dict(config))
    name = "model.rotary_emb.inv_freq"
    np.testing.assert_array_equal(network.buffers[name], real.get_buffer(name).numpy())


def test_code_of_a_config_within_is_not_run_and_nobody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    (tmp_path / "other.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')")
    inner = {"model_type": "blip_text_model", "auto_map": {"AutoModel": "other.Other"}, "name_or_path": str(tmp_path)}
    config = {"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava", "text_config": inner}
    with pytest.raises(ModelError, match="cannot be built"):
        network_of(config)
    assert not (tmp_path / "run").exists()
