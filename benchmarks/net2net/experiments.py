"""What is run, as data: arms, learning rates, experiments, and the sizes at which they run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from net2net.nets import CUT, GPTSpec, InceptionSpec, Spec, Widths
from net2net.variants import Variant
from onnx_n2n.passes import Widen

Size = Literal["smoke", "cpu", "gpu"]


@dataclass(frozen=True)
class Init:
    """How a growth starts: the options of the product's ``widen``, and shares that the product does not have.

    Attributes:
        init: Fresh channels without outgoing weights, drawn or mixed, or copies that share those. Mixtures were the
            product's default when most experiments ran.
        noise: On the outgoing weights of copies, relative to theirs; it cancels over the copies.
        shares: ``halves`` are the product's; ``dirichlet`` draws them instead, as other tools do.
    """

    init: Literal["drawn", "zero", "net2net"] = "zero"
    noise: float = Widen.noise
    shares: Literal["halves", "dirichlet"] = "halves"

    @property
    def name(self) -> str:
        """A name for folders."""
        return f"{self.init}-{self.noise:g}-{self.shares}"


@dataclass(frozen=True)
class Arm:
    """One way to go on from a teacher, or to do without.

    Attributes:
        name: What it is called in tables and plots.
        start: ``grown`` by the product; ``pad``: the teacher's weights in their places and fresh ones around them;
            ``fresh``; or the ``teacher`` itself.
        net: Its size: that of the ``teacher``, of the ``student``, of what is left after growing ``again``, or that of
            the teacher with all classes, where it has ``gained`` those that it did not see.
        distil: Whether it also learns what the teacher says.
        init: How it is grown.
        moments: Whether the state of the optimizer grows too, or starts afresh.
        again: Whether it grows a second time, in the middle.
        rates: Names of its learning rates, where they are not the experiment's.
        points: Budgets in steps: for each, a branch whose rate falls leaves a run at a constant rate.
        counted: Whether its budgets are the plan's in multiply-adds instead, with all that its teacher has spent.
        teacher_epochs: The budget of its teacher, where it is not that of all others.
        variant: What the new places hold, if not what the product gives them.
        faster: How many times the others' the learning rate of new places is.
        by_width: Whether the rate of a weight is as many times less as its input is longer than the teacher's, as muP
            has it (arXiv 2203.03466).
    """

    name: str
    start: Literal["grown", "pad", "fresh", "teacher"]
    net: Literal["teacher", "student", "again", "gained"] = "student"
    distil: bool = False
    init: Init = Init()
    moments: Literal["grown", "reset"] = "reset"
    again: bool = False
    rates: tuple[str, ...] = ()
    points: tuple[int, ...] = ()
    counted: bool = False
    teacher_epochs: int = 0
    variant: Variant = "product"
    faster: float = 1.0
    by_width: bool = False

    @property
    def taught(self) -> bool:
        """Whether it needs a teacher."""
        return self.start != "fresh" or self.distil


@dataclass(frozen=True)
class Rate:
    """A learning rate: times the teacher's, and whether it is warmed up at the start and after growth."""

    name: str
    scale: float
    warmup: bool


@dataclass(frozen=True)
class Schedule:
    """How learning rates go on after the warm-up: down to nothing over the budget, as a cosine, or as they are.

    Attributes:
        teacher: The teacher's.
        arms: That of all others.
    """

    teacher: Literal["cosine", "constant"]
    arms: Literal["cosine", "constant"]


@dataclass(frozen=True)
class Experiment:
    """Arms that run beside one another on the same batches.

    Attributes:
        growth: Which growth, of the plan's.
        arms: What is compared.
        rates: Among these each arm has its own, by validation.
        schedule: Name of the one that the rates have.
        steps: The budget in steps; 0 for the plan's in epochs.
        probes: After how many steps rank and clones are measured.
        classes: The teacher knows only so many classes, and its classifier gains the others; 0 for all.
        choose: Whether rates are chosen; else all run with every seed.
        plan: Name of its plans, where they are not those of its kind of data.
    """

    growth: str
    arms: tuple[Arm, ...]
    rates: tuple[Rate, ...]
    schedule: str = "cosine"
    steps: int = 0
    probes: tuple[int, ...] = ()
    classes: int = 0
    choose: bool = True
    plan: str = ""


@dataclass(frozen=True)
class Plan:
    """How large everything is.

    Attributes:
        nets: Specifications by name.
        growths: For each growth the names of teacher, student, and what the student grows to later; for
            ``progressive`` this is a size between both, for an arm from scratch.
        epochs: The budget of every arm.
        teacher_epochs: That of the teacher.
        steps: Batches in an epoch; 0 for as many as the data has.
        batch: Examples in a batch.
        rate: The teacher's learning rate.
        warmup: Steps of warm-up.
        decay: Weight decay of AdamW.
        evaluated: Validation and test examples that are looked at; 0 for all.
        betas: Of AdamW.
        clip: The largest norm of a gradient; 0 for any.
        spend: Budgets in multiply-adds of arms that are ``counted``.
    """

    nets: Mapping[str, Spec]
    growths: Mapping[str, tuple[str, str, str]]
    epochs: int
    teacher_epochs: int
    steps: int
    batch: int
    rate: float
    warmup: int
    decay: float = 0.01
    evaluated: int = 0
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 0.0
    spend: tuple[float, ...] = ()


TENTH = Rate("tenth", 0.1, warmup=False)
FULL = Rate("full", 1.0, warmup=True)
ON = Rate("on", 1.0, warmup=False)
WARM = Rate("tenth-warm", 0.1, warmup=True)
THIRD = Rate("third", 0.3, warmup=True)
HALF, DOUBLE = Rate("half", 0.5, warmup=True), Rate("double", 2.0, warmup=True)
RATES: Mapping[str, Rate] = {rate.name: rate for rate in (TENTH, WARM, THIRD, FULL, ON, HALF, DOUBLE)}

SCHEDULES: Mapping[str, Schedule] = {
    "cosine": Schedule("cosine", "cosine"),
    "constant": Schedule("constant", "constant"),
    "late": Schedule("constant", "cosine"),
}

TEACHER = Arm("teacher", "fresh", net="teacher")
SCRATCH = Arm("scratch", "fresh")
ARMS = (
    Arm("grown", "grown"),
    Arm("grown-moments", "grown", moments="grown"),
    Arm("grown-copies", "grown", init=Init("net2net")),
    Arm("random-pad", "pad"),
    SCRATCH,
    Arm("distilled", "fresh", distil=True),
    Arm("continued", "teacher", net="teacher"),
)
DEEPER = tuple(arm for arm in ARMS if arm.name != "grown-copies")  # new layers are no copies
CLASSES = (
    *(arm for arm in ARMS if arm.name != "continued"),
    Arm("gained", "grown", net="gained"),
)
MOMENTS = (
    Arm("moments-grown", "grown", moments="grown", again=True),
    Arm("moments-reset", "grown", moments="reset", again=True),
    Arm("scratch", "fresh", net="again"),
    Arm("continued", "teacher", net="teacher", moments="grown"),
)
SYMMETRY = (
    *(Arm(f"noise-{noise:g}", "grown", init=Init("net2net", noise)) for noise in (0.0, 0.01, 0.1, 0.3, 1.0)),
    Arm("dirichlet", "grown", init=Init("net2net", 0.0, "dirichlet")),
    Arm("zero-fan-out", "grown"),
    Arm("drawn", "grown", init=Init("drawn")),
    Arm("random-pad", "pad"),
    SCRATCH,
)


def _beyond(on: tuple[int, ...], short: tuple[int, ...], long: tuple[int, ...]) -> tuple[Arm, ...]:
    """Return the arms where there is a teacher, and the goal is beyond it.

    Args:
        on: Budgets in steps for going on at the teacher's size; the last fifth of each decays.
        short: Those of arms that start from the teacher at the large size.
        long: Those of arms from scratch.
    """
    return (
        Arm("continued", "teacher", net="teacher", moments="grown", rates=("on",), points=on),
        *(
            Arm(name, "grown", init=init, moments="grown", rates=("on", "full", "half", "double"), points=short)
            for name, init in (("grown", Init()), ("drawn", Init("drawn")))
        ),
        Arm("copies", "grown", init=Init("net2net"), moments="grown", rates=("on",), points=short),
        Arm("random-pad", "pad", rates=("full",), points=short),
        Arm("scratch", "fresh", rates=("half", "full", "double"), points=long),
        Arm("distilled", "fresh", distil=True, rates=("full",), points=long),
        Arm("drawn-no-state", "grown", init=Init("drawn"), rates=("full",), points=short),
    )


CAPACITY = _beyond((800, 2400, 6000, 12000, 24000), (150, 300, 600, 1200, 2400), (1000, 1500, 2000, 3000, 4500, 6750))
IMAGE_CAPACITY = _beyond((800, 2400, 6000, 13000), (100, 200, 400, 800, 1600), (400, 800, 1200, 1800, 2700, 4000))
# What new places hold, how fast they learn, and what the optimizer knows; `--teacher-epochs` grows at other times.
SOME = (600, 1200, 2400)
EXCHANGE = (
    Arm("grown", "grown", moments="grown", rates=("on",), points=SOME),
    *(
        Arm(variant, "grown", moments="grown", rates=("on",), points=SOME, variant=variant)
        for variant in get_args(Variant)[1:]
    ),
    Arm("copies", "grown", init=Init("net2net"), moments="grown", rates=("on",), points=SOME),
    *(
        Arm(f"new-{faster:g}", "grown", moments="grown", rates=("on",), points=SOME, faster=faster)
        for faster in (0.3, 3.0, 10.0)
    ),
    Arm("by-width", "grown", moments="grown", rates=("on",), points=SOME, by_width=True),
    Arm("no-state", "grown", rates=("on", "full"), points=SOME),
    Arm("random-pad", "pad", rates=("full",), points=SOME),
)
# Whether to train one size from scratch or to train small first, if the small network's training is paid for too.
PROGRESSIVE = (
    Arm("thin", "fresh", net="teacher", rates=("half", "full", "double"), counted=True),
    Arm("times-4", "fresh", net="again", rates=("half", "full", "double"), counted=True),
    Arm("times-10", "fresh", rates=("half", "full", "double"), counted=True),
    *(
        Arm(name, "grown", moments="grown", rates=("on",), counted=True, teacher_epochs=epochs)
        for name, epochs in (("grown-early", 5), ("grown-late", 20))
    ),
)
RATIOS = (4, 10, 20)
EXPERIMENTS: Mapping[str, Experiment] = {
    "wider": Experiment("wider", ARMS, (TENTH, FULL)),
    "deeper": Experiment("deeper", DEEPER, (TENTH, FULL)),
    "both": Experiment("both", ARMS, (TENTH, FULL)),
    "moments": Experiment("wider", MOMENTS, (ON, FULL), schedule="constant", choose=False),
    "symmetry": Experiment(
        "wider", SYMMETRY, (FULL,), schedule="constant", steps=1000, probes=(0, 100, 1000), choose=False
    ),
    "classes": Experiment("wider", CLASSES, (TENTH, FULL), classes=5),
    **{
        f"capacity-{ratio}": Experiment(
            f"times-{ratio}", CAPACITY, (FULL,), schedule="constant", choose=False, plan="capacity"
        )
        for ratio in RATIOS
    },
    "capacity-images": Experiment(
        "times-8", IMAGE_CAPACITY, (FULL,), schedule="constant", choose=False, plan="capacity-images"
    ),
    "exchange": Experiment("times-10", EXCHANGE, (FULL,), schedule="constant", choose=False, plan="capacity"),
    "progressive": Experiment("progressive", PROGRESSIVE, (FULL,), schedule="constant", choose=False, plan="capacity"),
}


# --- sizes


def _images(stem: int, stages: tuple[tuple[Widths, ...], ...], stride: int = 1) -> dict[str, Spec]:
    """Return the paper's networks: the full one, its modules cut by sqrt(0.3), pairs added, and sqrt(2) wider."""
    full = InceptionSpec(stem, stages, stride=stride)
    wider = full.cut(2**0.5)
    pairs = {"deep": full, "both": wider}
    deeper = {name: replace(each, pairs=1) for name, each in pairs.items()}
    return {"cut": full.cut(CUT), "full": full, "wider": wider, **deeper}


def _thin(full: InceptionSpec, factor: float) -> tuple[dict[str, Spec], dict[str, tuple[str, str, str]]]:
    """Return an Inception and one that is thin all through, with a stem of half the width, and how that grows."""
    return {"thin": replace(full.cut(factor), stem=full.stem // 2), "full": full}, {"times-8": ("thin", "full", "")}


IMAGES = {
    "wider": ("cut", "full", "wider"),
    "deeper": ("full", "deep", ""),
    "both": ("full", "both", ""),
}
LANGUAGE = {
    "wider": ("small", "wide", "wider"),
    "deeper": ("small", "deep", ""),
    "both": ("small", "both", ""),
}


def _language(width: int, layers: int, context: int, head: int) -> dict[str, Spec]:
    """Return a GPT, the same twice and three times as wide, twice as deep, and one and a half times both."""

    def gpt(times: float, deep: float) -> GPTSpec:
        wide = round(width * times)
        return GPTSpec(wide, wide // head, 4 * wide, round(layers * deep), context, head)

    sizes = {"small": (1, 1), "wide": (2, 1), "wider": (3, 1), "deep": (1, 2), "both": (1.5, 1.5)}
    return {name: gpt(*times) for name, times in sizes.items()}


def _capacity(width: int, context: int, head: int) -> tuple[dict[str, Spec], dict[str, tuple[str, str, str]]]:
    """Return a thin GPT and those it grows to, by the ratio of multiply-adds; all have streams of one width."""

    def gpt(heads: int, inner: int, layers: int) -> GPTSpec:
        return GPTSpec(width, heads, inner, layers, context, head, start="quiet")

    nets: dict[str, Spec] = {
        "thin": gpt(2, width // 2, 2),
        "times-4": gpt(4, 3 * width, 3),
        "times-10": gpt(8, 5 * width, 4),
        "times-20": gpt(8, 8 * width, 6),
    }
    growths = {name: ("thin", name, "") for name in nets if name != "thin"}
    return nets, {**growths, "progressive": ("thin", "times-10", "times-4")}


_SMOKE = Widths(4, 4, 6, 3, 4, 4, 3, 3)
_SLIM = (
    (Widths(16, 16, 28, 10, 20, 20, 12, 7),),
    (Widths(24, 24, 40, 16, 32, 32, 16, 5), Widths(32, 32, 56, 20, 40, 40, 24, 3)),
)
_WHOLE = (
    (Widths(64, 64, 96, 48, 64, 64, 32, 7), Widths(64, 64, 96, 64, 96, 96, 64, 7)),
    (Widths(160, 96, 160, 80, 128, 128, 96, 5), Widths(160, 128, 192, 96, 160, 160, 96, 5)),
    (Widths(224, 160, 256, 128, 192, 192, 128, 3), Widths(256, 192, 320, 160, 224, 224, 128, 3)),
)

PLANS: Mapping[tuple[str, Size], Plan] = {
    ("images", "smoke"): Plan(
        _images(8, ((_SMOKE,), (_SMOKE,))), IMAGES, epochs=2, teacher_epochs=2, steps=6, batch=20, rate=3e-3, warmup=3
    ),
    ("images", "cpu"): Plan(
        _images(16, _SLIM, stride=2), IMAGES, epochs=30, teacher_epochs=30, steps=0, batch=100, rate=3e-3, warmup=100
    ),
    ("images", "gpu"): Plan(
        _images(64, _WHOLE), IMAGES, epochs=100, teacher_epochs=100, steps=0, batch=128, rate=2e-3, warmup=1000,
        decay=0.05,
    ),
    ("language", "smoke"): Plan(
        _language(16, 2, 16, 4), LANGUAGE, epochs=2, teacher_epochs=2, steps=6, batch=8, rate=3e-3, warmup=3,
        evaluated=40,
    ),
    ("language", "cpu"): Plan(
        _language(64, 4, 64, 16), LANGUAGE, epochs=20, teacher_epochs=20, steps=100, batch=32, rate=2e-3, warmup=100,
        evaluated=512,
    ),
    ("language", "gpu"): Plan(
        _language(256, 6, 256, 64), LANGUAGE, epochs=50, teacher_epochs=50, steps=100, batch=64, rate=1e-3, warmup=200,
        decay=0.1,
    ),
    ("capacity", "smoke"): Plan(
        *_capacity(16, 16, 4), epochs=0, teacher_epochs=2, steps=6, batch=8, rate=4e-3, warmup=3, evaluated=40,
        betas=(0.9, 0.95), clip=1.0, spend=(6.4e7, 1.28e8, 2.56e8),
    ),
    ("capacity", "cpu"): Plan(
        *_capacity(48, 64, 8), epochs=0, teacher_epochs=40, steps=400, batch=8, rate=4e-3, warmup=50, evaluated=800,
        betas=(0.9, 0.95), clip=1.0, spend=(1e11, 2e11, 4e11, 8e11),
    ),
    ("capacity", "gpu"): Plan(
        *_capacity(256, 256, 32), epochs=0, teacher_epochs=40, steps=400, batch=64, rate=1e-3, warmup=200, decay=0.1,
        betas=(0.9, 0.95), clip=1.0, spend=(6e13, 1.2e14, 2.4e14, 4.8e14),
    ),
    ("capacity-images", "smoke"): Plan(
        *_thin(InceptionSpec(8, ((_SMOKE,), (_SMOKE,))), 0.5), epochs=0, teacher_epochs=2, steps=6, batch=20,
        rate=3e-3, warmup=3,
    ),
    ("capacity-images", "cpu"): Plan(
        *_thin(InceptionSpec(16, _SLIM, stride=2), 0.3), epochs=0, teacher_epochs=60, steps=0, batch=100, rate=3e-3,
        warmup=50,
    ),
    ("capacity-images", "gpu"): Plan(
        *_thin(InceptionSpec(64, _WHOLE), 0.3), epochs=0, teacher_epochs=60, steps=0, batch=128, rate=2e-3,
        warmup=200, decay=0.05,
    ),
}  # fmt: skip
