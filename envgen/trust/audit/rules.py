"""Rules for what a layer may have at each path, and their comparison with its entries."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from envgen.lock.render import EPOCH, PREFIX
from envgen.oci import LayerEntry
from envgen.oci.stack_entries import FILE, FOLDER, LINK
from envgen.smoke import ExpectedTree
from envgen.trust.audit.report import AuditFinding

ROOT = PREFIX.removeprefix("/")
"""The prefix as written in the paths of a layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is allowed at a path: its kind, modes and contents (none: any), and the target of a link (empty: any).

    A folder with something in it is required, regardless of `required`.
    """

    kind: str
    modes: tuple[int, ...] = ()
    sha256: tuple[str, ...] = ()
    target: str = ""
    required: bool = True


A_FOLDER = Rule(kind=FOLDER, modes=(0o755,), required=False)


def group_rules(tree: ExpectedTree) -> dict[str, Rule]:
    """The rules for the layer of one group with the files `tree` of its wheels. Byte code is allowed; its content is checked elsewhere."""
    rules = {f"{ROOT}/{path}": Rule(kind=FILE, modes=_modes(file.executable), sha256=file.sha256) for path, file in tree.files.items()}
    rules |= {f"{ROOT}/{path}": Rule(kind=FILE, modes=(0o644,), required=False) for path in tree.byte_code.values()}
    inside = (*rules, *(f"{ROOT}/{folder}/any" for folder in tree.directories))
    return {**dict.fromkeys(folders_above(inside), A_FOLDER), **rules}


def _modes(executable: bool | None) -> tuple[int, ...]:
    return (0o644, 0o755) if executable is None else (0o755,) if executable else (0o644,)


def folders_above(paths: Sequence[str]) -> set[str]:
    """Every folder above these paths, except for the root."""
    return {str(folder) for path in paths for folder in PurePosixPath(path).parents} - {"."}


def compare(part: str, layer: str, entries: Sequence[LayerEntry], rules: Mapping[str, Rule], reason: str) -> Iterator[AuditFinding]:
    """Every difference between a layer and its rules; `reason` is why an entry without a rule is wrong."""
    seen: set[str] = set()
    for entry in entries:
        if entry.path in seen:
            yield AuditFinding(part=part, layer=layer, path=entry.path, problem="occurs twice")
        seen.add(entry.path)
        rule = rules.get(entry.path)
        for problem in _problems(entry, rule) if rule else (f"{entry}, {reason}",):
            yield AuditFinding(part=part, layer=layer, path=entry.path, problem=problem)
    needed = {path for path, rule in rules.items() if rule.required} | folders_above([entry.path for entry in entries])
    for path in sorted(needed - seen):
        yield AuditFinding(part=part, layer=layer, path=path, problem="missing")


def _problems(entry: LayerEntry, rule: Rule) -> Iterator[str]:
    if entry.kind != rule.kind:
        yield f"{entry} (expected a {rule.kind})"
        return
    if rule.modes and entry.mode not in rule.modes:
        yield f"mode {entry.mode:o} (expected {' or '.join(f'{mode:o}' for mode in rule.modes)})"
    if entry.owner != (0, 0):
        yield f"owner {entry.owner[0]}:{entry.owner[1]} (expected 0:0)"
    if entry.mtime != EPOCH:
        yield f"modification time {entry.mtime} (expected {EPOCH})"
    if entry.surprises:
        yield f"extended headers {', '.join(entry.surprises)}"
    if rule.sha256 and entry.sha256 not in rule.sha256:
        yield f"sha256 {entry.sha256} (expected {rule.sha256[0]})"
    if entry.kind == LINK and rule.target not in ("", entry.target):
        yield f"leads to {entry.target} (expected {rule.target})"
