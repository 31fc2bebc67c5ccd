"""envgen.core.settings: mirrors, credentials and the network from environment and file; never an input of a lock."""

from pathlib import Path

import pytest

from envgen.core.errors import ProfileError, UsageError
from envgen.core.settings import base_via_mirror, credentials_of, index_variable, mirror_of, read_settings

DIGEST = f"sha256:{'b' * 64}"


def test_an_index_may_have_a_mirror_and_credentials(tmp_path: Path) -> None:
    environ = {
        "ENVGEN_INDEX_PYTORCH_CPU": "/srv/wheels",
        "ENVGEN_INDEX_DEFAULT": "https://proxy.example/simple",
        "ENVGEN_INDEX_PRIVATE_USERNAME": "me",
        "ENVGEN_INDEX_PRIVATE_PASSWORD": "secret",
    }
    settings = read_settings(environ, tmp_path)
    assert mirror_of(settings, "pytorch-cpu") == mirror_of(settings, "pytorch.cpu") == "/srv/wheels"
    assert mirror_of(settings, "other") == ""
    assert settings.credentials == {"private": ("me", "secret")}


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "envgen.toml").write_text('[mirror]\ndefault = "https://a.example"\nother = "https://b.example"\n', encoding="utf-8")
    settings = read_settings({"ENVGEN_INDEX_DEFAULT": "https://c.example"}, tmp_path)
    assert (mirror_of(settings, "default"), mirror_of(settings, "other")) == ("https://c.example", "https://b.example")


def test_an_empty_variable_is_none(tmp_path: Path) -> None:
    assert mirror_of(read_settings({"ENVGEN_INDEX_DEFAULT": ""}, tmp_path), "default") == ""


@pytest.mark.parametrize(("half", "other"), [("USERNAME", "PASSWORD"), ("PASSWORD", "USERNAME")])
def test_half_a_pair_of_credentials_is_an_error(tmp_path: Path, half: str, other: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_settings({f"ENVGEN_INDEX_MY_OWN_{half}": "secret"}, tmp_path)
    assert str(caught.value) == f"ENVGEN_INDEX_MY_OWN_{half}: set, but ENVGEN_INDEX_MY_OWN_{other} is not"
    assert caught.value.hint == "set both, or neither"


def test_the_first_of_several_halves_is_always_the_same(tmp_path: Path) -> None:
    environ = {f"ENVGEN_INDEX_{name}_USERNAME": "x" for name in ("ZETA", "BETA", "ALPHA", "GAMMA", "DELTA")}
    with pytest.raises(UsageError, match=r"^ENVGEN_INDEX_ALPHA_USERNAME"):
        read_settings(environ, tmp_path)


def test_programs_see_the_network_but_no_pip_and_no_uv_configuration(tmp_path: Path) -> None:
    environ = {
        "PATH": "/bin", "HOME": "/root", "HTTPS_PROXY": "http://p:1", "no_proxy": "localhost", "SSL_CERT_FILE": "/ca.pem",
        "PIP_CERT": "/ca.pem",
        "PIP_INDEX_URL": "https://evil", "PIP_FIND_LINKS": "/x", "UV_INDEX_URL": "https://evil", "UV_EXCLUDE_NEWER": "2020-01-01",
        "LANG": "de_DE", "LC_ALL": "tr_TR", "TZ": "Asia/Tokyo", "PYTHONPATH": "/x", "AWS_SECRET_ACCESS_KEY": "x",
    }  # fmt: skip
    assert read_settings(environ, tmp_path).environment() == {
        "PATH": "/bin", "HOME": "/root", "HTTPS_PROXY": "http://p:1", "no_proxy": "localhost", "SSL_CERT_FILE": "/ca.pem",
        "PIP_CERT": "/ca.pem", "LC_ALL": "C.UTF-8",
    }  # fmt: skip


def test_a_proxy_and_a_ca_may_stand_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "envgen.toml").write_text('[network]\nproxy = "http://p:1"\nca = "/ca.pem"\n', encoding="utf-8")
    network = read_settings({"HTTPS_PROXY": "http://q:2"}, tmp_path).network
    assert network == {"HTTPS_PROXY": "http://q:2", "HTTP_PROXY": "http://p:1", "SSL_CERT_FILE": "/ca.pem", "REQUESTS_CA_BUNDLE": "/ca.pem"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[mirrors]\n", "envgen.toml: mirrors: unknown key"),
        ("[mirror]\ndefault = 3\n", "envgen.toml: mirror.default: found an integer (3), expected a string"),
        ("[network]\nproxi = 'x'\n", "envgen.toml: network.proxi: unknown key"),
        ("mirror", "envgen.toml: invalid TOML"),
    ],
)
def test_faults_of_the_file(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "envgen.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ProfileError) as caught:
        read_settings({}, tmp_path)
    assert str(caught.value).startswith(fault)


def test_the_cache_is_where_it_is_said(tmp_path: Path) -> None:
    assert read_settings({"ENVGEN_CACHE": "/big"}, tmp_path).wheels == Path("/big/wheels")


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        (f"python:3.11@{DIGEST}", f"127.0.0.1:5000/library/python:3.11@{DIGEST}"),
        (f"org/python:3.11@{DIGEST}", f"127.0.0.1:5000/org/python:3.11@{DIGEST}"),
        (f"docker.io/library/python@{DIGEST}", f"127.0.0.1:5000/library/python@{DIGEST}"),
        (f"quay.io/org/python@{DIGEST}", f"mirror.example/quay/org/python@{DIGEST}"),
        (f"ghcr.io/org/python@{DIGEST}", f"ghcr.io/org/python@{DIGEST}"),
        (f"localhost/python@{DIGEST}", f"localhost/python@{DIGEST}"),
        (f"127.0.0.1:5001/python@{DIGEST}", f"127.0.0.1:5001/python@{DIGEST}"),
        (f"registry:5000/python@{DIGEST}", f"registry:5000/python@{DIGEST}"),
    ],
)
def test_a_registry_may_have_a_mirror(tmp_path: Path, base: str, expected: str) -> None:
    environ = {"ENVGEN_REGISTRY_MIRROR": "docker.io=127.0.0.1:5000, quay.io = mirror.example/quay/"}
    assert base_via_mirror(read_settings(environ, tmp_path), base) == expected


@pytest.mark.parametrize("text", ["docker.io", "=127.0.0.1", "docker.io="])
def test_a_registry_mirror_is_a_pair(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"^ENVGEN_REGISTRY_MIRROR: found "):
        read_settings({"ENVGEN_REGISTRY_MIRROR": text}, tmp_path)


def test_a_registry_mirror_may_stand_in_the_project(tmp_path: Path) -> None:
    (tmp_path / "envgen.toml").write_text('[registry]\n"docker.io" = "mirror.example:5000/"\n', encoding="utf-8")
    base = f"python:3.11@{DIGEST}"
    assert base_via_mirror(read_settings({}, tmp_path), base) == f"mirror.example:5000/library/{base}"
    environ = {"ENVGEN_REGISTRY_MIRROR": "docker.io=127.0.0.1:5000"}
    assert base_via_mirror(read_settings(environ, tmp_path), base) == f"127.0.0.1:5000/library/{base}"


@pytest.mark.parametrize("name", ["my-own", "my.own"])
def test_every_name_of_an_index_has_one_variable(name: str, tmp_path: Path) -> None:
    variable = f"ENVGEN_{index_variable(name)}"
    assert variable == "ENVGEN_INDEX_MY_OWN"
    environ = {variable: "https://mirror.example", f"{variable}_USERNAME": "me", f"{variable}_PASSWORD": "secret"}
    settings = read_settings(environ, tmp_path)
    assert mirror_of(settings, name) == "https://mirror.example"
    assert credentials_of(settings, name) == ("me", "secret")
