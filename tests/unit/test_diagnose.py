"""envgen.lock.failures.diagnose: where nothing resolves, the error is told from what the indexes say, and names all at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from samples import INDEX, LINUX, Server, client_for, make_wheel, profile_of

from envgen.core.errors import IndexUnavailableError, ResolutionError
from envgen.lock.failures.diagnose import Unresolved, diagnose
from envgen.lock.make import query_for
from envgen.profiles import Bound
from envgen.sources import Packages, WheelStore

OWN = "https://own.example/simple"
EARLY, LATE = "2026-08-01T00:00:00Z", "2026-10-01T12:00:00Z"


class Shelf:
    """Two indexes, the default one and `own`, that a test fills."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.server = folder, Server()
        self._pages: dict[tuple[str, str], list[dict[str, object]]] = {}

    def put(
        self, name: str, *versions: str, time: str | None = EARLY, root: str = INDEX, tag: str = "py3-none-any", **meta: object
    ) -> None:
        requires = [str(text) for text in meta.pop("requires", ())]  # type: ignore[attr-defined]
        for version in versions:
            file = f"{name.replace('-', '_')}-{version}-{tag}.whl"
            self.list(name, file, time, root, **meta)
            self.server.page(f"{root}/{file}", make_wheel(name, version, requires), "application/zip")

    def list(self, name: str, file: str, time: str | None = EARLY, root: str = INDEX, **meta: object) -> None:
        entries = self._pages.setdefault((root, name), [])
        entries.append({"filename": file, "url": f"{root}/{file}", **({"upload-time": time} if time else {}), **meta})
        self.server.page(f"{root}/{name}/", json.dumps({"files": entries}))

    def fault(
        self, *requirements: str, said: str = "No solution found", bounds: tuple[Bound, ...] = (), index: str = ""
    ) -> ResolutionError:
        words = ", ".join(json.dumps(text) for text in requirements)
        mapped = f'[index.own]\nurl = "{OWN}"\npackages = [{index}]\n' if index else ""
        text = f'description = "x"\nas_of = 2026-09-22\nrequirements = [{words}]\ninstaller = "uv==0.12.17"\n'
        text += 'platforms = ["linux/amd64", "windows/amd64"]\n'
        profile = profile_of(f'{text}[python."3.11"]\nfull = "3.11.16"\n{mapped}')
        packages = Packages(client_for(self.server, self.folder, own=OWN), WheelStore(self.folder / "wheels"))
        error = ResolutionError("uv", said, hint="loosen a requirement")
        return diagnose(Unresolved(profile=profile, query=query_for(profile, bounds, LINUX), bounds=bounds, packages=packages, error=error))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def said(error: ResolutionError) -> list[str]:
    return [str(fault).removeprefix("py311-linux-amd64: ") for fault in error.faults()]


def bound(package: str, requirement: str) -> Bound:
    return Bound(set_name="papers", package=package, requirement=requirement, role="core", document="paper.txt", section="One")


def test_a_conflict_is_told_as_the_resolver_tells_it(shelf: Shelf) -> None:
    shelf.put("a", "1.0")
    assert str(shelf.fault("a")) == "uv: No solution found"


def test_a_name_that_nobody_has_is_named_with_what_may_be_meant(shelf: Shelf) -> None:
    shelf.put("tokenizers", "1.0")
    shelf.server.page(f"{INDEX}/", json.dumps({"projects": [{"name": "Tokenizers"}, {"name": "other"}]}))
    found = shelf.fault("tokenisers")
    assert said(found) == ["tokenisers: the default index has no package of that name"]
    assert found.hint.startswith("did you mean 'tokenizers'? ")


def test_the_list_of_an_index_may_be_html(shelf: Shelf) -> None:
    shelf.put("kernels", "1.0", root=OWN)
    shelf.server.page(f"{OWN}/", '<a href="/simple/kernels/">Kernels</a>', "text/html")
    found = shelf.fault("kernel", index='"kernel"')
    assert said(found) == ["kernel: the index own has no package of that name"]
    assert found.hint == "did you mean 'kernels'?"


def test_a_name_that_another_index_has_is_to_be_mapped(shelf: Shelf) -> None:
    shelf.put("a", "1.0", root=OWN)
    shelf.put("tool", "1.0", root=OWN)
    assert shelf.fault("a", "tool", index='"a"').hint == 'the index own has it: add "tool" to packages in [index.own]'


def test_without_a_name_that_is_like_it_the_way_to_an_own_index_is_named(shelf: Shelf) -> None:
    assert shelf.fault("our-tool").hint == "for a package of your own, name its index: [index.NAME] with url and packages"


@pytest.mark.parametrize(
    ("index", "words"),
    [("own", "set upload_times = false in [index.own], and exact versions"), ("default", "upload_times = false, and exact versions")],
)
def test_an_index_without_dates_is_named_with_the_way(shelf: Shelf, index: str, words: str) -> None:
    shelf.put("a", "1.0", time=None, root=OWN if index == "own" else INDEX)
    found = shelf.fault("a==1.0", index='"a"' if index == "own" else "")
    name = "the index own" if index == "own" else "the default index"
    assert said(found) == [f"a==1.0: {name} publishes no upload times, so it can't be read as of a date"]
    assert words in found.hint
    assert '"a==1.0"' in found.hint


@pytest.mark.parametrize("status", [401, 403])
def test_an_index_that_refuses_names_its_variables(shelf: Shelf, status: int) -> None:
    shelf.server.page(f"{OWN}/a/", "no", "text/plain", status)
    shelf.server.page(f"{OWN}/b/", "no", "text/plain", status)
    found = shelf.fault("a", "b", index='"a", "b"')
    assert said(found) == [f"{OWN}/a/: found status {status}: the index own requires credentials"], "once for an index"
    assert found.hint == "set ENVGEN_INDEX_OWN_USERNAME and ENVGEN_INDEX_OWN_PASSWORD, or use ~/.netrc"


def test_what_a_mapped_index_has_instead_is_said(shelf: Shelf) -> None:
    shelf.put("torch", "2.12.0+cpu", "2.13.0+cpu", "2.15.0rc1+cpu", root=OWN)
    found = shelf.fault("torch==2.14.0", index='"torch"')
    assert said(found) == ["torch==2.14.0: the index own has 2.13.0 as its newest"]
    assert found.hint == "name a version that it has, as in torch==2.13.0"


def test_pre_releases_alone_are_said_to_be_that(shelf: Shelf) -> None:
    shelf.put("a", "1.0")
    shelf.put("a", "2.0rc1")
    found = shelf.fault("a>=1.5")
    assert (said(found), found.hint) == (["a>=1.5: the default index has pre-releases of it only"], "to use one name it, as in a==2.0rc1")


def test_what_came_later_is_named_with_the_date_to_move_to(shelf: Shelf) -> None:
    shelf.put("a", "1.0")
    shelf.put("a", "2.0", "3.0", time=LATE)
    found = shelf.fault("a>=2")
    assert said(found) == ["a>=2: 2.0 was uploaded on 2026-10-01, after the profile's as_of, 2026-09-22"]
    assert found.hint == "envgen update small --as-of 2026-10-02, or for this package alone, with --package a"


def test_wheels_for_others_are_listed(shelf: Shelf) -> None:
    shelf.put("a", "1.0", tag="cp311-cp311-win_amd64")
    assert said(shelf.fault("a")) == ["a: 1.0 has no wheel for py311-linux-amd64, but for cp311-cp311-win_amd64"]
    shelf.put("b", "1.0", **{"requires-python": ">=3.12"})
    assert said(shelf.fault("b")) == ["b: 1.0 requires Python >=3.12, the target has 3.11.16"]


def test_all_packages_without_a_wheel_are_named_at_once_with_who_asks(shelf: Shelf) -> None:
    shelf.put("a", "1.0", requires=["deep"])
    for name in ("one", "two", "deep"):
        shelf.list(name, f"{name}-1.0.tar.gz")
    shelf.put("old", "1.0", tag="py2-none-any")
    shelf.list("old", "old-2.0.tar.gz")
    found = shelf.fault("two", "one", "a", "old", said="one has no usable wheels")
    lines = ["deep, required by a 1.0", *(f"{name}, required by the profile small" for name in ("old", "one", "two"))]
    assert said(found) == ["\n  ".join(["4 packages are published as source only, and a lock holds wheels only:", *lines])]


def test_a_direct_url_is_no_requirement_that_can_be_locked(shelf: Shelf) -> None:
    shelf.put("a", "1.0", requires=["zz @ git+https://example.com/zz.git"])
    found = shelf.fault("a", said="zz is included as a URL")
    assert said(found) == ["zz: a 1.0 requires zz @ git+https://example.com/zz.git, a direct URL: no index vouches for it"]
    assert found.hint.startswith("name a release of a that requires zz by its name")


def test_a_guess_about_what_others_require_needs_the_resolvers_word(shelf: Shelf) -> None:
    """The newest release of a package need not be what the resolver looked at."""
    shelf.put("a", "1.0", requires=["missing"])
    assert str(shelf.fault("a", said="a conflict of b and c")) == "uv: a conflict of b and c"
    assert said(shelf.fault("a", said="missing was not found")) == [
        "missing: the default index has no package of that name (required by a 1.0)"
    ]


def test_a_documented_bound_is_named_as_one(shelf: Shelf) -> None:
    shelf.put("models", "4.57", requires=["hub<1"])
    shelf.put("models", "5.1", requires=["hub>=1.3"])
    shelf.put("hub", "0.9", "1.3")
    found = shelf.fault("models<5", said="the profile depends on hub>=1.2", bounds=(bound("hub", ">=1.2"),))
    why = "requires hub<1, but the documented bound of set papers is hub>=1.2 (paper.txt, One)"
    assert said(found) == [f"models<5: its newest release within that, 4.57, {why}"]
    assert found.hint == "these bounds are for models 5: ask for models>=5, or name constraint sets of your own"


def test_a_requirement_outside_of_its_own_bound(shelf: Shelf) -> None:
    shelf.put("hub", "0.9", "1.3")
    found = shelf.fault("hub<1", bounds=(bound("hub", ">=1.2"),))
    documented = "the documented bound of set papers is hub>=1.2 (paper.txt, One)"
    assert said(found) == [f"hub<1: the profile small admits no release that another bound does: {documented}"]


def test_a_marker_that_does_not_hold_asks_for_nothing(shelf: Shelf) -> None:
    shelf.put("a", "1.0")
    assert str(shelf.fault("a", "nothing; sys_platform == 'win32'")) == "uv: No solution found"


def test_an_index_that_is_down_is_not_asked_again(shelf: Shelf) -> None:
    profile = profile_of()
    packages = Packages(client_for(shelf.server, shelf.folder), WheelStore(shelf.folder))
    error = IndexUnavailableError("index.example", "no usable answer")
    assert diagnose(Unresolved(profile=profile, query=query_for(profile, (), LINUX), bounds=(), packages=packages, error=error)) is error
    assert shelf.server.seen == []
