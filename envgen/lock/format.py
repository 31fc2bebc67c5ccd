"""Reads `envgen.lock`: validates every field and rejects a lock that was edited by hand."""

import datetime as dt

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from envgen.core.errors import ProfileError, ProfileErrors, StaleLockError
from envgen.core.toml import Faults, Table, parse_toml
from envgen.lock.model import Lock, LockedBound, LockedIndex, LockedModel, Package, RequiredBy, dump_lock
from envgen.lock.notice import Notice, NoticeKind
from envgen.sources import LockedModelFiles, Wheel
from envgen.sources.models import COMMIT, FILE_NAME, SHA256, HubFile, is_repo
from envgen.sources.wheel import NOT_PUBLISHED, WHEEL_FILE

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def parse_lock(data: bytes, label: str) -> Lock:
    """Parses the lock in `data`, named `label` in messages.

    Raises StaleLockError if it can't be read or was edited by hand: writing it again must give the same bytes.
    """
    try:
        lock = _read(parse_toml(data), Faults(lambda _path: label))
        written = dump_lock(lock)
    except (ValueError, OverflowError, ProfileError) as error:
        faults = error.faults() if isinstance(error, ProfileErrors) else (error,)
        reason = str(faults[0]).removeprefix(f"{label}: ")
        hint = f"write it anew: envgen lock {_profile(label)}"
        raise StaleLockError(label, f"not a lock that envgen wrote: {reason}", hint=hint) from error
    if written != data:
        hint = f"change the profile instead, then run: envgen lock {_profile(label)}"
        raise StaleLockError(label, "edited by hand: its content is not what its digest says", hint=hint)
    return lock


def _profile(label: str) -> str:
    """The profile of the lock, from its path: its content can't be trusted."""
    return label.split("/")[-3] if label.count("/") >= 2 else "PROFILE"


def _read(data: dict[str, object], faults: Faults) -> Lock:
    table = Table(data, faults)
    if table.require("version", int, 0) != 1:
        table.fault("version", "expected 1: another envgen wrote this lock")
    table.require("content", str, "")
    installer = _wheel(table.table("installer")) if "installer" in table else None
    slug = table.require("target", str, "")
    lock = Lock(
        inputs=table.require("inputs", str, ""),
        profile=table.require("profile", str, ""),
        description=table.require("description", str, ""),
        platform=table.require("platform", str, ""),
        as_of=_instant(table, "as_of"),
        python=table.require("python", str, ""),
        base=table.require("base", str, ""),
        tiers=table.strings("tiers"),
        layers=table.strings("layers"),
        env=tuple((name, value) for name, value in _texts(table.table("env"))),
        indexes=tuple(_index(inner) for inner in table.array_of_tables("index")),
        installer=installer,
        packages=tuple(_package(inner) for inner in table.array_of_tables("package")),
        cuda=table.get("cuda", str, ""),
        driver=table.get("driver", str, "").removeprefix(">="),
        model=_model(table.table("model")) if "model" in table else None,
        notices=tuple(_notice(inner) for inner in table.array_of_tables("notice")),
    )
    if slug != lock.target.slug:
        table.fault("target", f"found {slug!r}, expected {lock.target.slug!r}: its Python and platform")
    _check_whole(lock, table)
    table.close()
    faults.raise_any()
    return lock


def _check_whole(lock: Lock, table: Table) -> None:
    """Checks that the entries agree: otherwise an image could silently miss something."""
    if bool(lock.base) != bool(lock.installer):
        table.fault("installer", "found a base without an installer, or the other way round, expected both or neither")
    if lock.model and not lock.base:
        table.fault("model", "found a model, but no base that an image is built on to test it in")
    known = {"default", *(index.name for index in lock.indexes)}
    for notice in lock.notices:
        if lock.package(notice.package) is None:
            table.fault("notice", f"is about {notice.package!r}, which is not in the lock")
    for package in lock.packages:
        if package.layer not in lock.layers:
            table.fault("package", f"{package.wheel.name} is in the layer {package.layer!r}, which is not in layers")
    others = [lock.installer, lock.model.source if lock.model else None]
    for wheel in (*lock.wheels, *(wheel for wheel in others if isinstance(wheel, Wheel))):
        if wheel.index not in known:
            table.fault("package", f"{wheel.name} comes from the index {wheel.index!r}, which is not in the lock")


def _notice(table: Table) -> Notice:
    kind, known = table.require("kind", str, ""), tuple(NoticeKind)
    if kind not in known:
        table.fault("kind", f"found {kind!r}, expected one of {', '.join(known)}")
    texts = {key: table.require(key, str, "") for key in ("package", "text", "cure")}
    for key in [key for key, text in texts.items() if not text.isprintable()]:
        table.fault(key, f"found {texts[key]!r}, expected one printable line")
    table.close()
    return Notice(kind=NoticeKind(kind if kind in known else known[0]), **texts)


def _texts(table: Table) -> list[tuple[str, str]]:
    return [(name, table.get(name, str, "")) for name in table.names()]


def _index(table: Table) -> LockedIndex:
    index = LockedIndex(name=table.require("name", str, ""), url=table.require("url", str, ""), packages=table.strings("packages"))
    table.close()
    return index


def _wheel(table: Table, *, close: bool = True) -> Wheel:
    file, sha256, name = table.require("file", str, ""), _sha256(table), table.require("name", str, "")
    version = table.require("version", str, "")
    try:
        # Name and version end up in paths and in a Dockerfile: accept only those of a real wheel.
        parsed = parse_wheel_filename(file if WHEEL_FILE.fullmatch(file) else "")[:2]
        if parsed != (name, Version(version)) or version != version.strip():
            table.fault("file", f"found {file!r}, which is no wheel of {name} {version!r}")
    except (InvalidWheelFilename, InvalidVersion):
        table.fault("file", f"found {file!r}, expected the file name of a wheel of {name} {version!r}")
    wheel = Wheel(
        name=name,
        version=version,
        file=file,
        sha256=sha256,
        size=_size(table),
        index=table.require("index", str, ""),
        uploaded=_uploaded(table),
    )
    if close:
        table.close()
    return wheel


def _sha256(table: Table) -> str:
    text = table.require("sha256", str, "")
    if not SHA256.fullmatch(text):
        table.fault("sha256", f"found {text!r}, expected 64 hexadecimal digits")
    return text


def _model(table: Table) -> LockedModel:
    prompt, expect = table.get("prompt", str, ""), table.get("expect", str, "")
    source = _repository(table) if "repo" in table else _wheel(table, close=False)
    table.close()
    return LockedModel(source=source, prompt=prompt, expect=expect)


def _repository(table: Table) -> LockedModelFiles:
    repo, commit = table.require("repo", str, ""), table.require("commit", str, "")
    # All of these end up in paths and download URLs.
    if not is_repo(repo):
        table.fault("repo", f"found {repo!r}, expected ORG/NAME")
    if not COMMIT.fullmatch(commit):
        table.fault("commit", f"found {commit!r}, expected 40 hexadecimal digits")
    files = tuple(_hub_file(inner) for inner in table.array_of_tables("files"))
    names = [file.name for file in files]
    if not names or names != sorted(set(names)):
        table.fault("files", "found none, or not each once and in order, expected the files of a model by name")
    return LockedModelFiles(repo=repo, commit=commit, files=files)


def _hub_file(table: Table) -> HubFile:
    file = HubFile(name=table.require("name", str, ""), sha256=_sha256(table), size=_size(table))
    if not FILE_NAME.fullmatch(file.name):
        table.fault("name", f"found {file.name!r}, expected the name of a file without a folder")
    table.close()
    return file


def _size(table: Table) -> int:
    size = table.require("size", int, 0)
    if size < 0:
        table.fault("size", f"found {size}, expected a number of bytes")
    return size


def _uploaded(table: Table) -> dt.datetime | None:
    if table.is_text("uploaded", NOT_PUBLISHED):
        return None
    return _instant(table, "uploaded")


def _instant(table: Table, key: str) -> dt.datetime:
    instant = table.require(key, dt.datetime, _EPOCH)
    if instant.tzinfo is None:
        table.fault(key, f"found {instant.isoformat()}, expected an instant in UTC")
        return _EPOCH
    return instant


def _package(table: Table) -> Package:
    package = Package(
        wheel=_wheel(table, close=False),
        layer=table.require("layer", str, ""),
        demands=tuple(
            RequiredBy(name=row.require("name", str, ""), requirement=row.require("requirement", str, ""))
            for row in table.array_of_tables("required_by")
        ),
        bounds=tuple(
            LockedBound(
                set_name=row.require("set", str, ""),
                requirement=row.require("requirement", str, ""),
                source=row.require("source", str, ""),
            )
            for row in table.array_of_tables("bounds")
        ),
    )
    table.close()
    return package
