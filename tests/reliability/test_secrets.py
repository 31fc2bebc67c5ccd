"""Secrets: what envgen is given to get at things is in no layer, history, configuration, label, log, lock, report or kept file."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path

import pytest
import tiny
from built import docker
from figures import campaign
from loopback import Proxy, guarded_by
from searching import Search

SECRETS = {
    name: f"MARK-{name}-a+b/c=d%e&f"
    for name in ("token", "user", "password", "netrc password", "mirror password", "registry password", "certificate")
}
"""Each as unlike anything else as can be, with letters that are written otherwise in a URL and in base64."""

TAG = "envgen-tests/secrets"


@pytest.fixture
def secret_env(tmp_path: Path) -> dict[str, str]:
    """Everything secret that envgen may be given, each in the place where it belongs."""
    files = tmp_path / "secret"
    (files / "docker").mkdir(parents=True)
    pair = b64encode(f"me:{SECRETS['registry password']}".encode()).decode()
    (files / "docker" / "config.json").write_text(json.dumps({"auths": {"registry.example": {"auth": pair}}}))
    (files / "netrc").write_text(f"machine elsewhere.example login me password {SECRETS['netrc password']}\n")
    authorities = Path("/etc/ssl/certs/ca-certificates.crt").read_text()
    (files / "ca.pem").write_text(f"# {SECRETS['certificate']}\n{authorities}")
    return {
        "HF_TOKEN": SECRETS["token"],
        "ENVGEN_INDEX_TINY_USERNAME": SECRETS["user"],
        "ENVGEN_INDEX_TINY_PASSWORD": SECRETS["password"],
        "ENVGEN_INDEX_OTHER": f"https://me:{'MARK-mirror password-a+b%2Fc=d%25e&f'}@mirror.example/simple",
        "DOCKER_CONFIG": str(files / "docker"),
        "NETRC": str(files / "netrc"),
        "SSL_CERT_FILE": str(files / "ca.pem"),
        "REQUESTS_CA_BUNDLE": str(files / "ca.pem"),
    }


def test_no_secret_is_left_anywhere(image_site: tiny.Site, tiny_index: Proxy, secret_env: dict[str, str], tmp_path: Path) -> None:
    search = Search(SECRETS)
    with (
        campaign("secrets", sample=len(SECRETS), full=len(SECRETS)) as running,
        guarded_by(tiny_index, SECRETS["user"], SECRETS["password"]) as index,
    ):
        (tmp_path / "tmp").mkdir()
        site = image_site.copy(tmp_path)
        site.forget()
        env = {**secret_env, "ENVGEN_INDEX_TINY": index.url, "TMPDIR": str(tmp_path / "tmp")}
        site.envgen("lock", "tiny", **{**env, "ENVGEN_INDEX_TINY_PASSWORD": "wrong"}).must_fail(3)
        try:
            for arguments in (
                ("lock", "tiny"),
                ("lock", "tiny", "--resolver", "pip-tools"),
                ("build", "tiny", "--no-cache", "--tag", TAG, *tiny.base_arguments()),
                ("smoke", "tiny", "--json", "--image", TAG),
                ("why", "tiny", tiny.ALPHA),
            ):
                done = site.envgen(*arguments, **env).must_pass()
                search.look_at(" ".join(arguments), done.stdout + done.stderr)
            refused = site.envgen("lock", "tiny", **{**env, "ENVGEN_INDEX_TINY_USERNAME": "somebody else"})
            search.look_at("a refusal", refused.stdout + refused.stderr)
            search.look_at("its history", docker("history", "--no-trunc", TAG) + docker("image", "inspect", TAG))
            docker("save", "--output", tmp_path / "image.tar", TAG)
        finally:
            docker("image", "rm", "--force", TAG)
        search.look_into(tmp_path / "image.tar")
        for folder in ("project", "cache", "tmp"):
            search.look_below(tmp_path / folder)
        assert search.searched > (tmp_path / "image.tar").stat().st_size * 2
        for name in SECRETS:
            if places := [place for place in search.found if place.startswith(f"{name} in ")]:
                running.failed(", ".join(places[:3]))
            else:
                running.harmless()


@pytest.mark.parametrize("write", ["cat /secret", "base64 -w0 /secret", "(printf ab; cat /secret) | base64 -w0"])
def test_a_secret_that_is_there_would_be_found(write: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRETS["token"])
    (tmp_path / "Dockerfile").write_text(
        f"FROM {tiny.base_arguments()[-1]}\nRUN --mount=type=bind,source=secret,target=/secret {write} > /leak\n"
    )
    try:
        docker("buildx", "build", "--no-cache", "--provenance=false", "--output", f"type=image,name={TAG}:leak", tmp_path)
        docker("save", "--output", tmp_path / "image.tar", f"{TAG}:leak")
    finally:
        docker("image", "rm", "--force", f"{TAG}:leak")
    search = Search(SECRETS)
    search.look_into(tmp_path / "image.tar")
    assert any(place.startswith("token in sha256:") and place.endswith(" leak") for place in search.found)
