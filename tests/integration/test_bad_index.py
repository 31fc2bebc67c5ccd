"""Bad input from outside: each ends with a message in the error style, its exit code, and nothing half-written."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from loopback import LOOPBACK, Answer, Fault, Proxy, content, flipped, free_port, guarded_by, status, truncated
from tiny import ALPHA, BETA, GAMMA, Site, base_arguments, make_wheel, wheel_name, write_profile

HTML = content("text/html", b"<html><body><h1>Please log in</h1></body></html>")
JSON = content("application/vnd.pypi.simple.v1+json", b'{"error": "gateway"}')
NO_JSON = content("application/vnd.pypi.simple.v1+json", b'{"meta": {"api-')


def cut_short(answer: Answer) -> Answer:
    """The first half, as if it were all."""
    return replace(answer, body=answer.body[: len(answer.body) // 2])


GAMMA_PAGE = f"/{GAMMA}/"
GAMMA_WHEEL = f"/{wheel_name(GAMMA)}"


def fails_whole(site: Site, code: int, *words: str, arguments: tuple[str, ...] = ("lock", "tiny"), **env: str) -> str:
    """The command fails as it should, and leaves the locks byte for byte; gives the message."""
    before = site.locks()
    done = site.envgen(*arguments, **env)
    done.must_fail(code, *words)
    assert site.locks() == before
    return done.stderr


def test_an_index_that_refuses(locked: Site) -> None:
    closed = f"http://{LOOPBACK}:{free_port()}/simple"
    fails_whole(locked, 3, closed.removesuffix("/simple"), "hint:  check the network", ENVGEN_INDEX_DEFAULT=closed)


@pytest.mark.parametrize("resolver", ["uv", "pip-tools"])
@pytest.mark.parametrize("way", ["variables", "address"])
def test_a_default_index_that_asks_who_one_is(locked: Site, index: Proxy, resolver: str, way: str) -> None:
    lock = ("lock", "tiny", "--resolver", resolver)
    locked.envgen(*lock).must_pass()
    before = locked.locks()
    locked.forget()
    with guarded_by(index, "ci", "s3cret/é") as guarded:
        mirror = {"ENVGEN_INDEX_DEFAULT": guarded.url}
        hint = "hint:  set ENVGEN_INDEX_DEFAULT_USERNAME and ENVGEN_INDEX_DEFAULT_PASSWORD"
        assert "s3cret" not in fails_whole(locked, 3, hint, arguments=lock, **mirror)
        known = {"ENVGEN_INDEX_DEFAULT_USERNAME": "ci", "ENVGEN_INDEX_DEFAULT_PASSWORD": "s3cret/é"}
        if way == "address":
            known, mirror = {}, {"ENVGEN_INDEX_DEFAULT": guarded.url.replace("//", f"//ci:{quote('s3cret/é', safe='')}@")}
        locked.envgen(*lock, **mirror, **known).must_pass()
    assert locked.locks() == before


@pytest.mark.parametrize("code", [500, 503])
def test_an_index_that_always_fails_is_asked_a_bounded_number_of_times(locked: Site, index: Proxy, code: int) -> None:
    index.faults.add(GAMMA_PAGE, status(code))
    started = time.monotonic()
    fails_whole(locked, 3, str(code), GAMMA)
    assert 1 < index.faults.requests(GAMMA_PAGE) <= 12
    assert time.monotonic() - started < 60


def test_an_index_that_fails_for_our_own_requests_alone(locked: Site, index: Proxy) -> None:
    """The resolver is content, and what comes after it is not: the same care there."""
    index.faults.add(".whl", status(503))
    fails_whole(locked, 3, "503", "hint:  ")
    assert index.faults.requests(GAMMA_WHEEL) <= 12


@pytest.mark.parametrize("code", [429, 503])
def test_an_index_that_is_busy_for_a_moment(locked: Site, index: Proxy, code: int) -> None:
    index.faults.add(GAMMA_PAGE, status(code), times=1)
    index.faults.add(GAMMA_WHEEL, status(code), times=1)
    before = locked.locks()
    locked.envgen("lock", "tiny").must_pass()
    assert locked.locks() == before
    assert index.faults.requests(GAMMA_PAGE) > 1
    assert index.faults.requests(GAMMA_WHEEL) > 1


@pytest.mark.parametrize("garbage", [HTML, JSON, NO_JSON], ids=["html", "json", "broken json"])
def test_an_index_that_answers_garbage(locked: Site, index: Proxy, garbage: Fault) -> None:
    for package in (ALPHA, BETA, GAMMA):
        index.faults.add(f"/{package}/", garbage)
    fails_whole(locked, 3, "envgen-tiny-", "hint:  ")


def test_a_package_that_is_not_there_is_no_broken_index(locked: Site, index: Proxy) -> None:
    index.faults.add(GAMMA_PAGE, status(404))
    fails_whole(locked, 3, GAMMA, "the default index has no package of that name")


def test_a_wheel_that_does_not_fit_is_no_resolution(locked: Site, index: Proxy, tmp_path: Path) -> None:
    write_profile(locked.project, requirements=[f"{BETA}>=2"])  # uploaded after the profile's date
    fails_whole(locked, 3, BETA, "envgen update tiny --as-of 2026-10-02")


def build(site: Site, tag: str, *arguments: str) -> tuple[str, ...]:
    return ("build", "tiny", "--no-smoke", "--tag", tag, *(arguments or base_arguments()))


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (truncated, 3, ("kB: the transfer was cut",)),
        (cut_short, 3, (f"{wheel_name(GAMMA)}: got 264 of 301 kB: the transfer was cut",)),  # each time half of the rest
        (flipped, 8, (wheel_name(GAMMA), "found sha256 ", "expected ")),
        (content("application/octet-stream", b"<html>Please log in</html>"), 8, (wheel_name(GAMMA), "found sha256 ", "expected ")),
        (status(404), 3, (wheel_name(GAMMA),)),
    ],
    ids=["truncated", "half of it, said to be all", "one byte different", "something else", "gone"],
)
def test_a_wheel_that_is_not_what_was_locked(image: Site, index: Proxy, tag: str, fault: Fault, code: int, words: tuple[str, ...]) -> None:
    index.faults.add(GAMMA_WHEEL, fault)
    message = fails_whole(image, code, *words, arguments=build(image, tag))
    if code == 8:
        lock = next(content for name, content in image.locks().items() if name.endswith("envgen.lock")).decode()
        locked = lock.partition(wheel_name(GAMMA))[2].partition('sha256 = "')[2][:64]
        assert locked in message.partition("expected ")[2]
    assert wheel_name(GAMMA) not in image.kept()
    assert not list((image.store / ".partial").glob("envgen-*"))

    index.faults.clear()
    image.envgen(*build(image, tag)).must_pass()


def test_a_wheel_that_is_cut_off_once_is_asked_for_again(image: Site, index: Proxy, tag: str) -> None:
    index.faults.add(GAMMA_WHEEL, truncated, times=1)
    image.envgen(*build(image, tag)).must_pass()
    assert wheel_name(GAMMA) in image.kept()


def test_a_damaged_wheel_in_the_store_is_taken_out(image: Site, tag: str) -> None:
    image.envgen(*build(image, tag)).must_pass()
    wheel = next(image.store.glob(f"*/{wheel_name(GAMMA)}"))
    content_before = wheel.read_bytes()
    wheel.unlink()  # the file may be shared with other stores
    wheel.write_bytes(content_before[:-1] + b"\0\0")
    fails_whole(image, 8, wheel_name(GAMMA), "found sha256 ", "expected ", "fetch it anew", arguments=build(image, tag))
    assert wheel_name(GAMMA) not in image.kept()
    image.envgen(*build(image, tag)).must_pass()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own in `folder`."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr}\nthese tests mount a small file system: run them as root"
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_disk_too_full_for_the_wheels_is_found_before_they_are_fetched(image: Site, index: Proxy, tag: str, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "8M") as disk:
        fails_whole(image, 6, "8 MB free", "MB for the missing wheels", "ENVGEN_CACHE", arguments=build(image, tag), ENVGEN_CACHE=str(disk))
        assert not list((disk / "wheels").rglob("*.whl"))
    assert index.faults.requests(".whl") == 0


def test_a_disk_that_fills_up_while_locking(locked: Site, tiny_wheels: Path, tmp_path: Path) -> None:
    """The index gives no hashes, so that locking fetches the wheel."""
    name = "envgen-tiny-large"
    make_wheel(tiny_wheels, name, padding=12 << 20)
    write_profile(locked.project, requirements=[name])
    with small_disk(tmp_path / "small", "8M") as disk:
        fails_whole(locked, 6, "the disk is full", "ENVGEN_CACHE", ENVGEN_CACHE=str(disk))
        assert not [path for path in (disk / "wheels").rglob("*") if path.is_file() and path.suffix != ".lock"]
