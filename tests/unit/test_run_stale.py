"""envgen.cli.images.run: nothing runs in an image whose lock is not what the profile says."""

from pathlib import Path

import pytest
from samples import PROFILE, sample_lock

from envgen.cli.images.run import RunArgs, run
from envgen.cli.output import QuietReporter
from envgen.core.errors import StaleLockError
from envgen.core.settings import read_settings
from envgen.lock.folder import files_of, read_lock, write_files
from envgen.profiles import Project
from envgen.workspace import Workspace


def test_a_stale_lock_is_refused_before_any_engine_is_asked(tmp_path: Path) -> None:
    """The lock is there, can be read, and is of a profile of before."""
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "small.toml").write_text(PROFILE)
    workspace = Workspace(project=Project(folder=tmp_path), settings=read_settings({}, tmp_path), reporter=QuietReporter())
    profile = workspace.project.profile("small")
    target = profile.targets()[0]
    write_files(workspace.project.lock_folder("small", target), files_of(sample_lock(), workspace.project))
    assert read_lock(workspace.project, profile, target)[0] == sample_lock()
    args = RunArgs(profile="small", target="", image="", gpus="auto", network="bridge", words=("python",))
    with pytest.raises(StaleLockError, match=r"^locks/small/py311-linux-amd64"):
        run(args, workspace)
