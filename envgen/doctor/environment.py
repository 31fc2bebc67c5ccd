"""Checks the environment: Python, the variables of the Hugging Face libraries, proxies and certificates."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from envgen.core.settings import Settings
from envgen.doctor.finding import NOT_APPLICABLE, OK, PROBLEM, WARNING, Finding
from envgen.image.run import cache_folders

OLDEST_PYTHON = (3, 11)
GATED_CURE = "needed only for gated or private models: export HF_TOKEN='hf_…' (a read token); envgen passes it at run time only"
BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")


def environment(environ: Mapping[str, str], settings: Settings) -> tuple[Finding, ...]:
    """Return all findings on the environment."""
    return (
        _python(sys.version_info[:3]),
        _token(environ),
        *_caches(environ),
        *_old_cache(environ),
        _proxies(settings),
        *_bundles(settings),
    )


def _python(version: tuple[int, ...]) -> Finding:
    text = ".".join(map(str, version))
    if version >= OLDEST_PYTHON:
        return Finding(subject="Python", status=OK, found=text)
    cure = f"install envgen with a newer one, as in: python{'.'.join(map(str, OLDEST_PYTHON))} -m venv"
    return Finding(subject="Python", status=PROBLEM, found=text, cure=cure)


def _token(environ: Mapping[str, str]) -> Finding:
    """Never shows the token itself."""
    token = environ.get("HF_TOKEN", "")
    if not token:
        saved = cache_folders(environ)["HF_HOME"] / "token"
        also = f"; `envgen run` uses the one in {saved}" if saved.is_file() else ""
        return Finding(subject="HF_TOKEN", status=WARNING, found=f"not set: no access to gated models{also}", cure=GATED_CURE)
    if token.split() != [token]:
        cure = "set it without spaces or newlines"
        return Finding(subject="HF_TOKEN", status=PROBLEM, found="contains whitespace: the hub will reject it", cure=cure)
    return Finding(subject="HF_TOKEN", status=OK, found="set")


def _caches(environ: Mapping[str, str]) -> Iterator[Finding]:
    for variable, folder in cache_folders(environ).items():
        where = f"{folder}{'' if environ.get(variable) else ' (the default)'}"
        cure = f"take ownership: sudo chown -R $(id -u):$(id -g) {folder}; or set {variable} to a folder that you own"
        if folder.is_dir():
            usable = os.access(folder, os.R_OK | os.W_OK | os.X_OK)
            state = where if usable else f"{where}: not readable and writable"
            yield Finding(subject=variable, status=OK if usable else PROBLEM, found=state, cure="" if usable else cure)
            continue
        above = next(parent for parent in folder.parents if parent.exists())
        if above.is_dir() and not folder.exists() and os.access(above, os.W_OK | os.X_OK):
            yield Finding(subject=variable, status=OK, found=f"{where}: does not exist yet; created when needed")
        else:
            problem = "not a folder" if folder.exists() or not above.is_dir() else "does not exist and can't be created"
            yield Finding(subject=variable, status=PROBLEM, found=f"{where}: {problem}", cure=f"set {variable} to a folder that you own")


def _old_cache(environ: Mapping[str, str]) -> Iterator[Finding]:
    if environ.get("TRANSFORMERS_CACHE"):
        state = "set, but ignored since transformers 5"
        yield Finding(subject="TRANSFORMERS_CACHE", status=WARNING, found=state, cure="unset TRANSFORMERS_CACHE and set HF_HOME")


def _proxies(settings: Settings) -> Finding:
    """The proxies, without their credentials."""
    proxies = {name: value for name, value in sorted(settings.network.items()) if name.lower().endswith("_proxy") and value}
    if not proxies:
        return Finding(subject="proxy", status=NOT_APPLICABLE, found="not set")
    shown, invalid = [], []
    for name, value in proxies.items():
        if name.lower() == "no_proxy":
            shown.append(f"{name}={value}")
            continue
        try:
            url = urlsplit(value if "://" in value else f"http://{value}")
            shown.append(f"{name}={url.scheme}://{url.hostname or ''}{f':{url.port}' if url.port else ''}")
            invalid += [] if url.hostname else [name]
        except ValueError:  # the port is not a number; it may be part of a password
            invalid.append(name)
    if invalid:
        cure = "use http://HOST:PORT, with special characters in a password written as %XX"
        return Finding(subject="proxy", status=PROBLEM, found=f"{', '.join(invalid)}: not a valid URL", cure=cure)
    return Finding(subject="proxy", status=OK, found=", ".join(shown))


def _bundles(settings: Settings) -> Iterator[Finding]:
    """The CA bundles that replace the system's certificates."""
    named = {variable: Path(settings.network[variable]) for variable in BUNDLES if settings.network.get(variable)}
    if not named:
        yield Finding(subject="CA bundle", status=NOT_APPLICABLE, found="not set: using the system's certificates")
    for variable, path in named.items():
        problem = _bundle_problem(path)
        cure = f"unset {variable}, or set it to a file with PEM certificates, such as /etc/ssl/certs/ca-certificates.crt"
        yield Finding(
            subject=variable,
            status=PROBLEM if problem else OK,
            found=f"{path}: {problem}" if problem else str(path),
            cure=cure if problem else "",
        )


def _bundle_problem(path: Path) -> str:
    """What is wrong with a CA bundle; empty if nothing is."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"can't be read: {error.strerror}"
    return "" if b"-----BEGIN" in content else "contains no PEM certificate"
