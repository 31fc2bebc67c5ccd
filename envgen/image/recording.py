"""Images against the record of their layers that is committed beside the lock, and the writing of that record. Prints nothing."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from envgen.core.errors import UsageError, VerificationError
from envgen.core.target import Target
from envgen.image.build import Built
from envgen.image.layer_record import (
    RECORD_FILE,
    LayerComparison,
    LayerRecord,
    LayerRecords,
    RecordedPythons,
    compare,
    dump_records,
    inputs_of,
    merged,
    read_records,
    write_records,
)
from envgen.image.layers import SKELETON, own_blobs
from envgen.lock import Lock
from envgen.lock.render import render_dockerfile
from envgen.workspace import Workspace


def read(workspace: Workspace, lock: Lock) -> RecordedPythons:
    """What is recorded of the layers of `lock`. Raises StaleLockError for a record that is no record."""
    return read_records(workspace.project, _folder(workspace, lock), lock.profile)


def compared(workspace: Workspace, built: Built, records: RecordedPythons) -> LayerComparison:
    """What `records` say of the layers of an image that was built just now."""
    return compare(records, built.python, _inputs(workspace, built.lock), diff_ids_of(built))


def checked(workspace: Workspace, built: Built, records: RecordedPythons, versions: str) -> Built:
    """`built` with its layers compared; `versions` are those of what built it.

    Raises VerificationError for a layer that is not what it was when it was recorded.
    """
    found = compared(workspace, built, records)
    if found.wrong:
        label = workspace.project.label(_folder(workspace, built.lock) / RECORD_FILE)
        problem = f"the image {built.image.name} has layers that are not as recorded for Python {found.python}"
        hint = f"see whether two builds are alike, or what differs from an image of elsewhere: envgen reproduce {built.lock.profile}"
        raise VerificationError(label, "\n".join([problem, *wrong_lines(found, versions)]), hint=hint)
    return replace(built, recorded=found)


def wrong_lines(found: LayerComparison, versions: str) -> list[str]:
    """The layers that are not as recorded, in words, and what built them if `versions` says that it is not what built these."""
    lines = [f"{group}: recorded {recorded}, built {new}" for group, recorded, new in found.wrong]
    if found.wrong and found.built_with != versions:
        lines.append(f"likely cause: recorded with {found.built_with}, built with {versions}")
    return lines


def check_writable(workspace: Workspace, lock: Lock) -> None:
    """Raises UsageError where the lock is not the project's own, so that its record can't be either."""
    folder = _folder(workspace, lock)
    if folder != workspace.project.lock_folder(lock.profile, lock.target):
        problem = f"the lock is {workspace.project.label(folder)}, which comes with envgen"
        raise UsageError("--record", problem, hint=f"make it the project's own first: envgen lock {lock.profile}")


def record(workspace: Workspace, built: Built, records: RecordedPythons, versions: str) -> tuple[Path, RecordedPythons]:
    """Writes what the layers of `built` are into `records`, which the lock has: the file, and what it says now."""
    lock, inputs = built.lock, _inputs(workspace, built.lock)
    layers = {group: LayerRecord(inputs=inputs[group], diff_id=diff_id) for group, diff_id in diff_ids_of(built).items() if group in inputs}
    new = merged(records, built.python, LayerRecords(built_with=versions, layers=layers), inputs)
    folder = _folder(workspace, lock)
    write_records(folder, dump_records(lock.profile, new))
    return folder / RECORD_FILE, new


def diff_ids_of(built: Built) -> Mapping[str, str]:
    """The diff IDs of an image's layer groups; the skeleton is none of them, since it differs by base."""
    return {name: diff_id for name, diff_id in own_blobs(built.lock, built.image.diff_ids).items() if name != SKELETON}


def _inputs(workspace: Workspace, lock: Lock) -> Mapping[str, str]:
    return inputs_of(lock, render_dockerfile(lock, workspace.project.template("Dockerfile.j2")))


def _folder(workspace: Workspace, lock: Lock) -> Path:
    """Where the lock was read from, and its record is."""
    return workspace.project.find_lock_folder(lock.profile, lock.target) or workspace.project.lock_folder(lock.profile, lock.target)


def _target(lock: Lock) -> Target:
    return Target(python_full=lock.python, platform=lock.platform)
