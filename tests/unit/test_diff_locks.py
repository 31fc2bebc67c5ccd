"""envgen.trust.diff.locks: which locks are compared, what is told once, and what layer groups weigh."""

from dataclasses import replace

from samples import AS_OF, COMMIT, HUB_MODEL, package, sample_lock, wheel

from envgen.lock import Lock, LockedModel, RequiredBy
from envgen.sources import LockedModelFiles
from envgen.trust.diff import LockComparison, LockSide, compare_locks
from envgen.trust.diff.model import LockId, Push, where

SMALL = sample_lock()
WINDOWS = sample_lock(platform="windows/amd64", base="", installer=None)
LARGE = sample_lock(profile="large")
LINUX_PLACE, WINDOWS_PLACE, LARGE_PLACE = (LockId(profile=lock.profile, target=lock.target.slug) for lock in (SMALL, WINDOWS, LARGE))
ASKED = (RequiredBy(name="small", requirement=">=1"),)


def compared(before: tuple[Lock, ...], after: tuple[Lock, ...], *, single: bool = False) -> LockComparison:
    return compare_locks(LockSide(label="A", locks=before, single=single), LockSide(label="B", locks=after, single=single))


def with_demo(lock: Lock, version: str, size: int = 1004) -> Lock:
    """`lock` with another version of demo, which is in the layer group `own`."""
    demo = package("demo", version, "own", ASKED)
    demo = replace(demo, wheel=replace(demo.wheel, sha256=f"{int(version.replace('.', '')):064x}", size=size))
    return replace(lock, packages=tuple(demo if found.wheel.name == "demo" else found for found in lock.packages))


def test_the_same_locks_are_not_different() -> None:
    found = compared((SMALL, LARGE), (LARGE, SMALL))
    assert not found.different
    assert found.same == found.compared == (LARGE_PLACE, LINUX_PLACE)
    assert (found.facts, found.packages, found.layers, found.pushes) == ((), (), (), ())


def test_locks_that_one_side_has_are_added_or_removed_whole() -> None:
    found = compared((SMALL, LARGE), (SMALL, WINDOWS))
    assert found.different
    assert [(lock.places, lock.wheels) for lock in found.added] == [((WINDOWS_PLACE,), 4)]
    assert [(lock.places, lock.bytes) for lock in found.removed] == [((LARGE_PLACE,), sum(one.size for one in LARGE.wheels))]
    assert found.packages == ()


def test_the_same_change_in_many_locks_is_told_once() -> None:
    before = SMALL, WINDOWS, LARGE
    found = compared(before, tuple(with_demo(lock, "1.6") for lock in before))
    (change,) = (entry for entry in found.packages if entry.change.kind == "upgraded")
    assert (change.change.before, change.change.after) == ("1.5", "1.6")
    assert change.places == (LARGE_PLACE, LINUX_PLACE, WINDOWS_PLACE)


def test_a_reason_that_does_not_hold_everywhere_keeps_its_places() -> None:
    pinned = with_demo(WINDOWS, "1.6")
    asked = (RequiredBy(name="small", requirement="==1.6"),)
    pinned = replace(pinned, packages=tuple(replace(one, demands=asked) if one.wheel.name == "demo" else one for one in pinned.packages))
    found = compared((SMALL, WINDOWS), (with_demo(SMALL, "1.6"), pinned))
    (change,) = found.packages
    assert [(reason.text, reason.places) for reason in change.reasons] == [
        ("no reason found in the locks", (LINUX_PLACE,)),
        ("the profile requires ==1.6, before >=1", (WINDOWS_PLACE,)),
    ]


def test_two_single_locks_are_compared_whatever_they_are_of() -> None:
    found = compared((SMALL,), (with_demo(LARGE, "1.6"),), single=True)
    assert found.compared == (LockId(profile="small -> large", target="py311-linux-amd64"),)
    assert {(entry.fact.name, entry.fact.before, entry.fact.after) for entry in found.facts} == {("profile", "small", "large")}


def test_facts_are_told_in_words_and_once() -> None:
    later = AS_OF.replace(month=10)
    found = compared((SMALL, LARGE), (replace(SMALL, as_of=later), replace(LARGE, as_of=later, installer=wheel("uv", "0.12.18"))))
    told = [(entry.fact.name, entry.fact.before, entry.fact.after, entry.places) for entry in found.facts]
    hashes = [f"(sha256 {lock.sha256[:12]})" for lock in (SMALL.installer, wheel("uv")) if lock]
    assert told == [
        ("as_of", "2026-09-22", "2026-10-22", (LARGE_PLACE, LINUX_PLACE)),
        ("installer", f"uv 0.12.17 {hashes[0]}", f"uv 0.12.18 {hashes[1]}", (LARGE_PLACE,)),
    ]


def test_another_model_is_told_by_its_name() -> None:
    lock = replace(SMALL, model=HUB_MODEL)
    digest = f"(sha256 {HUB_MODEL.source.digest[7:19]})" if isinstance(HUB_MODEL.source, LockedModelFiles) else ""
    other = LockedModel(source=wheel("demo-model", "2.0"))
    words = f"hub:tests/small@{COMMIT} {digest}, asked 'Is \"it\" so?\\nSay it.', must answer 'é'"
    told = [(entry.fact.name, entry.fact.before, entry.fact.after) for entry in compared((lock,), (replace(lock, model=other),)).facts]
    assert told == [("model", words, f"wheel:demo-model==2.0 (sha256 {other.source.sha256[:12]})")]  # type: ignore[union-attr]
    assert [entry.fact.before for entry in compared((SMALL,), (lock,)).facts] == ["none"]
    (asked,) = compared((lock,), (replace(lock, model=replace(HUB_MODEL, expect="")),)).facts
    assert asked.fact.after == words.removesuffix(", must answer 'é'")


def test_other_inputs_are_told_where_nothing_else_is() -> None:
    other = f"sha256:{'2' * 64}"
    assert [entry.fact.name for entry in compared((SMALL,), (replace(SMALL, inputs=other),)).facts] == ["inputs"]
    assert compared((SMALL,), (replace(with_demo(SMALL, "1.6"), inputs=other),)).facts == ()


def sizes(found: LockComparison) -> dict[str, tuple[int, int, bool]]:
    return {entry.layer.name: (entry.layer.before, entry.layer.after, entry.layer.changed) for entry in found.layers}


def test_a_layer_group_changes_with_its_wheels() -> None:
    found = compared((SMALL,), (with_demo(SMALL, "1.6", size=5000),))
    others = sum(one.size for one in SMALL.wheels if one.name != "demo")
    assert sizes(found) == {
        "models": (1009, 1009, False),
        "torch": (1005, 1005, False),
        "libraries": (1005, 1005, False),
        "own": (1004, 5000, True),
    }
    assert found.pushes == (Push(changed=5000, total=others + 5000, places=(LINUX_PLACE,)),)


def test_a_group_of_the_same_size_and_other_content_changes() -> None:
    assert sizes(compared((SMALL,), (with_demo(SMALL, "1.6"),)))["own"] == (1004, 1004, True)


def test_every_layer_is_another_one_for_another_python() -> None:
    found = compared((SMALL,), (replace(SMALL, python="3.11.17"),))
    assert all(entry.layer.changed for entry in found.layers)
    assert found.pushes[0].changed == found.pushes[0].total


def test_a_group_that_is_new_or_gone_has_no_bytes_on_one_side() -> None:
    without = replace(SMALL, packages=SMALL.packages[1:])
    assert sizes(compared((without,), (SMALL,)))["own"] == (0, 1004, True)
    assert sizes(compared((SMALL,), (without,)))["own"] == (1004, 0, True)


def test_a_lock_without_an_image_is_never_pushed() -> None:
    assert compared((WINDOWS,), (with_demo(WINDOWS, "1.6"),)).pushes == ()


def test_a_new_date_alone_pushes_nothing() -> None:
    found = compared((SMALL,), (replace(SMALL, as_of=AS_OF.replace(month=10)),))
    assert [push.changed for push in found.pushes] == [0]


def test_places_are_said_in_as_few_words_as_can_be() -> None:
    everywhere = LINUX_PLACE, WINDOWS_PLACE, LARGE_PLACE
    assert where(everywhere, everywhere) == "all 3 locks"
    assert where((LINUX_PLACE, WINDOWS_PLACE), everywhere) == "small: all 2"
    assert where((WINDOWS_PLACE, LARGE_PLACE), everywhere) == "large: py311-linux-amd64; small: py311-windows-amd64"
    assert where((LINUX_PLACE,), (LINUX_PLACE,)) == "small py311-linux-amd64"
