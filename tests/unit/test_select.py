"""envgen.lock.select: one wheel for each package, chosen as installers choose it, whatever order an index lists."""

import datetime as dt
import itertools
import json
from pathlib import Path

import pytest
from packaging.version import Version
from samples import AS_OF, INDEX, LINUX, WINDOWS, Server, client_for, make_wheel

from envgen.core.errors import ProfileError, ResolutionError
from envgen.core.requirements import with_readable_requirements
from envgen.core.target import Target
from envgen.lock.resolvers import Resolution, ResolveRequest
from envgen.lock.select import best_wheel, choose_wheel, choose_wheels
from envgen.profiles import Index
from envgen.sources import IndexFile, Packages, WheelStore

ARM = Target(python_full="3.11.16", platform="linux/arm64")


def best(*names: str, target: Target = LINUX, version: str = "1.0") -> str | None:
    files = [IndexFile(index="default", filename=name, url=f"https://x.example/{name}", sha256=None) for name in names]
    ranks = {tag: rank for rank, tag in enumerate(target.wheel_tags())}
    found = {getattr(best_wheel(list(order), Version(version), ranks), "filename", None) for order in itertools.permutations(files)}
    assert len(found) == 1, "depends on the order of the index"
    return found.pop()


ANY = "demo-1.0-py3-none-any.whl"
NATIVE = "demo-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
OLDER = "demo-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
ABI3 = "demo-1.0-cp39-abi3-manylinux_2_28_x86_64.whl"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((ANY, NATIVE), NATIVE),
        ((OLDER, NATIVE), NATIVE),
        ((ABI3, OLDER), OLDER),
        ((ABI3, ANY), ABI3),
        ((ANY, "demo-1.0-cp311-cp311-win_amd64.whl"), ANY),
        (("demo-1.0-cp312-cp312-manylinux_2_28_x86_64.whl", "demo-1.0.tar.gz"), None),
        (("demo-1.0-cp311-cp311-manylinux_2_35_x86_64.whl", OLDER), OLDER),
        (("demo-1.0-cp311-cp311-musllinux_1_2_x86_64.whl",), None),
        (("demo-1.1-py3-none-any.whl", ANY), ANY),
        ((ANY, "demo-1.0-1-py3-none-any.whl", "demo-1.0-12-py3-none-any.whl"), "demo-1.0-12-py3-none-any.whl"),
        (("demo-1.0-1a-py3-none-any.whl", "demo-1.0-1b-py3-none-any.whl"), "demo-1.0-1b-py3-none-any.whl"),
        (("demo-1.0-99-py3-none-any.whl", NATIVE), NATIVE),
        ((ANY, "Demo-1.0-py3-none-any.whl"), "Demo-1.0-py3-none-any.whl"),
        (("demo-1.0-py3-none-any./../x.whl", "demo-1.0-py3-none-any.$(id).whl", "demo-1.0-1/../x-py3-none-any.whl"), None),
        (("demo.whl", "demo-x.y-py3-none-any.whl", "README"), None),
        ((), None),
    ],
)
def test_the_more_special_wheel_is_taken(names: tuple[str, ...], expected: str | None) -> None:
    assert best(*names) == expected


def test_the_target_decides() -> None:
    names = (NATIVE, "demo-1.0-cp311-cp311-win_amd64.whl", "demo-1.0-cp311-cp311-manylinux_2_28_aarch64.whl")
    assert best(*names, target=WINDOWS) == names[1]
    assert best(*names, target=ARM) == names[2]


def test_a_local_version_is_another_version() -> None:
    names = ("demo-1.0+cpu-py3-none-any.whl", ANY)
    assert best(*names, version="1.0") == ANY
    assert best(*names, version="1.0+cpu") == names[0]


def query(*indexes: Index, target: Target = LINUX, moved: tuple[tuple[str, dt.datetime], ...] = ()) -> ResolveRequest:
    return ResolveRequest(requirements=("demo",), constraints=(), target=target, as_of=AS_OF, moved=moved, indexes=indexes)


PIN = Resolution(versions=(("demo", "1.0"),))
UNTIMED = Index(name="own", url="https://own.example", packages=("demo",), upload_times=False)


def listed(*entries: tuple[str, str | None]) -> str:
    files = [
        {"filename": name, "url": name, "size": 5, "hashes": {"sha256": f"{number:064x}"}, **({"upload-time": time} if time else {})}
        for number, (name, time) in enumerate(entries)
    ]
    return json.dumps({"files": files})


@pytest.fixture
def server() -> Server:
    found = Server()
    for number in range(4):
        found.page(
            f"{INDEX}/demo/{(ANY, NATIVE, OLDER, ABI3)[number]}.metadata",
            "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Dist: numpy>=2\n",
        )
    return found


def test_a_file_that_came_later_is_not_seen(server: Server, tmp_path: Path) -> None:
    server.page(f"{INDEX}/demo/", listed((ANY, "2026-09-21T23:59:59.999999Z"), (NATIVE, "2026-09-22T00:00:00Z")))
    (chosen,) = choose_wheels(query(), PIN, Packages(client_for(server, tmp_path), WheelStore(tmp_path)))
    assert chosen.wheel.file == ANY
    assert chosen.wheel.uploaded == dt.datetime(2026, 9, 21, 23, 59, 59, tzinfo=dt.UTC)
    assert [str(requirement) for requirement in chosen.requires] == ["numpy>=2"]


def test_a_package_with_a_date_of_its_own_sees_more(server: Server, tmp_path: Path) -> None:
    server.page(f"{INDEX}/demo/", listed((ANY, "2026-09-21T00:00:00Z"), (NATIVE, "2026-09-22T00:00:00Z")))
    later = query(moved=(("demo", AS_OF + dt.timedelta(days=1)),))
    (chosen,) = choose_wheels(later, PIN, Packages(client_for(server, tmp_path), WheelStore(tmp_path)))
    assert chosen.wheel.file == NATIVE


def test_no_wheel_that_fits_is_said(server: Server, tmp_path: Path) -> None:
    server.page(f"{INDEX}/demo/", listed((NATIVE, "2026-09-01T00:00:00Z")))
    with pytest.raises(ResolutionError) as caught:
        choose_wheels(query(target=WINDOWS), PIN, Packages(client_for(server, tmp_path), WheelStore(tmp_path)))
    assert str(caught.value) == "index default: no wheel of demo 1.0 for py311-windows-amd64 before 2026-09-22T00:00:00Z"


def test_without_upload_times_as_of_has_no_sense(server: Server, tmp_path: Path) -> None:
    server.page(f"{INDEX}/demo/", listed((ANY, None)))
    with pytest.raises(ResolutionError, match=r"^index default: publishes no upload time for demo-1.0-py3-none-any.whl"):
        choose_wheels(query(), PIN, Packages(client_for(server, tmp_path), WheelStore(tmp_path)))
    server.page("https://own.example/demo/", listed((ANY, None)))
    timed = Index(name="own", url="https://own.example", packages=("demo",))
    with pytest.raises(ProfileError) as caught:
        choose_wheels(query(timed), PIN, Packages(client_for(server, tmp_path, own="https://own.example"), WheelStore(tmp_path)))
    assert caught.value.hint == "set upload_times = false in [index.own] and pin demo exactly"


def test_a_wheel_without_a_digest_is_fetched_to_know_it(server: Server, tmp_path: Path) -> None:
    content = make_wheel("demo", requires=["numpy"])
    server.page("https://own.example/demo/", f'<a href="{ANY}">x</a>', "text/html")
    server.page(f"https://own.example/demo/{ANY}", content, "application/zip")
    store = WheelStore(tmp_path / "wheels")
    (chosen,) = choose_wheels(query(UNTIMED), PIN, Packages(client_for(server, tmp_path, own="https://own.example"), store))
    import hashlib

    assert chosen.wheel.sha256 == hashlib.sha256(content).hexdigest()
    assert (chosen.wheel.size, chosen.wheel.uploaded, chosen.wheel.index) == (len(content), None, "own")
    assert store.path(chosen.wheel.sha256, ANY).read_bytes() == content


def test_unreadable_requirements_are_said(server: Server, tmp_path: Path) -> None:
    server.page(f"{INDEX}/demo/", listed((ANY, "2026-09-01T00:00:00Z")))
    server.page(f"{INDEX}/demo/{ANY}.metadata", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Dist: numpy >>> 2\n")
    with pytest.raises(ResolutionError, match=r"demo-1.0-py3-none-any.whl has unreadable requirements"):
        choose_wheels(query(), PIN, Packages(client_for(server, tmp_path), WheelStore(tmp_path / "wheels")))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("torch (>=1.9.*)", "torch>=1.9"),
        ("torch (>=1.9.*,<=2.0.*)", "torch<=2.0,>=1.9"),
        ('torch (~=1.9.*) ; python_version >= "3.8"', 'torch~=1.9; python_version >= "3.8"'),
        ("torch (>=1.9,)", "torch>=1.9"),
        ("torch (==1.9.*)", "torch==1.9.*"),
    ],
)
def test_requirements_of_old_wheels_are_read(server: Server, tmp_path: Path, written: str, read: str) -> None:
    server.page(f"{INDEX}/demo/", listed((ANY, "2026-09-01T00:00:00Z")))
    server.page(f"{INDEX}/demo/{ANY}.metadata", f"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Dist: {written}\n")
    (chosen,) = choose_wheels(query(), PIN, Packages(client_for(server, tmp_path), WheelStore(tmp_path / "wheels")))
    assert [str(requirement) for requirement in chosen.requires] == [read]


def test_a_requirement_that_no_one_can_read_is_quoted_with_a_way_on(server: Server, tmp_path: Path) -> None:
    server.page(f"{INDEX}/demo/", listed((ANY, "2026-09-01T00:00:00Z")))
    server.page(f"{INDEX}/demo/{ANY}.metadata", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Dist: numpy >>> 2\n")
    with pytest.raises(ResolutionError, match=r"'numpy >>> 2'") as caught:
        choose_wheels(query(), PIN, Packages(client_for(server, tmp_path), WheelStore(tmp_path / "wheels")))
    assert caught.value.hint == "name another release of demo in the profile's requirements"


def test_the_extras_of_a_wheel_are_known(server: Server, tmp_path: Path) -> None:
    server.page(f"{INDEX}/demo/", listed((ANY, "2026-09-01T00:00:00Z")))
    lines = ["Metadata-Version: 2.1", "Name: demo", "Version: 1.0", "Provides-Extra: Fast_One", "Requires-Dist: x; extra == 'old'", ""]
    server.page(f"{INDEX}/demo/{ANY}.metadata", "\n".join(lines))
    (chosen,) = choose_wheels(query(), PIN, Packages(client_for(server, tmp_path), WheelStore(tmp_path / "wheels")))
    assert chosen.extras == {"fast-one", "old"}


def yanked_page(*entries: tuple[str, object]) -> str:
    page = json.loads(listed(*((name, "2026-09-01T00:00:00Z") for name, _ in entries)))
    for file, (_, yanked) in zip(page["files"], entries, strict=True):
        file["yanked"] = yanked
    return json.dumps(page)


def test_a_file_that_was_yanked_comes_last(server: Server, tmp_path: Path) -> None:
    for entries in itertools.permutations([(NATIVE, "broken"), (ANY, False)]):
        server.page(f"{INDEX}/demo/", yanked_page(*entries))
        (chosen,) = choose_wheels(query(), PIN, Packages(client_for(server, tmp_path), WheelStore(tmp_path / "wheels")))
        assert chosen.wheel.file == ANY


def test_an_installer_or_a_model_that_was_yanked_is_refused(server: Server, tmp_path: Path) -> None:
    server.page(f"{INDEX}/demo/", yanked_page((ANY, "broken"), ("demo-1.1-py3-none-any.whl", False)))
    with pytest.raises(ResolutionError, match=r"^py311-linux-amd64: demo: 1.0 was yanked: broken$") as caught:
        choose_wheel(query(), ("demo", "1.0"), Packages(client_for(server, tmp_path), WheelStore(tmp_path / "wheels")))
    assert caught.value.hint == 'use a release that was not, such as "demo==1.1"'


def test_one_file_name_with_two_hashes_is_an_error(server: Server, tmp_path: Path) -> None:
    server.page(f"{INDEX}/demo/", listed((ANY, "2026-09-01T00:00:00Z"), (ANY, "2026-09-01T00:00:00Z")))
    packages = Packages(client_for(server, tmp_path), WheelStore(tmp_path / "wheels"))
    problem = rf"^index default: lists {ANY} 2 times, each with another sha256: 0{{12}}, 0{{12}}"
    with pytest.raises(ResolutionError, match=problem):
        choose_wheels(query(), PIN, packages)
    with pytest.raises(ResolutionError, match=problem):
        choose_wheel(query(), ("demo", "1.0"), packages)


def test_metadata_of_old_wheels_is_shown_in_todays_form() -> None:
    head = ["Metadata-Version: 2.1", "Name: é", "Requires-Dist: torch (>=1.9.*)", "Requires-Dist: x (!!!)", "Requires-Dist: y>1"]
    old = "\n".join([*head, "", "Requires-Dist: z (>=1.*)", ""])
    new = old.replace("torch (>=1.9.*)", "torch>=1.9")
    assert with_readable_requirements(old.encode()) == new.encode()
