"""Hugging Face folders as ``save_pretrained`` writes them, and as the hub's cache lays them out."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from onnx_n2n.io import tensorfile

CONFIG: Mapping[str, Any] = {
    "architectures": ["ToyModel"], "hidden_size": 8, "model_type": "toy", "time_limit": [0.0, float("inf")],
    "text_config": {"hidden_size": 4, "eps": 1e-5}, "vocab_size": 11,
}  # fmt: skip
PT = {"format": "pt"}
OTHERS = {"tokenizer.json": '{"version": "1.0"}', "LICENSE": "mine\n", "1_Pooling/config.json": '{"dimension": 8}'}


KEYS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1).filter(lambda key: key != tensorfile.METADATA)
SHAPES = st.lists(st.integers(0, 4), max_size=3).map(tuple)
PLACED = st.dictionaries(
    KEYS, st.tuples(st.sampled_from(sorted(tensorfile.DTYPES)), SHAPES, st.integers(0, 3)), min_size=1, max_size=8
)
Placed = dict[str, tuple[str, tuple[int, ...], int]]
"""Tensors by key: their types and shapes, and in which weight file each is."""


def shards_of(placed: Placed) -> list[dict[str, np.ndarray]]:
    rng, shards = np.random.default_rng(0), dict[int, dict[str, np.ndarray]]()
    for key, (kind, shape, shard) in placed.items():
        dtype = tensorfile.DTYPES[kind]
        numbers = rng.integers(0, 2 if kind == "BOOL" else 256, (*shape, dtype.itemsize), np.uint8)
        shards.setdefault(shard, {})[key] = numbers.reshape(-1).view(dtype).reshape(shape)
    return list(shards.values())


def shard_name(number: int, count: int) -> str:
    return f"model-{number:05}-of-{count:05}.safetensors"


def write_model(
    folder: Path,
    shards: list[Mapping[str, np.ndarray]],
    config: Mapping[str, Any] = CONFIG,
    others: Mapping[str, str] = OTHERS,
    metadata: Mapping[str, str] = PT,
) -> Path:
    """Write a model: one weight file, or several with an index."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for name, text in others.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    if len(shards) == 1:
        (folder / "model.safetensors").write_bytes(tensorfile.to_bytes(shards[0], metadata))
        return folder
    files = {shard_name(number, len(shards)): shard for number, shard in enumerate(shards, 1)}
    for name, shard in files.items():
        (folder / name).write_bytes(tensorfile.to_bytes(shard, metadata))
    size = sum(array.nbytes for shard in shards for array in shard.values())
    weight_map = {key: name for name, shard in files.items() for key in shard}
    document = {"metadata": {"total_parameters": 7, "total_size": size}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    return folder


def as_cache(folder: Path, root: Path) -> Path:
    """Copy a model as the hub's cache has it, links to blobs, and return the folder of the links."""
    blobs, snapshot = root / "blobs", root / "snapshots" / "0123abcd"
    blobs.mkdir(parents=True)
    for path in (path for path in folder.rglob("*") if path.is_file()):
        data, link = path.read_bytes(), snapshot / path.relative_to(folder)
        blob = blobs / hashlib.sha256(data).hexdigest()
        blob.write_bytes(data)
        link.parent.mkdir(parents=True, exist_ok=True)
        ups = len(link.relative_to(root).parts) - 1
        link.symlink_to(Path(*[".."] * ups, "blobs", blob.name))
    return snapshot


def contents(folder: Path) -> dict[str, bytes]:
    """Return what is in a folder, by path in it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def small(folder: Path) -> Path:
    """Write a model in two weight files."""
    rng = np.random.default_rng(0)
    first = {"embed.weight": rng.standard_normal((11, 8), np.float32), "norm.weight": np.ones(8, np.float32)}
    second = {"head.weight": rng.standard_normal((11, 8), np.float32).astype(np.float16)}
    return write_model(folder, [first, second])


def copied(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to))
