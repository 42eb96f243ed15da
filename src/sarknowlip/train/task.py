"""What is trained. The loop knows a `Task`; a task knows its model, loss, data and files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from sarknowlip.annotate.store import (
    CLAIMS,
    EVIDENCE,
    MANIFEST,
    TEXTS,
    WEIGHTS,
    annotation_folder,
)
from sarknowlip.core.errors import CorpusError
from sarknowlip.core.files import read_json
from sarknowlip.core.hashing import file_sha256, tree_sha256
from sarknowlip.corpus.catalog import Catalog
from sarknowlip.data.loader import Batch, EpochBatches, train_loader, whole_loader
from sarknowlip.data.pairs import PairDataset
from sarknowlip.infer.encoder import model_folder
from sarknowlip.models.card import RunFacts
from sarknowlip.models.model import SarKnowLIP, without_bars
from sarknowlip.models.processing import ProcessorConfig, SarProcessor
from sarknowlip.models.tokenizer import make_tokenizer
from sarknowlip.models.transfer.transfer import from_checkpoint
from sarknowlip.train.config import TrainConfig
from sarknowlip.train.distributed import Ranks
from sarknowlip.train.objectives import OBJECTIVES
from sarknowlip.train.objectives.config import ObjectiveConfig
from sarknowlip.train.objectives.kinds import with_features
from sarknowlip.train.objectives.objective import Objective
from sarknowlip.train.shares import Shares, require_shares
from sarknowlip.train.start import begun
from sarknowlip.train.step import VALIDATION, TrainStep, chance

MODEL = "model."
"""Prefix of the model's weights among those of a step."""


class Task(Protocol):
    """What the loop needs.

    Attributes:
        steps_per_epoch: Steps of a pass over the training data.
        pairs: Training examples.
        origin: Where first weights come from, for people; None where they are random.
    """

    steps_per_epoch: int
    pairs: int
    origin: str | None

    @property
    def module(self) -> nn.Module:
        """From (batch, generator, balance) to the loss, with gradient, and its parts."""
        ...

    def balance(self, parts: Sequence[Batch]) -> list[dict[str, Tensor]]:
        """Return for each part of a step's batch factors on its terms, by name."""
        ...

    def batches(self, start: int, stop: int) -> Iterable[Batch]:
        """Yield this process's batches of steps start…stop − 1, as many a step as it has parts."""
        ...

    def first_batch(self) -> Batch:
        """Return the first batch of the run, on the weights' device."""
        ...

    def save_memory(self) -> None:
        """Have activations computed again in the backward pass."""
        ...

    def advance(self, step: int) -> None:
        """Take in that weights have changed; `step` steps are done."""
        ...

    def validate(self) -> dict[str, float]:
        """Return loss and parts on held-out data, empty if there is none."""
        ...

    def readings(self) -> dict[str, float]:
        """Return further values for the log."""
        ...

    def save(
        self, folder: Path, weights: dict[str, Tensor], *, steps: int, results: dict[str, float]
    ) -> None:
        """Write what `from_pretrained` reads.

        Args:
            folder: Where to.
            weights: By name in `module`.
            steps: Steps done.
            results: Values of the last validation by name.
        """
        ...


class PairTask:
    """Images and their texts.

    Args:
        config: Of the run.
        root: Corpus folder.
        ranks: This process and those beside it.

    Raises:
        CorpusError: Not enough pairs, or a damaged corpus.
        ConfigError: An unknown objective, too small a vocabulary, too small a batch, nothing to
            start from at `init`, or a model of another size at `start`.
        SarKnowlipError: No model at `start`.
    """

    def __init__(self, config: TrainConfig, root: Path, ranks: Ranks) -> None:
        self.config, self.root, self.ranks = config, root, ranks
        size = config.model
        if reconstructs(config.objective) and size.pixel_features is None:
            size = with_features(size, config.objective)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            objective: Objective = OBJECTIVES[config.objective.name](config.objective, size)
        transfer = None if config.init is None else from_checkpoint(config.init, size)
        self._train, self._val = (
            PairDataset(
                root,
                split,
                annotation=config.data.annotation,
                seed=config.seed,
                captions=config.data.captions,
                augment=config.data.augment,
                shards=config.data.shards,
                fold=config.data.fold if split == "train" else None,
            )
            for split in ("train", "val")
        )
        self._train.require_pairs()
        self.pairs = len(self._train)
        self.steps_per_epoch = self._order(0, 0).steps_per_epoch
        require_shares(self.pairs // self.steps_per_epoch, config.accumulate, ranks.count)
        self.origin: str | None = None
        self._attributions = attributions(root, config.data.annotation)
        self._before = RunFacts()
        if config.start is not None:
            self.model, self.processor, self.origin = begun(Path(config.start), size)
            self._before = RunFacts.model_validate(self.model.config.run or {})
        else:
            tokenizer = make_tokenizer(self._train.texts(), config.vocab_size, size.text_init)
            limits = ProcessorConfig(image_px=size.image_px, text_tokens=size.text_tokens)
            self.processor = SarProcessor(limits, tokenizer)
            first = size if transfer is None else transfer.size
            self.model = SarKnowLIP.fresh(first, tokenizer.get_vocab_size(), config.seed)
            if transfer is not None:
                self.origin = transfer.report.line()
                transfer.load(self.model)
        objective.begin(self.model, config.total_steps(self.steps_per_epoch))
        self.module = TrainStep(self.model, objective, config.precision).to(ranks.device)

    def batches(self, start: int, stop: int) -> Iterable[Batch]:
        """Yield this process's batches of steps start…stop − 1, as many a step as it has parts."""
        return self._batches(start, stop, self.config.data.workers)

    def balance(self, parts: Sequence[Batch]) -> list[dict[str, Tensor]]:
        """Return for each part of a step's batch factors on its terms, by name."""
        return self.module.balance(parts, self.ranks)

    def first_batch(self) -> Batch:
        """Return the first batch of the run, on the weights' device."""
        return next(iter(self._batches(0, 1, 0))).to(self.ranks.device)

    def save_memory(self) -> None:
        """Have activations computed again in the backward pass."""
        self.model.gradient_checkpointing_enable()  # type: ignore[no-untyped-call]

    def advance(self, step: int) -> None:
        """Have the objective take in that weights have changed; `step` steps are done."""
        self.module.objective.advance(self.model, step, self.ranks)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return loss and parts on the validation split, weighted by batch; none if it has < 2."""
        if len(self._val) < 2:
            return {}
        self.module.eval()
        total: dict[str, float] = {}
        data = self.config.data
        batches = whole_loader(self._val, self.processor, data.batch, data.workers)
        for number, batch in enumerate(batches):
            generator = chance(self.config.seed, VALIDATION, number, self.ranks)
            loss, parts = self.module(batch.to(self.ranks.device), generator)
            for name, value in {"loss": loss, **parts}.items():
                total[name] = total.get(name, 0.0) + float(value) * len(batch)
        self.module.train()
        return {name: value / len(self._val) for name, value in total.items()}

    def readings(self) -> dict[str, float]:
        """Return the factor on cosines, and what the objective has to tell."""
        scale = round(float(self.model.logit_scale.detach().exp()), 4)
        return {"scale": scale, **self.module.objective.readings()}

    def save(
        self, folder: Path, weights: dict[str, Tensor], *, steps: int, results: dict[str, float]
    ) -> None:
        """Write config.json, model.safetensors, model card, the processor and tokenizer.json.

        The card tells of this run: the licence of the weights is for their owner to state.
        """
        run = RunFacts(
            recipe=self.config.recipe,
            objective=self.config.objective.name,
            data=self.root.resolve().name,
            annotation=self.config.data.annotation,
            pairs=self.pairs,
            steps=steps,
            origin=_named(self.config.start or self.config.init),
            attributions=tuple(sorted({*self._attributions, *self._before.attributions})),
            results=results,
        )
        own = {
            name.removeprefix(MODEL): value
            for name, value in weights.items()
            if name.startswith(MODEL)
        }
        with without_bars():
            self.model.save_pretrained(folder, state_dict=own, run=run)
        self.processor.save_pretrained(folder)

    def _order(self, start: int, stop: int) -> EpochBatches:
        batch, seed = self.config.data.batch, self.config.seed
        return EpochBatches(self.pairs, batch, seed=seed, start=start, stop=stop)

    def _batches(self, start: int, stop: int, workers: int) -> Iterable[Batch]:
        order = self._order(start, stop)
        shares = Shares(order, self.config.accumulate, self.ranks.rank, self.ranks.count)
        return train_loader(self._train, self.processor, shares, workers)


def _named(start: str | None) -> str | None:
    """Return what first weights came from, by the name of its file or folder alone."""
    if start is None:
        return None
    path = Path(start).resolve()
    return path.parent.name if path.name == "model" else path.name


def reconstructs(config: ObjectiveConfig) -> bool:
    """Return whether an objective predicts hidden patches."""
    return config.name == "masked" or (config.name == "combined" and config.combined.masked > 0)


def attributions(root: Path, version: str | None) -> tuple[str, ...]:
    """Return what the sources of a version of the annotations ask to be said, sorted.

    The catalog knows of no such demands of products.

    Args:
        root: Corpus folder.
        version: Of the annotations, "v0001"; None for the newest.

    Raises:
        SarKnowlipError: The version's manifest is absent or damaged.
    """
    path = annotation_folder(root, version) / MANIFEST
    remedy = "annotate the corpus again"
    told = read_json(path, remedy)
    notes = told.get("attributions", {}) if isinstance(told, dict) else None
    if not isinstance(notes, dict):
        raise CorpusError(f"{path} is no manifest of annotations", remedy)
    return tuple(sorted({str(note) for note in notes.values()}))


def data_identity(config: TrainConfig, root: Path) -> dict[str, str]:
    """Return what identifies what a run reads: contents, not where they lie.

    What a changed tile may be told follows from claims and evidence too.

    Args:
        config: With the version of the texts by name.
        root: Corpus folder.

    Raises:
        CorpusError: The texts, or what changed tiles need, are absent.
        SarKnowlipError: No model at `start`.
    """
    folder = annotation_folder(root, config.data.annotation)
    read = {"catalog": Catalog(root).path, "texts": folder / TEXTS}
    if (folder / WEIGHTS).is_file():
        read["weights"] = folder / WEIGHTS
    if not config.data.augment.off:
        read |= {"claims": folder / CLAIMS, "evidence": folder / EVIDENCE}
    for path in read.values():
        if not path.is_file():
            raise CorpusError(f"cannot read {path}: it is absent", "annotate the corpus again")
    found = {f"{name}_sha256": file_sha256(path) for name, path in read.items()}
    starts = {"init": config.init, "start": config.start, "text_init": config.model.text_init}
    for name, start in starts.items():
        if start is not None:
            path = model_folder(Path(start)) if name == "start" else Path(start)
            found[f"{name}_sha256"] = _content(path)
    return found


def _content(path: Path) -> str:
    """Return the SHA-256 of a file, or of all in a folder; "absent" of neither."""
    if path.is_file():
        return file_sha256(path)
    files = [file for file in path.rglob("*") if file.is_file()]
    return tree_sha256(path, files) if files else "absent"


def with_annotation(config: TrainConfig, root: Path) -> TrainConfig:
    """Return the configuration with the version of the texts by name.

    Raises:
        CorpusError: No corpus, or no such annotations.
    """
    Catalog(root)
    named = annotation_folder(root, config.data.annotation).name
    data = config.data.model_copy(update={"annotation": named})
    return config.model_copy(update={"data": data})
