"""Unit tests start no process and open no socket: whoever tries is told so."""

import gc
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from guard import LOOKUPS, PROCESS_FUNCTIONS, SOCKET_METHODS, refuse

import envgen.core.process  # noqa: F401  (its annotations want subprocess as it is)


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: looking through it again and again takes a tenth of the time."""
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_process_and_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", refuse("subprocess.Popen"))
    for name in PROCESS_FUNCTIONS:
        if hasattr(os, name):
            monkeypatch.setattr(os, name, refuse(f"os.{name}"))
    for name in SOCKET_METHODS:
        monkeypatch.setattr(socket.socket, name, refuse(f"socket.{name}"))
    for name in LOOKUPS:
        if hasattr(socket, name):
            monkeypatch.setattr(socket, name, refuse(f"socket.{name}"))


@pytest.fixture(autouse=True, scope="session")
def _certificates_read_once() -> Iterator[None]:
    """Reading the CA certificates takes longer than most tests, and no unit test needs any."""
    from envgen.sources import http

    context = http.create_urllib3_context()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http, "_context", lambda _settings: context)
        yield


@pytest.fixture(autouse=True)
def _no_pause_between_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envgen.sources.http.BACKOFF", 0.0)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith("ENVGEN_") or name.lower().endswith("_proxy") or name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NETRC"):
            monkeypatch.delenv(name)


@pytest.fixture
def in_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """A function that moves this process into a time zone."""

    def move(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()
