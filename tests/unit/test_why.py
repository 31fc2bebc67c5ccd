"""envgen.lock.why: what holds back each newer release, in the words of the hardest reason."""

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from samples import LINUX, profile_of, sample_lock

from envgen.lock.make import query_for
from envgen.lock.why import WhyContext, held_back
from envgen.sources import IndexFile, Packages, WheelStore

BEFORE, AT, AFTER = (dt.datetime(2026, 9, day, tzinfo=dt.UTC) for day in (21, 22, 23))
OURS, OTHER = "cp311-cp311-manylinux_2_28_x86_64", "cp311-cp311-win_amd64"
LATE = "uploaded after the profile's as_of, 2026-09-22"
NOTHING = "nothing found here forbids it: the resolver chose the older one for the sake of the whole"


class Index:
    """A client of an index with these files of demo, none of which says what it requires."""

    def __init__(self, *files: IndexFile) -> None:
        self._files = files

    def files(self, index: str, package: str) -> tuple[IndexFile, ...]:
        assert (index, package) == ("default", "demo")
        return self._files

    def metadata(self, _file: IndexFile) -> bytes | None:
        return None


def file(version: str, tags: str = "py3-none-any", uploaded: dt.datetime | None = BEFORE, **fields: Any) -> IndexFile:
    return IndexFile(index="default", filename=f"demo-{version}-{tags}.whl", url="", uploaded=uploaded, **fields)


def held(folder: Path, *files: IndexFile) -> dict[str, str]:
    lock = sample_lock()
    query = query_for(profile_of(), (), LINUX)
    scene = WhyContext(lock=lock, query=query, bounds=(), packages=Packages(cast(Any, Index(file("1.5"), *files)), WheelStore(folder)))
    package = lock.package("demo")
    assert package
    # Without the bound of the profile's own, so that other reasons are seen.
    package = replace(package, demands=(replace(package.demands[0], requirement="*"),))
    return {f"{entry.first}-{entry.last}": entry.reason for entry in held_back(package, scene)}


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ((file("2.0", uploaded=AT),), LATE),
        ((file("2.0", OURS, AFTER), file("2.0", OTHER, AT)), LATE),
        ((file("2.0", OURS, BEFORE), file("2.0", OTHER, AFTER)), NOTHING),
        ((file("2.0", OURS, AFTER), file("2.0", OURS.replace("28", "17"), BEFORE)), NOTHING),
        ((file("2.0", OURS, AFTER), file("2.0", OTHER, BEFORE)),
         "it has no wheel for py311-linux-amd64 that was uploaded before the profile's as_of, 2026-09-22"),
        ((file("2.0", OTHER, BEFORE),), "it has no wheel for py311-linux-amd64"),
        ((file("2.0", yanked=True),), "it was yanked"),
        ((file("2.0", uploaded=None),), NOTHING),
    ],
    ids=["late", "all late", "ours was there", "another of ours was there", "ours came later", "none of ours", "yanked", "no time"],
)  # fmt: skip
def test_a_release_is_too_new_when_all_of_its_files_are(tmp_path: Path, files: tuple[IndexFile, ...], reason: str) -> None:
    assert held(tmp_path, *files) == {"2.0-2.0": reason}


def test_releases_with_one_reason_are_said_together_and_older_and_unfinished_ones_not_at_all(tmp_path: Path) -> None:
    files = (file("1.6", OTHER), file("1.4", uploaded=AFTER), file("1.7", OTHER), file("2.0rc1"), file("2.0", uploaded=AFTER))
    assert held(tmp_path, *files) == {"1.6-1.7": "it has no wheel for py311-linux-amd64", "2.0-2.0": LATE}
