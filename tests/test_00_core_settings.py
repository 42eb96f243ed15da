"""Rung 0: settings a user writes become values, and errors of one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarknowlip.core.config import Config
from sarknowlip.core.errors import ConfigError
from sarknowlip.core.settings import changed, checked, parsed


class Inner(Config):
    rate: float = 0.5


class Outer(Config):
    name: str = "a"
    inner: Inner = Inner()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_come_through(value: float) -> None:
    made = checked(Outer, changed(Outer().model_dump(), [f"inner.rate={value!r}"]), "setting", "")
    assert made == Outer(inner=Inner(rate=value))


def test_words_and_json() -> None:
    assert parsed("name = plain words ") == ("name", "plain words")
    assert parsed('name={"a": [1, null]}') == ("name", {"a": [1, None]})
    assert parsed("name=a=b") == ("name", "a=b")


def test_the_given_values_stay_as_they_are() -> None:
    values = Outer().model_dump()
    changed(values, ["inner.rate=2"])
    assert values == Outer().model_dump()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("inner", "has no '='"),
        ("outer=1", "unknown setting 'outer'; choose one of: name, inner"),
        ("name.first=1", "unknown setting 'name.first'"),
        ("inner.rate=fast", r"invalid setting inner\.rate: .*\(given 'fast'\); see the page"),
        ("inner=7", r"invalid setting inner: .*\(given 7\)"),
    ],
)
def test_wrong_settings_are_one_line(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        checked(Outer, changed(Outer().model_dump(), [setting]), "setting", "see the page")
    assert "\n" not in str(caught.value)
