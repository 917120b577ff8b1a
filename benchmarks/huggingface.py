"""Eleven Hugging Face networks, from export to a strict load of the grown checkpoint into the same class.

    python benchmarks/huggingface.py [KIND ...] [--out benchmarks/results/huggingface-DATE.md]

Each network is made from a small configuration with drawn values (no norm is plain, no bias zero), exported with
``torch.onnx.export(dynamo=True)``, and widened. Its checkpoint is grown as ``torch.save`` writes it, as ``torch.save``
writes it where no two tensors share their memory, and as ``save_pretrained`` writes it. What comes out is loaded strictly
into the class at the configuration that its shapes and the record's settings ask for, and run on the same inputs.

Outcomes: ``right`` with the largest error of an output relative to its largest number; ``refused`` with the reason;
``WRONG`` if it loads and computes something else, or does not load.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import torch
import transformers
from onnx_n2n.passes import Widen

import onnx_n2n
from onnx_n2n.checkpoint import Grown
from onnx_n2n.checkpoint_files import grow_file
from onnx_n2n.delivery import Target
from onnx_n2n.errors import N2NError
from onnx_n2n.record import Record

T = transformers
TOLERANCE = 1e-5
TOKENS = torch.randint(0, 61, (2, 9), generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
EPSILONS = ("layer_norm_epsilon", "layer_norm_eps", "rms_norm_eps")
HEADS = ("*qk_dim", "*v_dim")  # tables of frequencies are the code's own: heads may grow, and not what is in them


@dataclass(frozen=True)
class Kind:
    """A network.

    Attributes:
        make: The class.
        config: Its configuration.
        options: What the configuration says beside the sizes that all have.
        sizes: Fields of the configuration, each by a tensor and an axis of it that has so many.
        per_head: Fields that count heads, likewise; the axis has so many times the length of a head.
        head: The length of a head.
        exclude: What not to grow: what the class works out by itself.
    """

    make: Any
    config: Any
    sizes: Mapping[str, tuple[str, int]]
    per_head: Mapping[str, tuple[str, int]]
    options: Mapping[str, Any] = field(default_factory=dict)
    head: int = 8
    exclude: tuple[str, ...] = HEADS


def decoder(model: Any, config: Any, **options: Any) -> Kind:
    """Return a network that has the parts of LLaMA."""
    layer = "model.layers.0"
    return Kind(
        model,
        config,
        {"hidden_size": ("model.norm.weight", 0), "intermediate_size": (f"{layer}.mlp.up_proj.weight", 0)},
        {"num_attention_heads": (f"{layer}.self_attn.q_proj.weight", 0),
         "num_key_value_heads": (f"{layer}.self_attn.k_proj.weight", 0)},
        {"num_key_value_heads": 2, "head_dim": 8, **options},
    )  # fmt: skip


def encoder(model: Any, config: Any, stem: str, inner: str, query: str, **options: Any) -> Kind:
    return Kind(
        model,
        config,
        {"hidden_size": (f"{stem}.{inner}", 1), "intermediate_size": (f"{stem}.{inner}", 0)},
        {"num_attention_heads": (f"{stem}.{query}", 0)},
        options,
    )


KINDS = {
    "GPT-2": Kind(
        T.GPT2LMHeadModel, T.GPT2Config,
        {"hidden_size": ("transformer.wte.weight", 1), "n_inner": ("transformer.h.0.mlp.c_fc.weight", 1)},
        {"num_attention_heads": ("transformer.h.0.attn.c_proj.weight", 0)},
        {"n_inner": 40},
    ),
    "OPT": Kind(
        T.OPTForCausalLM, T.OPTConfig,
        {"hidden_size": ("model.decoder.layers.0.fc1.weight", 1), "ffn_dim": ("model.decoder.layers.0.fc1.weight", 0),
         "word_embed_proj_dim": ("model.decoder.embed_tokens.weight", 1)},
        {"num_attention_heads": ("model.decoder.layers.0.self_attn.q_proj.weight", 0)},
        {"ffn_dim": 40, "word_embed_proj_dim": 32},
    ),
    "BERT": encoder(T.BertForMaskedLM, T.BertConfig, "bert.encoder.layer.0", "intermediate.dense.weight",
                    "attention.self.query.weight"),
    "Llama": decoder(T.LlamaForCausalLM, T.LlamaConfig),
    "Qwen2": decoder(T.Qwen2ForCausalLM, T.Qwen2Config),
    "Qwen3": decoder(T.Qwen3ForCausalLM, T.Qwen3Config),
    "Mistral": decoder(T.MistralForCausalLM, T.MistralConfig, sliding_window=None),
    "Gemma 2": decoder(T.Gemma2ForCausalLM, T.Gemma2Config, query_pre_attn_scalar=8, sliding_window=16),
    "Phi": Kind(
        T.PhiForCausalLM, T.PhiConfig,
        {"hidden_size": ("model.layers.0.mlp.fc1.weight", 1), "intermediate_size": ("model.layers.0.mlp.fc1.weight", 0)},
        {"num_attention_heads": ("model.layers.0.self_attn.q_proj.weight", 0),
         "num_key_value_heads": ("model.layers.0.self_attn.k_proj.weight", 0)},
        {"num_key_value_heads": 2},
    ),
    "GPT-NeoX": Kind(
        T.GPTNeoXForCausalLM, T.GPTNeoXConfig,
        {"hidden_size": ("gpt_neox.layers.0.mlp.dense_h_to_4h.weight", 1),
         "intermediate_size": ("gpt_neox.layers.0.mlp.dense_h_to_4h.weight", 0)},
        {"num_attention_heads": ("gpt_neox.layers.0.attention.dense.weight", 1)},
    ),
    "ViT": Kind(
        T.ViTForImageClassification, T.ViTConfig,
        {"hidden_size": ("vit.layers.0.mlp.fc1.weight", 1), "intermediate_size": ("vit.layers.0.mlp.fc1.weight", 0)},
        {"num_attention_heads": ("vit.layers.0.attention.q_proj.weight", 0)},
        {"image_size": 16, "patch_size": 8, "num_labels": 7},
    ),
}  # fmt: skip

USUAL = {
    "hidden_size": 32, "intermediate_size": 40, "num_attention_heads": 4, "num_hidden_layers": 2, "vocab_size": 61,
    "max_position_embeddings": 32, "use_cache": False, "attn_implementation": "eager",
}  # fmt: skip


class Logits(torch.nn.Module):  # type: ignore[misc]
    """The wrapper that an export needs."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Any) -> Any:
        return self.net(x).logits


def config(kind: Kind, **changes: Any) -> Any:
    return kind.config(**{**USUAL, **kind.options, **changes})


def made(kind: Kind) -> Any:
    torch.manual_seed(0)
    net = kind.make(config(kind)).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return net


def example(kind: Kind) -> Any:
    return IMAGES if kind.config is T.ViTConfig else TOKENS


def export(kind: Kind, net: Any, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batch, length = torch.export.Dim("batch"), torch.export.Dim("length", max=16)
        free = ({0: batch} if kind.config is T.ViTConfig else {0: batch, 1: length},)
        program = torch.onnx.export(Logits(net), (example(kind),), dynamo=True, verbose=False, dynamic_shapes=free)
        program.save(str(path))


def epsilon(record: Record, default: float | None) -> float | None:
    """Return what norms have to add to a variance, by the record.

    Raises:
        Inexpressible: If the code has to follow otherwise than by its one epsilon.
    """
    pairs = {name: pair for step in record.steps for name, pair in step.settings.items()}
    ours = {name for name, (before, _) in pairs.items()
            if default is not None and (before is None or abs(before - default) <= 1e-6 * default)}  # fmt: skip
    found = {pairs[name][1] for name in ours}
    if others := sorted(pairs.keys() - ours):
        raise Inexpressible(f"{len(others)} settings of the code have to follow that no field says, as {others[0]}")
    if len(found) > 1:
        raise Inexpressible(f"norms have {len(found)} different epsilons, and the class has one")
    return found.pop() if found else default


class Inexpressible(Exception):
    """The class cannot be so wide."""


def larger(kind: Kind, state: Mapping[str, Any], record: Record, *, untied: bool) -> Any:
    """Return the class at the sizes that a checkpoint has."""
    changes: dict[str, Any] = {}
    for name, (tensor, axis) in kind.sizes.items():
        changes[name] = state[tensor].shape[axis]
    for name, (tensor, axis) in kind.per_head.items():
        if state[tensor].shape[axis] % kind.head:
            raise Inexpressible(f"{tensor} has {state[tensor].shape[axis]} rows, which are no whole heads")
        changes[name] = state[tensor].shape[axis] // kind.head
    plain = config(kind)
    field_name = next((name for name in EPSILONS if isinstance(getattr(plain, name, None), float)), "")
    after = epsilon(record, getattr(plain, field_name, None) if field_name else None)
    if field_name:
        changes[field_name] = after
    if untied:
        changes["tie_word_embeddings"] = False
    return kind.make(config(kind, **changes)).eval()


def save(net: Any, way: str, folder: Path) -> Path:
    if way == "save_pretrained":
        net.save_pretrained(folder / "pretrained")
        return folder / "pretrained" / "model.safetensors"
    state = net.state_dict()
    if way == "torch.save, cloned":
        state = {name: tensor.clone() for name, tensor in state.items()}
    torch.save(dict(state), folder / "old.pt")
    return folder / "old.pt"


def loaded(path: Path) -> dict[str, Any]:
    if path.suffix == ".pt":
        return dict(torch.load(path, weights_only=True))
    from safetensors.torch import load_file

    return dict(load_file(path))


def load(net: Any, state: Mapping[str, Any], *, strict: bool) -> None:
    """Load a state dict as ``load_state_dict(strict=True)`` does; a tied name may be missing from safetensors."""
    missing, unexpected = net.load_state_dict(state, strict=strict)
    alone = set(missing) - {name for name in missing if name in (getattr(net, "all_tied_weights_keys", None) or {})}
    if alone or unexpected:
        raise RuntimeError(f"missing {sorted(alone)}, unexpected {sorted(unexpected)}")
    if not strict:
        net.tie_weights()


WAYS = ("torch.save", "torch.save, cloned", "save_pretrained")


def outcome(kind: Kind, net: Any, record: Record, way: str, folder: Path, untie: tuple[str, ...]) -> tuple[str, str]:
    """Grow one checkpoint, load and run it: what came out, and the error or the reason."""
    old = save(net, way, folder)
    new = folder / f"new{old.suffix}"
    options: dict[str, Any] = {"untie": untie} if untie else {}
    try:
        found: Grown = grow_file(record, old, new, force=True, **options)
    except N2NError as failure:
        return "refused", str(failure)
    state = loaded(new)
    try:
        other = larger(kind, state, record, untied=bool(found.untied))
        load(other, state, strict=way != "save_pretrained")
    except Inexpressible as failure:
        return "the class cannot", str(failure)
    except RuntimeError as failure:
        return "WRONG", f"does not load: {str(failure)[:400]}"
    with torch.no_grad():
        before, after = net(example(kind)).logits, other(example(kind)).logits
    error = float((before - after).abs().max() / before.abs().max())
    return ("right" if error < TOLERANCE else "WRONG"), f"{error:.1e}"


def tied(net: Any) -> tuple[str, ...]:
    """Return the names of parameters that a class ties to others."""
    return tuple(getattr(net, "all_tied_weights_keys", None) or ())


def measure(name: str, folder: Path, say: Callable[[str], None]) -> list[dict[str, str]]:
    kind = KINDS[name]
    folder.mkdir(parents=True, exist_ok=True)
    net = made(kind)
    if not (folder / "net.onnx").exists():
        export(kind, net, folder / "net.onnx")
    teacher = onnx_n2n.load(folder / "net.onnx")
    inner = [group.name for group in onnx_n2n.analyze(teacher).groups if group.size == USUAL["intermediate_size"]]
    rows = []

    def add(**row: Any) -> None:
        rows.append({"network": name, **{key: str(value) for key, value in row.items()}})
        say(rows[-1])

    for factor, grown in product((2, 1.5), ("all", "inner")):
        only = {"exclude": kind.exclude} if grown == "all" else {"include": tuple(inner)}
        record = Widen(factor=factor, **only)(folder / "net.onnx", output=Target(folder / "student.onnx", force=True)).growth
        for way in WAYS:
            for untie in ((), tied(net)) if tied(net) and grown == "all" else ((),):
                what, said = outcome(kind, net, record, way, folder, untie)
                add(factor=factor, grown=grown, way=way, untie=" ".join(untie), outcome=what, said=said)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--work", type=Path, help="Folder in which exports and students stay.")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    T.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.work or scratch
        for name in options.kinds:
            begun = time.time()
            try:
                measure(name, Path(folder) / name.replace(" ", "_"), lambda row: print(json.dumps(row), flush=True))
            except Exception:
                import traceback; traceback.print_exc()
            print(name, f"{time.time() - begun:.0f}s", flush=True)


if __name__ == "__main__":
    main()
