"""Laws of inputs at the edge: finite and the same wherever the teacher is finite, and nothing claimed elsewhere."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.graphs import model, opened
from onnx_n2n.verification import Verdict, stress, verify
from onnx_n2n.verification.draw import wanted
from onnx_n2n.verification.sessions import CPU, SessionModel, Timed, session
from onnx_n2n.verification.trial import find_trial
from onnx_n2n.verification.variants import as_stored, stirred
from onnx_n2n.verification.yardstick import GRAINS

RNG = np.random.default_rng(0)
FALLING = -np.abs(RNG.standard_normal((6, 8)))  # what is not negative, times this, is not positive: Exp stays below 1
OUT = RNG.standard_normal((8, 3))
KINDS = {"float": np.float32, "float16": np.float16}


def exponential(kind: str, into: np.ndarray, out: np.ndarray, operator: str = "Exp") -> onnx.ModelProto:
    body = f"r = Relu(x) a = MatMul(r, v) e = {operator}(a) y = MatMul(e, u)"
    weights = {"v": into.astype(KINDS[kind]), "u": out.astype(KINDS[kind])}
    return model(body, f"{kind}[N,6] x", f"{kind}[N,3] y", **weights)


def grown(kind: str, fresh: np.ndarray) -> onnx.ModelProto:
    """The teacher with new channels that nothing reads."""
    into, out = np.concatenate([FALLING, fresh], 1), np.concatenate([OUT, np.zeros((fresh.shape[1], 3))])
    return exponential(kind, into, out)


def recurrent(length: str, size: int, feedback: float, activation: str) -> onnx.ModelProto:
    """An RNN of 4 states, and ``size`` more that feed themselves by ``feedback`` and are not read."""
    rng, hidden = np.random.default_rng(3), 4 + size
    own = rng.standard_normal((4, 4))
    r = feedback * np.eye(hidden)
    r[:4, :4] = 0.6 * own / max(abs(np.linalg.eigvals(own)))
    r[4:, :4] = 0.1
    w, u = rng.standard_normal((4, 3)), rng.standard_normal((4, 2))
    weights = {
        "w": np.concatenate([w, np.resize([[1.0], [-1.0]], (size, 1)) * np.ones((1, 3))])[None].astype(np.float32),
        "r": r[None].astype(np.float32),
        "u": np.concatenate([u, np.zeros((size, 2))]).astype(np.float32),
    }
    alphas = ", activation_alpha = [1.0], activation_beta = [0.0]" if activation == "Affine" else ""
    body = f'_, h = RNN<hidden_size = {hidden}, activations = ["{activation}"]{alphas}>(x, w, r) y = MatMul(h, u)'
    return model(body, f"float[{length},1,3] x", "float[1,1,2] y", **weights)


def claims(verdict: Verdict) -> list[bool | None]:
    return [each.same for each in verdict.tried]


# What is wrong is seen


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 99))
@settings(max_examples=4)
def test_a_new_channel_that_overflows_is_refused_and_a_bounded_one_is_not(kind: str, seed: int) -> None:
    fresh = np.abs(np.random.default_rng(seed).standard_normal((6, 2))) / 4 + 0.05
    teacher = exponential(kind, FALLING, OUT)
    wrong, right = verify(teacher, grown(kind, fresh)), verify(teacher, grown(kind, -fresh))
    assert right.ok
    assert claims(right)
    assert all(claims(right))
    assert not wrong.ok
    assert wrong.error == np.inf
    assert False in claims(wrong)


@pytest.mark.parametrize("activation", ["Affine", "Relu"])
def test_a_new_state_that_feeds_itself_is_refused_where_the_sequence_may_be_long(activation: str) -> None:
    students = {feedback: recurrent("T", 2, feedback, activation) for feedback in (0.0, 0.9, 1.2)}
    verdicts = {size: verify(recurrent("T", 0, 0.0, activation), each) for size, each in students.items()}
    assert [verdict.ok for verdict in verdicts.values()] == [True, True, False]
    assert any("steps along 'T'" in each.what and each.same is False for each in verdicts[1.2].tried)
    short = recurrent("8", 0, 0.0, activation), recurrent("8", 2, 1.2, activation)
    assert verify(*short).ok  # no input that these take is long


def test_half_precision_is_rounded_at_every_tensor() -> None:
    body = "a = Mul(x, big) b = Relu(a) y = Mul(b, small)"
    numbers = {"big": np.float16(1e3) * np.ones(2, np.float16), "small": np.full(2, 1e-3, np.float16)}
    source = SessionModel(model(body, "float16[N,2] x", "float16[N,2] y", **numbers).SerializeToString(), None)
    feed = {"x": np.array([[1000, 3]], np.float16)}
    rounded = session(as_stored(source), CPU).run(None, feed)[0]
    assert rounded[0, 0] == np.inf  # a million is no float16
    assert np.isclose(rounded[0, 1], 3, rtol=1e-2)


def test_a_channel_of_half_precision_that_overflows_is_refused_though_float32_would_hold_it() -> None:
    def net(fresh: int) -> onnx.ModelProto:
        v = np.concatenate([np.full((4, 2), 0.01), np.full((4, fresh), 60.0)], 1).astype(np.float16)
        u = np.concatenate([np.ones((2, 3)), np.zeros((fresh, 3))]).astype(np.float16)
        return model("a = MatMul(x, v) r = Relu(a) y = MatMul(r, u)", "float16[N,4] x", "float16[N,3] y", v=v, u=u)

    assert verify(net(0), net(0)).ok
    assert not verify(net(0), net(2)).ok


def test_what_is_wrong_only_at_large_scale_is_seen_though_it_is_finite() -> None:
    weight = RNG.standard_normal((6, 3)).astype(np.float32)
    teacher = model("y = MatMul(x, w)", "float[N,6] x", "float[N,3] y", w=weight)
    body = "a = Clip(x, low, high) y = MatMul(a, w)"
    student = model(body, "float[N,6] x", "float[N,3] y", w=weight, low=-50.0, high=50.0)
    verdict = verify(teacher, student)
    assert not verdict.ok
    assert 0 < verdict.error < np.inf


# What is right passes, and what cannot be told is not claimed


@pytest.mark.parametrize("operator", ["Exp", "Sinh", "Cosh"])
def test_what_is_not_finite_in_the_teacher_is_claimed_of_nobody(operator: str) -> None:
    """Where the teacher's output is infinite, the student may give any number."""
    inputs, outputs, weight = "float[N,3] x", "float[N,3] y", np.eye(3, dtype=np.float32)
    teacher = model(f"a = MatMul(x, w) y = {operator}(a)", inputs, outputs, w=weight)
    body = f"a = MatMul(x, w) z = {operator}(a) f = IsInf(z) y = Where(f, seven, z)"
    student = model(body, inputs, outputs, w=weight, seven=7.0)
    verdict = verify(teacher, student)
    assert verdict.ok
    assert any(each.finite < 1 for each in verdict.tried)
    assert all(each.same or "finite" in each.why for each in verdict.tried)


@given(seed=st.integers(0, 99), kind=st.sampled_from(list(KINDS)))
@settings(max_examples=12)
def test_a_right_student_is_not_refused_however_badly_its_teacher_is_conditioned(seed: int, kind: str) -> None:
    """Sums in another order differ by rounding, which a sine of large numbers and a difference of equals make large."""
    rng = np.random.default_rng(seed)
    v, u = rng.standard_normal((6, 8)).astype(KINDS[kind]), rng.standard_normal((8, 3)).astype(KINDS[kind])
    order = rng.permutation(8)
    body = "a = MatMul(x, v) b = MatMul(a, u) s = Sin(b) d = Sub(b, t) e = MatMul(a, u) y = Add(s, d)"
    body = body.replace(", t)", ", e)").replace("d = Sub(b, e) e = MatMul(a, u)", "e = MatMul(a, u) d = Sub(b, e)")
    models = [
        model(body, f"{kind}[N,6] x", f"{kind}[N,3] y", v=v[:, index], u=u[index]) for index in (np.arange(8), order)
    ]
    assert verify(*models).ok


def test_where_the_teacher_overflows_inside_a_zero_share_is_not_blamed() -> None:
    def net(copies: int) -> onnx.ModelProto:
        into, out = np.ones((3, 1 + copies)), np.concatenate([np.ones((1, 2)), np.zeros((copies, 2))])
        return model(
            "a = MatMul(x, v) e = Mul(a, a) f = Mul(e, e) g = Mul(f, f) h = Mul(g, g) s = MatMul(h, u) y = Tanh(s)",
            "float[N,3] x", "float[N,2] y", v=into.astype(np.float32), u=out.astype(np.float32),
        )  # fmt: skip

    verdict = verify(net(0), net(1))
    assert verdict.ok
    assert any(each.same is None and "inside" in each.why for each in verdict.tried)


def test_a_decision_at_large_scale_is_claimed_by_nobody() -> None:
    rng = np.random.default_rng(5)
    v, order = rng.standard_normal((6, 8)).astype(np.float32), rng.permutation(6)
    ways = (("x", v), ("p", v[order]))
    models = [
        model(f"p = Gather<axis = 1>(x, i) a = MatMul({name}, w) y = Round(a)", "float[N,6] x", "float[N,8] y",
              w=weight, i=order) for name, weight in ways
    ]  # fmt: skip
    assert verify(*models).ok


# What is tried


def feeds(proto: onnx.ModelProto, **options: Any) -> list[tuple[str, Any]]:
    teacher, skeleton = Timed(session(SessionModel(proto.SerializeToString(), None), CPU)), opened(proto)
    grain = GRAINS[next(kind for kind in GRAINS if kind.name == "FLOAT")]
    trial = find_trial(teacher, skeleton, None, {}, None, 0, grain)
    found = stress.stress(teacher, skeleton, wanted(skeleton, {}), trial, 0.0, 0, **options)
    return [("ordinary", trial.feeds[0]), *((what, each.feeds[0]) for what, each in found)]


def test_ids_masks_lengths_and_scalars_are_never_scaled() -> None:
    body = (
        "e = Gather(table, ids) m = Unsqueeze(mask, last) f = Mul(e, m) g = Add(f, x) "
        "h = Mul(g, rate) k = Cast<to = 7>(n) y = Tile(h, k)"
    )
    inputs = "int64[B,S] ids, float[B,S] mask, float[B,S,4] x, float rate, float[3] n"
    found = feeds(model(body, inputs, "float[O,P,Q] y", table=(5, 4), last=[-1]))
    whats = [what for what, _ in found]
    assert "inputs times 10,000" in whats
    assert any("steps along 'S'" in what for what in whats)
    for _, feed in found:
        assert 0 <= feed["ids"].min() <= feed["ids"].max() < 5
        assert set(np.unique(feed["mask"])) <= {0.0, 1.0}
        assert feed["n"].max() < 5
        assert feed["rate"] == found[0][1]["rate"]
        assert feed["ids"].shape == feed["mask"].shape == feed["x"].shape[:2]
    large = dict(found)["inputs times 10,000"]["x"]
    assert np.allclose(large, 1e4 * found[0][1]["x"])


def test_of_a_teacher_that_takes_long_one_scale_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stress, "SCALE_SECONDS", -1.0)
    monkeypatch.setattr(stress, "LONG_SECONDS", -1.0)
    monkeypatch.setattr(stress, "SHARE", 0.0)
    body = "a = MatMul(x, w) y = Tanh(a)"
    found = feeds(model(body, "float[N,S,4] x", "float[N,S,2] y", w=(4, 2)))
    assert [what for what, _ in found] == ["ordinary", "inputs times 10,000"]


def test_a_table_of_positions_ends_and_the_sequence_with_it() -> None:
    body = "n = Shape<start = 1, end = 2>(x) k = Squeeze(n) r = Range(zero, k, one) p = Gather(table, r) y = Add(x, p)"
    found = feeds(model(body, "float[1,S,4] x", "float[1,S,4] y", table=(100, 4), zero=np.int64(0), one=np.int64(1)))
    long = [feed["x"].shape[1] for what, feed in found if "steps" in what]
    assert long == [64]


def test_the_verdict_says_what_was_tried() -> None:
    verdict = verify(grown("float", -np.ones((6, 2))), exponential("float", FALLING, OUT))
    said = json.loads(json.dumps(verdict.to_json(), allow_nan=False))["tried"]
    assert said[0] == {"what": "inputs times 10,000", "finite": 1.0, "same": True, "why": ""}


def test_stirred_weights_move_the_answer_by_rounding_and_differ_from_run_to_run() -> None:
    proto = model("y = MatMul(x, w)", "float[N,6] x", "float[N,3] y", w=(6, 3))
    source, feed = SessionModel(proto.SerializeToString(), None), {"x": RNG.standard_normal((2, 6)).astype(np.float32)}
    exact = session(source, CPU).run(None, feed)[0]
    moved = session(stirred(source, 1e-4, 0), CPU)
    first, second = (moved.run(None, feed)[0] for _ in range(2))
    assert 0 < np.abs(first - exact).max() < 1e-2
    assert np.abs(first - second).max() > 0
