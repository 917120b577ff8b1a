"""Who decides what is trained in an export: guesses are listed, and --train and --freeze overrule them."""

import json
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from helpers.needing import needs
from helpers.trainable import anything, constants, drawn, exported, graph, trained, with_nodes
from onnx_n2n import export
from onnx_n2n.cli import main
from onnx_n2n.errors import ExportError, OptionError
from onnx_n2n.export.build import program_of
from onnx_n2n.export.folder import export as export_to
from onnx_n2n.export.program import Program


def guessed(program: Program) -> dict[str, str]:
    return {account.name: account.kind for account in program.accounts if account.guess}


def test_a_file_that_holds_its_weights_in_nodes_trains_them_as_guesses() -> None:
    proto = with_nodes(graph("h = MatMul(x, w) y = Add(h, b)"), w=drawn(8, 8), b=drawn(8))
    program = program_of(proto, anything)
    assert trained(program) == {"w", "b"}
    assert guessed(program) == {"w": "trained", "b": "trained"}


def test_a_constant_node_where_weights_stand_is_told_as_a_guess() -> None:
    proto = with_nodes(graph("h = MatMul(x, w) y = MatMul(h, v)", w=drawn(8, 8)), v=drawn(8, 8))
    program = program_of(proto, anything)
    assert trained(program) == {"w"}
    assert guessed(program) == {"v": "constant"}
    assert trained(program_of(proto, anything, train=["v"])) == {"w", "v"}


def test_globs_decide_and_train_wins() -> None:
    proto = graph("h = MatMul(x, w.a) k = MatMul(h, w.b) y = Add(k, eps)".replace("w.a", "wa").replace("w.b", "wb"),
                  wa=drawn(8, 8), wb=drawn(8, 8), eps=np.float32(1e-5))  # fmt: skip
    program = program_of(proto, anything, freeze=["*"], train=["wb", "eps"])
    assert trained(program) == {"wb", "eps"}
    assert set(program.tensors) == {"wa", "wb", "eps"}  # what is frozen is kept, under its name


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"freeze": ["wx"]}, "perhaps you mean 'wa'"),
        ({"train": ["nothing.*"]}, "matches no tensor"),
        ({"train": ["n"]}, "INT64"),
        ({"train": ["bn.mean"]}, "measured in training"),
        ({"freeze": "wa"}, "lists of patterns"),
    ],
)
def test_globs_that_cannot_be_followed_are_refused(options: dict[str, Any], said: str) -> None:
    body = "h = MatMul(x, wa) r = Reshape(h, n) y = BatchNormalization(r, s, b, m, v)"
    proto = graph(body, wa=drawn(8, 8), n=np.array([2, 4, 8]), s=drawn(4), b=drawn(4), m=drawn(4), v=np.ones(4, "f"))
    for tensor in proto.graph.initializer:
        tensor.name = {"m": "bn.mean"}.get(tensor.name, tensor.name)
    proto.graph.node[2].input[3] = "bn.mean"
    with pytest.raises(OptionError, match="(?i)" + said):
        program_of(proto, anything, **options)


def test_a_tensor_that_nothing_reads_is_frozen_already_and_never_trained() -> None:
    proto = graph("h = MatMul(x, wa) y = Relu(h)", wa=drawn(8, 8), idle=drawn(3))
    program = program_of(proto, anything, freeze=["idle", "wa"])
    assert constants(program) == {"idle": "nothing reads it, so that it is left out"}
    assert not trained(program)
    with pytest.raises(OptionError, match="cannot be trained: nothing reads 'idle'"):
        program_of(proto, anything, train=["idle"])


def test_single_numbers_that_somebody_wrote_are_no_guesses() -> None:
    proto = graph("a = Add(x, eps) s = Mul(a, third) g = Mul(s, gain) y = Mul(g, start)", eps=np.float32(1e-5),
                  third=np.float32(2**-0.5), gain=np.float32(0.8731264), start=np.float32(1))  # fmt: skip
    program = program_of(proto, anything)
    assert constants(program).keys() == {"eps", "third", "gain", "start"}  # all are told
    assert guessed(program) == {"gain": "constant", "start": "constant"}


def test_the_folder_says_what_was_decided_and_opens_as_it_was_written(tmp_path: Any) -> None:
    needs("torch")
    needs("safetensors")
    proto = with_nodes(graph("h = MatMul(x, w) y = Mul(h, anchors)", w=drawn(8, 8)), anchors=drawn(1, 4, 8))
    onnx.save(proto, tmp_path / "m.onnx")
    arguments = ["export", str(tmp_path / "m.onnx"), "--to", "torch", "-o", str(tmp_path / "o")]
    found = CliRunner().invoke(main, [*arguments, "--freeze", "w", "--train", "anch*", "--json"])
    assert found.exit_code == 0, found.output
    said, recorded = json.loads(found.stdout), json.loads((tmp_path / "o" / "export.json").read_text())
    for document in (said, recorded):
        assert document["trained"] == ["anchors"]
        assert document["state"] == [{"name": "w", "because": "frozen by its name"}]
    module = export.load(tmp_path / "o")
    assert [name for name, _ in module.named_parameters()] == ["anchors"]
    assert [name for name, _ in module.named_buffers()] == ["w"]
    assert (recorded["schema"], recorded["schema_version"]) == ("onnx-n2n.export-folder", 1)

    plain = CliRunner().invoke(main, [*arguments, "--force"])
    assert plain.exit_code == 0
    assert "a Constant node: 'anchors'" in plain.output
    recorded = json.loads((tmp_path / "o" / "export.json").read_text())
    assert [each["name"] for each in recorded["constant"]] == ["anchors"]
    wrong = CliRunner().invoke(main, [*arguments, "--force", "--train", "anchor"])
    assert wrong.exit_code == 2
    assert "'anchors'" in wrong.output


def test_a_frozen_norm_still_measures(tmp_path: Any) -> None:
    torch = needs("torch")
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 1), torch.nn.BatchNorm2d(3)).eval()
    proto = exported(net, torch.randn(4, 2, 3, 3), optimize=False)
    module = export.to_torch(proto, freeze=["1.*"])
    assert {name for name, _ in module.named_parameters()} == {"0.weight", "0.bias"}
    before = dict(module.named_buffers())["1.running_mean"].clone()
    module.train()(torch.randn(4, 2, 3, 3) + 1)
    assert not torch.equal(before, dict(module.named_buffers())["1.running_mean"])


@pytest.mark.parametrize(
    ("changes", "reason"), [({"schema_version": 2}, "a newer version"), ({"schema_version": "x"}, "something else")]
)
def test_a_folder_of_another_schema_is_refused(changes: dict[str, Any], reason: str, tmp_path: Any) -> None:
    needs("torch")
    export_to(graph("y = MatMul(x, w)", w=drawn(8, 8)), "torch", tmp_path / "o", verify=False)
    path = tmp_path / "o" / "export.json"
    record = json.loads(path.read_text())
    first = {key: each for key, each in record.items() if not key.startswith("schema")}
    path.write_text(json.dumps(first))  # as the first versions wrote it
    export.load(tmp_path / "o")
    path.write_text(json.dumps(record | changes))
    with pytest.raises(ExportError, match=reason):
        export.load(tmp_path / "o")
