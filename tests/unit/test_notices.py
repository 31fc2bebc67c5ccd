"""envgen.lock.checks.notices: what a lock says of itself, and envgen.lock.why: causes before consequences."""

from dataclasses import replace

import pytest
from resolutions import CPU_INDEX, day, lock_of, packages_of, profile, resolved, selected
from samples import INDEX, LINUX, Server, client_for

from envgen.lock.checks.notices import notices_of, passing_notices
from envgen.lock.checks.paths import ComparedPaths
from envgen.lock.checks.refusals import Resolved
from envgen.lock.notice import Notice, NoticeKind
from envgen.lock.select import SelectedWheel
from envgen.lock.why import WhyContext, held_back
from envgen.profiles import Bound, Index
from envgen.sources import Packages, WheelStore


def noticed(found: Resolved) -> list[tuple[str, str, str]]:
    return [(notice.kind, notice.package, notice.text) for notice in notices_of(found, lock_of(found))]


def page(name: str, *releases: tuple[str, str], form: str = "{}-{}-py3-none-any.whl") -> list[dict[str, object]]:
    return [{"filename": form.format(name, version), "upload-time": f"{date}T00:00:00Z"} for version, date in releases]


MANY = [(f"2.{number}", f"2026-0{1 + number % 8}-01") for number in range(25)]


def behind(asked: str, releases: list[tuple[str, str]], version: str = "1.0", uploaded: str = "2026-01-01", **fields: object) -> list[str]:
    entry = selected("demo", version, uploaded=day(uploaded))
    packages = packages_of({"demo": page("demo", (version, uploaded), *releases)})
    return [text for _, _, text in noticed(resolved([asked], entry, packages=packages, **fields))]  # type: ignore[arg-type]


def test_many_releases_behind() -> None:
    [text] = behind("demo", MANY)
    assert text.startswith("1.0 of 2026-01-01 is 25 releases behind 2.24 of 2026-01-01: its requirements can't be read")


def test_a_long_time_behind() -> None:
    [text] = behind("demo", [("2.0", "2026-08-01")], uploaded="2024-01-01")
    assert text.startswith("1.0 of 2024-01-01 is 1 release behind 2.0 of 2026-08-01: its requirements can't be read")


def test_a_very_old_release_is_said_where_nothing_newer_was_there() -> None:
    found = behind("demo", [("2.0", "2026-10-01")], uploaded="2019-01-01")
    assert found == ["1.0 is of 2019-01-01, and nothing newer was there on 2026-09-22"]


@pytest.mark.parametrize(
    ("asked", "releases", "uploaded"),
    [
        ("demo", [("2.0", "2026-08-01")], "2026-01-01"),
        ("demo==1.0", MANY, "2019-01-01"),
        ("demo<2", MANY, "2026-01-01"),
        ("demo", [(version, "2026-10-01") for version, _ in MANY], "2026-01-01"),
        ("demo", [("2.0rc1", "2026-08-01")], "2024-01-01"),
    ],
    ids=["a little", "pinned", "asked for", "uploaded later", "a pre-release"],
)
def test_what_is_not_far_behind(asked: str, releases: list[tuple[str, str]], uploaded: str) -> None:
    assert behind(asked, releases, uploaded=uploaded) == []


def test_a_documented_bound_is_meant() -> None:
    bound = Bound(set_name="papers", package="demo", requirement="<2", role="core", document="paper.txt", section="One")
    assert behind("demo", MANY, bounds=(bound,)) == []


def test_only_what_the_profile_asks_for_is_said_to_be_behind() -> None:
    packages = packages_of({"demo": page("demo", ("1.0", "2026-08-01")), "other": page("other", ("1.0", "2026-01-01"), *MANY)})
    assert noticed(resolved(["demo"], selected("demo", "1.0", "other"), selected("other"), packages=packages)) == []


def test_a_pre_release_that_nobody_asked_for() -> None:
    packages = packages_of({"demo": page("demo", ("2.0rc1", "2026-08-01"))})
    entry = selected("demo", "2.0rc1")
    assert noticed(resolved(["demo"], entry, packages=packages)) == [
        ("prerelease", "demo", "2.0rc1 is a pre-release that nobody asked for: nothing else fits (the profile asks for it)")
    ]
    for asked in ("demo>=2.0rc1", "demo==2.0rc1"):
        assert noticed(resolved([asked], entry, packages=packages)) == []


def test_a_version_without_a_date() -> None:
    index = Index(name="pytorch-cpu", url=CPU_INDEX, packages=("demo",), upload_times=False)
    entry = selected("demo", "1.0", index="pytorch-cpu", uploaded=None)
    [(kind, _, text)] = noticed(resolved(profile(["demo>=1"], indexes=(index,)), entry))
    assert kind == NoticeKind.UNDATED
    assert text == "1.0 is the newest today: the index pytorch-cpu publishes no upload times, so as_of says nothing here"
    assert noticed(resolved(profile(["demo==1.0"], indexes=(index,)), entry)) == []


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2.7.4.post1+cu12torch2.6cxx11abifalse", ["built for torch 2.6 by its local version, and torch is 2.7.0"]),
        ("2.7.4.post1+cu12torch2.7cxx11abifalse", []),
        ("2.7.4.post1", []),
    ],
)
def test_a_wheel_for_another_torch(version: str, expected: list[str]) -> None:
    asked = [f"flash-attn=={version}", "torch==2.7.0"]
    found = noticed(resolved(asked, selected("flash-attn", version), selected("torch", "2.7.0")))
    assert [text.partition(" is ")[2] for _, _, text in found] == expected


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (("peft", "0.17.1"), ("transformers", "5.17.0"), True),
        (("peft", "0.18.0"), ("transformers", "5.17.0"), False),
        (("peft", "0.17.1"), ("transformers", "4.57.0"), False),
        (("datasets", "2.14.5"), ("pyarrow", "25.0.1"), True),
        (("datasets", "2.14.7"), ("pyarrow", "25.0.1"), False),
        (("torch", "2.1.2"), ("numpy", "2.1.0"), True),
        (("torch", "2.2.2+cpu"), ("numpy", "2.0.0"), True),
        (("torch", "2.3.0"), ("numpy", "2.1.0"), False),
        (("torch", "2.1.2"), ("numpy", "1.26.4"), False),
    ],
)
def test_a_known_pair(first: tuple[str, str], second: tuple[str, str], said: bool) -> None:
    asked = [f"{name}=={version}" for name, version in (first, second)]
    found = notices_of(resolved(asked, selected(*first), selected(*second)), lock_of(resolved(asked, selected(*first), selected(*second))))
    assert [(notice.kind, notice.package) for notice in found] == ([(NoticeKind.PAIR, first[0])] if said else [])
    for notice in found:
        assert notice.text.startswith(f"{first[1]} with {second[0]} {second[1]}: ")
        assert notice.cure


def test_an_extra_that_another_package_asks_for_and_that_does_not_exist() -> None:
    found = resolved(["demo==1.0"], selected("demo", "1.0", "other[fast]"), selected("other", extras=["slow"]))
    assert noticed(found) == [("extra", "other", "1.0 has no extra 'fast', which demo asks for: nothing is installed for it")]


def test_what_could_not_be_compared_is_said() -> None:
    paths = ComparedPaths(unread=("demo",), too_large=("torch",))
    found = resolved(["demo==1.0", "torch==2.7.0"], selected("demo"), selected("torch", "2.7.0"), paths=paths)
    assert [(kind, package) for kind, package, _ in noticed(found)] == [("not-compared", "demo")]
    assert [notice.package for notice in passing_notices(found)] == ["torch"]


def test_a_release_that_no_table_knows_is_said() -> None:
    entry = selected("torchcodec", "9.9")
    found = noticed(resolved(["torch==2.13.0", "torchcodec==9.9"], selected("torch", "2.13.0"), entry))
    assert [(kind, package) for kind, package, _ in found] == [("not-compared", "torchcodec")]
    named = replace(entry, requires=selected("x", "1", "torch>=2.13").requires)
    assert noticed(resolved(["torch==2.13.0", "torchcodec==9.9"], selected("torch", "2.13.0"), named)) == []


def test_a_notice_is_one_line_whatever_it_quotes() -> None:
    notice = Notice(kind=NoticeKind.PAIR, package="demo", text="a\n\x1b[1mb", cure="c\u2028d")
    assert str(notice) == "demo: a\\n\\x1b[1mb; c\\u2028d"


def why(newer: str, *chosen: SelectedWheel, asked: list[str], tmp_path: object, wheels: tuple[str, ...] = ()) -> str:
    """What holds back demo 2.0, whose metadata has the requirement `newer`; `wheels` is what the index has of other packages."""
    import json
    from pathlib import Path

    assert isinstance(tmp_path, Path)
    server = Server()
    files = [*page("demo", ("1.0", "2026-01-01"), ("2.0", "2026-02-01")), *page("demo", ("3.0", "2026-03-01"), form="{}-{}.tar.gz")]
    for file in files:
        file |= {"url": f"{INDEX}/demo/{file['filename']}", "hashes": {"sha256": "1" * 64}, "size": 10}
    server.page(f"{INDEX}/demo/", json.dumps({"files": files}))
    for name in ("other", "wheelless"):
        listed = [
            {"filename": file, "url": file, "hashes": {}, "upload-time": "2026-01-01T00:00:00Z"} for file in wheels if file.startswith(name)
        ]
        server.page(f"{INDEX}/{name}/", json.dumps({"files": listed}))
    server.page(
        f"{INDEX}/demo/demo-2.0-py3-none-any.whl.metadata",
        "\n".join(["Metadata-Version: 2.1", "Name: demo", "Version: 2.0", *(f"Requires-Dist: {text}" for text in newer.split("|")), ""]),
    )
    packages = Packages(client_for(server, tmp_path), WheelStore(tmp_path / "wheels"))
    found = resolved(asked, *chosen, packages=packages)
    lock = lock_of(found)
    package = lock.package("demo")
    assert package is not None
    reasons = {
        held.last: held.reason for held in held_back(package, WhyContext(lock=lock, query=found.query, bounds=(), packages=packages))
    }
    assert reasons["3.0"] == "it was published as source only"
    return reasons["2.0"]


DEMO = selected("demo", "1.0", "other<2", "third")


def test_why_names_the_pin_of_the_profile_and_not_what_follows_from_it(tmp_path: object) -> None:
    chosen = (DEMO, selected("other", "1.0"), selected("third", "1.0", "other<2"), selected("torch", "2.7.0"))
    reason = why("other>=3|torch==2.6.0", *chosen, asked=["demo", "torch==2.7.0"], tmp_path=tmp_path)
    assert reason == "it wants torch==2.6.0, but small asks for torch==2.7.0"


def test_why_names_what_has_no_wheel(tmp_path: object) -> None:
    chosen = (DEMO, selected("other", "1.0"), selected("third", "1.0"))
    wheels = ("wheelless-1.5-cp311-cp311-win_amd64.whl", "wheelless-1.0-py3-none-any.whl")
    reason = why("other>=3|wheelless>=1.5", *chosen, asked=["demo"], tmp_path=tmp_path, wheels=wheels)
    assert reason == f"it wants wheelless>=1.5, of which no release has a wheel for {LINUX.slug}"


def test_why_names_another_package_before_a_consequence(tmp_path: object) -> None:
    chosen = (DEMO, selected("other", "1.0"), selected("third", "1.0", "other<2"))
    assert why("other>=3", *chosen, asked=["demo"], tmp_path=tmp_path) == "it wants other>=3, but third asks for other<2"
    alone = (DEMO, selected("other", "1.0"), selected("third", "1.0"))
    assert why("other>=3", *alone, asked=["demo"], tmp_path=tmp_path) == "it wants other>=3, the lock has 1.0"
