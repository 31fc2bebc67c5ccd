"""envgen.trust.audit: an image made by hand passes, and each of many changes of it is found by layer and path."""

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from archives import Made, folder, item, link
from samples import NASTY, sample_lock, wheel

from envgen.core.errors import DiskFullError, EngineError, UsageError, VerificationError
from envgen.core.progress import Reporter
from envgen.core.settings import read_settings
from envgen.engine import Engine, Image, RunRequest, RunResult
from envgen.engine.interface import OnLine
from envgen.lock import Lock, Package, RequiredBy
from envgen.oci import LayerEntry
from envgen.oci.stack_entries import FILE, LINK
from envgen.profiles import Project
from envgen.smoke.installed_files import RecordRow, record_row, render_record
from envgen.trust.audit import AuditReport, audit_image
from envgen.trust.audit.skeleton import merged, resolve
from envgen.workspace import Workspace

SITE = "lib/python3.11/site-packages"
ROOT = f"opt/venv/{SITE}"
STAND_IN = "stand-in:1"
PASSWD, GROUP = b"root:x:0:0:root:/root:/bin/bash\n", b"root:x:0:\n"
SCRIPT = b"#!python\nprint()\n"
CONFIGURATION = """\
home = /usr/bin
include-system-site-packages = false
version = 3.11.16
executable = /usr/bin/python3.11
command = /usr/bin/python3.11 -m venv --without-pip /opt/venv
"""

Members = Mapping[str, bytes]
DEMO: Members = {"demo/__init__.py": b"x = 1\n", "demo/data.bin": b"data", "demo-1.0.data/scripts/run": SCRIPT}
MODEL: Members = {"model/__init__.py": b"y = 1\n"}


class Quiet:
    """A reporter that says nothing."""

    def step(self, text: str) -> None:
        pass

    def detail(self, text: str) -> None:
        pass


@dataclass
class Store:
    """An engine's store with archives by name; a container of the base says what the test wants, and nothing else can be run."""

    archives: dict[str, tuple[str, Path]] = field(default_factory=dict)
    byte_code: tuple[str, str] = ("passed", "2 sources compiled again, all equal")
    python: str = "3.11.16"
    ran: list[RunRequest] = field(default_factory=list)

    def image(self, name: str) -> Image | None:
        digest, path = self.archives.get(name, ("", Path()))
        return Image(name=name, digest=digest, size=path.stat().st_size, labels={}) if digest else None

    def save(self, image: Image, path: Path) -> None:
        path.write_bytes(self.archives[image.name][1].read_bytes())

    def run(self, order: RunRequest, on_line: OnLine) -> RunResult:
        self.ran.append(order)
        assert order.network == "none"
        if "byte-code" not in order.command:
            on_line(self.python)
            return RunResult(code=0, out_of_memory=False, stderr="")
        status, detail = self.byte_code
        result = {"status": status, "seconds": 1.0, "peak_memory": 1, "detail": detail, "error": ""}
        for event in ({"plan": ["byte-code"]}, {"start": "byte-code"}, {"check": "byte-code", **result}, {"end": "byte-code"}):
            on_line(json.dumps(event))
        return RunResult(code=0, out_of_memory=False, stderr="")


class NoEngine(Store):
    """No engine answers."""

    def image(self, name: str) -> Image | None:
        del name
        raise EngineError("docker", "no engine answers at the default socket")


def installed(name: str, members: Members) -> dict[str, bytes]:
    """What uv makes of a wheel, by path below the prefix."""
    info = f"{name}-1.0.dist-info"
    files: dict[str, bytes] = {}
    rows = [RecordRow(path=f"{info}/RECORD", digest="", size=None)]
    for member, content in {**members, f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()}.items():
        script = ".data/scripts/" in member
        target = f"bin/{member.rpartition('/')[2]}" if script else f"{SITE}/{member}"
        files[target] = content.replace(b"#!python\n", b"#!/opt/venv/bin/python\n") if script else content
        rows.append(record_row(f"../../../{target}" if script else member, files[target]))
    return {**files, f"{SITE}/{info}/RECORD": render_record(rows)}


def put_wheel(store: Path, name: str, members: Members) -> tuple[str, int]:
    """Puts a wheel into the store; its sha256 and size."""
    buffer = io.BytesIO()
    info = f"{name}-1.0.dist-info"
    named = {**members, f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()}
    rows = [*(record_row(member, content) for member, content in named.items()), RecordRow(path=f"{info}/RECORD", digest="", size=None)]
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, content in {**named, f"{info}/RECORD": render_record(rows)}.items():
            archive.writestr(member, content)
    sha256 = hashlib.sha256(buffer.getvalue()).hexdigest()
    (store / sha256).mkdir(parents=True)
    (store / sha256 / f"{name}-1.0-py3-none-any.whl").write_bytes(buffer.getvalue())
    return sha256, len(buffer.getvalue())


def skeleton() -> list[Any]:
    folders = ("etc", "opt", "opt/venv", "opt/venv/bin", "opt/venv/lib", "opt/venv/lib/python3.11", ROOT)
    return [
        *map(folder, folders),
        item("etc/passwd", PASSWD + b"envgen:x:10001:10001::/tmp:/bin/sh\n"),
        item("etc/group", GROUP + b"envgen:x:10001:\n"),
        link("opt/venv/bin/python", "python3.11"),
        link("opt/venv/bin/python3", "python3.11"),
        link("opt/venv/bin/python3.11", "/usr/bin/python3.11"),
        link("opt/venv/lib64", "lib"),
        item("opt/venv/pyvenv.cfg", CONFIGURATION.encode()),
    ]


def group(files: Mapping[str, bytes], *packages: str) -> list[Any]:
    """The layer of a group whose wheels bring `files`, with byte code for their packages."""
    compiled = [f"{SITE}/{package}/__pycache__/__init__.cpython-311.pyc" for package in packages]
    entries = {f"opt/venv/{path}": content for path, content in {**files, **dict.fromkeys(compiled, b"compiled")}.items()}
    parents = {parent for path in entries for parent in ["/".join(path.split("/")[:count]) for count in range(1, path.count("/") + 1)]}
    items = [item(path, content, mode=0o755 if "/bin/" in path else 0o644) for path, content in entries.items()]
    return [*map(folder, sorted(parents)), *items]


@dataclass
class Scene:
    """A lock with its wheels in a store, an image made of it, and the engine that has its base."""

    workspace: Workspace
    lock: Lock
    image: Made
    engine: Store
    folder: Path

    def audit(self, engine: Store | None = None) -> AuditReport:
        self.image.write(self.folder / "image.tar")
        return audit_image(self.workspace, self.lock, cast(Engine, engine or self.engine), str(self.folder / "image.tar"))


def image_config(lock: Lock, base: str = "") -> dict[str, Any]:
    """The configuration that the recipe makes on the base of `scene`; `base` overrides the locked one."""
    labels = {
        "org.opencontainers.image.base.name": base or lock.base,
        "envgen.python": "3.11.16",
        "org.opencontainers.image.title": "small",
        "org.opencontainers.image.description": "A small profile",
        "envgen.profile": "small",
        "envgen.target": "py311-linux-amd64",
        "envgen.as-of": "2026-09-22T00:00:00Z",
        "envgen.lock": lock.digest,
        **({"envgen.base.override": base} if base else {}),
    }
    env = ["PATH=/opt/venv/bin:/usr/bin", "LANG=C.UTF-8", "HOME=/tmp", "PYTHONDONTWRITEBYTECODE=1", "PYTHONNOUSERSITE=1", f"NASTY={NASTY}"]
    settings = {"User": "10001:10001", "Env": env, "Cmd": ["python"], "WorkingDir": "/tmp", "Labels": labels, "ArgsEscaped": True}
    return {"os": "linux", "architecture": "amd64", "config": settings, "created": "1980-01-01T00:00:00Z", "history": []}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    below = [folder("etc"), item("etc/passwd", PASSWD), item("etc/group", GROUP), item("usr/bin/python3.11", b"ELF", mode=0o755)]
    below.append(item("usr/lib/python3.11", b"no program"))
    config = {"os": "linux", "architecture": "amd64", "config": {"Env": ["PATH=/usr/bin", "LANG=C.UTF-8"], "Cmd": ["python3"]}}
    digest = Made([below], config).write(tmp_path / "base.tar")
    packages = []
    for name, members, layer in (("demo", DEMO, "own"), ("model", MODEL, "models")):
        sha256, size = put_wheel(tmp_path / "cache" / "wheels", name, members)
        demands = (RequiredBy(name="small", requirement="*"),)
        packages.append(Package(wheel=wheel(name, sha256=sha256, size=size), layer=layer, demands=demands))
    lock = sample_lock(packages=tuple(packages), base=f"python:3.11@{digest}", env=(("NASTY", NASTY),))
    settings = read_settings({"ENVGEN_CACHE": str(tmp_path / "cache")}, tmp_path)
    workspace = Workspace(project=Project(folder=tmp_path), settings=settings, reporter=cast(Reporter, Quiet()))
    layers = [below, skeleton(), [], group(installed("model", MODEL), "model"), group(installed("demo", DEMO), "demo")]
    engine = Store(archives=dict.fromkeys((lock.base, STAND_IN), (digest, tmp_path / "base.tar")))
    return Scene(workspace=workspace, lock=lock, image=Made(layers, image_config(lock)), engine=engine, folder=tmp_path)


def said(report: AuditReport) -> list[str]:
    return [f"{finding.part}: {finding}" for finding in report.findings]


def statuses(report: AuditReport) -> dict[str, str]:
    return {part.name: part.status for part in report.parts}


def test_an_image_as_its_lock_says_passes(scene: Scene) -> None:
    report = scene.audit()
    assert (said(report), report.verdict(), report.overridden) == ([], "passed", False)
    assert report.headline() == "nothing found"
    assert set(statuses(report).values()) == {"passed"}


def test_byte_code_is_compiled_by_the_base_and_by_nothing_else(scene: Scene) -> None:
    seen: dict[str, bytes] = {}

    class Looking(Store):
        def run(self, order: RunRequest, on_line: OnLine) -> RunResult:
            for source, target, _ in order.mounts:
                if target == "/opt/venv":
                    seen.update({str(path.relative_to(source)): path.read_bytes() for path in source.rglob("*.py*") if path.is_file()})
            return super().run(order, on_line)

    engine = Looking(archives=scene.engine.archives)
    assert scene.audit(engine).verdict() == "passed"
    assert {order.image for order in engine.ran} == {scene.lock.base.partition("@")[2]}
    assert engine.ran[-1].command == ("python3.11", "-I", "-S", "/envgen/probe", "byte-code")
    assert not any(writable for order in engine.ran for *_, writable in order.mounts)
    assert seen[f"{SITE}/demo/__init__.py"] == b"x = 1\n"
    assert seen[f"{SITE}/demo/__pycache__/__init__.cpython-311.pyc"] == b"compiled"
    assert len(seen) == 4


def test_another_base_is_said(scene: Scene) -> None:
    scene.image.config = image_config(scene.lock, STAND_IN)
    report = scene.audit()
    assert (report.verdict(), report.overridden, report.base) == ("passed", True, STAND_IN)
    assert report.headline() == "not the locked base; nothing found"


@dataclass(frozen=True)
class Change:
    """A change of the image, and what has to be said of it."""

    make: Callable[[Made], object]
    said: str


def entry(path: str, **fields: Any) -> Callable[[Made], object]:
    """Changes fields of an entry."""

    def make(image: Made) -> None:
        info = image.entry(path)
        for name, value in fields.items():
            setattr(info, name, value)

    return make


def setting(key: str, value: Any) -> Callable[[Made], object]:
    return lambda image: image.config["config"].update({key: value})


def variable(text: str) -> Callable[[Made], object]:
    return lambda image: image.config["config"]["Env"].append(text)


def label(name: str, value: str) -> Callable[[Made], object]:
    return lambda image: image.config["config"]["Labels"].update({name: value})


def added(position: int, *items: Any) -> Callable[[Made], object]:
    return lambda image: image.layers[position].extend(items)


def on_top(*items: Any) -> Callable[[Made], object]:
    return lambda image: image.layers.append(list(items))


def configured(old: str, new: str) -> Callable[[Made], object]:
    return lambda image: image.replace("opt/venv/pyvenv.cfg", CONFIGURATION.replace(old, new).encode())


def both(*changes: Callable[[Made], object]) -> Callable[[Made], object]:
    return lambda image: [change(image) for change in changes]


INIT, PYC = f"{ROOT}/demo/__init__.py", f"{ROOT}/demo/__pycache__/__init__.cpython-311.pyc"
FOREIGN = "which is in no wheel of the group own"
EXTRA = "in a layer that the Dockerfile does not make"
OWNER = "and owner 0:0"

CHANGES = {
    "content": Change(lambda image: image.replace(INIT, b"x = 2\n"), f"files: layer 5 (own): {INIT}: sha256 "),
    "mode": Change(entry("opt/venv/bin/run", mode=0o4755), "files: layer 5 (own): opt/venv/bin/run: mode 4755 (expected 755)"),
    "not executable": Change(entry("opt/venv/bin/run", mode=0o644), "opt/venv/bin/run: mode 644 (expected 755)"),
    "mode of a folder": Change(entry(f"{ROOT}/demo", mode=0o777), f"{ROOT}/demo: mode 777 (expected 755)"),
    "mode of byte code": Change(entry(PYC, mode=0o666), f"{PYC}: mode 666 (expected 644)"),
    "owner": Change(entry(INIT, uid=10001), f"{INIT}: owner 10001:0 (expected 0:0)"),
    "group": Change(entry(INIT, gid=10001), f"{INIT}: owner 0:10001 (expected 0:0)"),
    "time": Change(entry(INIT, mtime=1), f"{INIT}: modification time 1 (expected 315532800)"),
    "fraction of a time": Change(entry(INIT, mtime=315532800.5), f"{INIT}: modification time 315532800.5 (expected 315532800)"),
    "capability": Change(entry(INIT, pax_headers={"SCHILY.xattr.security.capability": "x"}), "extended headers SCHILY.xattr.security.cap"),
    "missing": Change(lambda image: image.remove(INIT), f"files: layer 5 (own): {INIT}: missing"),
    "missing folder": Change(lambda image: image.remove(f"{ROOT}/demo"), f"files: layer 5 (own): {ROOT}/demo: missing"),
    "twice": Change(added(4, item(INIT, b"x = 1\n")), f"files: layer 5 (own): {INIT}: occurs twice"),
    "path file": Change(added(4, item(f"{ROOT}/a.pth", b"import os")), f"{ROOT}/a.pth: a file of mode 644 {OWNER}, {FOREIGN}"),
    "of another group": Change(added(4, item(f"{ROOT}/model/__init__.py", b"y = 1\n")), f"{ROOT}/model/__init__.py: a file of mode"),
    "outside": Change(added(4, item("etc/cron", b"")), f"files: layer 5 (own): etc/cron: a file of mode 644 {OWNER}, {FOREIGN}"),
    "climbing": Change(added(4, item("opt/venv/../../etc/x", b"")), "opt/venv/../../etc/x: a file of mode"),
    "absolute": Change(added(4, item(f"/{ROOT}/demo/data.bin", b"data")), f"/{ROOT}/demo/data.bin: a file of mode"),
    "whiteout": Change(added(4, item("usr/bin/.wh.python3.11")), "usr/bin/.wh.python3.11: a whiteout, which removes"),
    "device": Change(added(4, item("opt/venv/null", type=b"3")), f"opt/venv/null: a special file of mode 644 {OWNER}, {FOREIGN}"),
    "hard link": Change(added(4, item("opt/venv/x", type=b"1", linkname="etc/shadow")), "opt/venv/x: a hard link to etc/shadow of mode"),
    "link for a file": Change(entry(INIT, type=b"2", linkname="/etc/passwd", size=0), f"{INIT}: a symbolic link to /etc/passwd of mode"),
    "terminal": Change(added(4, item("opt/venv/\x1b[2J\n", b"")), "opt/venv/\\x1b[2J\\n: a file of mode"),
    "no utf-8": Change(added(4, item("opt/venv/\udcff", b"")), "opt/venv/\\udcff: a file of mode"),
    "layer on top": Change(on_top(folder("usr"), item("usr/bin/python3.11", b"sh")), "layers: layer 6 (sha256:"),
    "setuid on top": Change(on_top(item("usr/bin/su", mode=0o4755)), f"usr/bin/su: a file of mode 4755 {OWNER}, {EXTRA}"),
    "removed on top": Change(on_top(item(f"{ROOT}/demo/.wh.data.bin")), f"a whiteout, which removes files of other layers, {EXTRA}"),
    "empty layer on top": Change(on_top(), "an empty layer that the Dockerfile does not make"),
    "layer missing": Change(lambda image: image.layers.pop(), "layers: layer own: missing"),
    "workdir": Change(
        added(2, item("tmp/x", b"")), f"layers: layer 3 (workdir): tmp/x: a file of mode 644 {OWNER}, in a layer that must be empty"
    ),
    "base": Change(added(0, item("usr/lib/evil.so", b"")), "base: layer 1: is sha256:"),
    "base in the environment": Change(added(0, item(f"{ROOT}/x.py", b"")), f"layer 1 (skeleton): {ROOT}/x.py: a file of mode"),
    "user": Change(setting("User", ""), "configuration: User is '' (expected '10001:10001')"),
    "entry point": Change(setting("Entrypoint", ["/bin/sh"]), "configuration: Entrypoint is ['/bin/sh'] (expected None)"),
    "command": Change(setting("Cmd", ["sh"]), "configuration: Cmd is ['sh'] (expected ['python'])"),
    "workdir setting": Change(setting("WorkingDir", "/"), "configuration: WorkingDir is '/' (expected '/tmp')"),
    "volume": Change(setting("Volumes", {"/x": {}}), "configuration: Volumes is {'/x': {}} (expected None)"),
    "preload": Change(
        variable("LD_PRELOAD=/x.so"), "configuration: variable LD_PRELOAD=/x.so, which neither the Dockerfile nor the base sets"
    ),
    "variable twice": Change(variable("HOME=/tmp"), "configuration: its environment has a variable twice"),
    "variable": Change(setting("Env", ["PATH=/x:/opt/venv/bin:/usr/bin"]), "variable PATH is /x:/opt/venv/bin:/usr/bin (expected /opt/"),
    "variables of no sort": Change(setting("Env", 5), "configuration: variable HOME is missing (expected /tmp)"),
    "label": Change(label("envgen.as-of", "2020"), "configuration: label envgen.as-of is 2020 (expected 2026-09-22T00:00:00Z)"),
    "label of another Python": Change(label("envgen.python", "3.11.2"), "label envgen.python is 3.11.2 (expected 3.11.16)"),
    "label more": Change(label("x", "y"), "configuration: label x=y, which neither the Dockerfile nor the base sets"),
    "architecture": Change(lambda image: image.config.update(variant="v9"), "configuration: variant is 'v9' (expected None)"),
    "key": Change(lambda image: image.config.update(x=1), "configuration: unexpected x"),
    "user line": Change(lambda image: image.layers[1].append(item("etc/shadow")), "skeleton: layer 2 (skeleton): etc/shadow: a file"),
    "interpreter": Change(entry("opt/venv/bin/python3", linkname="/bin/sh"), "bin/python3: leads to /bin/sh (expected /usr/bin/python"),
    "lib64": Change(entry("opt/venv/lib64", linkname="/lib"), "opt/venv/lib64: leads to /lib (expected lib)"),
    "home": Change(configured("= /usr/bin\n", "= /opt\n"), "pyvenv.cfg: home = /opt (expected a folder of the base with an executable pyt"),
    "no program": Change(configured("= /usr/bin\n", "= /usr/lib\n"), "pyvenv.cfg: home = /usr/lib (expected a folder of the base with"),
    "home of its own": Change(
        both(configured("= /usr/bin\n", "= /opt/venv/x\n"), added(1, item("opt/venv/x/python3.11", mode=0o755))),
        "pyvenv.cfg: home = /opt/venv/x (expected a folder of the base with",
    ),
    "name that readers read differently": Change(
        both(lambda image: image.remove(INIT), added(4, item("././@LongLink", f"{INIT}\0".encode(), type=b"L"), item("x", b"x = 1\n"))),
        f"files: layer 5 (own): {INIT}: extended headers 1536 bytes of headers (expected 512)",
    ),
    "system packages": Change(configured("false", "true"), "pyvenv.cfg: include-system-site-packages = true (expected false)"),
    "version": Change(configured("3.11.16", "3.11.2"), "pyvenv.cfg: version = 3.11.2 (expected 3.11.16)"),
    "executable": Change(configured("executable = /usr", "executable = /tmp"), "executable = /tmp/bin/python3.11 (expected /usr/bin"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_found_and_named(scene: Scene, change: str) -> None:
    CHANGES[change].make(scene.image)
    report = scene.audit()
    assert report.verdict() == "FAILED"
    assert any(CHANGES[change].said in line for line in said(report)), said(report)
    assert all(line.isprintable() for line in said(report))


def test_a_user_more_is_found(scene: Scene) -> None:
    scene.image.layers[1] = [pair for pair in skeleton() if pair[0].name != "etc/passwd"]
    scene.image.layers[1].append(item("etc/passwd", PASSWD + b"evil:x:0:0::/:/bin/sh\nenvgen:x:10001:10001::/tmp:/bin/sh\n"))
    assert [line.partition(" sha256")[0] for line in said(scene.audit())] == ["skeleton: layer 2 (skeleton): etc/passwd:"]


def test_wrong_byte_code_is_named(scene: Scene) -> None:
    path = f"/opt/venv/{SITE}/demo/__pycache__/__init__.cpython-311.pyc"
    scene.engine.byte_code = ("failed", f"{path}: not what this Python compiles from its source\n{path}: killed")
    report = scene.audit()
    assert said(report) == [f"byte code: {PYC}: not what this Python compiles from its source", f"byte code: {PYC}: killed"]
    assert report.verdict() == "FAILED"


@pytest.mark.parametrize(("engine", "reason"), [(NoEngine(), "no engine answers"), (Store(), "the engine's store does not have it")])
def test_without_the_base_it_is_no_pass(scene: Scene, engine: Store, reason: str) -> None:
    report = scene.audit(engine)
    assert (said(report), report.verdict()) == ([], "INCOMPLETE")
    compared = {"layers": "passed", "skeleton": "passed", "files": "passed", "archive": "passed"}
    assert statuses(report) == {**dict.fromkeys(("configuration", "base", "byte code"), "not compared"), **compared}
    assert report.headline().startswith("NOT COMPARED: configuration; NOT COMPARED: base; NOT COMPARED: byte code; ")
    assert all(reason in part.detail for part in report.parts if part.status == "not compared")
    scene.image.replace(INIT, b"x = 2\n")
    assert scene.audit(engine).verdict() == "FAILED"


def test_an_image_that_names_itself_as_its_base_is_not_run(scene: Scene) -> None:
    scene.image.config = image_config(scene.lock, "itself:1")
    digest = scene.image.write(scene.folder / "itself.tar")
    scene.engine.archives["itself:1"] = (digest, scene.folder / "itself.tar")
    report = scene.audit()
    assert "base: the image has no layer on top of the base itself:1" in said(report)
    assert not scene.engine.ran
    assert statuses(report)["byte code"] == "not compared"


def test_a_base_under_the_locked_name_that_is_another_one_is_not_taken(scene: Scene) -> None:
    digest = Made([[item("etc/passwd")]], {}).write(scene.folder / "other.tar")
    scene.engine.archives[scene.lock.base] = (digest, scene.folder / "other.tar")
    report = scene.audit()
    assert report.verdict() == "INCOMPLETE"
    assert f"in the engine's store, this name is {digest}" in report.parts[1].detail


def test_another_python_in_the_locked_base_is_a_finding(scene: Scene) -> None:
    scene.engine.python = "3.11.2"
    assert "base: the base has Python 3.11.2 (expected 3.11.16)" in said(scene.audit())


def test_another_image_in_the_archive_is_found(scene: Scene) -> None:
    """The audited one has no name, the other one has, and is said to be for another platform."""
    scene.image.write(scene.folder / "image.tar")
    other = Made([[item("etc/evil", b"x")]], {"os": "linux", "architecture": "amd64"})
    digest = other.write(scene.folder / "other.tar")
    with tarfile.open(scene.folder / "other.tar") as source, tarfile.open(scene.folder / "image.tar") as mine:
        files = {member.name: source.extractfile(member).read() for member in source}  # type: ignore[union-attr]  # they are files
        files |= {member.name: mine.extractfile(member).read() for member in mine if member.name != "index.json"}  # type: ignore[union-attr]
        index = json.loads(mine.extractfile("index.json").read())  # type: ignore[union-attr]
    entry = {"digest": digest, "platform": {"os": "linux", "architecture": "arm64"}, "annotations": {"io.containerd.image.name": "x:1"}}
    files["index.json"] = json.dumps({"manifests": [*index["manifests"], entry]}).encode()
    path = scene.folder / "mixed.tar"
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    report = audit_image(scene.workspace, scene.lock, cast(Engine, scene.engine), str(path))
    assert said(report) == [f"archive: also contains the image {digest[:19]} (linux/arm64), which an engine may load"]
    assert report.verdict() == "FAILED"
    assert statuses(report)["archive"] == "failed"


def test_an_image_of_another_lock_is_refused(scene: Scene) -> None:
    scene.image.config["config"]["Labels"]["envgen.lock"] = f"sha256:{'0' * 64}"
    with pytest.raises(
        VerificationError, match=r"label envgen\.lock: found an image built from lock sha256:000000000000, expected sha256:"
    ):
        scene.audit()


def test_an_image_without_labels_is_refused(scene: Scene) -> None:
    scene.image.config["config"] = None
    with pytest.raises(VerificationError, match="found an image built from lock none"):
        scene.audit()


def test_an_image_that_is_not_there_is_an_error(scene: Scene) -> None:
    with pytest.raises(UsageError, match=r"envgen/small:py311-linux-amd64: no such image"):
        audit_image(scene.workspace, scene.lock, cast(Engine, scene.engine), "")


def test_wheels_that_are_missing_are_to_be_fetched(scene: Scene) -> None:
    path = scene.workspace.store.path(scene.lock.wheels[0].sha256, scene.lock.wheels[0].file)
    path.unlink()
    with pytest.raises(VerificationError, match=r"1 of 2 wheels are not in the wheel store, such as demo-1\.0") as raised:
        scene.audit()
    assert raised.value.hint == "run: envgen fetch small"


def test_a_damaged_wheel_is_no_measure(scene: Scene) -> None:
    path = scene.workspace.store.path(scene.lock.wheels[0].sha256, scene.lock.wheels[0].file)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(VerificationError, match="damaged, and taken out of the store"):
        scene.audit()


def test_a_full_disk_is_said(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    open_as_ever = Path.open

    def full(self: Path, mode: str = "r", **options: Any) -> Any:
        if mode == "wb" and self.suffix == ".py":
            raise OSError(28, "No space left on device")
        return open_as_ever(self, mode, **options)

    scene.image.write(scene.folder / "image.tar")
    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(DiskFullError, match="No space left on device"):
        audit_image(scene.workspace, scene.lock, cast(Engine, NoEngine()), str(scene.folder / "image.tar"))


def test_the_locked_base_by_another_name_is_the_locked_one(scene: Scene) -> None:
    mirrored = f"mirror.example/python:3.11@{scene.lock.base.partition('@')[2]}"
    scene.image.config = image_config(scene.lock, mirrored)
    del scene.image.config["config"]["Labels"]["envgen.base.override"]
    scene.engine.archives = {scene.lock.base.partition("@")[2]: scene.engine.archives[scene.lock.base]}
    report = scene.audit()
    assert (report.verdict(), report.overridden) == ("passed", False)


@pytest.mark.parametrize("python", ["../../x", "3.12.1", "", "3.11.2/../x"])
def test_a_label_can_make_no_path(scene: Scene, python: str) -> None:
    scene.image.config = image_config(scene.lock, "elsewhere:1")
    scene.image.config["config"]["Labels"]["envgen.python"] = python
    report = scene.audit()
    assert f"configuration: label envgen.python is {python} (expected 3.11.16)" in said(report)
    assert statuses(report)["files"] == "passed"


def test_a_name_that_is_too_long_for_a_file_is_asked_of_the_engine(scene: Scene) -> None:
    with pytest.raises(UsageError, match="no such image"):
        audit_image(scene.workspace, scene.lock, cast(Engine, scene.engine), "x" * 5000)


def test_what_a_layer_removes_is_gone_from_the_base() -> None:
    lower = [entry_of(*pair) for pair in (("a/b", ""), ("a/c", ""), ("d", ""), ("e/f", ""))]
    upper = [entry_of("a/.wh.b", ""), entry_of(".wh.d", ""), entry_of("e/.wh..wh..opq", ""), entry_of("e/g", "")]
    assert set(merged([lower, upper])) == {"a/c", "e/g"}


def test_links_are_followed_and_circles_end() -> None:
    tree = {path: entry_of(path, target) for path, target in {"bin": "usr/bin", "usr/bin/x": "../y", "a": "/b", "b": "a"}.items()}
    assert resolve("/bin/x", tree) == "usr/y"
    assert resolve("a/c", tree) in ("a/c", "b/c")


def entry_of(path: str, target: str) -> LayerEntry:
    kind = LINK if target else FILE
    return LayerEntry(path=path, kind=kind, mode=0o644, owner=(0, 0), mtime=0, target=target, sha256="", content=b"", surprises=())
