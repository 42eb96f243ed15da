"""Settings of the `vlm` writer: what is asked of whom, and how patiently."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from sarknowlip.core.config import Config


class VlmConfig(Config):
    """How a model is asked.

    The fields from `api_key_env` on do not change what is asked; they are no part of the recipe.
    With several processes each has `concurrency` requests under way.

    Attributes:
        kind: Name in the table of writers.
        endpoint: Base URL of an OpenAI-compatible server, "http://127.0.0.1:8000/v1".
        model: Name of the model there.
        prompts: Version of the prompts (`prompts/<version>/`).
        facts: Whether the facts are sent with the picture.
        image_px: Longer side of the picture, pixels.
        temperature: Of sampling; None leaves it to the server.
        max_tokens: Length of one answer at most, tokens.
        limit_name: How the server calls that limit; newer hosted models want the longer name.
        api_key_env: Environment variable that holds the key; None for a server that needs none.
        concurrency: Requests under way at once.
        timeout_s: Silence of the server after which a request is given up, seconds.
        retries: Further tries of one request (no connection, 408, 409, 429, 5xx).
        give_up_after: Tiles in a row without an answer after which the job stops.
        price_in: Price of a million tokens sent, in any currency.
        price_out: Price of a million tokens answered.
        ledger: File that keeps every answer; None keeps them in memory only.
    """

    kind: Literal["vlm"] = "vlm"
    endpoint: str
    model: str = Field(min_length=1)
    prompts: Literal["v1"] = "v1"
    facts: bool = True
    image_px: int = Field(768, ge=64, le=4096)
    temperature: float | None = Field(0.0, ge=0.0, le=2.0)
    max_tokens: int = Field(4096, ge=1)
    limit_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    api_key_env: str | None = Field(None, exclude=True)
    concurrency: int = Field(8, ge=1, exclude=True)
    timeout_s: float = Field(120.0, gt=0.0, exclude=True)
    retries: int = Field(4, ge=0, exclude=True)
    give_up_after: int = Field(8, ge=1, exclude=True)
    price_in: float = Field(0.0, ge=0.0, exclude=True)
    price_out: float = Field(0.0, ge=0.0, exclude=True)
    ledger: Path | None = Field(None, exclude=True)

    @field_validator("endpoint")
    @classmethod
    def _plain_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{value!r} is no http(s) address")
        if parts.username or parts.password or parts.query:
            raise ValueError("keys do not belong into the address; name a variable: api_key_env")
        return value.rstrip("/")
