"""Measure how many steps the tiny recipe takes to tell 64 pairs apart, as CSV.

    python benchmarks/measure_overfit.py OUT [--steps 2000] > overfit.csv

Pairs are tiles of the training corpus of `learning_cities.py` in OUT with their whole captions, no
two equal, drawn by the seed. Batches, loss and learning rate are the recipe's; after the warm-up
the rate stays. After each pass recall@1 is measured on the same pairs in evaluation mode, until it
is 100 % both ways: a check that the engine can learn, and nothing more.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path

import numpy as np
import torch
from learning_cities import TRAIN, corpora, tell

from sarknowlip.data.loader import Batch, Collate, EpochBatches
from sarknowlip.data.pairs import WHOLE, Pair, PairDataset, Visit
from sarknowlip.infer.ranking import hits, retrieval_ranks
from sarknowlip.models.model import SarKnowLIP
from sarknowlip.models.processing import ProcessorConfig, SarProcessor
from sarknowlip.models.tokenizer import make_tokenizer
from sarknowlip.train.objectives import OBJECTIVES
from sarknowlip.train.optim import make_optimizer
from sarknowlip.train.recipes import tiny
from sarknowlip.train.step import TrainStep

PAIRS = 64
COLUMNS = ("seed", "pairs", "step", "epoch", "seconds", "loss", "text_to_image", "image_to_text")


def drawn(corpus: Path, seed: int) -> list[Pair]:
    """Return tiles with whole captions, no two equal."""
    found = PairDataset(corpus, "train", annotation="v0001")
    kept: dict[str, Pair] = {}
    for index in np.random.default_rng(seed).permutation(len(found)):
        if len(kept) == PAIRS:
            break
        pair = found[Visit(WHOLE, int(index))]
        kept.setdefault(pair.caption, pair)
    if len(kept) < PAIRS:
        raise SystemExit(f"{corpus} has only {len(kept)} tiles with distinct captions")
    return list(kept.values())


@torch.inference_mode()
def recalls(model: SarKnowLIP, batch: Batch) -> tuple[float, float]:
    """Return recall@1 from texts to images, and back."""
    model.eval()
    texts, images = model.encode_text(**batch.texts), model.encode_image(**batch.images)
    own = np.arange(len(batch))
    ranks = (retrieval_ranks(*ways, own, own) for ways in ((texts, images), (images, texts)))
    to_image, to_text = (float(hits(rank.rank, [1]).mean()) for rank in ranks)
    model.train()
    return to_image, to_text


def main() -> None:
    """Train until all pairs are told apart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=2000, help="at most")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    list(corpora(asked.out))
    config = tiny()
    torch.set_num_threads(config.threads or torch.get_num_threads())
    pairs = drawn(asked.out / TRAIN, asked.seed)
    limits = ProcessorConfig(image_px=config.model.image_px, text_tokens=config.model.text_tokens)
    tokenizer = make_tokenizer([pair.caption for pair in pairs], config.vocab_size, None)
    collate = Collate(SarProcessor(limits, tokenizer))
    model = SarKnowLIP.fresh(config.model, tokenizer.get_vocab_size(), asked.seed)
    objective = OBJECTIVES[config.objective.name](config.objective, config.model)
    step = TrainStep(model, objective, config.precision)
    optimizer, chance = (
        make_optimizer(step, config.optim),
        torch.Generator().manual_seed(asked.seed),
    )
    everything = collate(pairs)
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(COLUMNS)
    order = EpochBatches(PAIRS, config.data.batch, seed=asked.seed, start=0, stop=asked.steps)
    start = time.perf_counter()
    for number, visits in enumerate(order, 1):
        for group in optimizer.param_groups:
            group["lr"] = config.optim.lr * min(1.0, number / config.optim.warmup_steps)
        loss = step(collate([pairs[visit.tile] for visit in visits]), chance)[0]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(step.parameters(), config.optim.clip_norm)
        optimizer.step()
        if number % order.steps_per_epoch:
            continue
        found, seconds = recalls(model, everything), time.perf_counter() - start
        told = [f"{loss.item():.4f}", *(f"{recall:.4f}" for recall in found)]
        table.writerow(
            [asked.seed, PAIRS, number, number // order.steps_per_epoch, f"{seconds:.1f}", *told]
        )
        sys.stdout.flush()
        if min(found) == 1.0:
            tell(f"all {PAIRS} pairs told apart after {number} steps")
            return
    raise SystemExit(f"not all pairs told apart after {asked.steps} steps")


if __name__ == "__main__":
    main()
