"""A pass of Olive, ``{"type": "OnnxN2N", "passes": "widen{factor=1.5}"}`` in a run config.

``python -m onnx_n2n.toolchains.olive > package.json`` writes the package config by which Olive finds it: with Olive's
own passes, because ``olive run --package-config`` takes a file instead of them, not beside them.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

from olive.hardware.accelerator import AcceleratorSpec
from olive.model import ONNXModelHandler
from olive.model.utils import resolve_onnx_path
from olive.package_config import OlivePackageConfig
from olive.passes import Pass
from olive.passes.pass_config import BasePassConfig, PassConfigParam
from olive.resource_path import LocalFolder

from onnx_n2n.options import options
from onnx_n2n.passes.functions import Sequencing, run

RECORD = "growth.safetensors"
FILES = ("output", "record", "save_recipe", "force")  # are Olive's to decide
PACKAGE = Path(__file__).with_name("olive_config.json")

logger = logging.getLogger("olive.onnx_n2n")


class OnnxN2N(Pass):
    """Make a model wider or deeper without changing what it computes, and verify that.

    Its options are those of :func:`onnx_n2n.run`, with a recipe as a path or as what such a file holds. The growth
    record is an additional file of the student's, which Olive carries along, and ``model_attributes["onnx_n2n"]`` says
    what was done.
    """

    @classmethod
    def _default_config(cls, accelerator_spec: AcceleratorSpec) -> dict[str, PassConfigParam]:  # noqa: ARG003
        return {
            each.name: PassConfigParam(
                type_=Any,  # `run` says what is wrong with a value
                default_value=each.default,
                description=each.said.sentence,
            )
            for each in options(Sequencing)
            if each.name not in FILES
        }

    def _run_for_config(
        self, model: ONNXModelHandler, config: BasePassConfig, output_model_path: str
    ) -> ONNXModelHandler:
        place = Path(resolve_onnx_path(output_model_path, Path(model.model_path).name))
        record = place.with_name(RECORD)
        known = {each.name: each.default for each in options(Sequencing) if each.name not in FILES}
        given = {name: getattr(config, name) for name in known}
        said = {name: value for name, value in given.items() if value != known[name]}  # Olive gives all of them
        result = run(model.model_path, **said, output=place, record=record, force=True)
        if not result.modified:
            raise result.change.nothing
        logger.info("%s: %s", result.passes, result.report.short)
        attributes = dict(model.model_attributes or {})
        attributes["additional_files"] = sorted({*attributes.get("additional_files", ()), str(record)})
        attributes["onnx_n2n"] = {"passes": result.passes, "parameters": result.report.to_json()["parameters"]}
        folder = LocalFolder({"path": place.parent})  # with the record, and external weights
        return ONNXModelHandler(model_path=folder, onnx_file_name=place.name, model_attributes=attributes)


def package_config() -> dict[str, Any]:
    """Return Olive's own package config with this pass in it, as ``olive.workflows.run`` takes it."""
    found: dict[str, Any] = json.loads(Path(OlivePackageConfig.get_default_config_path()).read_text("utf-8"))
    ours: dict[str, Any] = json.loads(PACKAGE.read_text("utf-8"))
    return found | {"passes": found["passes"] | ours["passes"]}


if __name__ == "__main__":
    json.dump(package_config(), sys.stdout, indent=4)
