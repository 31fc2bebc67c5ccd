"""envgen.sources.http: what may be better in a moment is asked for again, a bounded number of times, and no answer is endless."""

from __future__ import annotations

import datetime as dt
import gzip
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import format_datetime
from pathlib import Path

import pytest
import requests
from requests.adapters import BaseAdapter
from requests.exceptions import InvalidURL, ReadTimeout, TooManyRedirects
from urllib3 import HTTPResponse
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from envgen.core.settings import read_settings
from envgen.sources import http
from envgen.sources.http import Attempts, StalledError, TooLargeError, ask, chunks, make_session, retry_after

URL = "https://index.example/simple/demo/"
DOWN = requests.ConnectionError("connection refused")


class Download(io.BytesIO):
    """A body that comes in pieces of `size`; `step` is called before each, and `error` comes at its end."""

    def __init__(self, content: bytes, size: int, clock: Clock | None = None, error: Exception | None = None) -> None:
        super().__init__(content)
        self._size, self._clock, self._error = size, clock, error

    def read1(self, size: int | None = -1, /) -> bytes:
        if self._clock:
            self._clock.now += 1
        found = super().read1(self._size if size is None or size < 0 else min(size, self._size))
        if not found and self._error:
            raise self._error
        return found


@dataclass
class Clock:
    """A clock that goes on only when it is told to, and notes who slept for how long."""

    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(round(seconds, 6))


@dataclass(frozen=True, kw_only=True)
class Says:
    """One answer of the server."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: io.BytesIO | bytes = b"fine"


@dataclass
class Script(BaseAdapter):
    """A server that says one thing after the other; the last of them for ever."""

    answers: list[Says | Exception]
    seen: list[requests.PreparedRequest] = field(default_factory=list)

    def send(self, request: requests.PreparedRequest, **_options: object) -> requests.Response:  # type: ignore[override]
        self.seen.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        response = requests.Response()
        response.status_code, response.url, response.request = answer.status, str(request.url), request
        response.headers.update(answer.headers)
        body = answer.body if isinstance(answer.body, io.BytesIO) else io.BytesIO(answer.body)
        response.raw = HTTPResponse(body, headers=answer.headers, preload_content=False, status=answer.status)
        return response

    def close(self) -> None:
        pass


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(http, "time", found)
    monkeypatch.setattr(http, "BACKOFF", 0.5)
    return found


@pytest.fixture
def session(tmp_path: Path) -> requests.Session:
    return make_session(read_settings({"ENVGEN_CACHE": str(tmp_path)}, tmp_path), 2)


def served(session: requests.Session, *answers: Says | Exception) -> Script:
    """A script that `session` talks to."""
    script = Script(list(answers))
    session.mount("https://", script)
    return script


def asked(session: requests.Session, patience: float = 60, *, stream: bool = False) -> requests.Response:
    return ask(session, URL, patience=patience, stream=stream)


@pytest.mark.parametrize("answer", [Says(status=429), Says(status=500), Says(status=502), Says(status=503), Says(status=504), DOWN])
def test_what_passes_does_not_count(session: requests.Session, clock: Clock, answer: Says | Exception) -> None:
    script = served(session, answer, Says())
    assert asked(session).content == b"fine"
    assert len(script.seen) == 2
    assert clock.pauses == [0.5]


def test_pauses_grow_and_tries_end(session: requests.Session, clock: Clock) -> None:
    script = served(session, Says(status=503))
    assert asked(session).status_code == 503
    assert len(script.seen) == http.TRIES
    assert clock.pauses == [0.5, 1, 2, 4]


def test_an_error_that_stays_is_raised(session: requests.Session, clock: Clock) -> None:
    script = served(session, DOWN)
    with pytest.raises(requests.ConnectionError, match="connection refused"):
        asked(session)
    assert len(script.seen) == http.TRIES


def test_pauses_are_no_longer_than_our_patience(session: requests.Session, clock: Clock) -> None:
    script = served(session, Says(status=503))
    asked(session, patience=2)
    assert clock.pauses == [0.5, 1]
    assert len(script.seen) == 3


def test_what_lasts_as_long_as_our_patience_is_asked_for_twice(session: requests.Session, clock: Clock) -> None:
    script = served(session, ReadTimeout("nothing came"))
    with pytest.raises(ReadTimeout):
        asked(session)
    assert len(script.seen) == 2


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 410, 501])
def test_an_answer_is_an_answer(session: requests.Session, clock: Clock, status: int) -> None:
    script = served(session, Says(status=status))
    assert asked(session).status_code == status
    assert len(script.seen) == 1


def test_a_server_is_left_alone_for_as_long_as_it_asks(session: requests.Session, clock: Clock) -> None:
    served(session, Says(status=429, headers={"Retry-After": "7"}), Says(status=503), Says())
    assert asked(session).status_code == 200
    assert clock.pauses == [7, 1]


def test_a_server_that_asks_for_more_than_our_patience_is_given_up_at_once(session: requests.Session, clock: Clock) -> None:
    script = served(session, Says(status=429, headers={"Retry-After": "61"}))
    assert asked(session).status_code == 429
    assert (len(script.seen), clock.pauses) == (1, [])


@pytest.mark.parametrize(
    ("text", "seconds"), [("7", 7), ("0", 0), ("-1", 0), ("soon", 0), ("", 0), ("9" * 5000, 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)]
)
def test_what_a_server_may_ask(text: str, seconds: float) -> None:
    response = requests.Response()
    response.headers["Retry-After"] = text
    assert retry_after(response) == seconds


def test_a_date_counts_from_now() -> None:
    response = requests.Response()
    response.headers["Retry-After"] = format_datetime(dt.datetime.now(tz=dt.UTC) + dt.timedelta(seconds=100), usegmt=True)
    assert 90 < retry_after(response) <= 100


def test_redirects_end(session: requests.Session, clock: Clock) -> None:
    script = served(session, Says(status=302, headers={"Location": URL}))
    with pytest.raises(TooManyRedirects):
        asked(session)
    assert len(script.seen) == session.max_redirects + 1


def test_the_body_of_a_redirect_is_not_read(session: requests.Session, clock: Clock) -> None:
    class Endless(io.BytesIO):
        def read(self, *_: object) -> bytes:
            pytest.fail("it was read")

        read1 = read  # type: ignore[assignment]

    served(session, Says(status=302, headers={"Location": "/elsewhere"}, body=Endless()), Says())
    assert asked(session).content == b"fine"


def test_an_address_that_is_none_is_not_asked_again(session: requests.Session, clock: Clock) -> None:
    script = served(session, InvalidURL("no host"))
    with pytest.raises(InvalidURL):
        asked(session)
    assert len(script.seen) == 1


def test_a_redirect_to_what_is_no_address_is_not_followed(session: requests.Session, clock: Clock) -> None:
    script = served(session, Says(status=302, headers={"Location": "http://["}))
    with pytest.raises(InvalidURL, match="leads on to what is no address"):
        asked(session)
    assert len(script.seen) == 1


def test_a_body_that_breaks_off_is_asked_for_again(session: requests.Session, clock: Clock) -> None:
    broken = Download(b"fi", 1, error=ProtocolError("connection broken"))
    script = served(session, Says(body=broken), Says())
    assert asked(session).content == b"fine"
    assert len(script.seen) == 2


def test_a_packed_body_is_unpacked_once(session: requests.Session, clock: Clock) -> None:
    text = "é" * 5000
    served(session, Says(headers={"Content-Encoding": "gzip"}, body=gzip.compress(text.encode())))
    assert asked(session).content.decode() == text


@pytest.mark.parametrize(("content", "headers"), [(bytes(3000), {}), (gzip.compress(bytes(3000)), {"Content-Encoding": "gzip"})])
def test_a_page_that_is_too_large_is_not_asked_again(
    session: requests.Session, clock: Clock, monkeypatch: pytest.MonkeyPatch, content: bytes, headers: dict[str, str]
) -> None:
    monkeypatch.setattr(http, "PAGE", 2000)
    script = served(session, Says(headers=headers, body=content))
    with pytest.raises(TooLargeError):
        asked(session)
    assert len(script.seen) == 1


def test_a_stream_is_read_by_whoever_asked(session: requests.Session, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PAGE", 2)
    monkeypatch.setattr(http, "CHUNK", 4)
    served(session, Says(body=Download(b"abcdefghij", 3)))
    with asked(session, stream=True) as response:
        assert list(chunks(response, 60)) == [b"abcdef", b"ghij"]


def test_a_body_that_drips_is_given_up(session: requests.Session, clock: Clock) -> None:
    script = served(session, *(Says(body=Download(bytes(100_000), 10, clock)) for _ in range(3)))
    with pytest.raises(StalledError, match="only 610 bytes in 61 s"):
        asked(session)
    assert len(script.seen) == 2, "each time lasts as long as our patience"


def test_a_body_that_begins_fast_and_then_drips_is_given_up(session: requests.Session, clock: Clock) -> None:
    class Slower(Download):
        def read1(self, size: int | None = -1, /) -> bytes:
            found = super().read1(size)
            self._size = 10
            return found

    served(session, *(Says(body=Slower(bytes(1_000_000), 500_000, clock)) for _ in range(3)))
    with pytest.raises(StalledError):
        asked(session)


def test_a_slow_line_is_no_stall(session: requests.Session, clock: Clock) -> None:
    served(session, Says(body=Download(bytes(200_000), 1100, clock)))
    assert len(asked(session).content) == 200_000
    assert clock.now > 180


def test_silence_in_the_middle_is_a_stall(session: requests.Session, clock: Clock) -> None:
    silent = ReadTimeoutError(None, URL, "read timed out")  # type: ignore[arg-type]  # the pool, for the message alone
    script = served(session, *(Says(body=Download(b"fi", 1, error=silent)) for _ in range(2)))
    with pytest.raises(StalledError, match="nothing came for 60 s"):
        asked(session)
    assert len(script.seen) == 2


def test_tries_are_counted_for_each_thing_anew(clock: Clock) -> None:
    for _ in range(2):
        tries = Attempts(60, 3)
        assert [tries.again(), tries.again(), tries.again()] == [True, True, False]
    assert clock.pauses == [0.5, 1, 0.5, 1]
