"""envgen.image.layer_record: when a layer can be compared with what is recorded, and when it can't."""

from dataclasses import replace

import pytest
from samples import ROOT, sample_lock

from envgen.core.errors import StaleLockError
from envgen.image.layer_record import LayerRecord, LayerRecords, RecordedPythons, compare, dump_records, inputs_of, merged, parse_records
from envgen.lock import Lock, parse_lock
from envgen.lock.render import render_dockerfile

TEMPLATE = (ROOT / "templates" / "Dockerfile.j2").read_text()
GROUPS = ("models", "torch", "libraries", "own")
LABEL = "locks/small/py311-linux-amd64/layers.toml"
DIFF_IDS = {group: f"sha256:{number:064x}" for number, group in enumerate(GROUPS)}
WITH = "Docker 26.1, buildx 0.13, BuildKit 0.13"


def inputs(lock: Lock, template: str = TEMPLATE) -> dict[str, str]:
    return inputs_of(lock, render_dockerfile(lock, template))


LOCK = sample_lock()
INPUTS = inputs(LOCK)


def recorded(layers: dict[str, str], of: dict[str, str] = INPUTS) -> LayerRecords:
    return LayerRecords(
        built_with=WITH, layers={group: LayerRecord(inputs=of[group], diff_id=diff_id) for group, diff_id in layers.items()}
    )


RECORDS: RecordedPythons = {"3.11.2": recorded(DIFF_IDS)}


def bumped(name: str) -> Lock:
    """The sample with another wheel of one package."""
    packages = tuple(
        replace(package, wheel=replace(package.wheel, sha256="f" * 64)) if package.wheel.name == name else package
        for package in LOCK.packages
    )
    return replace(LOCK, packages=packages)


def test_a_bump_changes_the_inputs_of_its_own_group_alone() -> None:
    changed = inputs(bumped("torch"))
    assert {group for group in GROUPS if changed[group] != INPUTS[group]} == {"torch"}


@pytest.mark.parametrize(
    "lock",
    [
        replace(LOCK, base=LOCK.base.replace("a" * 64, "b" * 64)),
        replace(LOCK, python="3.11.17"),
        replace(LOCK, description="other", env=(), profile="another"),
        replace(LOCK, indexes=(replace(LOCK.indexes[0], url="https://mirror.example/whl"),)),
    ],
    ids=["base", "full Python", "profile", "index"],
)
def test_what_a_layer_does_not_depend_on_is_no_input(lock: Lock) -> None:
    assert inputs(lock) == INPUTS


def test_the_installer_is_an_input_of_all() -> None:
    assert LOCK.installer
    other = replace(LOCK, installer=replace(LOCK.installer, sha256="e" * 64))
    assert not set(inputs(other).values()) & set(INPUTS.values())


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("install -D -m 0755 /tmp/installer", GROUPS),
        ("find {{ prefix }} -type d -empty -delete", GROUPS),
        ("echo 'envgen:x:{{ uid }}:' >> /out/etc/group", ()),
        ("python{{ lock.python_minor }} -m pip --isolated", ()),
        ("WORKDIR /tmp", ()),
    ],
    ids=["installer", "layer", "skeleton", "fetching", "image"],
)
def test_the_recipe_is_an_input_as_far_as_it_makes_the_layer(line: str, changed: tuple[str, ...]) -> None:
    assert line in TEMPLATE
    found = inputs(LOCK, TEMPLATE.replace(line, line + " "))
    assert tuple(group for group in GROUPS if found[group] != INPUTS[group]) == changed


def test_a_recipe_without_a_stage_for_each_group_has_nothing_to_compare() -> None:
    found = inputs(LOCK, TEMPLATE.replace(" AS layer-", " AS other-"))
    assert found == {}
    assert compare(RECORDS, "3.11.2", found, DIFF_IDS).not_compared == GROUPS


def test_layers_as_recorded() -> None:
    found = compare(RECORDS, "3.11.2", INPUTS, DIFF_IDS)
    assert (found.same, found.wrong, found.not_compared) == (GROUPS, (), ())
    assert found.headline() == "layers: 4 of 4 as recorded for Python 3.11.2"


def test_another_python_is_not_compared() -> None:
    found = compare(RECORDS, "3.11.16", INPUTS, DIFF_IDS)
    assert (found.same, found.wrong, found.not_compared) == ((), (), GROUPS)
    assert found.headline() == "layers: not compared: no record for Python 3.11.16"


def test_after_a_bump_one_group_is_not_compared() -> None:
    found = compare(RECORDS, "3.11.2", inputs(bumped("demo")), {**DIFF_IDS, "own": "sha256:new"})
    assert (found.same, found.wrong, found.not_compared) == (GROUPS[:3], (), ("own",))
    assert found.headline() == "layers: 3 of 4 as recorded for Python 3.11.2; own: not compared: no record of it as it is now"


def test_a_layer_that_is_not_as_recorded_is_wrong() -> None:
    found = compare(RECORDS, "3.11.2", INPUTS, {**DIFF_IDS, "torch": "sha256:new"})
    assert found.wrong == (("torch", DIFF_IDS["torch"], "sha256:new"),)
    assert found.headline() == "layers: 3 of 4 as recorded for Python 3.11.2; torch: NOT as recorded"


def test_a_record_is_merged_with_those_of_other_pythons() -> None:
    before: RecordedPythons = {"3.11.16": recorded({**DIFF_IDS, "gone": "sha256:1"}, {**INPUTS, "gone": "sha256:2"})}
    after = merged(before, "3.11.2", RECORDS["3.11.2"], INPUTS)
    assert after == {"3.11.16": recorded(DIFF_IDS), "3.11.2": recorded(DIFF_IDS)}
    newer = inputs(bumped("torch"))
    again = merged(after, "3.11.2", recorded(DIFF_IDS, newer), newer)
    assert again["3.11.2"] == recorded(DIFF_IDS, newer)
    assert set(again["3.11.16"].layers) == {"models", "libraries", "own"}
    assert merged({"3.11.16": recorded({"own": "x"}, {"own": "y"})}, "3.11.2", RECORDS["3.11.2"], INPUTS) == RECORDS


def test_the_file_says_the_same_whatever_the_order() -> None:
    layers = dict(reversed(RECORDS["3.11.2"].layers.items()))
    other = {"3.11.16": recorded({"own": DIFF_IDS["own"]}), "3.11.2": LayerRecords(built_with=WITH, layers=layers)}
    data = dump_records("small", other)
    assert data == dump_records("small", dict(reversed(other.items())))
    assert data.index(b"3.11.2") < data.index(b"3.11.16")
    assert parse_records(data, LABEL, "small") == other


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("3.11.2", "3.11.3", "edited by hand"),
        ("sha256:", "sha256:0", "edited by hand"),
        ("\n\n", "\n# mine\n", "edited by hand"),
        ("version = 1", "version = 2", "version: expected 1: written by another version of envgen"),
        ('"3.11.2"', '"3.11"', 'python."3.11": expected a full Python version'),
        ('"3.11.2"', '"3.11.²"', "expected a full Python version"),
        ('"3.11.2"', f'"3.11.{"9" * 5000}"', "expected a full Python version"),
        ("inputs", "input", "missing, expected a string"),
        ("diff_id = ", "diff_id = 1 # ", "not written by envgen"),
        ("built_with = ", "built_with = 1 # ", "found an integer (1), expected a string"),
        ("[python", "[[python", "not written by envgen"),
        ("version", "\x00", "not written by envgen"),
        ("Written", "\udcff", "not written by envgen"),
    ],
)  # fmt: skip
def test_a_file_that_was_changed_is_not_believed(old: str, new: str, words: str) -> None:
    data = dump_records("small", RECORDS).decode().replace(old, new, 1).encode(errors="surrogateescape")
    with pytest.raises(StaleLockError) as caught:
        parse_records(data, LABEL, "small")
    assert str(caught.value).startswith(f"{LABEL}: ")
    assert words in str(caught.value)
    assert "envgen reproduce small --record" in caught.value.hint


def test_the_committed_records_agree_and_are_of_use() -> None:
    """A layer with the same inputs and Python is the same in every profile."""
    found: dict[tuple[str, str], str] = {}
    files = sorted((ROOT / "locks").glob("*/*/layers.toml"))
    assert files
    for path in files:
        lock = parse_lock((path.parent / "envgen.lock").read_bytes(), str(path))
        known = inputs(lock)
        for python, entries in parse_records(path.read_bytes(), str(path), lock.profile).items():
            for group, record in entries.layers.items():
                assert record.inputs == known[group], f"{path}: {group} is of no use: envgen reproduce {lock.profile} --record"
                assert found.setdefault((f"{path.parent.name} {python}", record.inputs), record.diff_id) == record.diff_id
