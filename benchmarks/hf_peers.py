"""Grow Hugging Face folders with onnx-n2n, HyperCloning and mergekit: time, peak of memory, and difference of logits.

    python benchmarks/hf_peers.py --hypercloning PYTHON CHECKOUT --mergekit PYTHON [--only MODEL ...] [--rounds 2]
        [--folder FOLDER] [--out benchmarks/results/hf-peers-DATE.md]

This runs in an environment with ``onnx-n2n[hf]``. A peer that is not named is left out. Each needs an environment of
its own, of which PYTHON is the interpreter:

    git clone https://github.com/apple/ml-hypercloning          # CHECKOUT; it breaks under transformers 4.48 and later
    python -m venv hypercloning-env
    hypercloning-env/bin/pip install torch transformers==4.46.3  # ai2-olmo is not needed, see CLONED
    python -m venv mergekit-env
    mergekit-env/bin/pip install torch mergekit==0.1.5

Models have random weights, and norms and biases that are not plain. Each growth is a process of its own, in turns; of
each number the least of all rounds counts. The judge knows none of the tools: ``from_pretrained`` loads the old folder
and the new one in float32 in this environment, and has to find every tensor and no other.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers as T  # noqa: N812
from safetensors import safe_open

MIB = 2**20
LISTS = ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")
OFFLINE = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}

# A process begins with the peak of the one that starts it, so a small one does.
SMALL = """
import json, os, subprocess, sys, time
begun = time.perf_counter()
process = subprocess.Popen(sys.argv[2:], stdout=open(sys.argv[1], "w"), stderr=subprocess.STDOUT)
_, status, used = os.wait4(process.pid, 0)
wall = time.perf_counter() - begun
print(json.dumps([os.waitstatus_to_exitcode(status), wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]))
"""
# What the command `onnx-n2n widen FOLDER` calls, with the time of each stage.
OURS = """
import json, sys, time
from onnx_n2n import Deepen, Widen
from onnx_n2n.huggingface import Output, run
stages, since = {}, ["", 0.0]
def heard(stage):
    now = time.perf_counter()
    stages[since[0]] = stages.get(since[0], 0.0) + now - since[1]
    since[:] = [stage, now]
old, new, change = sys.argv[1:]
grown = run(old, eval(change), Output(new, progress=heard))
heard("")
stages.pop("")
print(json.dumps({"stages": stages, "notes": grown.notes, "exact": grown.exact.state}))
"""
# HyperCloning imports a config of ai2-olmo to clone OLMo, which is not done here. save_pretrained refuses to write its
# wrapper of tied weights as safetensors: then the model is written with pickle, as the refusal suggests.
CLONED = """
import json, sys, types
checkout, old, new, factor, judged = sys.argv[1:]
stub = types.ModuleType("hf_olmo.configuration_olmo")
stub.OLMoConfig = type("OLMoConfig", (), {})
sys.modules.update({"hf_olmo": types.ModuleType("hf_olmo"), "hf_olmo.configuration_olmo": stub})
sys.path.insert(0, checkout)
import torch
from transformers import AutoModelForCausalLM
from hypercloning import cloneModel
times = json.loads(factor)
source = AutoModelForCausalLM.from_pretrained(old)
grown = cloneModel(source, embedding_dim_multiplier=times, up_project_multiplier=times)
if judged:
    ids = torch.randint(3, source.config.vocab_size, (2, 48), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before, after = source.eval()(ids).logits, grown.eval()(ids).logits
    print(json.dumps(float((before - after).abs().max() / before.abs().max())))
else:
    try:
        grown.save_pretrained(new)
    except RuntimeError as refused:
        if "shared tensors" not in str(refused):
            raise
        grown.save_pretrained(new, safe_serialization=False)
"""
IMPORTS = {
    "onnx-n2n": "import torch, onnxruntime, onnxscript, transformers\nfrom onnx_n2n.huggingface import run",
    "HyperCloning": "import torch\nfrom transformers import AutoModelForCausalLM",
    "mergekit": "import torch\nfrom mergekit.scripts.run_yaml import main",
}
TRACING, VERIFYING = ("tracing the class", "tracing the class as it becomes"), ("verifying",)
EVERY = 2  # a layer is added before or behind every so many-th one

LARGE = {
    "hidden_size": 512, "intermediate_size": 1376, "num_attention_heads": 8, "num_hidden_layers": 8, "vocab_size": 8192,
    "max_position_embeddings": 1024, "num_key_value_heads": 4, "head_dim": 64,
}  # fmt: skip
USUAL = {
    "hidden_size": 128, "intermediate_size": 184, "num_attention_heads": 4, "num_hidden_layers": 4, "vocab_size": 503,
    "max_position_embeddings": 96,
}  # fmt: skip
GROUPED = USUAL | {"num_key_value_heads": 2, "head_dim": 32}
OPT = USUAL | {"ffn_dim": 184, "word_embed_proj_dim": 128}


@dataclass(frozen=True)
class Model:
    """A model to grow.

    Attributes:
        kind: Its class.
        options: Its config.
        last: What the names of the layers are called that end a branch of a block, for mergekit to scale by zero.
        dtype: The type of its weights.
        factor: How much wider it becomes; None where it does not.
        deeper: Whether it becomes deeper.
    """

    kind: Any
    options: dict[str, Any]
    last: tuple[str, ...] = ("o_proj", "down_proj")
    dtype: torch.dtype = torch.float32
    factor: float | None = 2
    deeper: bool = True


MODELS = {
    "Llama, 32 M": Model(T.LlamaForCausalLM, LARGE),
    "Llama, 32 M, bf16": Model(T.LlamaForCausalLM, LARGE, dtype=torch.bfloat16, factor=None),
    "Llama, small": Model(T.LlamaForCausalLM, GROUPED, factor=1.5, deeper=False),
    "OPT, small": Model(T.OPTForCausalLM, OPT, ("self_attn.out_proj", "fc2")),
    "OPT, small, like 350m": Model(
        T.OPTForCausalLM, OPT | {"word_embed_proj_dim": 64, "do_layer_norm_before": False}, deeper=False,
    ),
    "Pythia, small": Model(T.GPTNeoXForCausalLM, USUAL, ("attention.dense", "mlp.dense_4h_to_h")),
    "Gemma, small": Model(T.GemmaForCausalLM, GROUPED),
    "Gemma 2, small": Model(T.Gemma2ForCausalLM, GROUPED | {"query_pre_attn_scalar": 32, "sliding_window": 16}),
    "GPT-2, small": Model(
        T.GPT2LMHeadModel, USUAL | {"n_inner": 184, "bos_token_id": 0, "eos_token_id": 0},
        ("attn.c_proj", "mlp.c_proj"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Peers:
    """Where the peers are, as far as they are."""

    cloner: tuple[str, str] | None
    merger: str | None


@dataclass
class Cell:
    """One tool on one model.

    Attributes:
        model: The model's name.
        how: What is asked for: wider or deeper.
        tool: The tool, and how it is called.
        runs: Of each round, seconds of wall and of CPU, and the peak in bytes.
        stages: Of each round, seconds of each stage, where the tool says them.
        verdict: What the judge says.
        note: What else there is to say.
    """

    model: str
    how: str
    tool: str
    runs: list[tuple[float, float, float]] = field(default_factory=list)
    stages: list[dict[str, float]] = field(default_factory=list)
    verdict: str = ""
    note: str = ""

    def row(self) -> str:
        """Return a row of the table."""
        numbers = [""] * 5
        if self.runs:
            wall, used, peak = (min(each) for each in zip(*self.runs, strict=True))
            numbers = [f"{wall:.1f}", "", "", f"{used:.1f}", f"{peak / MIB:,.0f}"]
        if self.stages:
            _, stages = min(zip(self.runs, self.stages, strict=True), key=lambda each: each[0])
            numbers[1:3] = (f"{sum(stages.get(name, 0) for name in names):.1f}" for names in (TRACING, VERIFYING))
        return f"| {' | '.join([self.model, self.how, self.tool, *numbers, self.verdict, self.note])} |"


def made(model: Model, folder: Path) -> Path:
    """Write a folder as save_pretrained does."""
    torch.manual_seed(0)
    net = model.kind(model.kind.config_class(**model.options)).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    net.to(model.dtype).save_pretrained(folder)
    return folder


def measured(command: list[Any], said: Path) -> tuple[int, tuple[float, float, float], str]:
    """Run a command in a process of its own; return its exit code, what it took, and what it said."""
    whole = [sys.executable, "-c", SMALL, said, *command]
    done = subprocess.run([*map(str, whole)], capture_output=True, text=True, check=True, env=OFFLINE)
    code, wall, used, peak = json.loads(done.stdout)
    return code, (wall, used, peak), said.read_text("utf-8", "replace")


def failure(said: str) -> str:
    """Return the last words of a command that failed."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return f"fails: {lines[-1][:160].replace('|', '/') if lines else 'says nothing'}"


def logits(folder: Path) -> tuple[torch.Tensor, int, str]:
    """Load a folder; return what the model says, how many parameters it has, and why it did not load strictly."""
    net, info = T.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True
    )
    wrong = next((f"{len(info[each])} {each}, as {min(map(str, info[each]))}" for each in LISTS if info.get(each)), "")
    ids = torch.randint(3, net.config.vocab_size, (2, 48), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return net.eval()(ids).logits, sum(each.numel() for each in net.parameters()), wrong


def types(folder: Path) -> str:
    """Return the types of the weights of a folder, if they are in safetensors."""
    found = set()
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as tensors:
            found |= {tensors.get_slice(key).get_dtype() for key in tensors.keys()}  # noqa: SIM118
    return ", ".join(sorted(found)) or "pickle"


def judged(old: Path, new: Path) -> str:
    """Say how far the new model is from the old one, and how much larger."""
    try:
        before, size, _ = logits(old)
        after, larger, wrong = logits(new)
    except Exception as problem:  # whatever the class raises
        return f"does not load: {str(problem).splitlines()[0][:120]}"
    error = float((before - after).abs().max() / before.abs().max())
    said = f"{error:.1e}, {types(new)}, x{larger / size:.2f}"
    return f"{said}; not strictly: {wrong}" if wrong else said


def recipe(old: Path, model: Model) -> str:
    """Return what mergekit is to do: each EVERY-th layer twice, the second time with its branches scaled by zero."""
    scales = [*({"filter": name, "value": 0.0} for name in model.last), {"value": 1.0}]
    slices = []
    for start in range(0, model.options["num_hidden_layers"], EVERY):
        end = start + EVERY
        slices.append({"sources": [{"model": str(old), "layer_range": [start, end]}]})
        again = {"model": str(old), "layer_range": [end - 1, end], "parameters": {"scale": scales}}
        slices.append({"sources": [again]})
    return json.dumps({"merge_method": "passthrough", "slices": slices})  # JSON is YAML


def tools(model: Model, peers: Peers, old: Path, new: Path) -> Iterator[tuple[str, str, list[Any]]]:
    """Yield what is asked for, of which tool, and the command."""
    if model.factor is not None:
        how, times = f"x{model.factor:g}", json.dumps(model.factor)
        ours = {"onnx-n2n": f"Widen(factor={times})",
                "onnx-n2n, net2net, no noise": f"Widen(factor={times}, init='net2net', noise=0)"}  # fmt: skip
        yield from ((how, tool, [sys.executable, "-c", OURS, old, new, change]) for tool, change in ours.items())
        if peers.cloner is not None:
            python, checkout = peers.cloner
            yield how, "HyperCloning", [python, "-c", CLONED, checkout, old, new, times, ""]
    if model.deeper:
        yield "deeper", "onnx-n2n", [sys.executable, "-c", OURS, old, new, f"Deepen(every={EVERY})"]
        if peers.merger is not None:
            asked = old.with_name("asked.yml")
            asked.write_text(recipe(old, model), "utf-8")
            yield "deeper", "mergekit", [Path(peers.merger).with_name("mergekit-yaml"), asked, new]


def tried(cell: Cell, command: list[Any], old: Path, new: Path, said: Path) -> None:
    """Run a tool once, judge what it wrote if that was not done yet, and add it to the cell."""
    shutil.rmtree(new, ignore_errors=True)
    code, used, words = measured(command, said)
    if code:
        cell.verdict = failure(words.replace(f"{old.parent}/", ""))
        return
    cell.runs.append(used)
    if cell.tool.startswith("onnx-n2n"):
        report = json.loads(words.splitlines()[-1])
        cell.stages.append(report["stages"])
        cell.note = "; ".join([f"exact check: {report['exact']}", *report["notes"]])
    if cell.verdict:
        return
    cell.verdict = judged(old, new)
    if cell.tool == "HyperCloning":
        code, _, words = measured([*command[:-1], "judged"], said)
        cell.note = failure(words) if code else f"before it is saved: {json.loads(words.splitlines()[-1]):.1e}"


def version(python: str, *names: str) -> str:
    """Return the versions of packages in an environment."""
    script = "import sys, importlib.metadata as m; print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
    return subprocess.run([python, "-c", script, *names], capture_output=True, text=True, check=True).stdout.strip()


def imports(peers: Peers, said: Path) -> Iterator[str]:
    """Yield what each tool takes to import, as rows."""
    pythons = {"onnx-n2n": sys.executable, "HyperCloning": peers.cloner and peers.cloner[0], "mergekit": peers.merger}
    for tool, python in pythons.items():
        if python:
            code, (wall, used, peak), words = min(measured([python, "-c", IMPORTS[tool]], said) for _ in range(2))
            yield failure(words) if code else f"| {tool} | {wall:.1f} | {used:.1f} | {peak / MIB:,.0f} |"


PAGE = """# Hugging Face folders, beside HyperCloning and mergekit

{date}, `python benchmarks/hf_peers.py`, least of {rounds} rounds; {machine}.

- onnx-n2n and the judge: {ours}
- HyperCloning: {cloner}
- mergekit: {merger}

| model | how | tool | wall s | of it tracing | of it verifying | CPU s | peak MiB | difference, type, parameters | |
|---|---|---|---|---|---|---|---|---|---|
{rows}

What importing takes, of all of the above:

| tool | wall s | CPU s | peak MiB |
|---|---|---|---|
{imports}
"""


def main() -> None:
    """Measure all models with all tools, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hypercloning", nargs=2, metavar=("PYTHON", "CHECKOUT"))
    parser.add_argument("--mergekit", metavar="PYTHON")
    parser.add_argument("--only", nargs="+", choices=MODELS, default=list(MODELS), metavar="MODEL")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where to make the models")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    peers = Peers(tuple(asked.hypercloning) if asked.hypercloning else None, asked.mergekit)
    logging.disable(logging.WARNING)
    T.utils.logging.set_verbosity_error()
    T.utils.logging.disable_progress_bar()
    cells: list[Cell] = []
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        root = Path(name)
        for each in asked.only:
            model, old, new = MODELS[each], root / "old", root / "new"
            made(model, old)
            own = [(Cell(each, how, tool), command) for how, tool, command in tools(model, peers, old, new)]
            for _ in range(asked.rounds):
                for cell, command in own:
                    tried(cell, command, old, new, root / "said")
            cells += [cell for cell, _ in own]
            for cell, _ in own:
                print(cell.row(), [{key: round(s, 1) for key, s in each.items()} for each in cell.stages], flush=True)
            shutil.rmtree(old)
        taken = list(imports(peers, root / "said"))
    threads = os.environ.get("OMP_NUM_THREADS")
    machine = f"{os.cpu_count()} CPU cores, {platform.machine()}, Python {platform.python_version()}"
    text = PAGE.format(
        date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(), rounds=asked.rounds,
        machine=f"{machine}, OMP_NUM_THREADS={threads}" if threads else machine,
        ours=version(sys.executable, "onnx-n2n", "torch", "transformers"),
        cloner=version(peers.cloner[0], "torch", "transformers") if peers.cloner else "left out",
        merger=version(peers.merger, "mergekit", "torch", "transformers") if peers.merger else "left out",
        rows="\n".join(cell.row() for cell in sorted(cells, key=lambda cell: cell.how == "deeper")),
        imports="\n".join(taken),
    )  # fmt: skip
    print(text)
    if asked.out is not None:
        asked.out.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
