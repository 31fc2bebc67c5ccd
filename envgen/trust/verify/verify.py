"""Turns locks into questions: one for each wheel, release, base and model, however many locks contain it."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from envgen.core.parallel import map_parallel
from envgen.engine import Registry
from envgen.lock import Lock
from envgen.sources import LockedModelFiles, Wheel
from envgen.trust.verify.checks import AskedIndex, base_entries, hub_entries, model_entries, release_entries, wheel_entries
from envgen.trust.verify.questions import Question, TimeBudget, VerifiedItem
from envgen.trust.verify.report import BASE, MODEL, VULNERABILITIES, WHEEL, VerificationReport
from envgen.workspace import Workspace

AT_ONCE = 8

Named = Mapping[str, Lock]
"""Locks by their name in reports, as in `cuda/py311-linux-amd64`."""


def verify_locks(workspace: Workspace, locks: Sequence[Lock], engine: Registry, today: dt.date) -> VerificationReport:
    """Verifies everything in `locks`, and the other models known by hash; `today` is used in cures."""
    named = {f"{lock.profile}/{lock.target}": lock for lock in locks}
    # Registries first: they are the slowest.
    questions = [*_bases(workspace, named, engine), *_hub_models(workspace, named), *_Indexes(workspace, named, today).questions()]
    found = map_parallel(Question.entries, questions, at_once=AT_ONCE)
    return VerificationReport(locks=tuple(named), entries=tuple(entry for entries in found for entry in entries))


def _bases(workspace: Workspace, locks: Named, engine: Registry) -> Iterator[Question]:
    users: dict[str, list[str]] = defaultdict(list)
    for name, lock in locks.items():
        if lock.base:
            users[lock.base].append(name)
    for base, names in users.items():
        cure = _for_each(f"envgen update {profile} --base" for profile in dict.fromkeys(locks[name].profile for name in names))
        item = VerifiedItem(kind=BASE, name=base, locks=tuple(names), cure=cure)
        yield Question(items=(item,), ask=partial(base_entries, engine, workspace.settings, item, base))


def _hub_models(workspace: Workspace, locks: Named) -> Iterator[Question]:
    hub, patience = workspace.hub, TimeBudget(workspace.settings.patience)
    for model, names in _models(locks).items():
        if isinstance(model, LockedModelFiles):
            item = _model_item(locks, names)
            yield Question(items=(item,), ask=partial(hub_entries, hub, patience, item, model))


def _models(locks: Named) -> Mapping[Wheel | LockedModelFiles, list[str]]:
    """The locked models, each with the locks that contain it."""
    found: dict[Wheel | LockedModelFiles, list[str]] = defaultdict(list)
    for name, lock in locks.items():
        if lock.model:
            found[lock.model.source].append(name)
    return found


def _model_item(locks: Named, names: Sequence[str]) -> VerifiedItem:
    first = locks[names[0]].model
    assert first is not None
    profiles = dict.fromkeys(locks[name].profile for name in names)
    cure = _for_each(f"name another model in the profile {profile}, then: envgen lock {profile}" for profile in profiles)
    return VerifiedItem(kind=MODEL, name=first.name, locks=tuple(names), cure=cure)


class _Indexes:
    """Everything in locks that comes from an index."""

    def __init__(self, workspace: Workspace, locks: Named, today: dt.date) -> None:
        self._workspace = workspace
        self._locks = locks
        self._today = today
        self._sources: dict[tuple[str, str], AskedIndex] = {}

    def questions(self) -> Iterator[Question]:
        packages: dict[tuple[str, str, str], dict[Wheel, list[str]]] = defaultdict(lambda: defaultdict(list))
        for name, lock in self._locks.items():
            urls = lock.index_urls
            for wheel in (*lock.wheels, *([lock.installer] if lock.installer else [])):
                packages[wheel.index, urls.get(wheel.index, ""), wheel.name][wheel].append(name)
        for (index, url, _), wheels in packages.items():
            yield from self._package(self._source(index, url), wheels)
        yield from self._model_wheels()

    def _model_wheels(self) -> Iterator[Question]:
        """A question for each locked model that is a wheel, and for each other model known by its hash."""
        locked = set()
        for wheel, names in _models(self._locks).items():
            if isinstance(wheel, Wheel):
                item = _model_item(self._locks, names)
                urls = self._locks[names[0]].index_urls
                source = self._source(wheel.index, urls.get(wheel.index, ""))
                yield Question(items=(item,), ask=partial(wheel_entries, source, {item: wheel}))
                locked.add((wheel.index, wheel.name, wheel.version, wheel.sha256))
        for model in self._workspace.project.model_wheels():
            if ("default", model.name, model.version, model.sha256) in locked:
                continue
            item = VerifiedItem(kind=MODEL, name=f"wheel:{model.name}=={model.version}", cure="name another in profiles/models/wheels.toml")
            yield Question(items=(item,), ask=partial(model_entries, self._source("default", ""), item, model))

    def _package(self, source: AskedIndex, wheels: Mapping[Wheel, list[str]]) -> Iterator[Question]:
        """A question for all wheels of one package, and one for each of its releases."""
        items = {self._item(WHEEL, wheel.file, wheel, names): wheel for wheel, names in wheels.items()}
        yield Question(items=tuple(items), ask=partial(wheel_entries, source, items))
        releases: dict[tuple[str, str], list[str]] = defaultdict(list)
        for wheel, names in wheels.items():
            releases[wheel.name, wheel.version] += names
        for (name, version), names in releases.items():
            wheel = next(wheel for wheel in wheels if wheel.version == version)
            item = self._item(VULNERABILITIES, f"{name} {version}", wheel, names)
            yield Question(items=(item,), ask=partial(release_entries, source, item, name, version))

    def _item(self, kind: str, text: str, wheel: Wheel, names: Sequence[str]) -> VerifiedItem:
        locks = {lock.profile: lock for lock in (self._locks[name] for name in names)}
        cure = _for_each(_cure(lock, wheel, self._today) for lock in locks.values())
        return VerifiedItem(kind=kind, name=text, locks=tuple(names), cure=cure)

    def _source(self, index: str, url: str) -> AskedIndex:
        """The index with that name and URL (empty for the default one): two profiles may use one name for different indexes."""
        if (index, url) not in self._sources:
            client = self._workspace.client({index: url} if url else {})
            patience = self._workspace.settings.patience
            self._sources[index, url] = AskedIndex(index=index, client=client, pages=TimeBudget(patience), releases=TimeBudget(patience))
        return self._sources[index, url]


def _cure(lock: Lock, wheel: Wheel, today: dt.date) -> str:
    """The command that replaces `wheel`: it updates its package, or the one that pins it."""
    if wheel == lock.installer:
        return f"change `installer` in the profile {lock.profile}, then: envgen lock {lock.profile}"
    name, requirement = _mover(lock, wheel.name)
    if requirement:
        return f"change {name}{requirement} in the profile {lock.profile}, then: envgen lock {lock.profile}"
    return f"envgen update {lock.profile} --package {name} --as-of {today}"


def _mover(lock: Lock, name: str) -> tuple[str, str]:
    """The package to update so that `name` moves, and the profile's exact requirement of it (empty: none)."""
    seen: set[str] = set()
    while name not in seen:
        seen.add(name)
        package = lock.package(name)
        exact = [demand for demand in package.demands if "==" in demand.requirement] if package else []
        if not exact:
            break
        if exact[0].name == lock.profile:
            return name, exact[0].requirement
        name = exact[0].name
    return name, ""


def _for_each(cures: Iterator[str]) -> str:
    return "\n".join(dict.fromkeys(cures))
