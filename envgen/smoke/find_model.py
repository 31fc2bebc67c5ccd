"""Finds the model for a test: the lock's, the embedded one, or the one named on the command line; each is verified before use."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from envgen.core.errors import HubRefusedError, SmokeError, UsageError
from envgen.engine import Engine
from envgen.lock import LockedModel
from envgen.profiles import ModelWheel
from envgen.smoke.model import Model, check_readable, embedded_model, folder_model
from envgen.smoke.model_wheel import WheelModels
from envgen.smoke.run import ImageUnderTest
from envgen.sources import HubName, LockedModelFiles, ModelStore, WheelName
from envgen.sources.models import COMMIT, EMBEDDED, parse_model_name
from envgen.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """The options for a model: its name, a prompt, and a text that the answer must contain; empty ones come from the lock."""

    name: str = ""
    prompt: str = ""
    expect: str = ""


def choose_model(choice: ModelChoice, workspace: Workspace, engine: Engine, subject: ImageUnderTest) -> Model:
    """The model named by `--model NAME`; without a name, the lock's or else the embedded one.

    Raises UsageError for an invalid name, SmokeError for an unavailable model, VerificationError for a corrupt one.
    """
    lock = subject.lock
    if choice.name == EMBEDDED or not (choice.name or lock.model):
        return embedded_model()
    wheels = WheelModels(workspace=workspace, engine=engine, image=subject.image.digest, lock=lock)
    if not choice.name and lock.model:
        return _with_prompt(_locked(lock.model, wheels), choice.prompt, choice.expect)
    name = _parse(choice.name)
    if isinstance(name, WheelName):
        return _with_prompt(_from_wheel(_with_hash(name, choice.name, wheels), wheels), choice.prompt, choice.expect)
    if isinstance(name, HubName):
        return _with_prompt(_from_hub(_listed(name, workspace), workspace), choice.prompt, choice.expect)
    return folder_model(choice.name, choice.prompt, choice.expect)


def _parse(text: str) -> WheelName | HubName | None:
    """Parses a model's name; None for a folder. Raises UsageError for an incomplete name."""
    name = parse_model_name(text)
    if name is None and text.startswith(("wheel:", "hub:")):
        raise UsageError(f"--model {text}", "invalid model name", hint="expected wheel:NAME==VERSION or hub:ORG/NAME@REVISION")
    return name


def _with_prompt(model: Model, prompt: str, expect: str) -> Model:
    """The model with another prompt or expected answer."""
    expect = expect or ("" if prompt else model.expect)
    return replace(model, prompt=prompt or model.prompt, expect=expect)


def _locked(model: LockedModel, wheels: WheelModels) -> Model:
    """The model of the lock, which has been fetched before."""
    if isinstance(model.source, LockedModelFiles):
        cached = _from_hub(model.source, wheels.workspace)
    else:
        cached = _from_wheel(WheelName(name=model.source.name, version=model.source.version, sha256=model.source.sha256), wheels)
    return _with_prompt(cached, model.prompt, model.expect)


def _from_wheel(name: WheelName, wheels: WheelModels) -> Model:
    known = next((entry for entry in wheels.workspace.project.model_wheels() if entry.source == name), None)
    prompt, expect = (known.prompt, known.expect) if known else ("", "")
    return Model(name=str(name), folder=wheels.folder(name), digest=f"sha256:{name.sha256}", prompt=prompt, expect=expect)


def _with_hash(name: WheelName, text: str, wheels: WheelModels) -> WheelName:
    """The name with its hash: the given hash, or that of a known model wheel."""
    if name.sha256:
        return name
    for entry in wheels.workspace.project.model_wheels():
        if (entry.name, entry.version) == (name.name, name.version):
            return entry.source
    published = wheels.published_hash(name)
    problem = "its hash is unknown, and models are used only by hash"
    raise UsageError(f"--model {text}", problem, hint=f"its index publishes: --model '{text}#sha256={published}'")


def _from_hub(repository: LockedModelFiles, workspace: Workspace) -> Model:
    folder = workspace.models.verify(repository)
    check_readable(folder)
    return Model(name=repository.name, folder=folder, digest=repository.digest)


def _listed(name: HubName, workspace: Workspace) -> LockedModelFiles:
    """The model's files at a revision, fetched if necessary; for a cached commit, the hub is not queried."""
    if COMMIT.fullmatch(name.revision) and (cached := workspace.models.cached(name)):
        return cached
    try:
        hub = workspace.hub
        name = replace(name, revision=hub.commit(name))
        repository = workspace.models.cached(name) or hub.repository(name)
        workspace.models.fetch(repository, hub, workspace.reporter)
    except HubRefusedError as error:
        raise SmokeError(f"model: {error.where}", error.problem, hint=error.hint) from error
    return repository


def cached_model(text: str, models: ModelStore, known: Sequence[ModelWheel]) -> Path:
    """The cached folder of the model named by `--model`; runs and fetches nothing.

    Raises UsageError, and SmokeError for a folder that the image's user could not read.
    """
    name = _parse(text)
    folders: list[Path] = []
    if isinstance(name, HubName):
        # Other revisions may not be valid paths.
        commit = models.folder(name.repo, name.revision) if COMMIT.fullmatch(name.revision) else None
        folders = [commit] if commit and commit.is_dir() else []
    elif isinstance(name, WheelName):
        wheel = (name.name, name.version)
        sha256 = name.sha256 or next((entry.sha256 for entry in known if (entry.name, entry.version) == wheel), "none")
        converted = [path for path in sorted((models.root / "gguf").glob(f"{sha256[:16]}-*")) if path.is_dir()]
        folders = converted or [path.parent for path in sorted((models.root / "wheel" / sha256).rglob("config.json"))]
    else:
        return folder_model(text, "", "").folder
    if not folders:
        hint = "fetch it first: envgen smoke PROFILE --model …; hub models are cached by commit, as in hub:ORG/NAME@COMMIT"
        raise UsageError(f"--model {text}", "not fetched yet", hint=hint)
    return folders[-1]
