"""The record of a lock's layers, committed beside it in `layers.toml`: reads it, writes it, and compares images with it.

A layer is a function of its wheels, the full Python, the installer and its stage of the Dockerfile, but not of the base. So an entry is
for a Python and a layer group, and is valid as long as the digest of its other inputs is the same. The skeleton has no entry: it copies
/etc/passwd of the base.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from envgen.core.errors import ProfileError, ProfileErrors, StaleLockError, UsageError, VerificationError
from envgen.core.files import replace_files
from envgen.core.plain_files import check_no_links
from envgen.core.toml import Faults, Table, parse_toml
from envgen.image.build import Built, locked_dockerfile
from envgen.image.layers import SKELETON, own_blobs
from envgen.lock import Lock
from envgen.lock.model import digest_of
from envgen.profiles import Project
from envgen.workspace import Workspace

RECORD_FILE = "layers.toml"

_STAGE = re.compile(r"(?m)^FROM (?:--\S+ +)*(?P<base>\S+)(?: +(?:AS|as) +(?P<name>\S+))?\s*$")
_FROM = re.compile(r"\bfrom=([^\s,]+)")
_VERSION = re.compile(r"3\.[0-9]{1,4}\.[0-9]{1,4}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRecord:
    """A recorded layer: the digest of its inputs, and the digest of the unpacked layer."""

    inputs: str
    diff_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRecords:
    """The recorded layers of one Python, by layer group, and the versions of engine, buildx and BuildKit that built them."""

    built_with: str
    layers: Mapping[str, LayerRecord]


RecordedPythons = Mapping[str, LayerRecords]
"""The records, by full Python version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerComparison:
    """The layer groups of an image whose diff ID is as recorded for its Python, those that differ, and those not compared.

    `wrong` are those that differ, each with the recorded and the found diff ID; `built_with` are the versions that built the recorded
    layers.
    """

    python: str
    built_with: str
    same: tuple[str, ...]
    wrong: tuple[tuple[str, str, str], ...]
    not_compared: tuple[str, ...]

    def headline(self) -> str:
        """All of it in one line."""
        if not self.same and not self.wrong:
            return f"layers: not compared: no record for Python {self.python}"
        known = len(self.same) + len(self.wrong)
        total = known + len(self.not_compared)
        line = f"layers: {len(self.same)} of {total} as recorded for Python {self.python}"
        parts = [f"; {name}: not compared: no record of it as it is now" for name in self.not_compared]
        return line + "".join([*(f"; {name}: NOT as recorded" for name, _, _ in self.wrong), *parts])

    def as_json(self) -> dict[str, object]:
        """All of it, with the headline."""
        return {"headline": self.headline(), **asdict(self)}


def inputs_of(lock: Lock, dockerfile: str) -> dict[str, str]:
    """The digest of each layer group's inputs besides the full Python; groups without a stage of their own are left out.

    The inputs are the installer and the text of the group's stage and of the stages it copies from, which has the sha256 of the wheels.
    """
    assert lock.installer is not None
    stages = _stages(dockerfile)
    inputs = {}
    for group in lock.groups:
        if f"layer-{group}" in stages:
            text = "\n".join([lock.installer.sha256, *_text_of(f"layer-{group}", stages)])
            inputs[group] = digest_of(text.encode())
    return inputs


def _stages(dockerfile: str) -> dict[str, str]:
    """The text of each named stage, from its FROM to the next one."""
    starts = list(_STAGE.finditer(dockerfile))
    ends = [start.start() for start in starts[1:]] + [len(dockerfile)]
    return {start["name"]: dockerfile[start.start() : end].rstrip() for start, end in zip(starts, ends, strict=True) if start["name"]}


def _text_of(name: str, stages: Mapping[str, str]) -> Iterator[str]:
    """The text of a stage and of the stages it depends on, except for the base and stages that only fetch wheels."""
    pending, seen = [name], {"base"}
    while pending:
        stage = pending.pop()
        if stage in seen or stage.startswith("wheels-") or stage not in stages:
            continue
        seen.add(stage)
        yield stages[stage]
        start = _STAGE.match(stages[stage])
        pending += [*_FROM.findall(stages[stage]), *([start["base"]] if start else [])]


def compare(records: RecordedPythons, python: str, inputs: Mapping[str, str], diff_ids: Mapping[str, str]) -> LayerComparison:
    """Compares an image on the Python `python` with `records`; `inputs` and `diff_ids` are by layer group."""
    recorded_for = records.get(python, LayerRecords(built_with="", layers={}))
    known = {group: record for group, record in recorded_for.layers.items() if group in diff_ids and record.inputs == inputs.get(group)}
    pairs = [(group, known[group].diff_id, diff_ids[group]) for group in diff_ids if group in known]
    return LayerComparison(
        python=python,
        built_with=recorded_for.built_with,
        same=tuple(group for group, recorded, found in pairs if recorded == found),
        wrong=tuple(entry for entry in pairs if entry[1] != entry[2]),
        not_compared=tuple(group for group in diff_ids if group not in known),
    )


def merged(records: RecordedPythons, python: str, new: LayerRecords, inputs: Mapping[str, str]) -> RecordedPythons:
    """`records` with the entries of `python` replaced by `new`, and without obsolete entries.

    The `inputs` of a layer group are the same for every Python, so entries of other Pythons with other inputs are obsolete.
    """
    updated = {**records, python: new}
    current = {
        version: {group: record for group, record in recorded.layers.items() if inputs.get(group) == record.inputs}
        for version, recorded in updated.items()
    }
    return {version: replace(updated[version], layers=layers) for version, layers in current.items() if layers}


def dump_records(profile: str, records: RecordedPythons) -> bytes:
    """The bytes of `layers.toml`: one line for each layer, sorted."""
    body = "\n".join(_body(records)) + "\n"
    head = (
        f"# Written by `envgen reproduce {profile} --record`: do not edit. `envgen build` compares each layer that it makes.\n"
        "version = 1\n"
        f'content = "{digest_of(body.encode())}"  # of everything below this line\n'
    )
    return (head + body).encode()


def _body(records: RecordedPythons) -> Iterator[str]:
    for python in sorted(records, key=lambda version: [int(number) for number in version.split(".")]):
        yield from ("", f'[python."{python}"]', f"built_with = {json.dumps(records[python].built_with)}")
        for group, record in sorted(records[python].layers.items()):
            yield f'{group} = {{ inputs = "{record.inputs}", diff_id = "{record.diff_id}" }}'


def parse_records(data: bytes, label: str, profile: str) -> RecordedPythons:
    """Parses `data`, the content of the file called `label` in messages.

    Raises StaleLockError if it is invalid or was edited by hand: writing it again must give the same bytes.
    """
    hint = f"restore it from git, or remove it and run: envgen reproduce {profile} --record"
    try:
        records = _read(parse_toml(data), Faults(lambda _path: label))
    except (ValueError, ProfileError) as error:
        faults = error.faults() if isinstance(error, ProfileErrors) else (error,)
        fault = str(faults[0]).removeprefix(f"{label}: ")
        raise StaleLockError(label, f"not written by envgen: {fault}", hint=hint) from error
    if dump_records(profile, records) != data:
        raise StaleLockError(label, "edited by hand: its content does not match its digest", hint=hint)
    return records


def read_records(project: Project, folder: Path, profile: str) -> RecordedPythons:
    """The layer records of the lock in `folder`; empty if there are none. Raises StaleLockError."""
    path = folder / RECORD_FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StaleLockError(project.label(path), f"can't be read: {error.strerror}") from error
    return parse_records(data, project.label(path), profile)


def write_records(folder: Path, content: bytes) -> bool:
    """Writes the record of a lock's layers beside it, atomically; returns whether it changed. Raises as `replace_files` does."""
    return replace_files(folder, {RECORD_FILE: content})


def _read(data: Mapping[str, object], faults: Faults) -> RecordedPythons:
    table = Table(data, faults)
    if table.require("version", int, 0) != 1:
        table.fault("version", "expected 1: written by another version of envgen")
    table.require("content", str, "")
    pythons = table.table("python")
    for version in pythons.names():
        if not _VERSION.fullmatch(version):
            pythons.fault(version, "expected a full Python version, as in 3.11.16")
    records = {version: _recorded(inner) for version, inner in pythons.each()}
    table.close()
    faults.raise_any()
    return records


def _recorded(table: Table) -> LayerRecords:
    names = [name for name in table.names() if name != "built_with"]
    return LayerRecords(built_with=table.require("built_with", str, ""), layers={name: _record(table.table(name)) for name in names})


def _record(table: Table) -> LayerRecord:
    inputs, diff_id = table.require("inputs", str, ""), table.require("diff_id", str, "")
    table.close()
    return LayerRecord(inputs=inputs, diff_id=diff_id)


def records_of(workspace: Workspace, lock: Lock) -> RecordedPythons:
    """The layer records of `lock`. Raises StaleLockError for an invalid record."""
    return read_records(workspace.project, _folder(workspace, lock), lock.profile)


def compare_layers(workspace: Workspace, built: Built, records: RecordedPythons) -> LayerComparison:
    """Compares the layers of a newly built image with `records`."""
    return compare(records, built.python, _inputs(workspace, built.lock), diff_ids_of(built))


def check_layers(workspace: Workspace, built: Built, records: RecordedPythons, versions: str) -> LayerComparison:
    """As `compare_layers`; `versions` are those of the tools that built the image.

    Raises VerificationError for a layer that differs from its record.
    """
    comparison = compare_layers(workspace, built, records)
    if comparison.wrong:
        label = workspace.project.label(_folder(workspace, built.lock) / RECORD_FILE)
        problem = f"the image {built.image.name} has layers that are not as recorded for Python {comparison.python}"
        hint = f"compare two builds, or compare with another machine's image: envgen reproduce {built.lock.profile}"
        raise VerificationError(label, "\n".join([problem, *wrong_lines(comparison, versions)]), hint=hint)
    return comparison


def wrong_lines(comparison: LayerComparison, versions: str) -> list[str]:
    """The layers that are not as recorded, a line each, and the tools that built the record if these were not `versions`."""
    lines = [f"{group}: recorded {recorded}, built {new}" for group, recorded, new in comparison.wrong]
    if comparison.wrong and comparison.built_with != versions:
        lines.append(f"likely cause: recorded with {comparison.built_with}, built with {versions}")
    return lines


def check_writable(workspace: Workspace, lock: Lock) -> None:
    """Raises UsageError if the lock comes with envgen: its record can't be written in the project, or not through a linked folder."""
    folder = _folder(workspace, lock)
    if folder != workspace.project.lock_folder(lock.profile, lock.target):
        problem = f"the lock is {workspace.project.label(folder)}, which comes with envgen"
        raise UsageError("--record", problem, hint=f"write it into the project first: envgen lock {lock.profile}")
    check_no_links(workspace.project.folder, folder)


def record_layers(workspace: Workspace, built: Built, records: RecordedPythons, versions: str) -> tuple[Path, RecordedPythons]:
    """Records the layers of `built` in addition to `records`, those of its lock; returns the file and its new content."""
    lock, inputs = built.lock, _inputs(workspace, built.lock)
    layers = {group: LayerRecord(inputs=inputs[group], diff_id=diff_id) for group, diff_id in diff_ids_of(built).items() if group in inputs}
    new = merged(records, built.python, LayerRecords(built_with=versions, layers=layers), inputs)
    folder = _folder(workspace, lock)
    write_records(folder, dump_records(lock.profile, new))
    return folder / RECORD_FILE, new


def diff_ids_of(built: Built) -> Mapping[str, str]:
    """The diff IDs of an image's layer groups, without the skeleton, which depends on the base."""
    return {name: diff_id for name, diff_id in own_blobs(built.lock, built.image.diff_ids).items() if name != SKELETON}


def _inputs(workspace: Workspace, lock: Lock) -> Mapping[str, str]:
    return inputs_of(lock, locked_dockerfile(workspace, lock))


def _folder(workspace: Workspace, lock: Lock) -> Path:
    """The folder of the lock and its record."""
    return workspace.project.find_lock_folder(lock.profile, lock.target) or workspace.project.lock_folder(lock.profile, lock.target)
