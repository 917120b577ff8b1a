"""Where a new folder goes, and how it is made."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike

from onnx_n2n.progress import Progress, unheard
from onnx_n2n.record.record import Record


@dataclass(frozen=True)
class Output:
    """Where and how a new folder is written.

    Attributes:
        path: The folder.
        shard_size: How many bytes of tensors a weight file has at most; None for files as they were.
        force: Whether to replace a model that is there.
        progress: Is told each stage as it begins.
        verify_class: Whether from_pretrained loads both models and PyTorch runs them, before the new one is in place.
        trust_remote_code: Whether to run code that the config names for the class.
        earlier: What became of every weight in passes before, of the same run.
        last: Whether no pass of the same run follows: then there is a growth record, of all.
    """

    path: str | PathLike[str]
    shard_size: int | None = None
    force: bool = False
    progress: Progress = unheard
    verify_class: bool = False
    trust_remote_code: bool = False
    earlier: Record | None = None
    last: bool = True
