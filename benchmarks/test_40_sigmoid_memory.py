"""What the pairwise sigmoid loss keeps for its backward pass, and its time.

Bytes are those of distinct storages that autograd saves, counted by saved-tensor hooks: the inputs,
and whatever is kept between the passes. Peers: `SigLipLoss` of open_clip, and the same in chunks
under plain autograd. The 92.3 MB once told of open_clip's chunks was not reproduced: both peers
keep 226.5 MB. Values and gradients must agree before anything is measured. Rounds are interleaved;
the ratio of times is peer time by our time, that of memory our bytes by the peer's.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from clip_peers import open_clip_or_skip
from torch import Tensor
from torch.nn import functional

from sarknowlip.losses.sigmoid import sigmoid

B, D, CHUNK, ROUNDS = 4096, 512, 512, 5
REFERENCE_MB, SHARE = 92.3, 0.25

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def ours(image: Tensor, text: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    group = torch.arange(len(image))
    return sigmoid(image, text, scale, group, bias=bias, chunk=CHUNK)


def plain_chunks(image: Tensor, text: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    total = image.new_zeros(())
    for start in range(0, len(image), CHUNK):
        logits = scale * image[start : start + CHUNK] @ text.T + bias
        signs = -torch.ones_like(logits)
        signs[torch.arange(len(logits)), start + torch.arange(len(logits))] = 1.0
        total = total - functional.logsigmoid(signs * logits).sum()
    return total / len(image)


def inputs() -> list[Tensor]:
    draw = torch.Generator().manual_seed(0)
    image, text = functional.normalize(torch.randn(2, B, D, generator=draw), dim=-1)
    return [
        x.clone().requires_grad_() for x in (image, text, torch.tensor(10.0), torch.tensor(-10.0))
    ]


def kept_mb(loss: Loss) -> float:
    """Return the megabytes of distinct storages kept for the backward pass."""
    kept: dict[int, int] = {}
    alive = []

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss(*inputs())
    return sum(kept.values()) / 1e6


def results(loss: Loss) -> list[Tensor]:
    """Return value and gradients."""
    leaves = inputs()
    value = loss(*leaves)
    value.backward()
    return [value.detach(), *(leaf.grad for leaf in leaves)]


def seconds(*losses: Loss) -> list[float]:
    """Return the median time of forward and backward pass of each, rounds interleaved."""
    times: list[list[float]] = [[] for _ in losses]
    for _ in range(ROUNDS):
        for loss, own in zip(losses, times, strict=True):
            leaves = inputs()
            start = time.perf_counter()
            loss(*leaves).backward()
            own.append(time.perf_counter() - start)
    return [statistics.median(own) for own in times]


def compare(peer: Loss, name: str, record: Callable[..., None]) -> float:
    for one, other in zip(results(ours), results(peer), strict=True):
        assert torch.allclose(one, other, atol=1e-6, rtol=1e-4), name
    mine, theirs = kept_mb(ours), kept_mb(peer)
    my_s, their_s = seconds(ours, peer)
    record(
        "sigmoid_memory",
        peer=name,
        torch=torch.__version__,
        batch=B,
        width=D,
        chunk=CHUNK,
        threads=torch.get_num_threads(),
        kept_mb=round(mine, 2),
        peer_kept_mb=round(theirs, 2),
        memory_ratio=round(mine / theirs, 3),
        seconds=round(my_s, 3),
        peer_seconds=round(their_s, 3),
        time_ratio=round(their_s / my_s, 3),
    )
    return mine


def test_sigmoid_beside_plain_chunks(record: Callable[..., None]) -> None:
    mine = compare(plain_chunks, "chunks under autograd", record)
    assert mine <= SHARE * REFERENCE_MB


def test_sigmoid_beside_open_clip(record: Callable[..., None]) -> None:
    peer = open_clip_or_skip()
    loss = peer.loss.SigLipLoss()
    name = f"open_clip {peer.__version__}"
    assert compare(loss, name, record) <= SHARE * REFERENCE_MB
