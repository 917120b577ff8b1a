"""Hugging Face models from a configuration: exported, grown, and loaded into the same class at a larger one."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnx_n2n
from helpers.needing import needs
from onnx_n2n.checkpoint.files import grow_file
from onnx_n2n.checkpoint.growth import grow
from onnx_n2n.passes import Deepen, Pass, Widen
from onnx_n2n.passes.driver import Target

torch = needs("torch")
needs("onnxscript")
transformers = needs("transformers")

from helpers.hugging import TOKENS, drawn, example, export  # noqa: E402
from onnx_n2n.export.torch.growth import prove  # noqa: E402


def gpt2(**changes: Any) -> Any:
    options = {"n_embd": 32, "n_head": 4, "n_layer": 2, "n_inner": 40, "vocab_size": 61, "n_positions": 16}
    config = transformers.GPT2Config(**options | {"use_cache": False, "attn_implementation": "eager"} | changes)
    return transformers.GPT2LMHeadModel(config)


def llama(**changes: Any) -> Any:
    """Return a LLaMA whose queries share keys and values in groups of two."""
    options = {"hidden_size": 24, "intermediate_size": 40, "num_attention_heads": 4, "num_key_value_heads": 2}
    options |= {"head_dim": 8, "num_hidden_layers": 2, "vocab_size": 61, "max_position_embeddings": 32}
    config = transformers.LlamaConfig(**options | {"use_cache": False, "attn_implementation": "eager"} | changes)
    return transformers.LlamaForCausalLM(config)


def vit(**changes: Any) -> Any:
    options = {"hidden_size": 32, "intermediate_size": 40, "num_attention_heads": 4, "num_hidden_layers": 2}
    options |= {"image_size": 16, "patch_size": 8, "num_labels": 7, "attn_implementation": "eager"}
    return transformers.ViTForImageClassification(transformers.ViTConfig(**options | changes))


def opt(**changes: Any) -> Any:
    options = {"hidden_size": 32, "ffn_dim": 40, "word_embed_proj_dim": 32, "num_attention_heads": 4}
    options |= {"num_hidden_layers": 1, "vocab_size": 61, "max_position_embeddings": 32, "use_cache": False}
    config = transformers.OPTConfig(**options | {"attn_implementation": "eager"} | changes)
    return transformers.OPTForCausalLM(config)


def bert(**changes: Any) -> Any:
    """Return a network whose head reads what a layer makes of the stream."""
    options = {"hidden_size": 32, "intermediate_size": 40, "num_attention_heads": 4, "num_hidden_layers": 1}
    options |= {"vocab_size": 61, "max_position_embeddings": 32, "attn_implementation": "eager"}
    return transformers.BertForMaskedLM(transformers.BertConfig(**options | changes))


MAKERS = {"gpt2": gpt2, "llama": llama, "vit": vit}
TIED = {
    "gpt2": ("lm_head.weight", "transformer.wte.weight"),
    "opt": ("lm_head.weight", "model.decoder.embed_tokens.weight"),
    "bert": ("cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"),
}


@functools.cache
def net(kind: str) -> Any:
    return drawn({**MAKERS, "opt": opt, "bert": bert}[kind])


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("huggingface")


@functools.cache
def exported(folder: Path, kind: str, *, dynamic: bool = True) -> Path:
    path = folder / f"{kind}{'' if dynamic else '_static'}.onnx"
    export(net(kind), path, dynamic=dynamic)
    return path


def grown(folder: Path, tmp: Path, kind: str, change: Pass, **options: Any) -> tuple[dict[str, Any], Any, Any]:
    """Return the grown checkpoint, what became of it, and how far it is from the one before."""
    path = exported(folder, kind)
    result = change(path, output=Target(tmp / "student.onnx", force=True))
    torch.save(net(kind).state_dict() | {}, tmp / "old.pt")
    proofs = []

    def proving(found: Any, before: Any) -> None:
        proofs.append(prove(onnx_n2n.load(path), onnx_n2n.load(tmp / "student.onnx"), found, before))

    student = onnx_n2n.load(tmp / "student.onnx")
    options |= {"student": student, "prove": proving}
    found = grow_file(result.growth, tmp / "old.pt", tmp / "new.pt", force=True, **options)
    return torch.load(tmp / "new.pt", weights_only=True), found, proofs[0]


def epsilon(found: Any, default: float) -> float:
    """Return what the norms of the larger network have to add to a variance."""
    pairs = [pair for step in found.record.steps for pair in step.settings.values()]
    found = {after for before, after in pairs if before is None or np.isclose(before, default, rtol=1e-6, atol=0)}
    assert len(found) < 2
    return found.pop() if found else default


def wider(kind: str, state: dict[str, Any], found: Any) -> Any:
    """Build the class at the sizes that a checkpoint has."""
    if kind == "gpt2":
        width, inner = state["transformer.wte.weight"].shape[1], state["transformer.h.0.mlp.c_fc.weight"].shape[1]
        heads = state["transformer.h.0.attn.c_proj.weight"].shape[0] // 8
        return gpt2(n_embd=width, n_inner=inner, n_head=heads, layer_norm_epsilon=epsilon(found, 1e-5))
    if kind == "llama":
        layer = "model.layers.0."
        width, inner = state[f"{layer}mlp.gate_proj.weight"].shape[::-1]
        queries, keys = (state[f"{layer}self_attn.{each}_proj.weight"].shape[0] // 8 for each in "qk")
        return llama(hidden_size=width, intermediate_size=inner, num_attention_heads=queries, num_key_value_heads=keys,
                     rms_norm_eps=epsilon(found, 1e-6))  # fmt: skip
    if kind == "opt":
        width, inner = state["model.decoder.layers.0.fc1.weight"].shape[::-1]
        return opt(hidden_size=width, word_embed_proj_dim=width, ffn_dim=inner, num_attention_heads=width // 8)
    if kind == "bert":
        inner, width = state["bert.encoder.layer.0.intermediate.dense.weight"].shape
        return bert(hidden_size=width, intermediate_size=inner, num_attention_heads=width // 8,
                    layer_norm_eps=epsilon(found, 1e-12))  # fmt: skip
    inner, width = state["vit.layers.0.mlp.fc1.weight"].shape
    return vit(hidden_size=width, intermediate_size=inner, num_attention_heads=width // 8,
               layer_norm_eps=epsilon(found, 1e-12))  # fmt: skip


@pytest.mark.parametrize("factor", [2, 1.5])
@pytest.mark.parametrize("kind", MAKERS)
def test_the_same_class_takes_the_wider_checkpoint(exports: Path, tmp_path: Path, kind: str, factor: float) -> None:
    change = Widen(factor=factor, init="net2net", noise=0)
    state, found, proof = grown(exports, tmp_path, kind, change)
    larger = wider(kind, state, found).eval()
    assert sum(p.numel() for p in larger.parameters()) > 1.5 * sum(p.numel() for p in net(kind).parameters())
    larger.load_state_dict(state, strict=True)
    with torch.no_grad():
        before, after = net(kind)(example(net(kind))).logits, larger(example(net(kind))).logits
    assert (before - after).abs().max() < 1e-5 * before.abs().max()
    assert proof.outputs < 1e-5
    assert proof.compared >= 20
    if factor == 2 or kind == "llama":  # else the stream grows by channels that start without a gradient
        assert proof.gradients < 2e-5, proof.worst


@pytest.mark.parametrize("kind", ["gpt2", "vit"])
def test_tables_that_an_export_cut_are_known_by_value(exports: Path, tmp_path: Path, kind: str) -> None:
    """With fixed shapes, an export holds the positions of one length, and the class token for one batch."""
    path = exported(exports, kind, dynamic=False)
    result = Widen(factor=1.5, init="net2net", noise=0)(path, output=Target(tmp_path / "student.onnx"))
    arrays = {name: tensor.numpy() for name, tensor in net(kind).state_dict().items()}
    with pytest.raises(onnx_n2n.GrowthError, match="no parameter for 1 of the weights that grew"):
        grow(result.growth, arrays)
    found = grow(result.growth, arrays, teacher=onnx_n2n.load(path))
    state = {name: torch.from_numpy(np.array(array)) for name, array in found.arrays.items()}
    larger = wider(kind, state, found).eval()
    larger.load_state_dict(state, strict=True)
    with torch.no_grad():
        before, after = net(kind)(example(net(kind))).logits, larger(example(net(kind))).logits
    assert (before - after).abs().max() < 1e-4 * before.abs().max()


@pytest.mark.parametrize("kind", ["gpt2", "opt", "bert"])
def test_tied_embeddings_stay_tied_unless_told(exports: Path, tmp_path: Path, kind: str) -> None:
    """Both stand in the state dict, and the class ties them again when it is loaded."""
    head, table = TIED[kind]
    change = Widen(factor=2, init="net2net", noise=0)
    state, found, _ = grown(exports, tmp_path, kind, change)
    assert not found.untied
    assert torch.equal(state[head], state[table])
    assert state[table].shape[1] == 2 * net(kind).state_dict()[table].shape[1]
    larger = wider(kind, state, found).eval()
    larger.load_state_dict(state, strict=True)
    with torch.no_grad():
        before, after = net(kind)(example(net(kind))).logits, larger(example(net(kind))).logits
    assert (before - after).abs().max() < 1e-5 * before.abs().max()
    _, found, _ = grown(exports, tmp_path, kind, change, untie=[head])
    assert found.untied == {head: table}


@pytest.mark.parametrize("kind", MAKERS)
def test_the_same_class_takes_the_deeper_checkpoint(exports: Path, tmp_path: Path, kind: str) -> None:
    state, found, proof = grown(exports, tmp_path, kind, Deepen())
    depth = {"gpt2": "n_layer", "llama": "num_hidden_layers", "vit": "num_hidden_layers"}[kind]
    larger = MAKERS[kind](**{depth: 4}).eval()
    larger.load_state_dict(state, strict=True)
    with torch.no_grad():
        before, after = net(kind)(example(net(kind))).logits, larger(example(net(kind))).logits
    assert (before - after).abs().max() < 1e-5 * before.abs().max()
    assert proof.gradients < 1e-5
    assert found.added
    assert found.renamed


def test_a_later_epoch_goes_on_with_its_optimizer(exports: Path, tmp_path: Path) -> None:
    """Train GPT-2 after it was exported; the record still fits, and Adam goes on in the wider network."""
    trained = gpt2().eval()  # without Dropout, so that losses can be compared
    trained.load_state_dict(net("gpt2").state_dict())
    adam = torch.optim.AdamW(trained.named_parameters(), 1e-3)
    for _ in range(3):
        adam.zero_grad()
        trained(TOKENS, labels=TOKENS).loss.backward()
        adam.step()
    torch.save({"model": trained.state_dict(), "optimizer": adam.state_dict()}, tmp_path / "old.pt")
    result = Widen(factor=2)(exported(exports, "gpt2"), output=Target(tmp_path / "student.onnx"))
    found = grow_file(result.growth, tmp_path / "old.pt", tmp_path / "new.pt", optimizer=True)
    loaded = torch.load(tmp_path / "new.pt", weights_only=True)
    larger = wider("gpt2", loaded["model"], found).eval()
    larger.load_state_dict(loaded["model"], strict=True)
    following = torch.optim.AdamW(larger.named_parameters(), 1e-3)
    following.load_state_dict(loaded["optimizer"])
    state = {name: following.state.get(parameter, {}) for name, parameter in larger.named_parameters()}
    afresh = {name for name, moments in state.items() if not moments}
    assert not afresh
    assert all(m["exp_avg"].shape == dict(larger.named_parameters())[n].shape for n, m in state.items() if m)
    first = larger(TOKENS, labels=TOKENS).loss
    assert np.isclose(float(first), float(trained(TOKENS, labels=TOKENS).loss), rtol=1e-5)
    first.backward()
    following.step()
    assert larger(TOKENS, labels=TOKENS).loss < first
