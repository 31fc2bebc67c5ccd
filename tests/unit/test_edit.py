"""envgen.profiles.edit: the day that people mean."""

import datetime as dt

import pytest

from envgen.core.errors import UsageError
from envgen.profiles.edit import parse_day


def today() -> dt.date:
    return dt.datetime.now(tz=dt.UTC).date()


def test_a_date_is_that_day() -> None:
    assert parse_day("2026-11-01") == dt.date(2026, 11, 1)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("today", 0), ("Today", 0), ("yesterday", 1), ("1 day ago", 1), ("7 days ago", 7), ("0 days ago", 0), (" 7  days ago ", 7),
        ("2 weeks ago", 14), ("1 week ago", 7),
    ],
)  # fmt: skip
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_words_for_a_day_are_those_of_utc(text: str, ago: int, zone: str, in_zone: object) -> None:
    in_zone(zone)  # type: ignore[operator]
    days = [today(), parse_day(text) + dt.timedelta(days=ago), today()]
    assert days == sorted(days)


NO_DAYS = ("tomorrow", "7 days", "a week ago", "-1 days ago", "7 months ago", "99999 days ago", "", "22.9.2026", "2026-02-30")


@pytest.mark.parametrize("text", NO_DAYS)
def test_what_is_no_day(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_day(text)
    assert str(caught.value) == f"--as-of: found {text!r}, expected a date"
    assert '"7 days ago"' in caught.value.hint


def test_a_day_that_has_not_begun_is_refused_and_one_that_has_is_not() -> None:
    tomorrow = today() + dt.timedelta(days=1)
    with pytest.raises(UsageError, match=f"found {tomorrow}, which has not begun in UTC") as caught:
        parse_day(str(tomorrow))
    assert caught.value.hint == f"use {tomorrow - dt.timedelta(days=1)} or earlier"
    assert parse_day(str(today())) <= today()
