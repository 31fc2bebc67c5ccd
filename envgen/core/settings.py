"""Where things are fetched from and kept: mirrors, credentials and the cache, from the environment and `envgen.toml`.

Settings change where, never what: nothing here is an input of a lock.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from platformdirs import user_cache_path

from envgen.core.errors import UsageError
from envgen.core.toml import Faults, Table, load_toml

_NETWORK_VARIABLES = re.compile(
    r"(https?|all|no)_proxy|SSL_CERT_(FILE|DIR)|(REQUESTS|CURL)_CA_BUNDLE|PIP_(CERT|PROXY)|NETRC", re.IGNORECASE
)
_SYSTEM_VARIABLES = ("PATH", "HOME", "USER", "TMPDIR", "SYSTEMROOT", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT")

HUB = "https://huggingface.co"
"""The hub of models, unless HF_ENDPOINT names another."""

PATIENCE = 60.0
"""Seconds that an index may keep us waiting, unless ENVGEN_PATIENCE says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`mirrors` maps an index's name to a URL or folder that stands in for it; `credentials` to user and password.

    `patience` is in seconds: how long an index may keep silent, or be as good as silent. With `offline` no network is used at all:
    whoever would have to ask an index, a registry or the hub raises an error instead. `hub` is the URL of the hub of models, and
    `token` is for it alone: it is shown to nobody else.
    """

    cache: Path
    mirrors: Mapping[str, str]
    credentials: Mapping[str, tuple[str, str]]
    registries: Mapping[str, str]
    network: Mapping[str, str]
    system: Mapping[str, str]
    patience: float = PATIENCE
    offline: bool = False
    hub: str = HUB
    token: str = field(default="", repr=False)

    @property
    def wheels(self) -> Path:
        return self.cache / "wheels"

    @property
    def models(self) -> Path:
        return self.cache / "models"

    def environment(self) -> dict[str, str]:
        """What a program that we start may see: the way to the network and to itself, no pip or uv configuration."""
        return {**self.system, **self.network, "LC_ALL": "C.UTF-8"}

    def in_container(self) -> tuple[dict[str, str], tuple[tuple[Path, str, bool], ...]]:
        """The way to the network for a container: its variables, and the mount of the CA certificates where we use others."""
        variables = {name: value for name, value in self.network.items() if name.lower().endswith("_proxy")}
        bundle = self.network.get("SSL_CERT_FILE") or self.network.get("REQUESTS_CA_BUNDLE")
        if not bundle:
            return variables, ()
        inside = "/envgen/ca.pem"
        return {**variables, "SSL_CERT_FILE": inside, "REQUESTS_CA_BUNDLE": inside}, ((Path(bundle), inside, False),)


def read_settings(environ: Mapping[str, str], project: Path) -> Settings:
    """The settings for the project folder `project`; the environment wins over its `envgen.toml`.

    Raises ProfileError when `envgen.toml` is wrong, UsageError when half of a pair of credentials is missing, or a mirror is no URL.
    """
    file = project / "envgen.toml"
    mirrors, registries, network = _read_file(file) if file.is_file() else ({}, {}, {})
    users: dict[str, str] = {}
    passwords: dict[str, str] = {}
    for name, value in environ.items():
        match = re.fullmatch(r"ENVGEN_INDEX_([A-Z0-9_]+?)(_USERNAME|_PASSWORD)?", name)
        if match and value:
            into = {"_USERNAME": users, "_PASSWORD": passwords}.get(match[2] or "", mirrors)
            into[_index_key(match[1])] = value
    for half in sorted(users.keys() ^ passwords.keys()):
        present, missing = ("USERNAME", "PASSWORD") if half in users else ("PASSWORD", "USERNAME")
        variable = f"ENVGEN_{index_variable(half)}"
        raise UsageError(f"{variable}_{present}", "set without its other half", hint=f"set {variable}_{missing} too")
    given = {name: value for name, value in environ.items() if _NETWORK_VARIABLES.fullmatch(name)}
    # https_proxy in the environment is HTTPS_PROXY of the file, and wins: programs differ in which of the two they read.
    spelled = {name.lower() for name in given}
    network = {**{name: value for name, value in network.items() if name.lower() not in spelled}, **given}
    inside = {name: _take_credentials(mirrors, name) for name in tuple(mirrors)}
    cache = environ.get("ENVGEN_CACHE")
    return Settings(
        cache=Path(cache) if cache else user_cache_path("envgen", appauthor=False),
        mirrors=mirrors,
        credentials={
            **{name: pair for name, pair in inside.items() if pair},
            **{name: (users[name], passwords[name]) for name in users},
        },
        registries={**registries, **_registry_mirrors(environ.get("ENVGEN_REGISTRY_MIRROR", ""))},
        network=network,
        system={name: environ[name] for name in _SYSTEM_VARIABLES if name in environ},
        patience=_patience(environ.get("ENVGEN_PATIENCE", "")),
        hub=(environ.get("HF_ENDPOINT") or HUB).rstrip("/"),
        token=environ.get("HF_TOKEN", "").strip(),
    )


def _take_credentials(mirrors: dict[str, str], index: str) -> tuple[str, str] | None:
    """User and password from the URL of a mirror, taken out of it: a URL is said in messages, and given to others."""
    try:
        parts = urlsplit(mirrors[index] if "://" in mirrors[index] else "")
    except ValueError as error:
        where = f"ENVGEN_{index_variable(index)}"
        raise UsageError(where, f"found what is no URL: {error}", hint="as in https://mirror.example/simple") from error
    if "@" not in parts.netloc:
        return None
    both, _, host = parts.netloc.rpartition("@")
    mirrors[index] = parts._replace(netloc=host).geturl()
    user, _, password = both.partition(":")
    return unquote(user), unquote(password)


def _patience(text: str) -> float:
    if not text:
        return PATIENCE
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]+)?", text) or float(text) == 0:
        raise UsageError("ENVGEN_PATIENCE", f"found {text!r}, expected seconds", hint="as in ENVGEN_PATIENCE=120")
    return float(text)


def index_variable(name: str) -> str:
    """What the variables of the index `name` are called: `ENVGEN_` before it, `_USERNAME` behind it; a build argument is called so too."""
    return f"INDEX_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"


def _index_key(name: str) -> str:
    """What stands for all names that have the same variables."""
    return name.lower().replace("_", "-").replace(".", "-")


def _read_file(path: Path) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """The mirrors of indexes, the mirrors of registries, and the network variables that `envgen.toml` sets."""
    faults = Faults(lambda _path: path.name)
    table = Table(load_toml(path, path.name), faults)
    mirror, registry, network = table.table("mirror"), table.table("registry"), table.table("network")
    mirrors = {_index_key(name): _from_folder(path.parent, mirror.get(name, str, "")) for name in mirror.names()}
    registries = {name: registry.get(name, str, "").rstrip("/") for name in registry.names()}
    proxy, certificates = network.get("proxy", str, ""), _from_folder(path.parent, network.get("ca", str, ""))
    network.close()
    for inner in (mirror, registry, network):
        _check_texts(inner)
    table.close()
    faults.raise_any()
    variables = {"HTTPS_PROXY": proxy, "HTTP_PROXY": proxy, "SSL_CERT_FILE": certificates, "REQUESTS_CA_BUNDLE": certificates}
    return mirrors, registries, {name: value for name, value in variables.items() if value}


def _from_folder(folder: Path, text: str) -> str:
    """A path in the `envgen.toml` of `folder` as one that means the same from anywhere; a URL stays as it is."""
    return str(folder / text) if text and "://" not in text else text


def _check_texts(table: Table) -> None:
    """What becomes a variable, a path or part of a URL must be text, and no secret."""
    for name in table.names():
        text = table.get(name, str, "")
        if not text.isprintable():
            table.fault(name, "found a control character, expected plain text")
        if "@" in text.partition("://")[2].partition("/")[0]:
            table.fault(name, "credentials in a committed file", "take the entry out, and set the variable that stands for it")


def mirror_of(settings: Settings, index: str) -> str:
    """The stand-in for the index named `index`, or an empty string."""
    return settings.mirrors.get(_index_key(index), "")


def credentials_of(settings: Settings, index: str) -> tuple[str, str] | None:
    """The user and the password for `index`, None where there are none."""
    return settings.credentials.get(_index_key(index))


def _registry_mirrors(text: str) -> dict[str, str]:
    """`docker.io=127.0.0.1:5000`, and more after commas, as a mapping. Raises UsageError."""
    found = {}
    for pair in filter(None, text.split(",")):
        registry, separator, mirror = pair.partition("=")
        if not (registry and separator and mirror):
            raise UsageError("ENVGEN_REGISTRY_MIRROR", f"found {pair!r}", hint="expected REGISTRY=MIRROR, as in docker.io=127.0.0.1:5000")
        found[registry.strip()] = mirror.strip().rstrip("/")
    return found


def registry_of(base: str) -> tuple[str, str]:
    """The registry of the image reference `base`, and the rest as that registry knows it."""
    first, _, rest = base.partition("/")
    if rest and ("." in first or ":" in first or first == "localhost"):
        return first, rest
    return "docker.io", base if rest else f"library/{base}"


def base_via_mirror(settings: Settings, base: str) -> str:
    """The image reference `base` with its registry replaced by the mirror for it, if there is one."""
    registry, path = registry_of(base)
    mirror = settings.registries.get(registry)
    return f"{mirror}/{path}" if mirror else base
