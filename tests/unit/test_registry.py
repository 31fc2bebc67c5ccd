"""envgen.engine.registry: what a registry said is told apart from one that says nothing."""

import pytest

from envgen.core.errors import BaseGoneError, EngineError
from envgen.engine.docker.registry import digest_in, python_of, refusal

DIGEST = f"sha256:{'a' * 64}"
TAGGED = "127.0.0.1:5000/library/python:3.11"
DENIED = "pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials"


@pytest.mark.parametrize(
    ("reference", "stderr", "words"),
    [
        (TAGGED, f"ERROR: {TAGGED}: not found\n", "has no such tag: it was deleted or never existed"),
        ("python:3.11", "ERROR: docker.io/library/python:3.11: not found", "has no such tag"),
        (f"{TAGGED}@{DIGEST}", f"warning\nERROR: {TAGGED}@{DIGEST}: not found\n\n", "has no such digest: it was deleted"),
    ],
)
def test_a_registry_that_has_it_not(reference: str, stderr: str, words: str) -> None:
    error = refusal(reference, stderr)
    assert isinstance(error, BaseGoneError)
    assert str(error).startswith(f"{reference}: its registry has no such ")
    assert words in error.problem
    assert "NAME:TAG@sha256:DIGEST" in error.hint


@pytest.mark.parametrize(
    ("reference", "reason", "registry"),
    [
        (TAGGED, DENIED, "127.0.0.1:5000"),
        (TAGGED, "unexpected status from HEAD request to http://127.0.0.1:5000/v2/: 401 Unauthorized", "127.0.0.1:5000"),
        ("hub.example/a/b:1", "unexpected status: 403 Forbidden", "hub.example"),
        ("python:3.11", "failed to authorize: failed to fetch oauth token", "docker.io"),
    ],
)
def test_a_registry_that_refuses(reference: str, reason: str, registry: str) -> None:
    error = refusal(reference, f"ERROR: {reason}\n")
    assert type(error) is EngineError
    assert error.problem == f"its registry refuses access: {reason}"
    assert error.hint.startswith(f"docker login {registry} ")


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        (f'ERROR: failed to do request: Head "https://x/v2/{TAGGED}": dial tcp 127.0.0.1:5000: connection refused\n', "dial tcp 127"),
        ('ERROR: failed to do request: Head "https://x/v2/": dial tcp: lookup x: no such host', "dial tcp: lookup x: no such host"),
        ("ERROR: other:3.11: not found", "other:3.11: not found"),
        ("ERROR: unexpected status: 429 Too Many Requests", "unexpected status: 429"),
        ("", "no output"),
    ],
)
def test_a_registry_without_an_answer(stderr: str, reason: str) -> None:
    error = refusal(TAGGED, stderr)
    assert type(error) is EngineError
    assert error.problem.startswith(f"its registry does not answer: {reason}")


@pytest.mark.parametrize(
    "stderr", ["docker: 'buildx' is not a docker command.\nSee 'docker --help'", "docker: unknown command: docker buildx"]
)
def test_a_docker_without_buildx_is_no_silent_registry(stderr: str) -> None:
    assert str(refusal(TAGGED, stderr)) == "docker buildx: not installed"


def test_the_digest_in_a_report() -> None:
    report = f"Name:      {TAGGED}\nMediaType: x\nDigest:    {DIGEST}\n           \nManifests: \n  Name: y@sha256:{'b' * 64}\n"
    assert digest_in(report, TAGGED) == DIGEST
    for other in ("", "Digest: sha256:abc", f"  Digest: {DIGEST}"):
        with pytest.raises(EngineError, match="no digest in buildx's report"):
            digest_in(other, TAGGED)


def test_the_python_of_an_image() -> None:
    one = {"config": {"Env": ["PATH=/bin", "PYTHON_VERSION=3.11.16"]}}
    two = {"config": {"Env": ["PYTHON_VERSION=3.11.17"]}}
    assert python_of(one) == "3.11.16"
    assert python_of({"linux/amd64": one, "linux/arm64": one}) == "3.11.16"
    assert python_of({"linux/amd64": one, "linux/arm64": two}) == ""
    assert python_of({"config": {}}) == python_of(None) == python_of({"config": {"Env": None}}) == ""
