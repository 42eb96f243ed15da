"""One OpenAI-compatible endpoint: a request goes out, an answer or the reason for none comes back.

The `openai` package does the retries: after failed connections, time-outs, 408, 409, 429 and 5xx it
waits for half a second, doubling up to 8 s, less up to a quarter by chance, or as long as
`Retry-After` says, up to two minutes.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Sequence
from types import ModuleType, TracebackType
from typing import Any, Self

from sarknowlip.annotate.writers.vlm.config import VlmConfig
from sarknowlip.annotate.writers.vlm.ledger import Answer
from sarknowlip.annotate.writers.vlm.reply import encodable, read_reply
from sarknowlip.core.errors import ConfigError, SarKnowlipError

FORMATS = ("json_schema", "json_object", "text")
"""Ways to ask for JSON, best first; a server that refuses one is asked for the next."""
MESSAGE = 300
"""Characters of a server's complaint that are told."""
LONGEST = 32
"""Characters read of an answer, for each token that it may have."""

Message = dict[str, Any]


class NoAnswerError(SarKnowlipError):
    """One request failed for good.

    Args:
        message: Why.
        unreachable: Whether no connection came about or held.
    """

    def __init__(self, message: str, *, unreachable: bool = False) -> None:
        super().__init__(_line(message))
        self.unreachable = unreachable


class Endpoint:
    """A model behind an address; a context manager, safe for threads.

    Args:
        config: Address, model, limits.

    Raises:
        ConfigError: The `openai` package is absent, or the key's variable is not set.
    """

    def __init__(self, config: VlmConfig) -> None:
        self._config = config
        self._openai = _package()
        self._tallies = threading.local()
        self._format = 0
        self._settled = False
        self._client = self._openai.OpenAI(
            base_url=config.endpoint,
            api_key=_key(config),
            max_retries=config.retries,
            timeout=config.timeout_s,
            http_client=self._openai.DefaultHttpxClient(
                event_hooks={"request": [self._count]}, timeout=config.timeout_s
            ),
        )

    def ask(
        self, messages: Sequence[Message], schema: dict[str, Any], key: str, tally: Counter[str]
    ) -> Answer:
        """Return the model's answer.

        Args:
            messages: The conversation.
            schema: JSON schema of the answer.
            key: Digest of the question, sent as `Idempotency-Key`.
            tally: Where requests, retries and refused formats are counted.

        Raises:
            NoAnswerError: All tries failed, or the server refuses this question.
            ConfigError: The server does not know the model, or refuses the key.
        """
        openai = self._openai
        while True:
            tried = self._format
            try:
                body = self._post(messages, schema, FORMATS[tried], key, tally)
                answer = read_reply(body, LONGEST * self._config.max_tokens)
                self._settled = True
                return answer
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if self._settled or tried + 1 == len(FORMATS):
                    raise NoAnswerError(f"{self._config.endpoint}: {error}") from error
                tally["formats_refused"] += 1
                self._format = max(self._format, tried + 1)
            except (
                openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError,
            ) as error:  # fmt: skip
                raise ConfigError(
                    f"{self._config.endpoint} refuses model {self._config.model!r}: {_line(error)}",
                    "check the address, the model's name and the key",
                ) from error
            except openai.APITimeoutError as error:
                raise NoAnswerError(
                    f"{self._config.endpoint} was silent for {self._config.timeout_s:g} s"
                ) from error
            except openai.APIConnectionError as error:
                cause = error.__cause__ or error
                raise NoAnswerError(
                    f"{self._config.endpoint}: {cause}", unreachable=True
                ) from error
            except (openai.OpenAIError, ValueError) as error:
                raise NoAnswerError(f"{self._config.endpoint}: {error}") from error

    def _post(
        self,
        messages: Sequence[Message],
        schema: dict[str, Any],
        form: str,
        key: str,
        tally: Counter[str],
    ) -> bytes:
        """Return the body of the reply."""
        config = self._config
        body: dict[str, Any] = {
            "model": config.model,
            "messages": list(messages),
            config.limit_name: config.max_tokens,
        }
        if config.temperature is not None:
            body["temperature"] = config.temperature
        if form == "json_schema":
            named = {"name": "claims", "strict": True, "schema": schema}
            body["response_format"] = {"type": form, "json_schema": named}
        elif form == "json_object":
            body["response_format"] = {"type": form}
        self._tallies.now = tally
        before = tally["requests"]
        try:
            reply = self._client.chat.completions.with_raw_response.create(
                **body, extra_headers={"Idempotency-Key": key}
            )
            return bytes(reply.content)
        finally:
            tally["retries"] += max(0, tally["requests"] - before - 1)

    def _count(self, _: Any) -> None:
        self._tallies.now["requests"] += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()


def _line(complaint: object) -> str:
    """Return the beginning of a complaint on one line."""
    return encodable(" ".join(str(complaint).split())[:MESSAGE])


def _package() -> ModuleType:
    try:
        import openai
    except ImportError as error:
        raise ConfigError(
            "the vlm writer needs the package openai", "run `pip install 'sarknowlip[vlm]'`"
        ) from error
    return openai


def _key(config: VlmConfig) -> str:
    if config.api_key_env is None:
        return "none"
    key = os.environ.get(config.api_key_env, "")
    if not key:
        raise ConfigError(
            f"the environment variable {config.api_key_env} is not set", "put the key there"
        )
    return key
