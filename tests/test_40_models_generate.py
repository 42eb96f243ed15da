"""Rung 4: drawing texts from a decoder."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from data.bench.make import SIZE
from sarknowlip.core.errors import ConfigError
from sarknowlip.models.config import SarKnowLIPConfig
from sarknowlip.models.decoder import Cache, TextDecoder
from sarknowlip.models.generate import Generation, generate, nucleus
from sarknowlip.models.model import SarKnowLIP

END = 2
ROOM = 40


class Toy:
    """A decoder of a small vocabulary whose likelihoods are far from equal.

    It counts its calls and the tokens that passed it.
    """

    def __init__(
        self, vocabulary: int, seed: int = 0, images: int = 3, spread: float = 4.0
    ) -> None:
        torch.manual_seed(seed)
        config = SarKnowLIPConfig(
            text_width=24, text_heads=3, text_tokens=ROOM, image_width=20, decoder_depth=2
        )
        self.decoder = TextDecoder(config).eval()
        self.tokens = torch.nn.Embedding(vocabulary, 24)
        for weight in self.decoder.parameters():
            if weight.dim() == 2:
                torch.nn.init.normal_(weight, std=0.4)
        torch.nn.init.normal_(self.tokens.weight, std=spread * 24**-0.5)
        self.image = torch.randn(images, 5, 20)
        self.calls: list[int] = []
        self.known: dict[tuple[int, ...], Tensor] = {}

    def step(self, ids: Tensor, mask: Tensor, cache: Cache) -> Tensor:
        self.calls.append(ids.shape[1])
        logits: Tensor = self.decoder(ids, mask, self.image, self.tokens, cache)
        return logits

    @torch.no_grad()
    def logp(self, ids: list[int], row: int) -> Tensor:
        """Return the log-probabilities (V,) of the word after `ids`, without a cache."""
        key = (row, *ids)
        if key not in self.known:
            image = self.image[row : row + 1]
            logits = self.decoder(torch.tensor([ids]), None, image, self.tokens, None)
            self.known[key] = logits[0, -1].log_softmax(0)
        return self.known[key]

    def draw(
        self,
        how: Generation,
        prompts: list[list[int]] | None = None,
        side: str = "left",
        seed: int | None = None,
    ) -> list[list[int]]:
        prompts = prompts or [[1]] * len(self.image)
        longest = max(map(len, prompts))
        ids, mask = torch.full((len(prompts), longest), 0), torch.zeros(len(prompts), longest)
        for index, prompt in enumerate(prompts):
            here = slice(longest - len(prompt), None) if side == "left" else slice(len(prompt))
            ids[index, here], mask[index, here] = torch.tensor(prompt), 1
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        cache = Cache(2, longest + how.max_new_tokens)
        return generate(self.step, ids, mask.long(), how, cache=cache, end=END, generator=generator)


def without_end(ids: tuple[int, ...] | list[int]) -> list[int]:
    return [*itertools.takewhile(lambda token: token != END, ids)]


def greedy(toy: Toy, prompt: list[int], row: int, longest: int) -> list[int]:
    out: list[int] = []
    while len(out) < longest and (not out or out[-1] != END):
        out.append(int(toy.logp([*prompt, *out], row).argmax()))
    return without_end(out)


def score(toy: Toy, prompt: list[int], row: int, ids: tuple[int, ...], power: float) -> float:
    total = 0.0
    for index, token in enumerate(ids):
        total += float(toy.logp([*prompt, *ids[:index]], row)[token])
    return total / len(ids) ** power


def all_texts(vocabulary: int, longest: int) -> list[tuple[int, ...]]:
    """Return all that end, and all of full length that do not."""
    words = [token for token in range(vocabulary) if token != END]
    ended = [
        (*text, END)
        for length in range(longest)
        for text in itertools.product(words, repeat=length)
    ]
    return [*ended, *itertools.product(words, repeat=longest)]


def beams_by_hand(
    toy: Toy, prompt: list[int], row: int, how: Generation
) -> tuple[list[int], float]:
    """Return the text of a beam search that never stops early, and its score."""
    beams: list[tuple[float, list[int]]] = [(0.0, [])]
    found: list[tuple[float, list[int]]] = []
    for length in range(1, how.max_new_tokens + 1):
        grown = [
            (total + float(value), [*ids, token])
            for total, ids in beams
            for token, value in enumerate(toy.logp([*prompt, *ids], row))
        ]
        divided = length**how.length_penalty
        found += [(total / divided, ids) for total, ids in grown if ids[-1] == END]
        alive = sorted((item for item in grown if item[1][-1] != END), key=lambda item: -item[0])
        beams = alive[: how.num_beams]
    found += [(total / how.max_new_tokens**how.length_penalty, ids) for total, ids in beams]
    best = max(found, key=lambda item: item[0])
    return without_end(best[1]), best[0]


PROMPTS = [[1], [1, 5, 4, 3], [1, 4]]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("seed", range(4))
def test_greedy_takes_the_likeliest_word_for_prompts_of_any_length(side: str, seed: int) -> None:
    toy = Toy(7, seed)
    out = toy.draw(Generation(max_new_tokens=12), PROMPTS, side)
    assert out == [greedy(toy, prompt, row, 12) for row, prompt in enumerate(PROMPTS)]


def test_each_word_passes_the_decoder_once() -> None:
    toy = Toy(7)
    with torch.no_grad():
        toy.tokens.weight[END] = 0.0
        toy.decoder.norm.bias.copy_(toy.tokens.weight[4])
    out = toy.draw(Generation(max_new_tokens=9), PROMPTS)
    assert [len(row) for row in out] == [9, 9, 9]
    assert toy.calls == [4] + [1] * 8


def test_stops_where_all_rows_have_ended() -> None:
    toy = Toy(7)
    with torch.no_grad():
        toy.decoder.norm.bias.copy_(9 * toy.tokens.weight[END])
    for how in (Generation(), Generation(num_beams=3), Generation(top_p=0.9)):
        toy.calls.clear()
        assert toy.draw(how, PROMPTS, seed=0) == [[], [], []]
        assert len(toy.calls) == 1


def test_some_rows_end_before_others() -> None:
    toy = Toy(5, 6, images=24)
    with torch.no_grad():
        toy.decoder.blocks[-1].cross.out.weight.mul_(4.0)
    out = toy.draw(Generation(max_new_tokens=10))
    assert out == [greedy(toy, [1], row, 10) for row in range(24)]
    lengths = {len(row) for row in out}
    assert min(lengths) < 10
    assert len(lengths) > 3


@pytest.mark.parametrize("seed", range(3))
def test_wide_beam_search_equals_brute_force(seed: int) -> None:
    toy = Toy(4, seed, images=2, spread=2.0)
    prompts = [[1], [1, 3]]
    for power in (0.0, 0.7, 1.0, 2.0):
        how = Generation(max_new_tokens=4, num_beams=27, length_penalty=power)
        out = toy.draw(how, prompts)
        for row, prompt in enumerate(prompts):
            scores = {ids: score(toy, prompt, row, ids, power) for ids in all_texts(4, 4)}
            assert out[row] == without_end(max(scores, key=scores.__getitem__))


@pytest.mark.parametrize("seed", range(3))
def test_beam_search_equals_one_without_cache_and_early_stop(seed: int) -> None:
    toy = Toy(7, seed, spread=2.0)
    for beams, power, side in itertools.product((2, 3, 5), (0.0, 1.0, 2.0), ("left", "right")):
        how = Generation(max_new_tokens=7, num_beams=beams, length_penalty=power)
        wanted = [beams_by_hand(toy, prompt, row, how)[0] for row, prompt in enumerate(PROMPTS)]
        assert toy.draw(how, PROMPTS, side) == wanted


def test_beam_search_finds_likelier_texts_than_greed() -> None:
    better = 0
    for seed in range(5):
        toy = Toy(7, seed, images=1, spread=2.0)
        how = Generation(max_new_tokens=6, num_beams=4, length_penalty=0.0)
        (greed,) = toy.draw(Generation(max_new_tokens=6))
        (beam,) = toy.draw(how)
        found, known = (
            score(toy, [1], 0, (*ids, END) if len(ids) < 6 else tuple(ids), 0.0)
            for ids in (beam, greed)
        )
        assert found >= known - 1e-5
        better += found > known + 1e-3
    assert better


def test_beam_search_stops_early_without_loss() -> None:
    early = late = 0
    for seed, power in itertools.product(range(5), (0.0, 1.0, 3.0)):
        toy = Toy(4, seed, images=1, spread=1.0)
        how = Generation(max_new_tokens=12, num_beams=3, length_penalty=power)
        out = toy.draw(how)
        early += len(toy.calls) < 12
        late += len(out[0]) > 2
        assert out == [beams_by_hand(toy, [1], 0, how)[0]]
    assert early
    assert late


@pytest.mark.parametrize("length", [1, 2])
def test_sampled_texts_have_the_decoder_s_distribution(length: int) -> None:
    count, how = 4000, Generation(max_new_tokens=length, top_p=0.9, temperature=2.0)
    toy = Toy(9, 3, images=1, spread=1.5)
    toy.image = toy.image.expand(count, -1, -1)
    wanted: dict[tuple[int, ...], float] = {}
    words = [token for token in range(9) if token != END]
    texts = [(*text, END) for n in range(length) for text in itertools.product(words, repeat=n)]
    for ids in [*texts, *itertools.product(words, repeat=length)]:
        share = 1.0
        for index, token in enumerate(ids):
            logits = toy.logp([1, *ids[:index]], 0) / 2.0
            share *= float(nucleus(logits[None], 0.9)[0, token])
        wanted[tuple(without_end(ids))] = share
    assert abs(sum(wanted.values()) - 1) < 1e-5
    got = Counter(map(tuple, toy.draw(how, seed=5)))
    assert all(wanted[key] > 0 for key in got)
    often = [key for key, share in wanted.items() if count * share >= 8]
    means = [count * wanted[key] for key in often]
    observed = [got[key] for key in often]
    if count - sum(means) > 1:
        means.append(count - sum(means))
        observed.append(count - sum(observed))
    scale = sum(observed) / sum(means)
    assert abs(scale - 1) < 0.01
    assert len(often) > 3
    assert chisquare(observed, [mean * scale for mean in means]).pvalue > 1e-3


def test_the_nucleus_is_the_fewest_that_reach_the_sum() -> None:
    share = torch.tensor([[0.1, 0.5, 0.15, 0.25], [0.97, 0.01, 0.01, 0.01]])
    out = nucleus(share.log(), 0.7)
    assert torch.allclose(out[0], torch.tensor([0.0, 2 / 3, 0.0, 1 / 3]))
    assert torch.equal(out[1], torch.tensor([1.0, 0.0, 0.0, 0.0]))
    assert torch.allclose(nucleus(share.log(), 1.0), share)
    assert torch.equal(nucleus(share.log(), 1e-9)[0], torch.tensor([0.0, 1.0, 0.0, 0.0]))


def test_the_same_generator_draws_the_same_texts() -> None:
    toy = Toy(7, spread=1.0)
    how = Generation(max_new_tokens=12, top_p=0.9)
    assert toy.draw(how, PROMPTS, seed=1) == toy.draw(how, PROMPTS, seed=1)
    assert toy.draw(how, PROMPTS, seed=1) != toy.draw(how, PROMPTS, seed=2)


def test_a_small_nucleus_or_a_low_temperature_is_greed() -> None:
    toy = Toy(7)
    wanted = toy.draw(Generation(max_new_tokens=8), PROMPTS)
    assert toy.draw(Generation(max_new_tokens=8, top_p=1e-6), PROMPTS, seed=0) == wanted
    cold = Generation(max_new_tokens=8, top_p=1.0, temperature=1e-3)
    assert toy.draw(cold, PROMPTS, seed=0) == wanted


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="top_p does not go with a beam search"):
        Generation(top_p=0.5, num_beams=2)
    with pytest.raises(ConfigError, match="temperature without top_p"):
        Generation(temperature=0.5)
    toy = Toy(7, images=1)
    with pytest.raises(ValueError, match="a prompt without tokens"):
        generate(
            toy.step,
            torch.zeros(1, 2, dtype=torch.int64),
            torch.zeros(1, 2),
            Generation(),
            cache=Cache(2, 66),
            end=END,
        )


def test_the_model_answers_prompts_about_images() -> None:
    model = SarKnowLIP.fresh(SIZE, 30, seed=1).eval()
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        model.text.tokens.weight.normal_(std=3.0, generator=draw)
    images = (
        torch.randn(3, 2, 32, 32, generator=draw),
        torch.tensor([[13, 14]] * 3),
        torch.tensor([10.0, 5.0, 20.0]),
    )
    prompt = torch.tensor([[0, 1, 7, 9], [1, 8, 9, 11], [0, 0, 1, 4]])
    given = {"prompt_ids": prompt, "prompt_mask": (prompt != 0).long(), "max_new_tokens": 6}
    out = model.generate(*images, **given)
    with torch.no_grad():
        seen = model.image_tokens(*images)
        for row, ids in enumerate(prompt.tolist()):
            text = [token for token in ids if token]
            start = len(text)
            while len(text) < start + 6 and text[-1] != END:
                logits = model.caption_logits(torch.tensor([text]), None, seen[row : row + 1])
                text.append(int(logits[0, -1].argmax()))
            assert out[row] == without_end(text[start:])
    assert len({tuple(row) for row in out}) > 1
    for how in ({"num_beams": 3}, {"top_p": 0.9, "generator": draw}, {"prompt_ids": None}):
        told = model.generate(*images, **{"max_new_tokens": 6, **how})
        assert len(told) == 3
        assert all(len(row) <= 6 and END not in row for row in told)
    with pytest.raises(ValueError, match="the decoder takes 16"):
        model.generate(*images, prompt_ids=prompt, max_new_tokens=13)
    with pytest.raises(ConfigError, match="beams"):
        model.generate(*images, beams=3)


def test_a_model_in_training_mode_writes_the_same_and_stays_in_its_mode() -> None:
    model = SarKnowLIP.fresh(SIZE.model_copy(update={"geo_dropout": 0.5}), 30, seed=1).eval()
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in (model.text.tokens.weight, *model.image.geo.parameters()):
            weight.normal_(std=3.0, generator=draw)
        for block in model.decoder.blocks:
            block.cross.out.weight.mul_(20.0)
    images = (
        torch.randn(8, 2, 32, 32, generator=draw),
        torch.tensor([[13, 14]] * 8),
        torch.full((8,), 10.0),
        torch.randn(8, 8, generator=draw),
    )
    wanted = model.generate(*images, max_new_tokens=6)
    model.train()
    model.text.eval()
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        assert not torch.equal(model.image_tokens(*images), model.image_tokens(*images))
        modes = {name: member.training for name, member in model.named_modules()}
        assert model.generate(*images, max_new_tokens=6) == wanted
    assert {name: member.training for name, member in model.named_modules()} == modes
    with pytest.raises(ValueError, match="pixels"):
        model.generate(images[0][:, :, :16], *images[1:], max_new_tokens=6)
    assert {name: member.training for name, member in model.named_modules()} == modes
