"""Creates the workspace, resolver and container engine of a command. Only this module chooses implementations."""

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
    """Create the workspace of the project in `folder`, with this environment's settings.

    None is the current folder or, with `search`, the nearest project above it, which is reported.
    Raises UsageError if there is no such folder.
    """
    project = Path(folder) if folder is not None else _nearest(reporter) if search else Path()
    if not project.is_dir():
        raise UsageError(f"--project {folder}", "no such folder")
    settings = read_settings(os.environ, project.absolute())
    # requests reads proxies only from the environment, with no_proxy as other programs read it.
    os.environ.update(settings.network)
    return Workspace(project=Project(folder=project.absolute()), settings=settings, reporter=reporter)


def _nearest(reporter: Reporter) -> Path:
    """The current folder, or the nearest project above it."""
    try:
        here, home = Path.cwd(), Path.home()
    except (FileNotFoundError, RuntimeError):  # a folder that was removed, a user without a home
        return Path()
    project = find_project(here, home)
    if project is None or project == here:
        return Path()
    reporter.step(f"project: {project}")
    return project


def make_resolver(name: str) -> MakeResolver:
    """Return the resolver called `name`: uv or pip-tools."""
    if name == "pip-tools":
        from envgen.lock.resolvers.piptools import PipToolsResolver

        return PipToolsResolver
    from envgen.lock.resolvers.uv import UvResolver

    return UvResolver


def make_engine(settings: Settings) -> Engine:
    """Return this machine's container engine, without contacting it."""
    from envgen.engine.docker import DockerEngine

    return DockerEngine(settings)
