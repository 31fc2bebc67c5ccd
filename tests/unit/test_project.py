"""envgen.lock.project: what is refused before any resolver is asked."""

import datetime as dt
from pathlib import Path

import pytest
from samples import PROFILE, profile_of

from envgen.cli.output import QuietReporter
from envgen.core.errors import ProfileError, UsageError
from envgen.core.settings import Settings, read_settings
from envgen.core.target import Target
from envgen.lock import write_locks
from envgen.lock.resolvers import Resolution, ResolveRequest
from envgen.profiles import Project
from envgen.sources import Packages
from envgen.workspace import Workspace


class NeverAsked:
    """A resolver that fails the test when it is asked."""

    name = "never"

    def __init__(self, _settings: Settings, _packages: Packages) -> None: ...

    def check(self, target: Target) -> None: ...

    def resolve(self, query: ResolveRequest) -> Resolution:
        raise AssertionError(query)


def test_a_date_that_has_not_begun_is_refused(tmp_path: Path) -> None:
    profile = profile_of(PROFILE.replace("as_of = 2026-09-22", "as_of = 2999-01-01"))
    workspace = Workspace(project=Project(folder=tmp_path), settings=read_settings({}, tmp_path), reporter=QuietReporter())
    with pytest.raises(ProfileError, match=r"as_of: found 2999-01-01, which has not begun in UTC"):
        write_locks(workspace, profile, profile.targets(), NeverAsked)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["libcore", "Lib_Core", '"lib.core"'])
def test_a_date_of_a_package_that_has_not_begun_is_refused(tmp_path: Path, key: str) -> None:
    tomorrow = dt.datetime.now(tz=dt.UTC).date() + dt.timedelta(days=1)
    profile = profile_of(f"{PROFILE}\n[package.{key}]\nas_of = {tomorrow}\n")
    workspace = Workspace(project=Project(folder=tmp_path), settings=read_settings({}, tmp_path), reporter=QuietReporter())
    with pytest.raises(ProfileError) as caught:
        write_locks(workspace, profile, profile.targets(), NeverAsked)
    assert str(caught.value).startswith(f"profiles/small.toml: package.{key}.as_of: found {tomorrow}, which has not begun in UTC")
    assert list(tmp_path.iterdir()) == []


class Refuses(NeverAsked):
    """A resolver that can't do any target."""

    def check(self, target: Target) -> None:
        raise UsageError(target.slug, "not this target")


class Listening(QuietReporter):
    """Notes each step."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def step(self, text: str) -> None:
        self.steps.append(text)


def test_what_is_replaced_is_said_before_any_resolver_is_asked(tmp_path: Path) -> None:
    profile = profile_of('extends = "small"\nrequirements = ["torch>=2.3", "demo>=2"]', "mine", small=PROFILE)
    listening = Listening()
    workspace = Workspace(project=Project(folder=tmp_path), settings=read_settings({}, tmp_path), reporter=listening)
    with pytest.raises(UsageError, match="not this target"):
        write_locks(workspace, profile, profile.targets(), Refuses)
    assert listening.steps == [
        "mine: torch>=2.3: profiles/small.toml has torch==2.13.0, which meets it",
        "mine: demo>=2 replaces demo>=1 of profiles/small.toml",
    ]
