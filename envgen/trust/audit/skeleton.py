"""The skeleton layer, which comes from no wheel: the interpreter's links, pyvenv.cfg, and the user."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from envgen.lock.render import PREFIX, UID
from envgen.oci import LayerEntry
from envgen.oci.stack_entries import FILE, LINK, WHITEOUT
from envgen.smoke.launchers import Layout
from envgen.smoke.probe.static import skeleton
from envgen.trust.audit.report import SKELETON, AuditFinding
from envgen.trust.audit.rules import A_FOLDER, ROOT, Rule, compare, folders_above

USER_LINES = {
    "etc/passwd": f"envgen:x:{UID}:{UID}::/tmp:/bin/sh\n",
    "etc/group": f"envgen:x:{UID}:\n",
}
"""What the skeleton adds to files of the base."""

MOST_LINKS = 40
"""Symbolic links that are followed for one path, as the kernel counts them."""

Tree = Mapping[str, LayerEntry]


def merged(layers: Sequence[Sequence[LayerEntry]]) -> dict[str, LayerEntry]:
    """The entries by path after these layers, lowest first, are applied."""
    tree: dict[str, LayerEntry] = {}
    for entries in layers:
        hidden = [entry.path for entry in entries if entry.name.startswith(WHITEOUT)]
        for path in hidden:
            _hide(path, tree)
        tree |= {entry.path: entry for entry in entries if not entry.name.startswith(WHITEOUT)}
    return tree


def _hide(whiteout: str, tree: dict[str, LayerEntry]) -> None:
    """Removes what a whiteout hides: a path and everything below it, or everything below a folder."""
    folder, _, name = whiteout.rpartition("/")
    opaque = name == f"{WHITEOUT}{WHITEOUT}.opq"
    gone = folder if opaque else f"{folder}/{name.removeprefix(WHITEOUT)}".lstrip("/")
    for path in [path for path in tree if path.startswith(f"{gone}/") or (path == gone and not opaque)]:
        del tree[path]


def compare_skeleton(layer: str, entries: Sequence[LayerEntry], base: Tree, python: str) -> Iterator[AuditFinding]:
    """Every difference between the skeleton's layer and what the Dockerfile makes on `base`, which has the full version `python`."""
    yield from compare(SKELETON, layer, entries, _rules(base, python), "which is not part of the skeleton")
    own = {entry.path: entry for entry in entries}
    configuration = own.get(f"{ROOT}/{skeleton.CONFIGURATION}")
    if configuration is None:
        return
    values = skeleton.parse(configuration.content.decode(errors="replace"))
    problems = [*skeleton.configuration_problems(values, python), *_own_problems(values, {**base, **own}, python)]
    for problem in problems:
        path, _, what = problem.partition(": ")
        yield AuditFinding(part=SKELETON, layer=layer, path=f"{ROOT}/{path}", problem=what)


def _rules(base: Tree, python: str) -> dict[str, Rule]:
    site_packages = Layout(prefix=PREFIX, python=".".join(python.split(".")[:2])).site_packages
    rules = {f"{ROOT}/{link}": Rule(kind=LINK, target=target or "") for link, target in skeleton.links(python).items()}
    rules[f"{ROOT}/{skeleton.CONFIGURATION}"] = Rule(kind=FILE, modes=(0o644,))
    for path, line in USER_LINES.items():
        below = base.get(path)
        content = (below.content if below else b"") + line.encode()
        modes = (below.mode,) if below else (0o644,)
        rules[path] = Rule(kind=FILE, modes=modes, sha256=(hashlib.sha256(content).hexdigest(),))
    inside = [*rules, *(f"{ROOT}/{folder}/any" for folder in skeleton.folders(site_packages))]
    return {**dict.fromkeys(folders_above(inside), A_FOLDER), **rules}


def _own_problems(values: Mapping[str, str], tree: Tree, python: str) -> Iterator[str]:
    """What the probe checks in its file system: that every link leads to the base's interpreter, and that it exists."""
    program = f"python{'.'.join(python.split('.')[:2])}"
    home = values.get("home", "")
    interpreter = resolve(f"{home}/{program}", tree)
    found = tree.get(interpreter)
    if found is None or found.kind != FILE or not found.mode & 0o111 or interpreter.startswith(f"{ROOT}/"):
        yield f"{skeleton.CONFIGURATION}: home = {home} (expected a folder of the base with an executable {program})"
    # Python 3.11 and later add these keys; both follow from the others.
    expected = {"executable": f"/{interpreter}", "command": f"{home}/{program} -m venv --without-pip {PREFIX}"}
    for key, value in expected.items():
        if values.get(key, value) != value:
            yield f"{skeleton.CONFIGURATION}: {key} = {values[key]} (expected {value})"
    for link, target in skeleton.links(python).items():
        actual = resolve(f"{ROOT}/{link}", tree)
        if target is None and actual != interpreter:
            yield f"{link}: leads to /{actual} (expected /{interpreter})"


def resolve(path: str, tree: Tree) -> str:
    """`path` with all symbolic links resolved, relative to the root; it may not exist."""
    pending = list(reversed(PurePosixPath("/", path).parts[1:]))
    done = PurePosixPath()
    links = 0
    while pending:
        part = pending.pop()
        if part == "..":
            done = done.parent
            continue
        entry = tree.get(str(done / part))
        if entry is None or entry.kind != LINK or links == MOST_LINKS:
            done /= part
            continue
        links += 1
        target = PurePosixPath(entry.target)
        done = PurePosixPath() if target.is_absolute() else done
        pending += reversed(target.parts[1:] if target.is_absolute() else target.parts)
    return str(done)
