"""envgen.trust.diff: what happened to a package, and every reason that two locks can give for it."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace

import pytest
from samples import AS_OF, sample_lock, wheel

from envgen.lock import Lock, LockedBound, Package, RequiredBy
from envgen.lock.model import LockedIndex
from envgen.trust.diff.model import Change, LockPair
from envgen.trust.diff.packages import changes_of, kind_of

EARLY, LATE = dt.datetime(2026, 8, 1, tzinfo=dt.UTC), dt.datetime(2026, 10, 6, tzinfo=dt.UTC)
NEXT = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
PROFILE = "small"


def one(
    version: str, *demands: str, name: str = "tool", layer: str = "libraries", bounds: tuple[str, ...] = (), **fields: object
) -> Package:
    """A package; each demand is `ASKER REQUIREMENT`, with the profile if none is given."""
    asked = tuple(RequiredBy(name=asker, requirement=text) for asker, _, text in (demand.partition(" ") for demand in demands))
    evidence = tuple(LockedBound(set_name="documents", requirement=text, source="paper.txt, Core") for text in bounds)
    return Package(
        wheel=wheel(name, version, **fields), layer=layer, demands=asked or (RequiredBy(name=PROFILE, requirement="*"),), bounds=evidence
    )


def lock(*packages: Package, **fields: object) -> Lock:
    return sample_lock(packages=packages, **fields)


def told(before: Lock, after: Lock) -> Mapping[str, tuple[str, tuple[str, ...]]]:
    """The kind of change and its reasons, by package."""
    return {change.name: (change.kind, reasons) for change, reasons in changes_of(LockPair(before=before, after=after))}


BOUND = "the documented bound is"
MOVES = {
    "the profile asks for another version": (
        one("1.0", "small ==1.0"), one("2.0", "small ==2.0"), {},
        ("the profile requires ==2.0, before ==1.0",),
    ),
    "the profile names it now": (
        one("1.0", "other *"), one("2.0", "other *", "small >=2"), {},
        ("the profile requires >=2, and did not before",),
    ),
    "a profile's bound is gone": (
        one("1.0", "small <2"), one("2.0", "small *"), {},
        ("the profile requires any version, before <2",),
    ),
    "uploaded since": (
        one("1.0", uploaded=EARLY), one("2.0", uploaded=LATE), {"as_of": NEXT},
        ("uploaded 2026-10-06, after the old as_of 2026-09-22",),
    ),
    "uploaded in the very moment of the old date": (
        one("1.0", uploaded=EARLY), one("2.0", uploaded=AS_OF), {"as_of": NEXT},
        ("uploaded 2026-09-22, after the old as_of 2026-09-22",),
    ),
    "Python too, where the file is for another one": (
        one("1.0", "small ==1.0"), one("2.0", "small ==2.0", file="tool-2.0-cp312-cp312-win_amd64.whl"), {"python": "3.12.4"},
        ("the profile requires ==2.0, before ==1.0", "Python is 3.12.4, before 3.11.16"),
    ),
    "a date of its own": (
        one("1.0", uploaded=EARLY), one("2.0", uploaded=LATE), {},
        ("uploaded 2026-10-06, after as_of 2026-09-22: the profile sets its own date for it",),
    ),
    "its own date is gone": (
        one("2.0", uploaded=LATE), one("1.0", uploaded=EARLY), {},
        ("2.0 was uploaded 2026-10-06, after the old as_of 2026-09-22: it had a date of its own",),
    ),
    "the date went back": (
        one("2.0", uploaded=dt.datetime(2026, 9, 1, tzinfo=dt.UTC)), one("1.0", uploaded=EARLY),
        {"as_of": dt.datetime(2026, 8, 15, tzinfo=dt.UTC)},
        ("2.0 was uploaded 2026-09-01, after the new as_of 2026-08-15",),
    ),
    "somebody asks for a newer one": (
        one("1.0", "other >=1"), one("2.0", "other >=2"), {},
        ("other requires >=2, before >=1",),
    ),
    "somebody held it and does not any more": (
        one("1.0", "other <2", "small *"), one("2.0", "small *"), {},
        ("other required <2, and no longer does",),
    ),
    "a documented bound moved": (
        one("1.0", bounds=("<2",)), one("2.0", bounds=(">=2",)), {},
        (f"{BOUND} >=2, before <2 (paper.txt, Core)",),
    ),
    "a documented bound is new": (
        one("2.0"), one("1.0", bounds=("<2",)), {},
        (f"{BOUND} <2, before none (paper.txt, Core)",),
    ),
    "the mapping of its index": (
        one("1.0"), one("2.0", index="pytorch-cpu"), {},
        ("comes from the index pytorch-cpu, before from default",),
    ),
    "its index moved": (
        one("1.0", index="pytorch-cpu"), one("2.0", index="pytorch-cpu"),
        {"indexes": (LockedIndex(name="pytorch-cpu", url="https://other.example", packages=("tool",)),)},
        ("the index pytorch-cpu is at https://other.example, before at https://torch.example/whl/cpu",),
    ),
    "Python, where there is nothing else": (
        one("1.0"), one("2.0"), {"python": "3.12.4"},
        ("Python is 3.12.4, before 3.11.16",),
    ),
    "nothing": (one("1.0"), one("2.0"), {}, ("no reason found in the locks",)),
    "a date that moved, but not past its upload": (one("1.0"), one("2.0"), {"as_of": NEXT}, ("no reason found in the locks",)),
    "a requirement that changed, but admits both": (
        one("1.0", "other >=0.1"), one("2.0", "other >=0.2"), {},
        ("no reason found in the locks",),
    ),
    "two reasons, and another layer": (
        one("1.0", "small ==1.0", uploaded=EARLY), one("2.0", "small ==2.0", uploaded=LATE, layer="own"), {"as_of": NEXT},
        (
            "the profile requires ==2.0, before ==1.0",
            "uploaded 2026-10-06, after the old as_of 2026-09-22",
            "is in the layer group own, before libraries",
        ),
    ),
    "a requirement that can't be read rules nothing out": (
        one("1.0", "other what?"), one("2.0", "other ever"), {},
        ("no reason found in the locks",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MOVES)
def test_why_a_package_has_another_version(case: str) -> None:
    old, new, fields, reasons = MOVES[case]
    kind, found = told(lock(old), lock(new, **fields))["tool"]
    assert kind == ("upgraded" if old.wheel.version < new.wheel.version else "downgraded")
    assert found == reasons


def test_the_one_who_asks_is_named_with_its_version_when_it_moved() -> None:
    before = lock(one("1.0", "other <2"), one("5.0", name="other"))
    after = lock(one("2.0", "other >=2"), one("6.0", name="other"))
    assert told(before, after)["tool"] == ("upgraded", ("other 6.0 requires >=2, before <2",))


def test_the_one_who_asked_and_is_gone_is_said_to_be() -> None:
    before, after = lock(one("1.0", "other <2", "small *"), asker()), lock(one("2.0", "small *"))
    assert told(before, after)["tool"] == ("upgraded", ("other, which is gone, required <2, and no longer does",))
    assert told(after, before)["tool"] == ("downgraded", ("other, which is new, requires <2, and did not before",))


def test_extras_are_no_versions() -> None:
    before, after = lock(one("1.0", "other [fast]>=1")), lock(one("2.0", "other [fast]>=2"))
    assert told(before, after)["tool"][1] == ("other requires [fast]>=2, before [fast]>=1",)


def test_the_profile_is_the_profile_whatever_its_name() -> None:
    before = lock(one("1.0", "small ==1.0"))
    after = lock(one("2.0", "large ==2.0"), profile="large")
    assert told(before, after)["tool"][1] == ("the profile requires ==2.0, before ==1.0",)


@pytest.mark.parametrize(
    ("fields", "others", "reasons"),
    [
        ({"file": "tool-1.0-cp312-cp312-win_amd64.whl"}, {"python": "3.12.4"}, ("Python is 3.12.4, before 3.11.16",)),
        (
            {"file": "tool-1.0-cp311-cp311-win_amd64.whl"},
            {"platform": "windows/amd64"},
            ("the platform is windows/amd64, before linux/amd64",),
        ),
        ({"index": "pytorch-cpu"}, {}, ("comes from the index pytorch-cpu, before from default",)),
        (
            {"file": "tool-1.0-1-py3-none-any.whl", "uploaded": LATE},
            {"as_of": NEXT},
            ("uploaded 2026-10-06, after the old as_of 2026-09-22",),
        ),
        (
            {"sha256": "f" * 64},
            {},
            (f"the same file name with other content (sha256 {'f' * 12}, before {'0' * 12}): find out why before you trust it",),
        ),
    ],
)
def test_why_the_same_version_is_another_file(fields: dict[str, object], others: dict[str, object], reasons: tuple[str, ...]) -> None:
    assert told(lock(one("1.0")), lock(one("1.0", **fields), **others))["tool"] == ("replaced", reasons)  # type: ignore[arg-type]


def asker(version: str = "5.0", *demands: str) -> Package:
    return one(version, *demands, name="other")


PRESENCE = {
    "the profile": (
        (), (one("1.0", "small ==1.0"),), {},
        "the profile now requires it (==1.0)", "the profile no longer requires it",
    ),
    "one that is new too": (
        (), (asker(), one("1.0", "other *")), {},
        "other 5.0, which is new, requires it", "other 5.0, which required it, is gone",
    ),
    "one that moved": (
        (asker("4.0"),), (asker("5.0"), one("1.0", "other >=1")), {},
        "other 5.0 requires it (>=1), 4.0 did not", "other 4.0 no longer requires it, 5.0 did",
    ),
    "an extra": (
        (asker("5.0"),), (asker("5.0", "small [fast]"), one("1.0", "other *")), {},
        "other now requires it: its extras are fast, before none", "other no longer requires it: its extras are none, before fast",
    ),
    "Python": (
        (asker(),), (asker(), one("1.0", "other *")), {"python": "3.12.4"},
        "other now requires it: Python is 3.12.4, before 3.11.16", "other no longer requires it: Python is 3.11.16, before 3.12.4",
    ),
    "nothing that is there": (
        (asker(),), (asker(), one("1.0", "other *")), {},
        "other now requires it: the locks don't show why", "other no longer requires it: the locks don't show why",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PRESENCE)
def test_why_a_package_is_there_or_not(case: str) -> None:
    without, with_it, fields, added, removed = PRESENCE[case]
    assert told(lock(*without), lock(*with_it, **fields))["tool"] == ("added", (added,))
    assert told(lock(*with_it, **fields), lock(*without))["tool"] == ("removed", (removed,))


def test_a_package_that_nobody_asks_for_has_no_reason() -> None:
    alone = replace(one("1.0"), demands=())
    assert told(lock(), lock(alone))["tool"] == ("added", ("no reason found in the locks",))


def test_a_package_in_another_layer_group_is_no_move() -> None:
    assert told(lock(one("1.0")), lock(one("1.0", layer="own")))["tool"] == (
        "regrouped",
        ("is in the layer group own, before libraries",),
    )


@pytest.mark.parametrize(
    ("new", "reasons"),
    [
        (one("1.0", "small >=1"), ("the profile requires >=1, before any version",)),
        (one("1.0", bounds=(">=1",)), ("the documented bound is >=1, before none (paper.txt, Core)",)),
        (one("1.0", uploaded=None), ("its index reports another size or upload time for the same file",)),
    ],
)
def test_what_holds_a_package_is_told_when_it_did_not_move(new: Package, reasons: tuple[str, ...]) -> None:
    assert told(lock(one("1.0")), lock(new))["tool"] == ("evidence", reasons)


def test_the_same_in_another_order_is_said_too() -> None:
    before, after = lock(one("1.0", "a *", "b *")), lock(one("1.0", "b *", "a *"))
    assert told(before, after)["tool"] == ("evidence", ("the same evidence in another order",))


def test_what_is_the_same_is_not_told() -> None:
    assert told(lock(one("1.0")), lock(one("1.0"), as_of=NEXT)) == {}


def test_versions_are_compared_as_versions() -> None:
    changes = [change for change, _ in changes_of(LockPair(before=lock(one("5.9")), after=lock(one("5.10"))))]
    assert changes == [Change(kind="upgraded", name="tool", before="5.9", after="5.10")]
    assert kind_of("1.0", "no version") == "upgraded"
