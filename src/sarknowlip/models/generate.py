"""How a text is drawn from a decoder: greedily, by beam search or by chance.

A decoder is a `Step`: ids, mask and cache in, logits out. Prompts may have any lengths, padded on
either side; they pass the decoder once, after that each step passes one token a row.

Shapes: B batch, P tokens of prompts, W beams, R = B · W rows, T new tokens, V vocabulary.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError
from sarknowlip.models.decoder import Cache

Step = Callable[[Tensor, Tensor, Cache], Tensor]
"""Takes ids (B, L), a mask (B, L), 1 for real tokens, and a cache; returns logits (B, L, V)."""


class Generation(Config):
    """How to draw.

    Without `top_p` and with one beam, each token is the likeliest one.

    Attributes:
        max_new_tokens: Longest text, tokens.
        num_beams: Texts kept at each step of a beam search; 1 for none.
        length_penalty: The best text of a beam search has the largest log-likelihood divided by its
            length to this power (Wu et al. 2016, without their constant); 0 for no division. The
            end counts as a token.
        top_p: Each token is drawn from the fewest whose probabilities reach this sum (nucleus
            sampling, Holtzman et al. 2020); 1 for all tokens.
        temperature: Divides logits before `top_p`; below 1 prefers the likely.
    """

    max_new_tokens: Annotated[int, Field(ge=1)] = 64
    num_beams: Annotated[int, Field(ge=1)] = 1
    length_penalty: Annotated[float, Field(ge=0.0)] = 1.0
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    temperature: Annotated[float, Field(gt=0.0)] = 1.0

    def model_post_init(self, context: object, /) -> None:
        """Refuse settings that would be ignored.

        Raises:
            ConfigError: Settings that do not go together.
        """
        if self.top_p is not None and self.num_beams > 1:
            raise ConfigError("top_p does not go with a beam search", "give top_p or num_beams")
        if self.top_p is None and self.temperature != 1.0:
            raise ConfigError("temperature without top_p does nothing", "give top_p=1 to sample")


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module and its members into evaluation mode, and each back into its own at the end."""
    training = [member for member in module.modules() if member.training]
    module.eval()
    try:
        yield
    finally:
        for member in training:
            member.training = True


@torch.no_grad()
def generate(
    step: Step,
    prompt_BP: Tensor,
    mask_BP: Tensor,
    how: Generation,
    *,
    cache: Cache,
    end: int,
    generator: torch.Generator | None = None,
) -> list[list[int]]:
    """Return the new tokens of each row, without prompt and end.

    Args:
        step: The decoder.
        prompt_BP: Token ids with which texts begin.
        mask_BP: 1 for a real token, 0 for padding; at least one real token a row.
        how: How to draw.
        cache: Empty; has room for P + `how.max_new_tokens` tokens.
        end: Id of the token that ends a text.
        generator: Source of chance for `top_p`; the same state gives the same texts.

    Raises:
        ValueError: A prompt without tokens.
    """
    real_BP = mask_BP.bool()
    if not bool(real_BP.any(dim=1).all()):
        raise ValueError("a prompt without tokens: give at least the begin token")
    place_P = torch.arange(real_BP.shape[1], device=real_BP.device)
    last_B = (real_BP * place_P).argmax(dim=1)
    logits_BPV = step(prompt_BP, mask_BP, cache)
    first_BV = logits_BPV[torch.arange(len(last_B), device=last_B.device), last_B].float()
    if how.num_beams > 1:
        return _beam_search(step, first_BV, how, cache, end)

    def choose(logits_BV: Tensor) -> Tensor:
        if how.top_p is None:
            return logits_BV.argmax(dim=1)
        share_BV = nucleus(logits_BV / how.temperature, how.top_p)
        return torch.multinomial(share_BV, 1, generator=generator).squeeze(1)

    return _one_by_one(step, first_BV, choose, how.max_new_tokens, cache=cache, end=end)


def nucleus(logits_BV: Tensor, top_p: float) -> Tensor:
    """Return probabilities (B, V) of the fewest tokens that together reach `top_p`, 0 for others.

    The likeliest token always stays.
    """
    sorted_BV, order_BV = logits_BV.softmax(dim=1).sort(dim=1, descending=True, stable=True)
    before_BV = sorted_BV.cumsum(dim=1) - sorted_BV
    before_BV[:, 0] = 0.0
    kept_BV = sorted_BV.masked_fill((before_BV >= top_p) & (top_p < 1.0), 0.0)
    share_BV = torch.zeros_like(kept_BV).scatter(1, order_BV, kept_BV)
    return share_BV / share_BV.sum(dim=1, keepdim=True)


def _one_by_one(
    step: Step,
    logits_BV: Tensor,
    choose: Callable[[Tensor], Tensor],
    longest: int,
    *,
    cache: Cache,
    end: int,
) -> list[list[int]]:
    chosen: list[Tensor] = []
    ended_B = torch.zeros(logits_BV.shape[0], dtype=torch.bool, device=logits_BV.device)
    while True:
        chosen.append(choose(logits_BV))
        ended_B = ended_B | (chosen[-1] == end)
        if len(chosen) == longest or bool(ended_B.all()):
            break
        ids_B1 = chosen[-1][:, None]
        logits_BV = step(ids_B1, torch.ones_like(ids_B1), cache)[:, -1].float()
    return [row[: row.index(end)] if end in row else row for row in torch.stack(chosen, 1).tolist()]


def _beam_search(
    step: Step, logits_BV: Tensor, how: Generation, cache: Cache, end: int
) -> list[list[int]]:
    """Return the best text found a row.

    Texts that end leave the beams, whose number stays W; of those that ended the best is kept. The
    search stops when no beam can still become better.
    """
    (B, V), W, T = logits_BV.shape, how.num_beams, how.max_new_tokens
    device, power = logits_BV.device, how.length_penalty
    row_B, row_B1 = torch.arange(B, device=device), torch.arange(B, device=device)[:, None]
    cache.expand(W)
    logp_BWV = logits_BV.log_softmax(dim=1)[:, None].expand(B, W, V)
    score_BW = torch.full((B, W), -torch.inf, device=device)
    score_BW[:, 0] = 0.0
    ids_BWT = torch.full((B, W, T), end, device=device)
    best_B, best_BT = torch.full((B,), -torch.inf, device=device), ids_BWT[:, 0].clone()
    for done in range(1, T + 1):
        total_BWV = score_BW[:, :, None] + logp_BWV
        ended_B, beam_B = (total_BWV[:, :, end] / done**power).max(dim=1)
        better_B = ended_B > best_B
        best_BT = torch.where(better_B[:, None], ids_BWT[row_B, beam_B], best_BT)
        best_B = torch.where(better_B, ended_B, best_B)
        total_BWV[:, :, end] = -torch.inf
        score_BW, flat_BW = total_BWV.flatten(1).topk(W, dim=1)
        beam_BW, token_BW = flat_BW // V, flat_BW % V
        ids_BWT = ids_BWT[row_B1, beam_BW]
        ids_BWT[:, :, done - 1] = token_BW
        limit_B = score_BW[:, 0] / T**power
        if done == T or bool((best_B >= limit_B).all()):
            break
        cache.reorder((row_B1 * W + beam_BW).flatten())
        ids_R1 = token_BW.reshape(B * W, 1)
        logits_R1V = step(ids_R1, torch.ones_like(ids_R1), cache)
        logp_BWV = logits_R1V[:, -1].float().log_softmax(dim=1).reshape(B, W, V)
    best_BT = torch.where((limit_B > best_B)[:, None], ids_BWT[:, 0], best_BT)
    return [row[: row.index(end)] if end in row else row for row in best_BT.tolist()]
