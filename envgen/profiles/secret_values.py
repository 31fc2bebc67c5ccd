"""Detect secrets in `[env]`, which is committed and readable in the lock, the Dockerfile and every image."""

import re

_NAME = re.compile(r"(.*_)?(TOKEN|API_?KEY|ACCESS_KEY(_ID)?|PRIVATE_KEY|PASSWD)|.*(SECRET|PASSWORD).*", re.IGNORECASE)
_NAME_OF_A_FILE = re.compile(r".*_(FILE|PATH|DIR)", re.IGNORECASE)
_SWITCH = re.compile(r"|[0-9]{1,6}|true|false|yes|no|on|off", re.IGNORECASE)
"""Values that are not secrets, whatever their name, as in HF_HUB_DISABLE_IMPLICIT_TOKEN=1."""

_VALUE = re.compile(
    r"""
    \b( hf_[A-Za-z0-9]{16,}                              # Hugging Face
      | gh[oprsu]_[A-Za-z0-9]{20,} | github_pat_\w{20,}  # GitHub
      | glpat-[\w-]{16,}                                 # GitLab
      | sk-[\w-]{20,}                                    # OpenAI and others
      | (AKIA|ASIA)[0-9A-Z]{16}                          # AWS
      | AIza[\w-]{30,}                                   # Google
      | xox[abeoprs]-[\w-]{10,}                          # Slack
      | pypi-AgE[\w-]{16,}                               # an index of Python packages
      | eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.                     # a JSON Web Token
      )
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY
    | [A-Za-z][A-Za-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@      # the password in a URL
    """,
    re.VERBOSE,
)


def is_secret(name: str, value: str) -> bool:
    """Whether the variable `name`, or its value, looks like a secret."""
    named = _NAME.fullmatch(name) and not _NAME_OF_A_FILE.fullmatch(name) and not _SWITCH.fullmatch(value)
    return bool(named or _VALUE.search(value))


def cure(name: str) -> str:
    """What to do about a secret in the variable `name`."""
    if name.upper() == "HF_TOKEN":
        return "remove it: envgen passes HF_TOKEN at run time, from the environment of `envgen run`"
    return f"remove it, and set {name} where the image runs: what [env] says can be read in the lock and in the image"
