"""envgen.profiles.secret_values: secrets in [env] are refused, without being printed."""

from pathlib import Path

import pytest
from samples import PROFILE

from envgen.cli import main
from envgen.profiles.secret_values import is_secret


@pytest.mark.parametrize(
    "name",
    [
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "hf_token",
        "TOKEN",
        "WANDB_API_KEY",
        "OPENAI_APIKEY",
        "DB_PASSWORD",
        "PASSWORD_OF_DB",
        "MY_SECRET",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SESSION_TOKEN",
        "SSH_PRIVATE_KEY",
    ],
)
def test_a_name_says_that_it_is_a_secret(name: str) -> None:
    assert is_secret(name, "x7Qz")


@pytest.mark.parametrize(
    "value",
    [
        "hf_" + "aB3" * 12,
        "ghp_" + "aB3" * 12,
        "github_pat_" + "aB3" * 12,
        "sk-proj-" + "aB3" * 12,
        "AKIA" + "ABCD2345" * 2,
        "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2ln",
        "http://user:word@proxy.example:3128",
        "-----BEGIN RSA PRIVATE KEY-----",
    ],
)
def test_a_value_is_one_whatever_it_is_called(value: str) -> None:
    assert is_secret("SETTING", value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("HF_TOKEN_PATH", "/run/token"),
        ("DB_PASSWORD_FILE", "/run/secrets/db"),
        ("MAX_NEW_TOKENS", "128"),
        ("AWS_REGION", "eu-central-1"),
        ("HF_HOME", "/hf"),
        ("HTTPS_PROXY", "http://proxy.example:3128"),
        ("BACKEND", "hf_transfer"),
        ("MODEL", "sk-learn"),
        ("HF_TOKEN", ""),
    ],
)
def test_what_is_no_secret_is_admitted(name: str, value: str) -> None:
    assert not is_secret(name, value)


def test_a_profile_with_a_secret_is_refused_and_the_secret_is_not_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = "hf_" + "aB3" * 12
    (tmp_path / "profiles").mkdir()
    env = f'[env]\nHF_TOKEN = "{secret}"\nWANDB_API_KEY = "0123abcd"\n'
    (tmp_path / "profiles" / "small.toml").write_text(PROFILE.replace("[env]\n", env), encoding="utf-8")
    for command in (["lock"], ["lock", "--check"], ["show", "small"], ["build", "small"]):
        assert main(["--project", str(tmp_path), *command]) == 2
        err = capsys.readouterr().err
        assert "error: profiles/small.toml: env.HF_TOKEN: a secret in a committed file\n" in err
        assert "hint:  remove it: envgen passes HF_TOKEN at run time" in err
        assert "env.WANDB_API_KEY: a secret in a committed file" in err
        assert secret not in err
