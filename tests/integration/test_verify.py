"""`envgen verify` against a real index that goes wrong in every way, real registries, and the real default index."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from command import envgen, started, wait_until
from loopback import LOOPBACK, Answer, Fault, Proxy, content, free_port, status
from registry import TAG, Registry
from tiny import ALPHA, BETA, GAMMA, Site, wheel_name, write_profile

GAMMA_PAGE = f"/{GAMMA}/"
GAMMA_RELEASE = f"/pypi/{GAMMA}/1.0/json"


@pytest.fixture
def site(locked: Site) -> Site:
    """A lock-only project of tiny wheels that knows no models."""
    return without_models(locked)


def without_models(site: Site) -> Site:
    file = site.project / "profiles" / "models" / "wheels.toml"
    file.parent.mkdir()
    file.write_text('description = "none"\n')
    return site


def verified(site: Site, code: int, *words: str, **env: str) -> str:
    """The text of a verification that ends with `code`; its first line has all these words."""
    done = site.envgen("verify", "tiny", **env)
    assert (done.code, "Traceback" in done.stderr) == (code, False), done.stdout + done.stderr
    for word in words:
        assert word in done.stdout.partition("\n")[0], done.stdout
    return done.stdout


def as_json(site: Site, code: int, *profiles: str, **env: str) -> dict[str, Any]:
    done = site.envgen("verify", *(profiles or ["tiny"]), "--json", **env)
    assert (done.code, done.stderr) == (code, ""), done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def page(**changes: object) -> Fault:
    """The index's own page with another value in each file; one that is None is taken away."""

    def change(answer: Answer) -> Answer:
        body = json.loads(answer.body)
        body["files"] = [{key: value for key, value in {**file, **changes}.items() if value is not None} for file in body["files"]]
        return Answer(status=200, headers=answer.headers, body=json.dumps(body).encode())

    return change


def hash_of(wheels: Path, name: str) -> dict[str, str]:
    return {"sha256": hashlib.sha256((wheels / name / wheel_name(name)).read_bytes()).hexdigest()}


def test_an_index_that_publishes_no_hashes_is_not_compared(site: Site, index: Proxy) -> None:
    text = verified(site, 0, "verify tiny: not published: 3 wheels (hash not published: not compared; index default has the file")
    assert "not published: vulnerabilities of 3 releases (index default has no JSON API" in text
    assert text.endswith("\nverify tiny: verified\n")
    assert "NOT CHECKED" not in text
    assert site.kept() == []


def test_with_hashes_every_wheel_is_ok_and_asked_for_once(site: Site, index: Proxy, tiny_wheels: Path) -> None:
    write_profile(site.project, "other", requirements=[GAMMA, ALPHA])
    site.envgen("lock", "other").must_pass()
    for name in (ALPHA, BETA, GAMMA):
        index.faults.add(f"/{name}/", page(hashes=hash_of(tiny_wheels, name)))
        info = {"info": {"version": "1.0"}, "vulnerabilities": []}
        index.faults.add(f"/pypi/{name}/1.0/json", content("application/json", json.dumps(info).encode()))
    index.faults.seen.clear()
    found = as_json(site, 0, "tiny", "other")
    assert found["headline"] == "ok: 6 of 6"
    assert found["counts"] == {"wheel": {"ok": 3}, "vulnerabilities": {"ok": 3}}
    assert found["locks"] == ["tiny/py311-linux-amd64", "other/py311-linux-amd64"]
    assert [index.faults.requests(f"/simple/{name}/") for name in (ALPHA, BETA, GAMMA)] == [1, 1, 1]
    assert index.faults.requests(".whl") == 0


@pytest.mark.parametrize(
    ("path", "fault", "state", "words"),
    [
        (GAMMA_PAGE, status(404), "gone", "no longer lists it"),
        (GAMMA_PAGE, page(filename=wheel_name(GAMMA, "2.0")), "gone", "no longer lists it"),
        (f"/{wheel_name(GAMMA)}", status(404), "gone", "lists envgen_tiny_gamma-1.0-py3-none-any.whl, but does not have it"),
        (GAMMA_PAGE, page(hashes={"sha256": "f" * 64}), "changed", f"publishes sha256 {'f' * 64}, the lock has "),
        (f"/{wheel_name(GAMMA)}", content("application/zip", b"short"), "changed", "has 5 bytes, the lock 30"),
        (GAMMA_PAGE, page(yanked="leaks\x1b]0;memory"), "yanked", "leaks ]0;memory"),
        (
            GAMMA_PAGE,
            content("text/html", f'<a href="/resources/{GAMMA}/{wheel_name(GAMMA)}" data-yanked="leaks &amp; more">x</a>'.encode()),
            "yanked",
            "leaks & more",
        ),
    ],
    ids=["no page", "not listed", "no file", "another hash", "another size", "yanked in JSON", "yanked in HTML"],
)
def test_what_became_of_a_wheel(site: Site, index: Proxy, path: str, fault: Fault, state: str, words: str) -> None:
    index.faults.add(path, fault)
    text = verified(site, 8, f"{state.upper()}: 1; ok: ")
    finding = text.partition(f"\n{state.upper()}  {wheel_name(GAMMA)}\n")[2].partition("\n\n")[0]
    assert words in finding
    assert re.search(rf"cure: envgen update tiny --package {GAMMA} --as-of \d{{4}}-\d\d-\d\d$", finding)
    assert text.endswith("\nverify tiny: FINDINGS\n")


def vulnerable(*entries: dict[str, object], version: str = "1.0") -> Fault:
    return content("application/json", json.dumps({"info": {"version": version}, "vulnerabilities": entries}).encode())


def test_known_vulnerabilities_are_listed_and_withdrawn_ones_are_not(site: Site, index: Proxy) -> None:
    known = {"id": "PYSEC-2026-7", "aliases": ["CVE-2026-7"], "fixed_in": ["1.1"], "summary": "reads too far", "withdrawn": None}
    index.faults.add(GAMMA_RELEASE, vulnerable(known, {**known, "id": "OTHER-1", "aliases": [], "withdrawn": "2026-10-01T00:00:00Z"}))
    found = as_json(site, 8)
    (finding,) = found["findings"]
    assert (finding["kind"], finding["name"], finding["status"]) == ("vulnerabilities", f"{GAMMA} 1.0", "vulnerable")
    assert finding["detail"] == "PYSEC-2026-7 (CVE-2026-7): reads too far; fixed in 1.1"
    assert finding["cure"].startswith(f"envgen update tiny --package {GAMMA} --as-of 20")
    assert found["verdict"] == "findings"


@pytest.mark.parametrize(
    "fault",
    [
        status(500), status(403), content("text/html", b"<h1>Please log in</h1>"), content("application/json", b'{"info":'),
        vulnerable(version="2.0"),
    ],
    ids=["500", "403", "html", "half", "another version"],
)  # fmt: skip
def test_vulnerabilities_that_can_not_be_asked_for_are_not_none(site: Site, index: Proxy, fault: Fault) -> None:
    index.faults.add(GAMMA_RELEASE, fault)
    verified(site, 8, "verify tiny: NOT CHECKED: vulnerabilities of 1 release (", "not published: vulnerabilities of 2 releases")


@pytest.mark.parametrize(
    "fault",
    [status(500), status(403), content("text/html", b"<h1>Please log in</h1>"), content("application/json", b'{"meta": {"api-')],
    ids=["500", "403", "html", "half"],
)
def test_a_page_that_can_not_be_read_leaves_its_wheels_unchecked(site: Site, index: Proxy, fault: Fault) -> None:
    index.faults.add(f"/simple{GAMMA_PAGE}", fault)
    found = as_json(site, 8)
    assert found["headline"].startswith("NOT CHECKED: 1 wheel (")
    assert found["verdict"] == "not checked"
    assert [entry["name"] for entry in found["not_checked"]] == [wheel_name(GAMMA)]
    assert found["findings"] == []


def test_an_index_that_is_down(site: Site) -> None:
    closed = f"http://{LOOPBACK}:{free_port()}/simple"
    started_at = time.monotonic()
    text = verified(site, 8, "verify tiny: NOT CHECKED: 3 wheels (", "no usable answer", "; ok: 0 of 6", ENVGEN_INDEX_DEFAULT=closed)
    assert "check the network" in text
    assert text.endswith("\nverify tiny: NOT CHECKED\n")
    assert time.monotonic() - started_at < 30


def test_an_index_that_says_nothing_is_not_waited_for_for_ever(site: Site) -> None:
    with socket.create_server((LOOPBACK, 0)) as silent:
        address = f"http://{LOOPBACK}:{silent.getsockname()[1]}/simple"
        started_at = time.monotonic()
        verified(site, 8, "NOT CHECKED: 3 wheels", ENVGEN_INDEX_DEFAULT=address, ENVGEN_PATIENCE="1")
        assert time.monotonic() - started_at < 20


def test_ctrl_c_ends_it_at_once(site: Site, index: Proxy, tmp_path: Path) -> None:
    index.faults.stall(GAMMA_PAGE)
    index.faults.seen.clear()
    with started("verify", "tiny", cwd=site.project, env=site.env, output=tmp_path / "output") as running:
        running.wait_for(lambda: index.faults.requests(GAMMA_PAGE) > 0, "the page is asked for")
        running.interrupt()
        done = running.end(10)
        assert done.code == 130
        assert "Traceback" not in done.stderr
        wait_until(lambda: not running.left_behind(), "nothing of it runs any more")


def test_what_it_can_not_begin_with(site: Site) -> None:
    site.envgen("verify", "tinny").must_fail(2, "there is no profile 'tinny'", "did you mean 'tiny'")
    site.envgen("verify", "tiny", "--target", "py311-linux-arm64").must_fail(2, "no such target", "py311-linux-amd64")
    next(site.project.glob("locks/tiny/*/envgen.lock")).unlink()
    site.envgen("verify", "tiny").must_fail(4, "there is no lock", "envgen lock tiny")


@pytest.fixture(scope="module")
def based_site(image_site: Site, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A project whose locked base is in the registry."""
    folder = tmp_path_factory.mktemp("based")
    site = without_models(image_site.copy(folder))
    registry.push("FROM scratch\nENV PYTHON_VERSION=3.11.16\n", folder / "base")
    site.envgen("update", "tiny", "--base", **registry.env).must_pass()
    return site


@pytest.fixture
def based(based_site: Site, registry: Registry, tmp_path: Path, index: Proxy) -> Site:
    """A project of the test's own, whose locked base is what its tag means."""
    registry.push("FROM scratch\nENV PYTHON_VERSION=3.11.16\n", tmp_path / "base")
    return based_site.copy(tmp_path)


def base_of(site: Site) -> str:
    match = re.search(r'base = "(.*)"', (site.project / "profiles" / "tiny.toml").read_text())
    assert match
    return match[1]


def of_bases(found: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [*found["findings"], *found["not_checked"], *found["information"]]
    return [(row["status"], row["detail"]) for row in rows if row["kind"] == "base"]


def test_a_base_that_is_there(based: Site, registry: Registry) -> None:
    found = as_json(based, 0, **registry.env)
    assert found["counts"]["base"] == {"ok": 1}
    assert registry.address not in json.dumps(found)


def test_a_tag_that_moved_is_information(based: Site, registry: Registry, tmp_path: Path) -> None:
    later = registry.push("FROM scratch\nENV PYTHON_VERSION=3.11.17\n", tmp_path / "later")
    text = verified(based, 0, "tag moved: 1", **registry.env)
    assert f"python:{TAG} is now {later} (queried through its mirror)" in text
    assert "envgen update tiny --base" in text


def test_a_tag_that_was_deleted_is_information(based: Site, registry: Registry) -> None:
    registry.untag()
    text = verified(based, 0, "tag deleted: 1", **registry.env)
    assert f"python:{TAG} no longer exists" in text


def test_a_digest_that_was_deleted_is_a_finding(based: Site, registry: Registry) -> None:
    registry.forget(base_of(based).partition("@")[2])
    found = as_json(based, 8, **registry.env)
    assert [status for status, _ in of_bases(found)] == ["gone", "tag deleted"]
    assert found["findings"][0]["cure"] == "envgen update tiny --base"


def test_a_registry_that_wants_credentials(based: Site, guarded: Registry, tmp_path: Path) -> None:
    for config in ({"DOCKER_CONFIG": str(tmp_path / "nobody")}, guarded.logged_in(tmp_path / "wrong", "open barley")):
        found = as_json(based, 8, **guarded.env, **config)
        ((state, detail),) = of_bases(found)
        assert (state, found["verdict"]) == ("not checked", "not checked")
        assert detail.startswith("its registry refuses access: ")
        assert found["headline"].startswith("NOT CHECKED: 1 base (its registry refuses access: ")
        assert f"docker login {guarded.address}" in found["not_checked"][0]["cure"]
    assert of_bases(as_json(based, 0, **guarded.env, **guarded.logged_in(tmp_path / "right"))) == []


def test_a_registry_without_an_answer(based: Site) -> None:
    closed = f"docker.io={LOOPBACK}:{free_port()}"
    text = verified(based, 8, "verify tiny: NOT CHECKED: 1 base (its registry does not answer: ", ENVGEN_REGISTRY_MIRROR=closed)
    assert "\n1 base: not checked 1\n" in text
    with socket.create_server((LOOPBACK, 0)) as silent:
        mirror = f"docker.io={LOOPBACK}:{silent.getsockname()[1]}"
        verified(based, 8, "its registry does not answer: timed out after 3 s", ENVGEN_REGISTRY_MIRROR=mirror, ENVGEN_PATIENCE="3")


def test_without_docker_a_base_is_not_checked(based: Site, tmp_path: Path) -> None:
    verified(based, 8, "verify tiny: NOT CHECKED: 1 base (no docker command on PATH)", PATH=str(tmp_path))


def test_the_shipped_profiles_against_the_real_index(tmp_path: Path) -> None:
    """Whatever the index says today: it ends, and says first what it could not check."""
    done = envgen("verify", "cpu-base", "--json", cwd=tmp_path, env={})
    found = json.loads(done.stdout)
    assert done.code == {"verified": 0, "not checked": 8, "findings": 8}[found["verdict"]], done.stderr
    assert len(found["locks"]) == 3
    assert found["headline"].startswith("NOT CHECKED: ") == bool(found["not_checked"])
    counts = found["counts"]
    assert sum(counts["wheel"].values()) > 50
    assert sum(counts["vulnerabilities"].values()) > 30
    assert sum(counts["base"].values()) >= 1
    assert sum(counts["model"].values()) == 3
