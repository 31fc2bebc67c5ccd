"""envgen.lock.project: what is refused before any resolver is asked."""

from pathlib import Path

import pytest
from samples import PROFILE, profile_of

from envgen.cli.output import QuietReporter
from envgen.core.errors import ProfileError
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
