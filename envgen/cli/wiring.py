"""What a command runs on: its workspace, a resolver, a container engine. Only this module chooses among implementations."""

import os
from pathlib import Path

from envgen.cli.find_project import find_project
from envgen.core.errors import UsageError
from envgen.core.progress import Reporter
from envgen.core.settings import Settings, read_settings
from envgen.engine import Engine
from envgen.lock.project import MakeResolver
from envgen.profiles import Project
from envgen.workspace import Workspace


def make_workspace(folder: str | None, reporter: Reporter, *, search: bool = True) -> Workspace:
    """The workspace of the project in `folder`, with the settings of this environment.

    None is the current folder or, with `search`, the nearest project above it; which one that is, is said.
    Raises UsageError if there is no such folder.
    """
    project = Path(folder) if folder is not None else _nearest(reporter) if search else Path()
    if not project.is_dir():
        raise UsageError(f"--project {folder}", "there is no such folder")
    settings = read_settings(os.environ, project.absolute())
    # requests takes proxies from the environment alone, with no_proxy as other programs read them.
    os.environ.update(settings.network)
    return Workspace(project=Project(folder=project.absolute()), settings=settings, reporter=reporter)


def _nearest(reporter: Reporter) -> Path:
    """The current folder, or the nearest project above it."""
    try:
        here, home = Path.cwd(), Path.home()
    except (FileNotFoundError, RuntimeError):  # a folder that was removed, a user without a home
        return Path()
    found = find_project(here, home)
    if found is None or found == here:
        return Path()
    reporter.step(f"project: {found}")
    return found


def make_resolver(name: str) -> MakeResolver:
    """The resolver called `name`: uv or pip-tools."""
    if name == "pip-tools":
        from envgen.lock.resolvers.piptools import PipToolsResolver

        return PipToolsResolver
    from envgen.lock.resolvers.uv import UvResolver

    return UvResolver


def make_engine(settings: Settings) -> Engine:
    """The container engine of this machine. It is not contacted yet."""
    from envgen.engine.docker import DockerEngine

    return DockerEngine(settings)
