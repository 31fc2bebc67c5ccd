"""envgen.doctor.network: which proxy and certificates each program goes by."""

import json
from pathlib import Path

import pytest

from envgen.core.settings import read_settings
from envgen.doctor import Finding
from envgen.doctor.finding import OK, PROBLEM, WARNING
from envgen.doctor.network import network
from envgen.engine import EngineInfo

ENGINE = EngineInfo(name="Docker", version="28.0", tools={}, data_root="/var/lib/docker")
BEHIND = EngineInfo(name="Docker", version="28.0", tools={}, data_root="/var/lib/docker", proxy="http://ann:secret@p.example:3128")


def findings(folder: Path, info: EngineInfo | None = None, **environ: str) -> dict[str, Finding]:
    values = {"HOME": str(folder), **environ}
    found = network(read_settings(values, folder), values, info)
    for finding in found:
        assert bool(finding.cure) == (finding.status in (WARNING, PROBLEM)), finding
        assert "secret" not in finding.found + finding.cure
    assert len({finding.subject for finding in found}) == len(found)
    return {finding.subject: finding for finding in found}


def test_nothing_is_said_where_nothing_is_set(tmp_path: Path) -> None:
    assert findings(tmp_path, ENGINE) == {}


def test_one_proxy_for_all(tmp_path: Path) -> None:
    found = findings(tmp_path, BEHIND, HTTPS_PROXY="http://ann:secret@p.example:3128", https_proxy="p.example:3128")
    assert {finding.status for finding in found.values()} == {OK}
    assert found["proxy for https"].found == "envgen itself and uv go by http://p.example:3128"
    assert found["engine's proxy"].found.startswith("http://p.example:3128: ")


def test_programs_that_go_by_different_variables(tmp_path: Path) -> None:
    found = findings(tmp_path, HTTPS_PROXY="http://up.example:1", https_proxy="http://low.example:2")["proxy for https"]
    assert found.status == WARNING
    assert found.found == "envgen itself goes by https_proxy=http://low.example:2, uv by HTTPS_PROXY=http://up.example:1"
    assert findings(tmp_path, ALL_PROXY="http://a.example:1")["proxy for https"].status == OK


def test_a_proxy_for_http_alone(tmp_path: Path) -> None:
    found = findings(tmp_path, HTTP_PROXY="http://p.example:1")["proxy for https"]
    assert (found.status, found.cure) == (WARNING, "set HTTPS_PROXY to it too")


def test_an_engine_without_the_proxy_that_is_set_here(tmp_path: Path) -> None:
    found = findings(tmp_path, ENGINE, HTTPS_PROXY="http://p.example:1")["engine's proxy"]
    assert found.status == WARNING
    assert "daemon.json" in found.cure
    assert "engine's proxy" not in findings(tmp_path, None, HTTPS_PROXY="http://p.example:1")


def test_a_socks_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert findings(tmp_path, ALL_PROXY="socks5://p.example:1080")["SOCKS proxy"].status == PROBLEM
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: object())
    assert "SOCKS proxy" not in findings(tmp_path, ALL_PROXY="socks5://p.example:1080")


def test_the_settings_of_the_docker_command(tmp_path: Path) -> None:
    folder = tmp_path / ".docker"
    folder.mkdir()
    file = folder / "config.json"
    file.write_text(json.dumps({"proxies": {"default": {"httpsProxy": "http://ann:secret@c.example:1"}}}))
    found = findings(tmp_path)["docker's settings"]
    assert found.status == OK
    assert found.found.startswith(f"{file}: ")
    assert "http://c.example:1" in found.found
    for text in ("{}", '{"proxies": []}', '{"proxies": {"default": 1}}', "[]"):
        file.write_text(text)
        assert findings(tmp_path) == {}, text
    file.write_text("{")
    assert findings(tmp_path)["docker's settings"].status == PROBLEM
    assert findings(tmp_path, DOCKER_CONFIG=str(tmp_path)) == {}


def test_certificates(tmp_path: Path) -> None:
    both = findings(tmp_path, SSL_CERT_FILE="/ca.pem", REQUESTS_CA_BUNDLE="/ca.pem")["certificates"]
    assert (both.status, both.found) == (OK, "envgen itself goes by REQUESTS_CA_BUNDLE, uv by SSL_CERT_FILE, the engine by its host's")
    assert findings(tmp_path, SSL_CERT_FILE="/ca.pem")["certificates"].status == OK
    one = findings(tmp_path, REQUESTS_CA_BUNDLE="/ca.pem")["certificates"]
    assert (one.status, one.cure) == (WARNING, "set SSL_CERT_FILE and REQUESTS_CA_BUNDLE to the same file")
    assert findings(tmp_path, SSL_CERT_DIR=f"{tmp_path}:/nowhere/at/all")["SSL_CERT_DIR"].found == "/nowhere/at/all: no such folder"


def test_what_the_environment_says_wins_over_envgen_toml_however_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "envgen.toml").write_text('[network]\nproxy = "http://file.example:1"\n')
    network = read_settings({"https_proxy": "http://env.example:2"}, tmp_path).network
    assert network == {"https_proxy": "http://env.example:2", "HTTP_PROXY": "http://file.example:1"}


def test_paths_in_envgen_toml_are_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "envgen.toml").write_text('[network]\nca = "ca.pem"\n\n[mirror]\ndefault = "wheels"\nother = "https://m.example/simple"\n')
    settings = read_settings({}, tmp_path)
    assert settings.network["SSL_CERT_FILE"] == settings.network["REQUESTS_CA_BUNDLE"] == str(tmp_path / "ca.pem")
    assert settings.mirrors == {"default": str(tmp_path / "wheels"), "other": "https://m.example/simple"}
