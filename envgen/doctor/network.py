"""Checks the network settings: the proxy and certificates of each program that envgen uses, which read different variables."""

import importlib.util
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from envgen.core.settings import Settings
from envgen.doctor.finding import OK, PROBLEM, WARNING, Finding
from envgen.engine import EngineInfo

_REQUESTS = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_UV = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
"""The proxy variables for https, the first set one counts: requests, which envgen uses for indexes and the hub, prefers lower case."""

_CA_REQUESTS = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
_CA_UV = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""As in sources.http, and as documented by uv."""

_ENGINE_CURE = (
    'put {"proxies": {"http-proxy": "http://HOST:PORT", "https-proxy": "http://HOST:PORT"}} into /etc/docker/daemon.json and restart Docker'
)


def network(settings: Settings, environ: Mapping[str, str], info: EngineInfo | None) -> tuple[Finding, ...]:
    """The findings on proxies and certificates; none if none are set."""
    return (*_proxies(settings), *_engine(settings, info), *_docker_config(environ), *_certificates(settings))


def _proxies(settings: Settings) -> Iterator[Finding]:
    """The proxies of requests and uv for https, which all indexes, registries and hubs use."""
    variables = settings.network
    ours, uvs = _first(_REQUESTS, variables), _first(_UV, variables)
    if not ours:
        if _first(("http_proxy", "HTTP_PROXY"), variables):
            found = "for http alone: what is asked by https goes past it"
            yield Finding(subject="proxy for https", status=WARNING, found=found, cure="set HTTPS_PROXY to it too")
        return
    if _shown(variables[ours]) != _shown(variables[uvs]):
        found = f"envgen itself goes by {ours}={_shown(variables[ours])}, uv by {uvs}={_shown(variables[uvs])}"
        yield Finding(subject="proxy for https", status=WARNING, found=found, cure=f"set both to the same, or unset {ours} or {uvs}")
    else:
        yield Finding(subject="proxy for https", status=OK, found=f"envgen itself and uv go by {_shown(variables[ours])}")
    if variables[ours].lower().startswith("socks") and importlib.util.find_spec("socks") is None:
        cure = "use an http:// proxy, or install PySocks beside envgen: pip install PySocks"
        yield Finding(subject="SOCKS proxy", status=PROBLEM, found=f"{ours} names one, and requests has no SOCKS here", cure=cure)


def _engine(settings: Settings, info: EngineInfo | None) -> Iterator[Finding]:
    """The engine's own proxy for pulling bases: a shell's variables do not reach the engine."""
    if info is None:
        return
    if info.proxy:
        yield Finding(subject="engine's proxy", status=OK, found=f"{_shown(info.proxy)}: the engine pulls bases by it")
    elif _first(_REQUESTS, settings.network):
        found = "none: the engine pulls bases past the proxy that is set here"
        yield Finding(subject="engine's proxy", status=WARNING, found=found, cure=f"if it can't reach registries: {_ENGINE_CURE}")


def _docker_config(environ: Mapping[str, str]) -> Iterator[Finding]:
    """The proxies that the docker command sets in containers and builds by itself."""
    folder = Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME") or "~") / ".docker").expanduser()
    file = folder / "config.json"
    try:
        proxies = json.loads(file.read_bytes())["proxies"]
        shown = ", ".join(sorted({_shown(entry["httpsProxy"]) for entry in proxies.values() if entry.get("httpsProxy")}))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not JSON"
        cure = "correct it: the docker command reads it first of all"
        yield Finding(subject="docker's settings", status=PROBLEM, found=f"{file}: can't be read: {reason}", cure=cure)
        return
    except (KeyError, TypeError, AttributeError):
        return
    if shown:
        found = f"{file}: what `envgen run` starts goes by {shown}, unless a variable says otherwise"
        yield Finding(subject="docker's settings", status=OK, found=found)


def _certificates(settings: Settings) -> Iterator[Finding]:
    """The certificates of envgen itself and uv; missing files are reported for each variable."""
    variables = settings.network
    folder = variables.get("SSL_CERT_DIR")
    missing = [part for part in (folder or "").split(":") if part and not Path(part).is_dir()]
    if missing:
        cure = "unset SSL_CERT_DIR, or set it to a folder of certificates, such as /etc/ssl/certs"
        yield Finding(subject="SSL_CERT_DIR", status=PROBLEM, found=f"{', '.join(missing)}: no such folder", cure=cure)
    ours, uvs = _first(_CA_REQUESTS, variables), _first(_CA_UV, variables)
    if not (ours or uvs):
        return
    found = f"envgen itself goes by {ours or 'the bundle of its own'}, uv by {uvs or 'a bundle of its own'}, the engine by its host's"
    same = ours and uvs and variables[ours] == variables[uvs]
    cure = "set SSL_CERT_FILE and REQUESTS_CA_BUNDLE to the same file"
    yield Finding(subject="certificates", status=OK if same else WARNING, found=found, cure="" if same else cure)


def _first(names: tuple[str, ...], variables: Mapping[str, str]) -> str:
    """The first of `names` that is set; empty for none."""
    return next((name for name in names if variables.get(name)), "")


def _shown(value: str) -> str:
    """The URL of a proxy without its credentials."""
    try:
        url = urlsplit(value if "://" in value else f"http://{value}")
        return f"{url.scheme}://{url.hostname or ''}{f':{url.port}' if url.port else ''}"
    except ValueError:
        return "(not understood as a URL)"
