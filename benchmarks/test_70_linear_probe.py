"""The linear probe beside scikit-learn's LogisticRegression, same loss, same strength.

Features are gaussian-ish clouds of ten classes that overlap: variances fall off as 1 / rank, then
everything is turned and each feature scaled, as features of networks are alike and uneven. Both
standardise the training rows (`Standard`, `StandardScaler`) and fit one strength; the peer runs to
its own tolerance, with as many iterations as it wants. Accuracy on rows not seen must agree to 0.1
point, and our loss must not be above the peer's, before times count.
Times are of the process, one thread, rounds interleaved; the ratio is peer time by our time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import pytest
import sklearn
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sarknowlip.bench.probes.linear import LinearConfig, fit_linear

N, F, K, ROUNDS = 100_000, 512, 10, 3
AGREE, GATE = 1e-3, 2.0


def clouds(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features (count, F), float32, and classes."""
    fixed, draw = np.random.default_rng(0), np.random.default_rng(seed)
    spread = (np.arange(1, F + 1) ** -0.5).astype(np.float32)
    centres = fixed.normal(size=(K, F)).astype(np.float32) * spread * np.float32(0.13)
    turn = np.linalg.qr(fixed.normal(size=(F, F)))[0].astype(np.float32)
    scale = fixed.lognormal(size=F).astype(np.float32)
    labels = draw.integers(K, size=count)
    x = draw.standard_normal((count, F), dtype=np.float32) * spread + centres[labels]
    return (x @ turn) * scale, labels.astype(np.int64)


def loss_of(weight: np.ndarray, bias: np.ndarray, z: np.ndarray, y: np.ndarray, c: float) -> float:
    logits = z.astype(np.float64) @ weight.T.astype(np.float64) + bias
    logits -= logits.max(axis=1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return float(np.square(weight).sum() / (2 * c * len(y)) - log_p[np.arange(len(y)), y].mean())


@pytest.mark.timeout(0)
@pytest.mark.parametrize("c", [1.0, 0.01])
def test_linear_probe(c: float, record: Callable[..., None]) -> None:
    torch.set_num_threads(1)
    (x, y), (x_new, y_new) = clouds(N, 1), clouds(50_000, 2)
    groups = [""] * N
    config = LinearConfig(strengths=(1.0 / (c * N * F),))
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        start = time.process_time()
        ours = fit_linear(x, y, groups, classes=K, config=config)
        times[0].append(time.process_time() - start)
        start = time.process_time()
        peer = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=10_000))
        peer.fit(x, y)
        times[1].append(time.process_time() - start)
    mine, theirs = float((ours.classes(x_new) == y_new).mean()), float(peer.score(x_new, y_new))
    z, head = ours.standard(x), peer[-1]
    my_loss = loss_of(ours.weight, ours.bias, z, y, c)
    their_loss = loss_of(head.coef_, head.intercept_, z, y, c)
    my_s, their_s = statistics.median(times[0]), statistics.median(times[1])
    record(
        "linear_probe",
        peer=f"scikit-learn {sklearn.__version__} LogisticRegression",
        peer_max_iter=10_000,
        peer_iterations=int(head.n_iter_[0]),
        rows=N,
        width=F,
        classes=K,
        c=c,
        rounds=ROUNDS,
        threads=torch.get_num_threads(),
        accuracy=round(mine, 5),
        peer_accuracy=round(theirs, 5),
        loss=round(my_loss, 6),
        peer_loss=round(their_loss, 6),
        seconds=round(my_s, 2),
        spread=round(max(times[0]) - min(times[0]), 2),
        peer_seconds=round(their_s, 2),
        peer_spread=round(max(times[1]) - min(times[1]), 2),
        ratio=round(their_s / my_s, 2),
    )
    assert abs(mine - theirs) <= AGREE
    assert my_loss <= their_loss + 1e-5
    assert their_s / my_s >= GATE
