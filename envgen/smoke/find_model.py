"""Which model a test is run with: the lock's own, the embedded one, or one that the command names; each checked before it is used."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from envgen.core.errors import HubRefusedError, SmokeError, UsageError
from envgen.lock import LockedModel
from envgen.profiles import ModelWheel
from envgen.profiles.model_wheels import ModelWheel
from envgen.smoke.kit import Kit
from envgen.smoke.model import Model, check_readable, embedded_model, folder_model
from envgen.smoke.model_wheel import find_wheel, wheel_folder
from envgen.sources import HubName, LockedModelFiles, ModelStore, WheelName
from envgen.sources.models import COMMIT, EMBEDDED, parse_model_name


def find_model(text: str, prompt: str, expect: str, kit: Kit) -> Model:
    """The model that `--model text` names; for an empty text the one of the lock, else the embedded one.

    Raises UsageError for a text that names none, SmokeError when it can't be had, VerificationError for what is not as it must be.
    """
    if text == EMBEDDED or not (text or kit.lock.model):
        return embedded_model()
    if not text and kit.lock.model:
        return _asked(_locked(kit.lock.model, kit), prompt, expect)
    name = _parse(text)
    if isinstance(name, WheelName):
        return _asked(_from_wheel(_with_hash(name, text, kit), kit), prompt, expect)
    if isinstance(name, HubName):
        return _asked(_from_hub(_listed(name, kit), kit), prompt, expect)
    return folder_model(text, prompt, expect)


def _parse(text: str) -> WheelName | HubName | None:
    """What `text` names, None for a folder. Raises UsageError for half a name."""
    name = parse_model_name(text)
    if name is None and text.startswith(("wheel:", "hub:")):
        raise UsageError(f"--model {text}", "not understood", hint="expected wheel:NAME==VERSION or hub:ORG/NAME@REVISION")
    return name


def _asked(model: Model, prompt: str, expect: str) -> Model:
    """The model with another question, to which it need not have the same answer."""
    expect = expect or ("" if prompt else model.expect)
    return replace(model, prompt=prompt or model.prompt, expect=expect)


def _locked(model: LockedModel, kit: Kit) -> Model:
    """The model of the lock, which `model_files.fetch` has brought here."""
    if isinstance(model.source, LockedModelFiles):
        found = _from_hub(model.source, kit)
    else:
        found = _from_wheel(WheelName(name=model.source.name, version=model.source.version, sha256=model.source.sha256), kit)
    return _asked(found, model.prompt, model.expect)


def _from_wheel(name: WheelName, kit: Kit) -> Model:
    known = next((entry for entry in kit.known if entry.source == name), None)
    prompt, expect = (known.prompt, known.expect) if known else ("", "")
    return Model(name=str(name), folder=wheel_folder(name, kit), digest=f"sha256:{name.sha256}", prompt=prompt, expect=expect)


def _with_hash(name: WheelName, text: str, kit: Kit) -> WheelName:
    """The wheel with the hash it is taken by: a known one's, or the one that the command gives."""
    if name.sha256:
        return name
    for entry in kit.known:
        if (entry.name, entry.version) == (name.name, name.version):
            return entry.source
    _, published = find_wheel(name, kit.lock, kit.packages)
    problem = "no hash is known for it, and a model is only taken by its hash"
    raise UsageError(f"--model {text}", problem, hint=f"its index says: --model '{text}#sha256={published}'")


def _from_hub(repository: LockedModelFiles, kit: Kit) -> Model:
    folder = kit.models.verify(repository)
    check_readable(folder)
    return Model(name=repository.name, folder=folder, digest=repository.digest)


def _listed(name: HubName, kit: Kit) -> LockedModelFiles:
    """What the hub has at a revision, fetched; at a commit that is here the hub is not asked."""
    if COMMIT.fullmatch(name.revision) and (kept := kit.models.cached(name)):
        return kept
    try:
        name = replace(name, revision=kit.hub.commit(name))
        repository = kit.models.cached(name) or kit.hub.repository(name)
        kit.models.fetch(repository, kit.hub, kit.bench.reporter)
    except HubRefusedError as error:
        raise SmokeError(f"model: {error.where}", error.problem, hint=error.hint) from error
    return repository


def cached_model(text: str, models: ModelStore, known: Sequence[ModelWheel]) -> Path:
    """The folder of the model that `--model text` names: one that is here already, so that nothing need run or be fetched.

    Raises UsageError, and SmokeError for a folder that the image's user could not read.
    """
    name = _parse(text)
    found: list[Path] = []
    if isinstance(name, HubName):
        # Any other revision is no path.
        commit = models.folder(name.repo, name.revision) if COMMIT.fullmatch(name.revision) else None
        found = [commit] if commit and commit.is_dir() else []
    elif isinstance(name, WheelName):
        wheel = (name.name, name.version)
        sha256 = name.sha256 or next((entry.sha256 for entry in known if (entry.name, entry.version) == wheel), "none")
        converted = [path for path in sorted((models.root / "gguf").glob(f"{sha256[:16]}-*")) if path.is_dir()]
        found = converted or [path.parent for path in sorted((models.root / "wheel" / sha256).rglob("config.json"))]
    else:
        return folder_model(text, "", "").folder
    if not found:
        hint = "fetch it first: envgen smoke PROFILE --model …; a model of the hub is kept by its commit, as in hub:ORG/NAME@COMMIT"
        raise UsageError(f"--model {text}", "not fetched yet", hint=hint)
    return found[-1]
