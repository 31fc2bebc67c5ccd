"""Settings from the environment and `envgen.toml`: mirrors, credentials, network and cache.

Settings never affect a lock: they change where files come from, not which files are locked.
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
"""The model hub, unless HF_ENDPOINT names another."""

PATIENCE = 60.0
"""Seconds to wait for an index, unless ENVGEN_PATIENCE is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a project on this machine.

    `mirrors` maps an index's name to the URL or folder that replaces it, `credentials` to user and password. `patience` is how many
    seconds an index may stall. With `offline` no network is used: what needs an index, a registry or the hub raises an error.
    `token` is sent only to `hub`, the URL of the model hub.
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
        """The environment of programs that we start: network and system variables, but no pip or uv configuration."""
        return {**self.system, **self.network, "LC_ALL": "C.UTF-8"}

    def in_container(self) -> tuple[dict[str, str], tuple[tuple[Path, str, bool], ...]]:
        """The network variables for a container, and the mount of the CA bundle if one is set."""
        variables = {name: value for name, value in self.network.items() if name.lower().endswith("_proxy")}
        bundle = self.network.get("SSL_CERT_FILE") or self.network.get("REQUESTS_CA_BUNDLE")
        if not bundle:
            return variables, ()
        inside = "/envgen/ca.pem"
        return {**variables, "SSL_CERT_FILE": inside, "REQUESTS_CA_BUNDLE": inside}, ((Path(bundle), inside, False),)


def read_settings(environ: Mapping[str, str], project: Path) -> Settings:
    """Read the settings for the project folder `project`; the environment overrides its `envgen.toml`.

    Raises ProfileError if `envgen.toml` is invalid, UsageError for a user without a password (or the reverse) or an invalid mirror URL.
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
        raise UsageError(f"{variable}_{present}", f"set, but {variable}_{missing} is not", hint="set both, or neither")
    given = {name: value for name, value in environ.items() if _NETWORK_VARIABLES.fullmatch(name)}
    # https_proxy in the environment overrides HTTPS_PROXY of the file: programs differ in which of the two they read.
    spelled = {name.lower() for name in given}
    network = {**{name: value for name, value in network.items() if name.lower() not in spelled}, **given}
    in_urls = {name: _take_credentials(mirrors, name) for name in tuple(mirrors)}
    cache = environ.get("ENVGEN_CACHE")
    return Settings(
        cache=Path(cache) if cache else user_cache_path("envgen", appauthor=False),
        mirrors=mirrors,
        credentials={
            **{name: pair for name, pair in in_urls.items() if pair},
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
    """Remove user and password from a mirror's URL and return them: URLs are printed and passed to programs."""
    try:
        parts = urlsplit(mirrors[index] if "://" in mirrors[index] else "")
    except ValueError as error:
        where = f"ENVGEN_{index_variable(index)}"
        raise UsageError(where, f"not a valid URL: {error}", hint="as in https://mirror.example/simple") from error
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
    """The variable of the index `name`, without the prefix `ENVGEN_`; also the name of its build argument."""
    return f"INDEX_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"


def _index_key(name: str) -> str:
    """The key shared by all index names that have the same variable."""
    return name.lower().replace("_", "-").replace(".", "-")


def _read_file(path: Path) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """The index mirrors, registry mirrors and network variables in `envgen.toml`."""
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
    """Resolve a path in the `envgen.toml` of `folder`; a URL is unchanged."""
    return str(folder / text) if text and "://" not in text else text


def _check_texts(table: Table) -> None:
    """Report values that are not plain text or that contain credentials."""
    for name in table.names():
        text = table.get(name, str, "")
        if not text.isprintable():
            table.fault(name, "found a control character, expected plain text")
        if "@" in text.partition("://")[2].partition("/")[0]:
            table.fault(name, "credentials in a committed file", "remove it, and set the environment variable instead")


def mirror_of(settings: Settings, index: str) -> str:
    """The mirror of the index named `index`, or an empty string."""
    return settings.mirrors.get(_index_key(index), "")


def credentials_of(settings: Settings, index: str) -> tuple[str, str] | None:
    """The user and password for `index`, or None."""
    return settings.credentials.get(_index_key(index))


def _registry_mirrors(text: str) -> dict[str, str]:
    """Parse `docker.io=127.0.0.1:5000,…` into a mapping. Raises UsageError."""
    mirrors = {}
    for pair in filter(None, text.split(",")):
        registry, separator, mirror = pair.partition("=")
        if not (registry and separator and mirror):
            raise UsageError("ENVGEN_REGISTRY_MIRROR", f"found {pair!r}", hint="expected REGISTRY=MIRROR, as in docker.io=127.0.0.1:5000")
        mirrors[registry.strip()] = mirror.strip().rstrip("/")
    return mirrors


def registry_of(base: str) -> tuple[str, str]:
    """Split the image reference `base` into its registry and the repository there."""
    first, _, rest = base.partition("/")
    if rest and ("." in first or ":" in first or first == "localhost"):
        return first, rest
    return "docker.io", base if rest else f"library/{base}"


def base_via_mirror(settings: Settings, base: str) -> str:
    """The image reference `base` with its registry replaced by that registry's mirror, if there is one."""
    registry, path = registry_of(base)
    mirror = settings.registries.get(registry)
    return f"{mirror}/{path}" if mirror else base
