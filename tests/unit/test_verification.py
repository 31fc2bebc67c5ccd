"""envgen.trust.verify: each thing is asked once, what could not be asked is said first, and nothing is flattered."""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import pytest
import requests
from samples import BASE, COMMIT, HUB, INDEX, Server, package, sample_lock, serve_model, wheel

from envgen.cli.output import QuietReporter
from envgen.cli.trust import verify as command
from envgen.core.errors import BaseGoneError, EngineError, IndexUnavailableError
from envgen.core.settings import read_settings
from envgen.lock import Lock, LockedModel, RequiredBy
from envgen.profiles import Project
from envgen.sources import LockedModelFiles
from envgen.sources.models import HubFile
from envgen.trust.report import Status
from envgen.trust.verify import Verdict, VerificationReport
from envgen.trust.verify import verify as gathering
from envgen.trust.verify.questions import TimeBudget
from envgen.workspace import Workspace

TODAY = dt.date(2026, 11, 25)
TAGGED, _, DIGEST = BASE.partition("@")
TORCH = "https://torch.example/whl/cpu"
ORIGIN = INDEX.removesuffix("/simple")


@dataclass
class Registry:
    """Stands for an engine: the digest of each reference, None for one that is gone, and an error for any other."""

    digests: Mapping[str, str | None] = field(default_factory=lambda: {BASE: DIGEST, TAGGED: DIGEST})
    seen: list[str] = field(default_factory=list)

    def digest(self, reference: str) -> str:
        self.seen.append(reference)
        if reference not in self.digests:
            raise EngineError(reference, "its registry does not answer: silence", hint="check the network")
        if self.digests[reference] is None:
            raise BaseGoneError(reference, "its registry has no such thing")
        return self.digests[reference]  # type: ignore[return-value]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """A network in which everything in the sample lock is as it was locked."""
    found = Server()
    for entry in (*sample_lock().wheels, sample_lock().installer):
        assert entry is not None
        root = TORCH if entry.index == "pytorch-cpu" else INDEX
        list_file(found, f"{root}/{entry.name}/", filename=entry.file, hashes={"sha256": entry.sha256}, size=entry.size)
        answer = {"info": {"version": entry.version}, "vulnerabilities": []}
        found.page(f"{ORIGIN}/pypi/{entry.name}/{entry.version}/json", json.dumps(answer), "application/json")

    def session(*_arguments: object) -> requests.Session:
        made = requests.Session()
        made.mount("https://", found)
        return made

    monkeypatch.setattr("envgen.sources.http.make_session", session)
    return found


def list_file(server: Server, page: str, **file: object) -> None:
    """Make a page list this file and no other."""
    values = {"url": f"../../files/{file.get('filename')}", "hashes": {}, **file}
    server.page(page, json.dumps({"meta": {"api-version": "1.1"}, "files": [values]}))


def verify(folder: Path, *locks: Lock, registry: Registry | None = None) -> VerificationReport:
    """What there is to say of `locks` in a project that knows no models."""
    (folder / "profiles" / "models").mkdir(parents=True, exist_ok=True)
    models = folder / "profiles" / "models" / "wheels.toml"
    if not models.exists():
        models.write_text('description = "none"\n')
    settings = read_settings({"ENVGEN_CACHE": str(folder / "cache"), "ENVGEN_INDEX_DEFAULT": INDEX, "HF_ENDPOINT": HUB}, folder)
    workspace = Workspace(project=Project(folder=folder), settings=settings, reporter=QuietReporter())
    return gathering.verify_locks(workspace, locks or (sample_lock(),), registry or Registry(), TODAY)  # type: ignore[arg-type]


def only(found: VerificationReport, *statuses: str) -> Verdict:
    (entry,) = found.having(*statuses)
    return entry


def test_all_is_well_but_for_what_an_index_does_not_publish(server: Server, tmp_path: Path) -> None:
    found = verify(tmp_path)
    assert found.verdict() == "verified"
    assert only(found, Status.NOT_PUBLISHED).name == "torch 2.13.0+cpu"
    why = "index pytorch-cpu has no JSON API with vulnerabilities"
    assert found.headline() == f"not published: vulnerabilities of 1 release ({why}); ok: 10 of 11"
    assert found.counts() == {"base": {Status.OK: 1}, "wheel": {Status.OK: 5}, "vulnerabilities": {Status.OK: 4, Status.NOT_PUBLISHED: 1}}


def test_each_thing_is_asked_once_for_all_locks(server: Server, tmp_path: Path) -> None:
    registry = Registry()
    found = verify(tmp_path, sample_lock(), sample_lock(platform="linux/arm64"), sample_lock(profile="other"), registry=registry)
    assert len({request.url for request in server.seen}) == len(server.seen) == 9
    assert registry.seen == [BASE, TAGGED]
    assert found.locks == ("small/py311-linux-amd64", "small/py311-linux-arm64", "other/py311-linux-amd64")
    assert all(entry.locks == found.locks for entry in found.entries)


def test_two_indexes_of_one_name_are_two(server: Server, tmp_path: Path) -> None:
    lock = sample_lock()
    other = replace(lock, profile="other", indexes=(replace(lock.indexes[0], url="https://other.example/whl"),))
    gone = only(verify(tmp_path, lock, other), Status.GONE)
    assert (gone.name, gone.locks) == (lock.packages[3].wheel.file, ("other/py311-linux-amd64",))


@pytest.mark.parametrize(
    ("file", "status", "detail"),
    [
        ({"filename": "numpy-2.4.5-py3-none-any.whl"}, Status.GONE, "index default no longer lists it"),
        ({"hashes": {"sha256": "f" * 64}}, Status.CHANGED, f"index default publishes sha256 {'f' * 64}, the lock has "),
        ({"size": 7}, Status.CHANGED, "index default publishes 7 bytes, the lock has 1005"),
        ({"yanked": "broken \x1b[31m on\nWindows"}, Status.YANKED, "broken [31m on Windows"),
        ({"yanked": True}, Status.YANKED, "no reason given"),
    ],
    ids=str,
)
def test_what_became_of_a_wheel(server: Server, tmp_path: Path, file: Mapping[str, object], status: str, detail: str) -> None:
    locked = wheel("numpy", "2.4.6")
    list_file(server, f"{INDEX}/numpy/", **{"filename": locked.file, "hashes": {"sha256": locked.sha256}, **file})
    found = verify(tmp_path)
    entry = only(found, status)
    assert found.verdict() == "findings"
    assert f"{status.upper()}: 1; ok: 9 of 11" in found.headline()
    assert (entry.kind, entry.name, entry.locks) == ("wheel", locked.file, ("small/py311-linux-amd64",))
    assert entry.detail.startswith(detail)
    assert entry.cure == "envgen update small --package numpy --as-of 2026-11-25"


def test_a_page_that_is_not_there_has_no_file(server: Server, tmp_path: Path) -> None:
    del server.answers[f"{INDEX}/numpy/"]
    assert only(verify(tmp_path), Status.GONE).name == wheel("numpy", "2.4.6").file


def test_a_wheel_that_changed_and_is_yanked_is_both(server: Server, tmp_path: Path) -> None:
    list_file(server, f"{INDEX}/numpy/", filename=wheel("numpy", "2.4.6").file, hashes={"sha256": "f" * 64}, yanked="")
    assert len(verify(tmp_path).having(Status.CHANGED, Status.YANKED)) == 1
    list_file(server, f"{INDEX}/numpy/", filename=wheel("numpy", "2.4.6").file, hashes={"sha256": "f" * 64}, yanked="bad")
    assert len(verify(tmp_path).having(Status.CHANGED, Status.YANKED)) == 2


@pytest.mark.parametrize(
    ("size", "answer", "status"),
    [(1005, 200, Status.NOT_PUBLISHED), (1004, 200, Status.CHANGED), (0, 404, Status.GONE), (0, 403, Status.NOT_CHECKED)],
)
def test_without_a_hash_the_file_itself_is_asked_for(server: Server, tmp_path: Path, size: int, answer: int, status: str) -> None:
    locked = wheel("numpy", "2.4.6")
    list_file(server, f"{INDEX}/numpy/", filename=locked.file, hashes={"md5": "0"}, size=locked.size)
    server.page(f"{INDEX.removesuffix('/simple')}/files/{locked.file}", b"x" * size, status=answer)
    found = [entry for entry in verify(tmp_path).entries if entry.name == locked.file]
    assert [entry.status for entry in found] == [status]
    if status == Status.NOT_PUBLISHED:
        assert found[0].detail.startswith("hash not published: not compared")


def test_a_vulnerable_release_says_what_fixes_it(server: Server, tmp_path: Path) -> None:
    vulnerability = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fixed_in": ["2.5"], "summary": "reads\ntoo far"}
    answer = {"info": {"version": "2.4.6"}, "vulnerabilities": [vulnerability, {"id": "OTHER-1"}]}
    server.page(f"{ORIGIN}/pypi/numpy/2.4.6/json", json.dumps(answer), "application/json")
    found = verify(tmp_path)
    first, second = found.having(Status.VULNERABLE)
    assert (first.kind, first.name, first.detail) == ("vulnerabilities", "numpy 2.4.6", "PYSEC-1 (CVE-1): reads too far; fixed in 2.5")
    assert first.cure == "envgen update small --package numpy --as-of 2026-11-25"
    assert second.detail == "OTHER-1: no summary; no known fix"
    assert found.verdict() == "findings"


def test_the_cure_moves_what_holds_the_version(server: Server, tmp_path: Path) -> None:
    held = package("held", "1.0", "own", (RequiredBy(name="torch", requirement="==1.0; x"),))
    lock = sample_lock(packages=(*sample_lock().packages, held))
    cures = {entry.name.partition("-")[0]: entry.cure for entry in verify(tmp_path, lock).having(Status.GONE)}
    assert cures == {"held": "change torch==2.13.0 in the profile small, then: envgen lock small"}
    del server.answers[f"{INDEX}/uv/"]
    cures = {entry.name.partition("-")[0]: entry.cure for entry in verify(tmp_path).having(Status.GONE)}
    assert cures == {"uv": "change `installer` in the profile small, then: envgen lock small"}


def test_each_profile_has_its_cure(server: Server, tmp_path: Path) -> None:
    del server.answers[f"{INDEX}/numpy/"]
    gone = only(verify(tmp_path, sample_lock(), sample_lock(python="3.12.4"), sample_lock(profile="other")), Status.GONE)
    assert gone.cure.splitlines() == [f"envgen update {name} --package numpy --as-of 2026-11-25" for name in ("small", "other")]


def test_packages_that_hold_each_other_have_a_cure_too() -> None:
    packages = (
        package("one", "1.0", "own", (RequiredBy(name="two", requirement="==1.0"),)),
        package("two", "1.0", "own", (RequiredBy(name="one", requirement="==1.0"),)),
    )
    assert gathering._cure(sample_lock(packages=packages), packages[0].wheel, TODAY).startswith("envgen update small --package ")


def test_an_index_without_an_answer_leaves_its_own_unchecked(server: Server, tmp_path: Path) -> None:
    server.page(f"{TORCH}/torch/", "not today", status=503)
    server.page(f"{ORIGIN}/pypi/numpy/2.4.6/json", "<html>", "text/html")
    found = verify(tmp_path)
    assert {(entry.kind, entry.name.partition("-")[0]) for entry in found.having(Status.NOT_CHECKED)} == {
        ("wheel", "torch"),
        ("vulnerabilities", "numpy 2.4.6"),
    }
    assert found.verdict() == "not checked"
    first, second, *_ = found.headline().split("; ")
    assert first.startswith("NOT CHECKED: 1 wheel (https://torch.example/whl/cpu/torch/: found status 503")
    assert second.startswith("NOT CHECKED: vulnerabilities of 1 release (index default: JSON API, numpy 2.4.6: found no data of a release")


@pytest.mark.parametrize(
    ("digests", "statuses", "verdict"),
    [
        ({BASE: DIGEST, TAGGED: DIGEST}, ["ok"], "verified"),
        ({BASE: DIGEST, TAGGED: f"sha256:{'b' * 64}"}, ["ok", "tag moved"], "verified"),
        ({BASE: DIGEST, TAGGED: None}, ["ok", "tag deleted"], "verified"),
        ({BASE: None, TAGGED: f"sha256:{'b' * 64}"}, ["gone", "tag moved"], "findings"),
        ({BASE: None, TAGGED: None}, ["gone", "tag deleted"], "findings"),
        ({BASE: DIGEST}, ["ok", "not checked"], "not checked"),
        ({}, ["not checked"], "not checked"),
    ],
)
def test_what_became_of_a_base(server: Server, tmp_path: Path, digests: dict[str, str | None], statuses: list[str], verdict: str) -> None:
    found = verify(tmp_path, registry=Registry(digests=digests))
    bases = [entry for entry in found.entries if entry.kind == "base"]
    assert ([entry.status for entry in bases], found.verdict()) == (statuses, verdict)
    if statuses == ["not checked"]:
        assert found.headline().startswith("NOT CHECKED: 1 base (its registry does not answer: silence); ")
        assert bases[0].cure == "check the network"
    if "tag moved" in statuses:
        assert bases[-1].detail == f"{TAGGED} is now sha256:{'b' * 64}"
        assert bases[-1].cure == "envgen update small --base"
        assert f"; tag moved: 1; ok: {9 + statuses.count('ok')} of 11" in found.headline()


@pytest.mark.parametrize(
    ("file", "status"),
    [
        ({}, Status.OK),
        ({"filename": "shipped_model-2.0-py3-none-any.whl"}, Status.GONE),
        ({"filename": "shipped_model-1.0.tar.gz"}, Status.GONE),
        ({"hashes": {"sha256": "f" * 64}}, Status.CHANGED),
        ({"hashes": {}}, Status.NOT_PUBLISHED),
        ({"yanked": "bad weights"}, Status.YANKED),
    ],
    ids=str,
)
def test_what_became_of_a_model(server: Server, tmp_path: Path, file: Mapping[str, object], status: str) -> None:
    models = tmp_path / "profiles" / "models" / "wheels.toml"
    models.parent.mkdir(parents=True)
    models.write_text(f'[[wheel]]\nname = "shipped-model"\nversion = "1.0"\nsha256 = "{"c" * 64}"\n')
    page = f"{INDEX}/shipped-model/"
    list_file(server, page, **{"filename": "shipped_model-1.0-py3-none-any.whl", "hashes": {"sha256": "c" * 64}, **file})
    (entry,) = [entry for entry in verify(tmp_path).entries if entry.kind == "model"]
    assert (entry.name, entry.status) == ("wheel:shipped-model==1.0", status)


def test_a_locked_wheel_with_a_model_is_a_model_of_its_locks(server: Server, tmp_path: Path) -> None:
    models = tmp_path / "profiles" / "models" / "wheels.toml"
    models.parent.mkdir(parents=True)
    locked = wheel("shipped-model")
    models.write_text(f'[[wheel]]\nname = "shipped-model"\nversion = "1.0"\nsha256 = "{locked.sha256}"\n')
    page, lock = f"{INDEX}/shipped-model/", sample_lock(model=LockedModel(source=locked))
    list_file(server, page, filename=locked.file, hashes={"sha256": locked.sha256}, size=locked.size)
    (entry,) = [entry for entry in verify(tmp_path, lock).entries if entry.kind == "model"]
    assert (entry.name, entry.status, entry.locks) == ("wheel:shipped-model==1.0", Status.OK, ("small/py311-linux-amd64",))
    list_file(server, page, filename=locked.file, hashes={"sha256": "f" * 64})
    gone = only(verify(tmp_path, lock), Status.CHANGED)
    assert (gone.kind, gone.cure) == ("model", "name another model in the profile small, then: envgen lock small")


FILES = {"config.json": b"{}", "model.safetensors": b"weights", "tokenizer.json": b"t" * 50}


@pytest.mark.parametrize(
    ("files", "status", "detail"),
    [
        (FILES, Status.OK, ""),
        ({**FILES, "config.json": b"[]"}, Status.CHANGED, "the hub hub.example has config.json with sha256 "),
        ({**FILES, "model.safetensors": b"Weights"}, Status.CHANGED, "the hub hub.example has model.safetensors with sha256 "),
        (
            {**FILES, "extra.json": b""},
            Status.CHANGED,
            "the hub hub.example also lists extra.json, which the lock does not have: find out why",
        ),
        ({"config.json": b"{}", "model.safetensors": b"weights"}, Status.GONE, "the hub hub.example no longer lists tokenizer.json"),
        ({"config.json": b"{}"}, Status.GONE, "has no safetensors"),
        (404, Status.GONE, "the hub shows no model tests/small"),
        (401, Status.NOT_CHECKED, "the hub shows no model tests/small"),
        (503, Status.NOT_CHECKED, "found status 503"),
    ],
    ids=str,
)
def test_what_became_of_a_model_of_the_hub(server: Server, tmp_path: Path, files: dict[str, bytes] | int, status: str, detail: str) -> None:
    locked = tuple(HubFile(name=name, sha256=sha256(content).hexdigest(), size=len(content)) for name, content in FILES.items())
    model = LockedModel(source=LockedModelFiles(repo="tests/small", commit=COMMIT, files=locked))
    if isinstance(files, int):
        server.page(f"{HUB}/api/models/tests/small/tree/{COMMIT}", "", status=files)
    else:
        serve_model(server, files)
    found = verify(tmp_path, sample_lock(model=model), sample_lock(profile="other", model=model))
    (entry,) = [entry for entry in found.entries if entry.kind == "model"]
    assert (entry.name, entry.status) == (f"hub:tests/small@{COMMIT}", status)
    assert detail in entry.detail
    assert entry.locks == ("small/py311-linux-amd64", "other/py311-linux-amd64")
    if status in (Status.GONE, Status.CHANGED):
        assert entry.cure.startswith("name another model in the profile small, then: envgen lock small\nname another")


def test_a_silent_server_is_not_waited_for_again_and_again() -> None:
    asked = []

    def question() -> None:
        asked.append(1)
        raise IndexUnavailableError("there", "silence")

    patience = TimeBudget(1e-9)
    for _ in range(3):
        with pytest.raises(IndexUnavailableError, match="silence"):
            patience.ask(question)
    assert len(asked) == 1
    assert TimeBudget(0.0).ask(lambda: 1) == 1
    patient = TimeBudget(60.0)
    for _ in range(3):
        with pytest.raises(IndexUnavailableError, match="silence"):
            patient.ask(question)
    assert len(asked) == 4


def entry(status: str, name: str = "a.whl", **fields: str) -> Verdict:
    return Verdict(kind="wheel", name=name, status=status, **{"detail": "why", "cure": "do this\nor that", **fields})


def test_the_text_has_what_was_not_checked_first_and_cures_for_what_was_found() -> None:
    entries = (
        entry(Status.OK),
        entry(Status.GONE, "b.whl"),
        *(entry(Status.NOT_CHECKED, f"{number}.whl", cure="wait") for number in range(7)),
    )
    text = "\n".join(command.lines(VerificationReport(locks=("small/x",), entries=entries), "small"))
    assert text.splitlines() == [
        "verify small: NOT CHECKED: 7 wheels (why); GONE: 1; ok: 1 of 9",
        "",
        "GONE  b.whl",
        "    why",
        "    cure: do this",
        "          or that",
        "",
        "not checked",
        "  7 wheels: why",
        "      0.whl, 1.whl, 2.whl, 3.whl, 4.whl, and 2 more",
        "      wait",
        "",
        "9 wheels: ok 1, gone 1, not checked 7",
        "verify small: FINDINGS",
    ]


@pytest.mark.parametrize(
    ("statuses", "code", "verdict"),
    [
        ([Status.OK], 0, "verified"),
        ([Status.OK, Status.NOT_PUBLISHED, "tag moved", "tag deleted"], 0, "verified"),
        ([Status.OK, Status.NOT_CHECKED], 8, "not checked"),
        *(
            ([Status.OK, Status.NOT_CHECKED, status], 8, "findings")
            for status in (Status.GONE, Status.CHANGED, Status.YANKED, Status.VULNERABLE)
        ),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_the_exit_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    statuses: list[str],
    code: int,
    verdict: str,
    as_json: bool,
) -> None:
    report = VerificationReport(locks=("small/x",), entries=tuple(entry(status) for status in statuses))
    monkeypatch.setattr(command, "verify_locks", lambda *_arguments: report)
    workspace = Workspace(project=Project(folder=tmp_path), settings=read_settings({}, tmp_path), reporter=QuietReporter())
    args = command.VerifyArgs(profiles=("cpu-base", "cpu-base"), target="", json=as_json)
    assert command.run(args, workspace) == code
    said = capsys.readouterr().out
    if as_json:
        found = json.loads(said)
        assert (found["verdict"], found["headline"], found["locks"]) == (verdict, report.headline(), ["small/x"])
        assert [len(found[key]) for key in ("not_checked", "not_published")] == [
            statuses.count(Status.NOT_CHECKED),
            statuses.count(Status.NOT_PUBLISHED),
        ]
        assert sum(len(found[key]) for key in ("findings", "information", "not_checked", "not_published")) == len(statuses) - 1
        assert all(set(row) == {"kind", "name", "status", "detail", "cure", "locks"} for row in found["findings"])
    else:
        assert said.startswith(f"verify cpu-base: {report.headline()}\n")
        assert said.lower().endswith(f"verify cpu-base: {verdict}\n")
