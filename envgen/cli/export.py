"""`envgen export`: a lock in another tool's form, on standard output."""

import argparse
import sys

from envgen.lock import project, pylock
from envgen.workspace import Workspace


def command(options: argparse.Namespace, workspace: Workspace) -> int:
    """Prints it whole, or nothing; the exit code is 0."""
    profile = workspace.project.profile(options.profile)
    target = profile.find_targets(options.target)[0]
    lock = project.checked_lock(workspace, profile, target)
    offline = options.offline
    places = pylock.paths_of(lock, workspace.store) if offline else pylock.urls_of(lock, workspace.client(lock.index_urls))
    sys.stdout.write(pylock.render_pylock(lock, target, places))
    return 0
