"""The guard of the unit tests itself: it can fail."""

import os
import socket
import subprocess
import sys

import pytest
from guard import NotAUnitTest


def test_a_process_is_refused() -> None:
    with pytest.raises(NotAUnitTest, match=r"subprocess\.Popen"):
        subprocess.run([sys.executable, "-c", "pass"], check=False)
    with pytest.raises(NotAUnitTest, match=r"os\.fork"):
        os.fork()
    with pytest.raises(NotAUnitTest, match=r"os\.system"):
        os.system("true")


def test_a_socket_is_refused() -> None:
    with socket.socket() as opened, pytest.raises(NotAUnitTest, match=r"connect"):
        opened.connect(("127.0.0.1", 9))
    with pytest.raises(NotAUnitTest, match=r"getaddrinfo"):
        socket.getaddrinfo("localhost", 80)


def test_the_code_under_test_can_not_swallow_it() -> None:
    with pytest.raises(NotAUnitTest):
        try:
            os.fork()
        except Exception:
            pytest.fail("swallowed")
