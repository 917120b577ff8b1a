"""Hugging Face folders that are no model to grow, each with its name: adapters, and weights that are quantised."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from onnx_n2n.errors import ModelError

WHOLE = "load the model in 16 or 32 bits, and save that with save_pretrained"
QUANTISED = ("quantization_config", "compression_config")  # entries of a config, at any depth
FILES: Mapping[str, tuple[str, str]] = {
    "adapter_config.json": ("is a PEFT adapter, not a model", "merge it with merge_and_unload(), and save that"),
    "quantize_config.json": ("is quantised by GPTQ", WHOLE),
    "quant_config.json": ("is quantised by AWQ", WHOLE),
}
KEYS: Mapping[str, re.Pattern[str]] = {
    "bitsandbytes": re.compile(r".*\.(quant_state\..*|absmax|SCB)"),
    "GPTQ or AWQ": re.compile(r".*\.(qweight|qzeros|g_idx)"),
    "compressed-tensors": re.compile(r".*\.weight_(packed|scale)"),
    "an 8-bit format": re.compile(r".*\.weight_scale_inv"),
}
"""How tensors are called that only quantised weights have."""


def check_files(name: str, files: Collection[str]) -> None:
    """Refuse a folder by the files in it.

    Raises:
        ModelError: It is an adapter, or its weights are quantised.
    """
    for file, (what, hint) in FILES.items():
        if file in files:
            raise ModelError(f"{name} {what}: it has {file!r}", hint=hint)
    gguf = sorted(each for each in files if each.endswith(".gguf"))
    if gguf and not any(each.endswith(".safetensors") for each in files):
        raise ModelError(f"{name} has its weights in GGUF, in {gguf[0]!r}, which is mostly quantised", hint=WHOLE)


def check_config(name: str, config: Mapping[str, Any]) -> None:
    """Refuse a folder by its config.

    Raises:
        ModelError: Its weights are quantised, or the config does not say what they are.
    """
    for found in _quantised(config):
        method = found.get("quant_method") or found.get("format") if isinstance(found, Mapping) else None
        by = f"quantised by {method}" if isinstance(method, str) else "quantised"
        raise ModelError(f"{name} is {by}, its config.json says", hint=WHOLE)
    kind = config.get("model_type")
    if (not isinstance(kind, str) or not kind) and not config.get("auto_map"):
        reason = f"the config.json of {name} does not say what the weights are: it has no model_type"
        raise ModelError(reason, hint="save the model with save_pretrained, which writes it")


def check_keys(name: str, keys: Collection[str]) -> None:
    """Refuse a folder by the names of its tensors: some configs do not say that weights are quantised.

    Raises:
        ModelError: They are.
    """
    for method, pattern in KEYS.items():
        if found := next(filter(pattern.fullmatch, keys), None):
            raise ModelError(f"{name} is quantised by {method}: it has a tensor {found!r}", hint=WHOLE)


def _quantised(config: Mapping[str, Any]) -> Iterator[Any]:
    configs = [config]
    while configs:
        for key, entry in configs.pop().items():
            if key in QUANTISED and entry:
                yield entry
            elif isinstance(entry, Mapping):
                configs.append(entry)
