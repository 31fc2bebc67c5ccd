"""envgen.workspace: each client and store of a command is made once."""

from pathlib import Path

import pytest

from envgen.cli.output import QuietReporter
from envgen.core.errors import UsageError
from envgen.core.parallel import map_parallel
from envgen.core.settings import read_settings
from envgen.profiles import Project
from envgen.workspace import Workspace

OWN = {"own": "https://own.example/simple"}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    settings = read_settings({"ENVGEN_CACHE": str(tmp_path / "cache")}, tmp_path)
    return Workspace(project=Project(folder=tmp_path), settings=settings, reporter=QuietReporter())


def test_each_is_made_once_also_for_several_threads(workspace: Workspace) -> None:
    made = map_parallel(lambda _: (workspace.hub, workspace.store, workspace.models, workspace.packages(OWN)), range(8), at_once=8)
    assert len({tuple(map(id, each)) for each in made}) == 1
    assert workspace.packages(dict(OWN)).store is workspace.store
    assert workspace.client(OWN) is workspace.packages(OWN).client


def test_other_indexes_have_another_client(workspace: Workspace) -> None:
    assert workspace.client({}) is not workspace.client(OWN)
    assert workspace.client(OWN).location("own") == OWN["own"]


def test_without_a_network_everything_is_made_anew(workspace: Workspace) -> None:
    online = workspace.client(OWN)
    offline = workspace.offline()
    assert offline.client(OWN) is not online
    with pytest.raises(UsageError, match="--offline"):
        offline.client(OWN).files("own", "demo")
