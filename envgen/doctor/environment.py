"""The environment: Python, the variables that Hugging Face libraries read, proxies and certificates."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from envgen.core.settings import Settings
from envgen.doctor.finding import NOT_APPLICABLE, OK, PROBLEM, WARNING, Finding
from envgen.image.run import cache_folders

OLDEST_PYTHON = (3, 11)
GATED_CURE = "only for gated or private models: export HF_TOKEN='hf_…' (a read token); envgen passes it at run time only"
BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")


def environment(environ: Mapping[str, str], settings: Settings) -> tuple[Finding, ...]:
    """All findings on the environment."""
    return (
        _python(sys.version_info[:3]),
        _token(environ),
        *_caches(environ),
        *_old_cache(environ),
        _proxies(settings),
        *_bundles(settings),
    )


def _python(version: tuple[int, ...]) -> Finding:
    found = ".".join(map(str, version))
    if version >= OLDEST_PYTHON:
        return Finding(subject="Python", status=OK, found=found)
    cure = f"install envgen in a newer one, as in: python{'.'.join(map(str, OLDEST_PYTHON))} -m venv"
    return Finding(subject="Python", status=PROBLEM, found=found, cure=cure)


def _token(environ: Mapping[str, str]) -> Finding:
    """Never shows the token itself."""
    token = environ.get("HF_TOKEN", "")
    if not token:
        kept = cache_folders(environ)["HF_HOME"] / "token"
        also = f"; `envgen run` has the one in {kept}" if kept.is_file() else ""
        return Finding(subject="HF_TOKEN", status=WARNING, found=f"not set: gated models will be refused{also}", cure=GATED_CURE)
    if token.split() != [token]:
        cure = "set it again, without spaces or line ends"
        return Finding(subject="HF_TOKEN", status=PROBLEM, found="set, but with white space in it: the hub will refuse it", cure=cure)
    return Finding(subject="HF_TOKEN", status=OK, found="set")


def _caches(environ: Mapping[str, str]) -> Iterator[Finding]:
    for variable, folder in cache_folders(environ).items():
        where = f"{folder}{'' if environ.get(variable) else ' (the default)'}"
        cure = f"make it yours: sudo chown -R $(id -u):$(id -g) {folder}; or set {variable} to a folder of yours"
        if folder.is_dir():
            usable = os.access(folder, os.R_OK | os.W_OK | os.X_OK)
            found = where if usable else f"{where}: can't be read or not be written"
            yield Finding(subject=variable, status=OK if usable else PROBLEM, found=found, cure="" if usable else cure)
            continue
        above = next(parent for parent in folder.parents if parent.exists())
        if above.is_dir() and not folder.exists() and os.access(above, os.W_OK | os.X_OK):
            yield Finding(subject=variable, status=OK, found=f"{where}: not there yet, made when it is needed")
        else:
            wrong = "is no folder" if folder.exists() or not above.is_dir() else "is not there and can't be made"
            yield Finding(subject=variable, status=PROBLEM, found=f"{where}: {wrong}", cure=f"set {variable} to a folder of yours")


def _old_cache(environ: Mapping[str, str]) -> Iterator[Finding]:
    if environ.get("TRANSFORMERS_CACHE"):
        found = "set, but ignored since transformers 5"
        yield Finding(subject="TRANSFORMERS_CACHE", status=WARNING, found=found, cure="unset TRANSFORMERS_CACHE, and set HF_HOME")


def _proxies(settings: Settings) -> Finding:
    """The proxies, without their credentials."""
    proxies = {name: value for name, value in sorted(settings.network.items()) if name.lower().endswith("_proxy") and value}
    if not proxies:
        return Finding(subject="proxy", status=NOT_APPLICABLE, found="none is set")
    shown, wrong = [], []
    for name, value in proxies.items():
        if name.lower() == "no_proxy":
            shown.append(f"{name}={value}")
            continue
        try:
            url = urlsplit(value if "://" in value else f"http://{value}")
            shown.append(f"{name}={url.scheme}://{url.hostname or ''}{f':{url.port}' if url.port else ''}")
            wrong += [] if url.hostname else [name]
        except ValueError:  # what stands for the port is no number, or may be a part of a password
            wrong.append(name)
    if wrong:
        cure = "expected http://HOST:PORT; special characters of a password are written as %XX"
        return Finding(subject="proxy", status=PROBLEM, found=f"{', '.join(wrong)}: not understood as a URL", cure=cure)
    return Finding(subject="proxy", status=OK, found=", ".join(shown))


def _bundles(settings: Settings) -> Iterator[Finding]:
    """The CA bundles that replace the machine's own certificates."""
    named = {variable: Path(settings.network[variable]) for variable in BUNDLES if settings.network.get(variable)}
    if not named:
        yield Finding(subject="CA bundle", status=NOT_APPLICABLE, found="none is set: the machine's own certificates are used")
    for variable, path in named.items():
        wrong = _no_bundle(path)
        cure = f"unset {variable}, or set it to a file with PEM certificates, such as /etc/ssl/certs/ca-certificates.crt"
        yield Finding(
            subject=variable, status=PROBLEM if wrong else OK, found=f"{path}: {wrong}" if wrong else str(path), cure=cure if wrong else ""
        )


def _no_bundle(path: Path) -> str:
    """What is wrong with a CA bundle; empty if nothing is."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"can't be read: {error.strerror}"
    return "" if b"-----BEGIN" in content else "no PEM certificate in it"
