"""In which file of a new Hugging Face folder each tensor goes."""

from __future__ import annotations

import re
from collections.abc import Mapping

from onnx_n2n.errors import OptionError
from onnx_n2n.huggingface.folder import SINGLE, Folder

UNITS = {"": 1, **{f"{unit}B": 1000**power for power, unit in enumerate("KMGT", 1)}}
UNITS |= {f"{unit}IB": 1024**power for power, unit in enumerate("KMGT", 1)}


def size_of(text: str) -> int:
    """Return how many bytes a size has, as transformers writes them.

    >>> size_of("5GB"), size_of("200 MiB"), size_of("1000")
    (5000000000, 209715200, 1000)

    Raises:
        OptionError: It is no size.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text, re.ASCII)
    unit = UNITS.get(found[2].upper()) if found else None
    size = int(float(found[1]) * unit) if found and unit else 0
    if not size:
        raise OptionError(f"{text!r} is no size of a file", hint="write one as 5GB, 200MB or 4GiB")
    return size


def as_before(folder: Folder, keys: Mapping[str, int], like: Mapping[str, str]) -> dict[str, str]:
    """Return the file of each tensor: that in which it was, and for a new one that of what it is like.

    Args:
        folder: What was there before.
        keys: How many bytes each tensor has, by its key.
        like: For new keys, the old key whose file they go into; the last file where there is none.
    """
    files = {key: stored.file.name for key, stored in folder.tensors.items()}
    return {key: files.get(key) or files.get(like.get(key, ""), folder.shards[-1]) for key in keys}


def by_size(folder: Folder, keys: Mapping[str, int], like: Mapping[str, str], most: int) -> dict[str, str]:
    """Return the file of each tensor, of which none has more than some bytes, but for a tensor that alone has more.

    Tensors are taken in the order in which they were before, new ones behind what they are like. The files are called
    as transformers calls them, ``model-00001-of-00003.safetensors``, and a single one ``model.safetensors``.

    Args:
        folder: What was there before.
        keys: How many bytes each tensor has, by its key.
        like: For new keys, the old key behind which they come.
        most: How many bytes of tensors a file may have.
    """
    place = {key: number for number, key in enumerate(folder.tensors)}
    order = sorted(keys, key=lambda key: place.get(key, place.get(like.get(key, ""), len(place))))
    parts: list[list[str]] = [[]]
    room = most
    for key in order:
        if parts[-1] and keys[key] > room:
            parts.append([])
            room = most
        parts[-1].append(key)
        room -= keys[key]
    if len(parts) == 1:
        return dict.fromkeys(order, SINGLE)
    names = (f"model-{number:05}-of-{len(parts):05}.safetensors" for number in range(1, len(parts) + 1))
    return {key: name for name, part in zip(names, parts, strict=True) for key in part}
