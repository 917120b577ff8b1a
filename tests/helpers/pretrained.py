"""Small networks of transformers, in folders as save_pretrained and the hub's cache have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from helpers.needing import needs
from onnx_n2n.huggingface.network import Network, built, class_of

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


def network_of(config: Any) -> Network:
    return built(class_of(config), config)


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
