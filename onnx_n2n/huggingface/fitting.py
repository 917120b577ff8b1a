"""What a class can say of a growth: a config that has its sizes, and the numbers of norms that have to follow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from onnx_n2n.errors import GrowthError
from onnx_n2n.huggingface import configs
from onnx_n2n.huggingface.configs import Candidate, Fields
from onnx_n2n.huggingface.student import Larger
from onnx_n2n.huggingface.teacher import Teacher, canonical, weights_of
from onnx_n2n.huggingface.tracing import homes
from onnx_n2n.passes.widen import Widen
from onnx_n2n.verification.options import Proof
from onnx_n2n.width.plan import plan


@dataclass(frozen=True, eq=False)
class Fitted:
    """A growth that a class can say.

    Attributes:
        candidate: The config, and the class with it.
        larger: The class with what its weights become.
        follow: Further fields that have to change: the epsilon of norms.
    """

    candidate: Candidate
    larger: Larger
    follow: Fields

    @property
    def grown(self) -> frozenset[str]:
        """Names of the groups that grow."""
        return frozenset(each.name for each in self.larger.result.change.grown)


def fitted(teacher: Teacher, change: Widen, fields: Fields) -> Fitted:
    """Grow as the first config says that fits; of what grows nothing is made yet.

    Args:
        teacher: The old model.
        change: What to do. Groups for which the class has no config keep their size.
        fields: Values of fields of the config that a user has chosen.

    Raises:
        GrowthError: No config has the sizes, or no field says a number that has to change.
    """
    found = next(_candidates(teacher, change, fields), None)
    if found is None:
        raise GrowthError(f"no config of {teacher.network.kind.__name__} has the sizes")
    candidate, asked = found
    result = asked(teacher.analysis.model, proof=Proof(wanted=False))
    sources = {name: name for name in candidate.network.shapes}
    larger = Larger(candidate.network, weights_of(result.model), sources, result)
    follow = configs.epsilons(teacher.network, result.change.settings, homes(teacher.analysis.model))
    return Fitted(candidate, larger, {path: value for path, value in follow.items() if path not in fields})


def _candidates(teacher: Teacher, change: Widen, fields: Fields) -> Iterator[tuple[Candidate, Widen]]:
    """Yield configs whose sizes a growth has, each with that growth."""
    analysis = teacher.analysis
    grown = configs.sizes(analysis, plan(analysis, change))
    for candidate in configs.candidates(teacher.network, grown, fields, teacher.shown):
        wanted = canonical(candidate.network)
        if wanted == canonical(teacher.network):
            continue
        taken = configs.growing(analysis, wanted)
        others = tuple(group.name for group in analysis.groups if group.name not in taken)
        asked = replace(change, without=tuple(dict.fromkeys((*change.without, *others))))
        growth = plan(analysis, asked)
        if growth.grown and configs.fits(wanted, configs.shapes_of(analysis, growth)):
            yield candidate, asked
