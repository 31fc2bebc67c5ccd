"""envgen.sources.http: a file that is cut off on its way is resumed, and one that always is, is called cut."""

import hashlib
import io
from collections.abc import Callable, Iterator

import pytest
import requests
from requests.exceptions import ChunkedEncodingError

from envgen.core.errors import VerificationError
from envgen.sources.http import Arrived, Attempts, CutError, Download, cut_short, receive_body

CONTENT = bytes(range(256)) * 4
SHA256 = hashlib.sha256(CONTENT).hexdigest()
Send = Callable[[Arrived], Iterator[bytes]]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


def answer(status: int, **headers: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.headers.update({name.replace("_", "-"): text for name, text in headers.items()})
    return response


def received(send: Send, size: int | None = len(CONTENT)) -> tuple[str, bytes, int]:
    """The digest, the bytes and their number as it was shown."""
    stream, shown = io.BytesIO(b"what was there before"), [0]

    def advance(count: int) -> None:
        shown[0] += count

    digest = receive_body(Download(name="file", size=size, origin="index own", patience=60), send, stream, advance)
    return digest, stream.getvalue(), shown[0]


def test_the_rest_alone_is_asked_for() -> None:
    asked: list[dict[str, str]] = []

    def send(arrived: Arrived) -> Iterator[bytes]:
        headers = arrived.headers()
        asked.append(headers)
        start = int(headers["Range"].removeprefix("bytes=").removesuffix("-")) if headers else 0
        arrived.answer(answer(206 if start else 200, ETag='"one"', Content_Range=f"bytes {start}-1023/1024"))
        yield CONTENT[start : start + 400]

    assert received(send) == (SHA256, CONTENT, len(CONTENT))
    assert asked == [{}, {"Range": "bytes=400-", "If-Range": '"one"'}, {"Range": "bytes=800-", "If-Range": '"one"'}]


@pytest.mark.parametrize("tag", ["", 'W/"weak"'])
def test_what_may_be_another_file_begins_anew(tag: str) -> None:
    lengths = iter([400, len(CONTENT)])

    def send(arrived: Arrived) -> Iterator[bytes]:
        assert arrived.headers() == {}
        arrived.answer(answer(200, ETag=tag))
        yield CONTENT[: next(lengths)]

    assert received(send) == (SHA256, CONTENT, len(CONTENT))


def test_a_server_that_answers_the_whole_again_is_taken_at_that() -> None:
    lengths = iter([400, len(CONTENT)])

    def send(arrived: Arrived) -> Iterator[bytes]:
        arrived.answer(answer(200, ETag='"one"'))
        yield CONTENT[: next(lengths)]

    assert received(send) == (SHA256, CONTENT, len(CONTENT))


def test_a_file_that_is_always_cut_is_called_cut() -> None:
    tries = []

    def send(arrived: Arrived) -> Iterator[bytes]:
        tries.append(1)
        arrived.answer(answer(200))
        yield CONTENT[:512]

    with pytest.raises(CutError, match=r"^got 512 B of 1 kB: the transfer was cut$"):
        received(send)
    assert len(tries) == 3


def test_a_connection_that_breaks_off_is_a_cut_too() -> None:
    def send(arrived: Arrived) -> Iterator[bytes]:
        arrived.answer(answer(200))
        yield CONTENT[:512]
        raise ChunkedEncodingError("IncompleteRead")

    with pytest.raises(CutError, match="got 512 B of 1 kB"):
        received(send)


def test_more_than_there_is_is_refused_at_once() -> None:
    def send(arrived: Arrived) -> Iterator[bytes]:
        arrived.answer(answer(200))
        yield CONTENT
        yield b"x"

    with pytest.raises(VerificationError, match="sends more than the 1024 bytes that it has"):
        received(send)


def test_the_numbers_share_their_unit() -> None:
    assert cut_short(150_100, 300_900) == "got 150 of 301 kB: the transfer was cut"
    assert cut_short(150, 300_900) == "got 150 B of 301 kB: the transfer was cut"
    assert Attempts(60, 1).again() is False
