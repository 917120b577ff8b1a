"""Eleven Hugging Face networks, from export to a strict load of the grown checkpoint into the same class.

    python benchmarks/huggingface.py [KIND ...] [--out benchmarks/results/huggingface-DATE.md]

Each network is made from a small configuration with drawn values (no norm is plain, no bias zero), exported with
``torch.onnx.export(dynamo=True)``, and widened. Its checkpoint is grown as ``torch.save`` writes it, as ``torch.save``
writes it where no two tensors share their memory, and as ``save_pretrained`` writes it. What comes out is loaded
strictly into the class at the configuration that its shapes and the record's settings ask for, and run on the same
inputs. After a refusal its hint is followed: ``--teacher``, or ``--untie`` with what the class ties.

Outcomes: ``right`` with the largest error of an output, relative to its largest number, and by how much the parameters
grew; ``refused`` with the reason; ``the class cannot`` where no field of the configuration says what the code has to
follow; ``WRONG`` if it loads and computes something else, or does not load.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import torch
import transformers

import onnx_n2n
from onnx_n2n.checkpoint.files import grow_file
from onnx_n2n.checkpoint.growth import Grown, grow
from onnx_n2n.errors import N2NError
from onnx_n2n.passes import Widen
from onnx_n2n.passes.driver import Target
from onnx_n2n.record.record import Record
from onnx_n2n.verification.options import Proof

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from helpers.hugging import drawn, example, export

T = transformers
TOLERANCE = 1e-5
EPSILONS = ("layer_norm_epsilon", "layer_norm_eps", "rms_norm_eps")


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
    """

    make: Any
    config: Any
    sizes: Mapping[str, tuple[str, int]]
    per_head: Mapping[str, tuple[str, int]]
    options: Mapping[str, Any] = field(default_factory=dict)
    head: int = 8


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
    """Return a network whose encoder has names of its own."""
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
        {"hidden_size": ("model.layers.0.mlp.fc1.weight", 1),
         "intermediate_size": ("model.layers.0.mlp.fc1.weight", 0)},
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


def config(kind: Kind, **changes: Any) -> Any:
    """Return a configuration, with changes."""
    return kind.config(**{**USUAL, **kind.options, **changes})


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


class Inexpressible(Exception):  # noqa: N818 (an outcome)
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
    try:
        made = kind.make(config(kind, **changes)).eval()
    except ValueError as failure:
        raise Inexpressible(str(failure)) from failure
    own = made.state_dict()
    for tensor in dict.fromkeys(tensor for tensor, _ in (*kind.sizes.values(), *kind.per_head.values())):
        wanted, found = list(state[tensor].shape), list(own[tensor].shape)
        if wanted != found:
            raise Inexpressible(f"{tensor} is {wanted}, and no field of the configuration makes it other than {found}")
    return made


def save(net: Any, way: str, folder: Path) -> Path:
    """Write a checkpoint."""
    if way == "save_pretrained":
        net.save_pretrained(folder / "pretrained")
        return folder / "pretrained" / "model.safetensors"
    state = net.state_dict()
    if way == "torch.save, cloned":
        state = {name: tensor.clone() for name, tensor in state.items()}
    torch.save(dict(state), folder / "old.pt")
    return folder / "old.pt"


def loaded(path: Path) -> dict[str, Any]:
    """Read one."""
    if path.suffix == ".pt":
        return dict(torch.load(path, weights_only=True))
    from safetensors.torch import load_file

    return dict(load_file(path))


def load(other: Any, path: Path) -> Any:
    """Load a file strictly: as ``load_state_dict``, or by ``from_pretrained``, which knows older names and ties."""
    if path.suffix == ".pt":
        other.load_state_dict(loaded(path), strict=True)
        return other
    folder = path.parent / "loading"
    folder.mkdir(exist_ok=True)
    other.config.save_pretrained(folder)
    shutil.copy(path, folder / "model.safetensors")
    found, info = type(other).from_pretrained(folder, output_loading_info=True, attn_implementation="eager")
    if any(info.get(key) for key in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")):
        raise RuntimeError(f"{info}")
    return found.eval()


WAYS = ("torch.save", "torch.save, cloned", "save_pretrained")


def outcome(kind: Kind, net: Any, record: Record, way: str, folder: Path, **options: Any) -> tuple[str, str]:
    """Grow one checkpoint, load and run it: what came out, and the error or the reason."""
    old = save(net, way, folder)
    new = folder / f"new{old.suffix}"
    try:
        found: Grown = grow_file(record, old, new, force=True, **options)
    except N2NError as failure:
        return "refused", str(failure)
    try:
        sizes = loaded(new)
        if not all(tensor in sizes for tensor, _ in kind.sizes.values()):  # save_pretrained has old names
            state = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
            sizes = grow(record, state, untie=tied(net)).arrays
        other = load(larger(kind, sizes, record, untied=bool(found.untied)), new)
    except Inexpressible as failure:
        return "the class cannot", str(failure)
    except RuntimeError as failure:
        return "WRONG", f"does not load: {str(failure)[:400]}"
    with torch.no_grad():
        before, after = net(example(net)).logits, other(example(net)).logits
    error = float((before - after).abs().max() / before.abs().max())
    counts = [sum(parameter.numel() for parameter in each.parameters()) for each in (net, other)]
    return ("right" if error < TOLERANCE else "WRONG"), f"{error:.1e}, x{counts[1] / counts[0]:.2f}"


def tied(net: Any) -> tuple[str, ...]:
    """Return the names of parameters that a class ties to others."""
    return tuple(getattr(net, "all_tied_weights_keys", None) or ())


def measure(name: str, folder: Path, say: Callable[[str], None]) -> list[dict[str, str]]:
    """Measure one network: all that may grow, and the perceptrons' inner channels only."""
    kind = KINDS[name]
    folder.mkdir(parents=True, exist_ok=True)
    net = drawn(lambda: kind.make(config(kind)))
    if not (folder / "net.onnx").exists():
        export(net, folder / "net.onnx")
    teacher = onnx_n2n.load(folder / "net.onnx")
    inner = [group.name for group in onnx_n2n.analyze(teacher).groups if group.size == USUAL["intermediate_size"]]
    rows = []

    def add(**row: Any) -> None:
        rows.append({"network": name, **{key: str(value) for key, value in row.items()}})
        say(rows[-1])

    for factor, grown in product((2, 1.5), ("all", "inner")):
        only = {} if grown == "all" else {"include": tuple(inner)}
        target = Target(folder / "student.onnx", force=True)
        record = Widen(factor=factor, **only)(folder / "net.onnx", output=target, proof=Proof(wanted=False)).growth
        for way in WAYS:
            options: dict[str, Any] = {}
            while True:
                what, said = outcome(kind, net, record, way, folder, **options)
                add(factor=factor, grown=grown, way=way, options=" ".join(f"--{key}" for key in options), outcome=what,
                    said=said)  # fmt: skip
                hinted = {"untie": tied(net)} if "would become different" in said else {"teacher": teacher}
                if what != "refused" or hinted.keys() <= options.keys():
                    break
                options |= hinted
    return rows


HEAD = """# Hugging Face networks, grown from export to a strict load into the class

`python benchmarks/huggingface.py`: {date}, PyTorch {torch}, transformers {transformers}, {seconds:.0f} seconds.
"""


def report(rows: Sequence[Mapping[str, str]], seconds: float) -> str:
    """Return a table of the last outcome of each cell, with what each refusal said."""
    versions = {"torch": torch.__version__, "transformers": T.__version__}
    lines = [HEAD.format(date=datetime.date.today(), seconds=seconds, **versions)]
    counts = Counter(row["outcome"] for row in rows)
    lines += ["Tries: " + ", ".join(f"{count} {what}" for what, count in counts.most_common()) + ".", ""]
    lines += ["| network | factor | grown | checkpoint | options | outcome | |", "|---|---|---|---|---|---|---|"]
    reasons: dict[str, int] = {}
    for row in rows:
        said = row["said"]
        if row["outcome"] != "right":
            said = f"[{reasons.setdefault(said, len(reasons) + 1)}]"
        cells = (row["network"], row["factor"], row["grown"], row["way"], row["options"], row["outcome"], said)
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "What was said:", "", *(f"{number}. {said}" for said, number in reasons.items())]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure all networks, print each outcome, and write a table if a file is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--work", type=Path, help="Folder in which exports and students stay.")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    T.utils.logging.disable_progress_bar()
    begun, rows = time.time(), []
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.kinds:
            folder = Path(options.work or scratch) / name.replace(" ", "_")
            rows += measure(name, folder, lambda row: print(json.dumps(row), flush=True))
            if options.out is not None:
                options.out.write_text(report(rows, time.time() - begun))


if __name__ == "__main__":
    main()
