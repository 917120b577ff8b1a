"""Grow small Hugging Face folders, load them by from_pretrained, and compare logits of old and new in PyTorch.

    python benchmarks/hf_folders.py [KIND ...] [--out TABLE.md] [--ways x2 x1.5 deeper] [--types F32 BF16]

The judge knows nothing of this library: a new folder is right if its class finds every tensor and no other in it, and
says the same; in 16 bits as near as the old one is to itself in 32. Networks have random weights, and norms and biases
that are not plain. This takes about a minute for each cell.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import transformers as T  # noqa: N812

from onnx_n2n.errors import N2NError
from onnx_n2n.huggingface import Output, deepen, widen
from onnx_n2n.passes import Deepen, Widen

USUAL = {
    "hidden_size": 32, "intermediate_size": 40, "num_attention_heads": 4, "num_hidden_layers": 2, "vocab_size": 61,
    "max_position_embeddings": 32,
}  # fmt: skip
GROUPED = {"num_key_value_heads": 2, "head_dim": 8}
WHISPER = {
    "vocab_size": 61, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 40, "decoder_ffn_dim": 40, "num_mel_bins": 8,
    "max_source_positions": 12, "max_target_positions": 32, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    "decoder_start_token_id": 1, "suppress_tokens": None, "begin_suppress_tokens": None,
}  # fmt: skip
KINDS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "GPT-2": (T.GPT2LMHeadModel, T.GPT2Config, {**USUAL, "n_inner": 40}),
    "Llama": (T.LlamaForCausalLM, T.LlamaConfig, USUAL | GROUPED),
    "Qwen2": (T.Qwen2ForCausalLM, T.Qwen2Config, USUAL | GROUPED),
    "Qwen3": (T.Qwen3ForCausalLM, T.Qwen3Config, USUAL | GROUPED),
    "Mistral": (T.MistralForCausalLM, T.MistralConfig, USUAL | GROUPED | {"sliding_window": None}),
    "Gemma 2": (
        T.Gemma2ForCausalLM, T.Gemma2Config, USUAL | GROUPED | {"query_pre_attn_scalar": 8, "sliding_window": 16},
    ),
    "Phi": (T.PhiForCausalLM, T.PhiConfig, USUAL | {"num_key_value_heads": 2}),
    "GPT-NeoX": (T.GPTNeoXForCausalLM, T.GPTNeoXConfig, USUAL),
    "OPT": (T.OPTForCausalLM, T.OPTConfig, USUAL | {"ffn_dim": 40, "word_embed_proj_dim": 32}),
    "BERT": (T.BertForMaskedLM, T.BertConfig, USUAL),
    "ViT": (
        T.ViTForImageClassification, T.ViTConfig, USUAL | {"image_size": 16, "patch_size": 8, "num_labels": 7},
    ),
    "Mixtral": (
        T.MixtralForCausalLM, T.MixtralConfig,
        USUAL | GROUPED | {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None},
    ),
    "Whisper": (T.WhisperForConditionalGeneration, T.WhisperConfig, WHISPER),
    "T5": (
        T.T5ForConditionalGeneration, T.T5Config,
        {"vocab_size": 61, "d_model": 32, "d_kv": 8, "d_ff": 40, "num_layers": 2, "num_heads": 4,
         "decoder_start_token_id": 0},
    ),
}  # fmt: skip
TYPES = {"F32": torch.float32, "BF16": torch.bfloat16}
WAYS = {"x2": Widen(factor=2), "x1.5": Widen(factor=1.5), "deeper": Deepen(count=2)}
NEAR = 1e-5
LISTS = ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")


def made(kind: str, dtype: Any, folder: Path) -> Path:
    """Write a folder as save_pretrained does."""
    model, config, options = KINDS[kind]
    torch.manual_seed(0)
    net = model(config(**options)).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    net.to(dtype).save_pretrained(folder)
    return folder


def as_cached(folder: Path, root: Path) -> Path:
    """Lay a folder out as the hub's cache does: links to blobs elsewhere."""
    blobs, snapshot = root / "blobs", root / "snapshots" / "0"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number, file in enumerate(sorted(folder.iterdir())):
        shutil.copy(file, blobs / str(number))
        (snapshot / file.name).symlink_to(f"../../blobs/{number}")
    return snapshot


def logits(folder: Path, kind: str, dtype: Any) -> tuple[Any, int]:
    """Load a folder strictly, and return what it says and how many parameters it has."""
    net, info = KINDS[kind][0].from_pretrained(
        folder, dtype=dtype, output_loading_info=True, ignore_mismatched_sizes=True
    )
    if wrong := [each for each in LISTS if info.get(each)]:
        raise RuntimeError(f"{wrong[0]}: {info[wrong[0]]}")
    random, config = torch.Generator().manual_seed(0), net.config
    if net.main_input_name == "pixel_values":
        feeds = {"pixel_values": torch.randn(2, 3, 16, 16, generator=random)}
    elif net.main_input_name == "input_features":
        feeds = {
            "input_features": torch.randn(2, config.num_mel_bins, 2 * config.max_source_positions, generator=random),
            "decoder_input_ids": torch.randint(3, 61, (2, 11), generator=random),
        }
    else:
        feeds = {"input_ids": torch.randint(3, 61, (2, 11), generator=random)}
        if config.is_encoder_decoder:
            feeds["decoder_input_ids"] = torch.randint(3, 61, (2, 11), generator=random)
    feeds = {name: value.to(dtype) if value.is_floating_point() else value for name, value in feeds.items()}
    with torch.no_grad():
        said = net.eval()(**feeds).logits.float()
    return said, sum(parameter.numel() for parameter in net.parameters())


def cell(kind: str, way: str, of: str, work: Path) -> dict[str, str]:
    """Grow one folder, and judge what comes out."""
    old = as_cached(made(kind, TYPES[of], work / "saved"), work / "cache")
    new, change = work / "new", WAYS[way]
    row = {"kind": kind, "way": way, "type": of}
    try:
        found = (
            deepen(old, change, Output(new)) if isinstance(change, Deepen) else widen(old, change, Output(new))
        )
    except N2NError as failure:
        return {**row, "outcome": "refused", "said": str(failure)}
    fields = ", ".join(f"{name} {before} -> {now}" for name, (before, now) in found.written.fields.items())
    try:
        before, size = logits(old, kind, TYPES[of])
        after, larger = logits(new, kind, TYPES[of])
        noise = float((before - logits(old, kind, torch.float32)[0]).abs().max())
    except Exception as failure:  # whatever the class raises
        return {**row, "outcome": "WRONG", "said": f"does not load: {failure}"}
    scale = float(before.abs().max())
    error = float((before - after).abs().max())
    limit = NEAR * scale if of == "F32" else 2 * noise + NEAR * scale
    exact = "" if found.exact is None else f"exact: {found.exact.state}; "
    own = "" if of == "F32" else f" (the old one in 32 bits: {noise / scale:.1e})"
    said = f"{error / scale:.1e}{own}, x{larger / size:.2f}; {exact}{fields}"
    if found.notes:
        said += f"; kept since {'; '.join(found.notes)}"
    return {**row, "outcome": "right" if error <= limit else "WRONG", "said": said}


def report(rows: list[dict[str, str]], seconds: float) -> str:
    """Return a table."""
    head = f"{datetime.date.today()}, PyTorch {torch.__version__}, transformers {T.__version__}, {seconds:.0f} seconds"
    lines = ["# Hugging Face folders, grown and loaded by from_pretrained", ""]
    lines += [f"`python benchmarks/hf_folders.py`: {head}.", ""]
    lines += ["| kind | how | type | outcome | |", "|---|---|---|---|---|"]
    lines += [f"| {' | '.join(row[key] for key in ('kind', 'way', 'type', 'outcome', 'said'))} |" for row in rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure all kinds, print each outcome, and write a table if a file is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--ways", nargs="*", default=list(WAYS))
    parser.add_argument("--types", nargs="*", default=list(TYPES))
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    T.utils.logging.disable_progress_bar()
    begun, rows = time.time(), []
    for of in options.types:
        for way in options.ways:
            for kind in options.kinds:
                with tempfile.TemporaryDirectory() as scratch:
                    rows.append(cell(kind, way, of, Path(scratch)))
                print(json.dumps(rows[-1]), flush=True)
                if options.out is not None:
                    options.out.write_text(report(rows, time.time() - begun))


if __name__ == "__main__":
    main()
