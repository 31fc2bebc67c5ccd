"""What unit tests must not do, and how they are told."""

from collections.abc import Callable

PROCESS_FUNCTIONS = ("fork", "forkpty", "posix_spawn", "posix_spawnp", "system", "popen", "execv", "execve", "execvp", "execvpe")
SOCKET_METHODS = ("bind", "connect", "connect_ex", "sendto")
LOOKUPS = ("getaddrinfo", "gethostbyname", "create_connection", "socketpair")


class NotAUnitTest(BaseException):
    """Raised for what a unit test must not do; no `except Exception` of the code under test hides it."""


def refuse(what: str) -> Callable[..., object]:
    def refused(*_arguments: object, **_options: object) -> object:
        raise NotAUnitTest(f"a unit test called {what}: starting processes and using sockets belongs into tests/integration")

    return refused
