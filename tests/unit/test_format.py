"""envgen.lock.format: only what envgen wrote is believed; everything else is StaleLockError and nothing else."""

import random
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from samples import COMMIT, HUB_MODEL, NOTICE, ROOT, sample_lock, wheel

from envgen.core.errors import StaleLockError
from envgen.lock import Lock, LockedModel, parse_lock
from envgen.lock.model import digest_of, dump_lock
from envgen.lock.notice import NoticeKind

WHEEL_MODEL = LockedModel(source=wheel("demo-model", "0.1.2", index="pytorch-cpu"), expect="Paris")
LABEL = "locks/small/py311-linux-amd64/envgen.lock"
COMMITTED = sorted((ROOT / "locks").glob("*/*/envgen.lock"))
ALPHABET = "aZ09\"'\\#=[]{}.,:-+ \n\r\t\x00\x7fé\u2028TZ"


def refused(data: bytes) -> StaleLockError:
    with pytest.raises(StaleLockError) as caught:
        parse_lock(data, LABEL)
    return caught.value


def resealed(text: str) -> bytes:
    """The lock as somebody would forge it: with the digest that its content has now."""
    head, body = re.split(r"(?<=below this line)\n", text, maxsplit=1)
    return (re.sub(r'content = "[^"]*"', f'content = "{digest_of(body.encode())}"', head) + "\n" + body).encode()


def forged(old: str, new: str) -> StaleLockError:
    text = dump_lock(sample_lock()).decode()
    assert old in text
    return refused(resealed(text.replace(old, new, 1)))


@pytest.mark.parametrize(
    "lock",
    [
        sample_lock(),
        sample_lock(model=HUB_MODEL),
        sample_lock(model=WHEEL_MODEL),
        sample_lock(notices=(NOTICE, replace(NOTICE, kind=NoticeKind.PAIR, text='quotes "\x1b[1m"'))),
        sample_lock(base="", installer=None, tiers=(), indexes=(), packages=(), env=()),
    ],
)
def test_a_lock_round_trips(lock: Lock) -> None:
    assert parse_lock(dump_lock(lock), LABEL) == lock


def test_there_are_committed_locks() -> None:
    assert len(COMMITTED) >= 3


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: f"{path.parts[-3]}-{path.parts[-2]}")
def test_a_committed_lock_round_trips_byte_for_byte(path: Path) -> None:
    data = path.read_bytes()
    assert dump_lock(parse_lock(data, LABEL)) == data


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: f"{path.parts[-3]}-{path.parts[-2]}")
@pytest.mark.parametrize("kind", ["replace", "insert", "remove"])
def test_no_single_character_can_be_changed(path: Path, kind: str) -> None:
    text = path.read_text(encoding="utf-8")
    chance = random.Random(f"{path.parent.name} {kind}")
    for _ in range(8):
        position = chance.randrange(len(text))
        character = chance.choice(ALPHABET)
        if kind == "replace" and character == text[position]:
            continue
        inserted = "" if kind == "remove" else character
        damaged = text[:position] + inserted + text[position + (kind != "insert") :]
        assert damaged != text or kind == "remove"
        if damaged == text:
            continue
        error = refused(damaged.encode())
        assert error.exit_code == 4, (position, character)
        assert error.hint.endswith(": envgen lock small"), (position, character)


@pytest.mark.parametrize("length", [0, 1, 100, 1000, -200, -1])
def test_a_truncated_lock_is_refused(length: int) -> None:
    refused(COMMITTED[0].read_bytes()[:length])


@pytest.mark.parametrize("data", [b"\xff\xfe", b"", b"version = 1\n", b"[[package]]\n", b"package = 3\n", b"env = 1\nindex = 2\n", b"\x00"])
def test_what_is_no_lock_is_refused(data: bytes) -> None:
    assert "not a lock that envgen wrote: " in str(refused(data))


def test_other_line_ends_are_refused() -> None:
    refused(dump_lock(sample_lock()).replace(b"\n", b"\r\n"))


def test_a_change_by_hand_is_called_so() -> None:
    error = refused(dump_lock(sample_lock()).replace(b'version = "1.5"', b'version = "1.5" '))
    assert str(error) == f"{LABEL}: edited by hand: its content is not what its digest says"
    assert error.hint == "change the profile instead, then run: envgen lock small"


def test_the_cure_names_the_profile_even_when_nothing_can_be_read() -> None:
    assert refused(b"!").hint == "write it anew: envgen lock small"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("version = 1\n", "version = 2\n", "version: expected 1: another envgen wrote this lock"),
        (
            'file = "demo-1.5-py3-none-any.whl"',
            'file = "../../demo-1.5-py3-none-any.whl"',
            "expected the file name of a wheel of demo '1.5'",
        ),
        (
            'file = "demo-1.5-py3-none-any.whl"',
            'file = "demo-1.5-py3-none-any./../../x.whl"',
            "expected the file name of a wheel of demo '1.5'",
        ),
        (
            'file = "demo-1.5-py3-none-any.whl"',
            'file = "demo-1.5-py3-none-any.$(id).whl"',
            "expected the file name of a wheel of demo '1.5'",
        ),
        ('file = "demo-1.5-py3-none-any.whl"', 'file = "other-1.5-py3-none-any.whl"', "which is no wheel of demo '1.5'"),
        ('version = "1.5"', 'version = "1.6"', "which is no wheel of demo '1.6'"),
        ('version = "1.5"', 'version = "1.5\\n"', "which is no wheel of demo '1.5\\n'"),
        ('version = "1.5"', 'version = "x\\nLINES\\nid"', "expected the file name of a wheel of demo"),
        ('layer = "own"', 'layer = "../x"', "demo is in the layer '../x', which is not in layers"),
        ('index = "pytorch-cpu"', 'index = "nowhere"', "torch comes from the index 'nowhere', which is not in the lock"),
        ('sha256 = "', 'sha256 = "x', "sha256: found"),
        ("uploaded = 2026-08-01T12:30:15Z", "uploaded = true", "uploaded: found a boolean (true), expected an instant"),
        ("uploaded = 2026-08-01T12:30:15Z", 'uploaded = "never"', "uploaded: found a string ('never'), expected an instant"),
        ("as_of = 2026-09-22T00:00:00Z", "as_of = 0001-01-01T00:00:00+23:00", "not a lock that envgen wrote"),
        ("as_of = 2026-09-22T00:00:00Z", "as_of = 2026-09-22T00:00:00", "expected an instant in UTC"),
        ("as_of = 2026-09-22T00:00:00Z", "as_of = 2026-09-22", "as_of: found a date, expected an instant"),
        ("size = 1002", 'size = "big"', "size: found a string ('big'), expected an integer"),
        ("size = 1002", "size = 1_002", "edited by hand"),
        ('profile = "small"', 'profile = "small"\ncolour = "red"', "colour: unknown key"),
        ('{ name = "small", requirement = ">=1" }', '{ name = "small" }', "requirement: missing, expected a string"),
    ],
)
def test_a_forged_digest_does_not_help(old: str, new: str, problem: str) -> None:
    assert problem in str(forged(old, new))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('repo = "tests/small"', 'repo = "../small"', "model.repo: found '../small', expected ORG/NAME"),
        ('repo = "tests/small"', 'repo = "tests/sm--all"', "model.repo: found 'tests/sm--all', expected ORG/NAME"),
        ('repo = "tests/small"', 'repo = "tests/small/x"', "model.repo: found 'tests/small/x', expected ORG/NAME"),
        (f'commit = "{COMMIT}"', 'commit = "main"', "model.commit: found 'main', expected 40 hexadecimal digits"),
        (f'commit = "{COMMIT}"', f'commit = "{COMMIT.upper()}"', "expected 40 hexadecimal digits"),
        ('"config.json"', '"../config.json"', "model.files[0].name: found '../config.json', expected the name of a file without a folder"),
        ('"config.json"', '".config.json"', "model.files[0].name: found '.config.json'"),
        ('"config.json"', '"a/config.json"', "model.files[0].name: found 'a/config.json'"),
        ('"config.json"', '"config.json\\n"', "model.files[0].name: found 'config.json\\n'"),
        ('"config.json"', '"model.safetensors"', "model.files: found none, or not each once and in order"),
        ('"config.json"', '"z.json"', "model.files: found none, or not each once and in order"),
        (f'sha256 = "{"c" * 64}"', f'sha256 = "{"c" * 63}"', "model.files[0].sha256: found 'ccc"),
        (f'sha256 = "{"c" * 64}"', "sha256 = 3", "model.files[0].sha256: found an integer (3), expected a string"),
        ("size = 600", "size = -1", "model.files[0].size: found -1, expected a number of bytes"),
        ("size = 600", "size = true", "model.files[0].size: found a boolean (true), expected an integer"),
        ("size = 600", 'size = 600, url = "x"', "model.files[0].url: unknown key"),
        ('expect = "é"', "expect = 3", "model.expect: found an integer (3), expected a string"),
        ("[model]\n", '[model]\nname = "x"\n', "model.name: unknown key"),
    ],
)
def test_a_forged_model_is_refused(old: str, new: str, problem: str) -> None:
    text = dump_lock(sample_lock(model=HUB_MODEL)).decode()
    assert old in text
    assert problem in str(refused(resealed(text.replace(old, new, 1))))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('kind = "far-behind"', 'kind = "x"', "found 'x', expected one of far-behind, old"),
        ('package = "demo"', 'package = "other"', "is about 'other', which is not in the lock"),
        ('text = "', 'text = "\\u001b[1m', "expected one printable line"),
        ('cure = "', 'mood = "bad"\ncure = "', "mood"),
    ],
)
def test_a_forged_notice_is_refused(old: str, new: str, problem: str) -> None:
    text = dump_lock(sample_lock(notices=(NOTICE,))).decode()
    start = text.index("[[notice]]")
    assert problem in str(refused(resealed(text[:start] + text[start:].replace(old, new, 1))))


def test_a_model_wants_a_base_to_be_tested_on_and_files_of_its_own() -> None:
    none = sample_lock(base="", installer=None, model=HUB_MODEL)
    assert "model: found a model, but no base that an image is built on" in str(refused(dump_lock(none)))
    empty = replace(HUB_MODEL, source=replace(HUB_MODEL.source, files=()))
    assert "model.files: found none" in str(refused(dump_lock(sample_lock(model=empty))))
    elsewhere = LockedModel(source=wheel("demo-model", index="nowhere"))
    assert "demo-model comes from the index 'nowhere', which is not in the lock" in str(refused(dump_lock(sample_lock(model=elsewhere))))


def test_the_target_is_that_of_its_python_and_platform() -> None:
    problem = str(forged('target = "py311-linux-amd64"', 'target = "py312-linux-amd64"'))
    assert "target: found 'py312-linux-amd64', expected 'py311-linux-amd64'" in problem


def test_a_base_wants_an_installer() -> None:
    for lock in (replace(sample_lock(), installer=None), replace(sample_lock(), base="")):
        assert "a base without an installer" in str(refused(dump_lock(lock)))


def test_a_time_zone_makes_no_difference(in_zone: Callable[[str], None]) -> None:
    data = COMMITTED[0].read_bytes()
    in_zone("Pacific/Kiritimati")
    assert dump_lock(parse_lock(data, LABEL)) == data
    refused(data.replace(b"as_of = 2026-09-22T00:00:00Z", b"as_of = 2026-09-22T14:00:00"))


def test_every_kind_of_wheel_name_round_trips() -> None:
    odd = (wheel("uv", "0.12.17"), wheel("de-mo", "1!2.0rc1.post2.dev3", file="De_Mo-1!2.0rc1.post2.dev3-12abc-py2.py3-none-any.whl"))
    for found in odd:
        assert parse_lock(dump_lock(sample_lock(installer=found)), LABEL).installer == found
