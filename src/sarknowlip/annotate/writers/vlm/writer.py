"""The `vlm` writer: a model proposes claims, the evidence decides.

Each tile is one question, and one more for what the evidence does not support. What is supported is
kept as the derived claim; what is not is dropped and counted. Every answer goes into the ledger
before it is used, so that no question is paid for twice.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import ClassVar

from sarknowlip.annotate.claim import Claim
from sarknowlip.annotate.writers import Draft, Subject
from sarknowlip.annotate.writers.vlm.check import Checker, Verdict, parse, rejections
from sarknowlip.annotate.writers.vlm.client import Endpoint, Message, NoAnswerError
from sarknowlip.annotate.writers.vlm.config import VlmConfig
from sarknowlip.annotate.writers.vlm.ledger import Answer, Ledger
from sarknowlip.annotate.writers.vlm.prompt import Prompts
from sarknowlip.core.errors import SarKnowlipError

_LOG = logging.getLogger(__name__)


class VlmWriter:
    """Asks a vision-language model for claims and keeps those that follow from the evidence.

    Args:
        config: Endpoint, model, limits.
    """

    name: ClassVar[str] = "vlm"

    def __init__(self, config: VlmConfig) -> None:
        self.config = config
        self._prompts = Prompts(config)

    @property
    def version(self) -> str:
        """Version of the checks, and digest of prompts and schema."""
        return f"1+{self._prompts.digest}"

    def write(self, subjects: Sequence[Subject]) -> list[Draft]:
        """Return a draft for each tile, in order.

        `counts` of a draft (docs/vlm.md): requests, retries, formats_refused, replayed, tokens_in,
        tokens_out and cost (of replayed answers, too), answered (claims of both rounds), accepted,
        of which snapped and repaired, sent_back, of which withdrawn, dropped.REASON, failed_tiles,
        failed_repairs, silent_tiles. answered = accepted + sent_back + dropped.

        Raises:
            ConfigError: The package `openai`, the key or the model is missing.
            StorageError: The ledger cannot be written.
            SarKnowlipError: The endpoint does not answer; answers are kept in the ledger.
        """
        with Ledger(self.config.ledger) as ledger, Endpoint(self.config) as endpoint:
            session = _Session(self.config, self._prompts, ledger, endpoint)
            with ThreadPoolExecutor(self.config.concurrency) as pool:
                pending = [pool.submit(session.draft, subject) for subject in subjects]
                try:
                    finished, _ = wait(pending, return_when=FIRST_EXCEPTION)
                    for future in finished:
                        future.result()
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
            session.conclude()
        return [future.result() for future in pending]


class _Session:
    """One call of the writer: shared by its threads."""

    def __init__(
        self, config: VlmConfig, prompts: Prompts, ledger: Ledger, endpoint: Endpoint
    ) -> None:
        self._config, self._prompts = config, prompts
        self._ledger, self._endpoint = ledger, endpoint
        self._lock = threading.Lock()
        self._answers = 0
        self._failures: list[NoAnswerError] = []
        self._in_a_row = 0

    def draft(self, subject: Subject) -> Draft:
        """Return what is said of one tile; a tile without an answer gets no claim."""
        tally: Counter[str] = Counter()
        if not subject.derived:
            return Draft((), {"silent_tiles": 1})
        try:
            claims = self._rounds(subject, tally)
        except NoAnswerError as error:
            _LOG.warning("%s gets no claims: %s", subject.tile.id, error)
            tally["failed_tiles"] += 1
            claims = {}
            self._failed(error)
        counts: dict[str, float] = {name: n for name, n in sorted(tally.items()) if n}
        price = self._config.price_in, self._config.price_out
        spent = tally["tokens_in"] * price[0] + tally["tokens_out"] * price[1]
        if spent:
            counts["cost"] = spent / 1e6
        return Draft([claim for claim in subject.derived if claim.id in claims], counts)

    def conclude(self) -> None:
        """Stop if no connection came about at all.

        Raises:
            SarKnowlipError: So it was.
        """
        failures = self._failures
        if failures and not self._answers and all(error.unreachable for error in failures):
            raise self._given_up(failures[-1])

    def _rounds(self, subject: Subject, tally: Counter[str]) -> dict[str, Claim]:
        """Ask, check, ask once more for what was rejected; return accepted claims by identifier."""
        checker = Checker(subject, self._prompts.predicates)
        messages = self._prompts.ask(subject)
        first = self._answer(subject, messages, tally)
        accepted: dict[str, Claim] = {}
        rejected, told = self._judge(first.content, checker, accepted, tally)
        if not rejected:
            return accepted
        again = self._prompts.repair(messages, first.content, told)
        try:
            second = self._answer(subject, again, tally)
        except NoAnswerError as error:
            _LOG.warning("%s is not repaired: %s", subject.tile.id, error)
            tally["failed_repairs"] += 1
            self._failed(error)
            tally.update(f"dropped.{verdict.reason}" for verdict in rejected)
            return accepted
        tally["sent_back"] += len(rejected)
        before, answered = len(accepted), tally["answered"]
        still, _ = self._judge(second.content, checker, accepted, tally)
        tally.update(f"dropped.{verdict.reason}" for verdict in still)
        tally["repaired"] += len(accepted) - before
        tally["withdrawn"] += max(0, len(rejected) - (tally["answered"] - answered))
        return accepted

    def _judge(
        self, content: str, checker: Checker, accepted: dict[str, Claim], tally: Counter[str]
    ) -> tuple[list[Verdict], str]:
        """Add what holds to `accepted`; return the rejections and how they are told the model."""
        answered = parse(content)
        if answered is None:
            tally["answered"] += 1
            verdict = Verdict(None, False, "malformed", "it is not JSON of the form asked for")
            return [verdict], "- your whole answer: it is not JSON of the form asked for"
        tally["answered"] += len(answered)
        verdicts = [checker.check(claim) for claim in answered]
        for verdict in verdicts:
            if verdict.claim is None:
                continue
            if verdict.claim.id in accepted:
                tally["dropped.repeated"] += 1
                continue
            accepted[verdict.claim.id] = verdict.claim
            tally["accepted"] += 1
            tally["snapped"] += not verdict.exact
        return [v for v in verdicts if v.reason], rejections(answered, verdicts)

    def _answer(self, subject: Subject, messages: list[Message], tally: Counter[str]) -> Answer:
        key = self._prompts.key(subject, messages)
        answer = self._ledger.get(key)
        if answer is None:
            answer = self._endpoint.ask(messages, self._prompts.schema, key, tally)
            self._ledger.put(key, answer, subject.tile.id, self._config.model)
            with self._lock:
                self._answers += 1
                self._in_a_row = 0
        else:
            tally["replayed"] += 1
        tally["tokens_in"] += answer.tokens_in
        tally["tokens_out"] += answer.tokens_out
        return answer

    def _failed(self, error: NoAnswerError) -> None:
        with self._lock:
            self._failures.append(error)
            self._in_a_row += 1
            if self._in_a_row >= self._config.give_up_after:
                raise self._given_up(error) from error

    def _given_up(self, error: NoAnswerError) -> SarKnowlipError:
        return SarKnowlipError(
            f"{self._config.endpoint} does not answer ({len(self._failures)} tiles): {error}",
            "start or check the server and run again; what was answered is kept",
        )
