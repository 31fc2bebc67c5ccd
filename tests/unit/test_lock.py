"""envgen.lock.model: a lock is bytes that say the same everywhere, and a digest of what it was made from."""

import datetime as dt
import json
import os
import tomllib
from collections.abc import Callable
from dataclasses import replace

import pytest
from samples import AS_OF, HUB_MODEL, NASTY, NOTICE, sample_lock

from envgen.lock import RequiredBy
from envgen.lock.model import digest_of, dump_lock, input_digest
from envgen.sources.wheel import WHEEL_FILE


def test_a_lock_is_toml() -> None:
    data = tomllib.loads(dump_lock(sample_lock()).decode())
    assert data["as_of"] == AS_OF
    assert data["env"] == {"HF_HOME": "/models", "NASTY": NASTY}
    assert [package["name"] for package in data["package"]] == ["demo", "demo-data", "numpy", "torch"]
    assert data["package"][3]["uploaded"] == "not published"
    assert data["package"][3]["bounds"][0]["source"] == 'paper.txt, Section "1"'
    assert data["index"] == [{"name": "pytorch-cpu", "url": "https://torch.example/whl/cpu", "packages": ["torch", "torchvision"]}]
    assert data["installer"]["name"] == "uv"


def test_its_digest_is_of_everything_below() -> None:
    data = dump_lock(sample_lock())
    line = next(line for line in data.decode().splitlines() if line.startswith("content = "))
    body = data.split(line.encode() + b"\n")[1]
    assert tomllib.loads(line)["content"] == digest_of(body)


@pytest.mark.parametrize("text", ["\x7f", "\u2028", "é", "\U0001f600", "tab\t", "\\u0041", '"', "\x00", "\x1f"])
def test_any_text_survives(text: str) -> None:
    data = tomllib.loads(dump_lock(replace(sample_lock(), description=text)).decode())
    assert data["description"] == text


def test_the_same_bytes_in_every_zone_and_under_every_umask(in_zone: Callable[[str], None]) -> None:
    expected = dump_lock(sample_lock())
    for zone in ("UTC", "Pacific/Kiritimati", "America/St_Johns", "Pacific/Pago_Pago"):
        in_zone(zone)
        before = os.umask(0o077)
        try:
            assert dump_lock(sample_lock()) == expected
        finally:
            os.umask(before)


def test_one_instant_has_one_spelling() -> None:
    elsewhere = AS_OF.astimezone(dt.timezone(dt.timedelta(hours=5, minutes=30)))
    assert dump_lock(sample_lock(as_of=elsewhere)) == dump_lock(sample_lock())


def test_every_field_is_in_the_bytes() -> None:
    lock = sample_lock()
    changes = {
        "profile": "x", "description": "x", "platform": "x", "as_of": AS_OF + dt.timedelta(days=1), "inputs": "x",
        "python": "x", "base": "x", "indexes": (), "env": (), "tiers": (), "layers": (), "installer": None, "packages": (),
        "cuda": "13.0", "driver": "580", "model": HUB_MODEL, "notices": (NOTICE,),
    }  # fmt: skip
    assert changes.keys() == set(lock.__slots__)
    for name, value in changes.items():
        assert dump_lock(replace(lock, **{name: value})) != dump_lock(lock), name


def test_the_input_digest_does_not_depend_on_order() -> None:
    values = {"a": {"x": 1, "y": "é"}, "b": [1, 2], "c": dt.date(2026, 9, 22)}
    turned = json.loads(json.dumps({"c": "2026-09-22", "b": [1, 2], "a": {"y": "é", "x": 1}}))
    assert input_digest(values) == input_digest(turned)
    assert input_digest(values) != input_digest({**values, "b": [2, 1]})


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl", True),
        ("demo-1!2.0-1abc-py2.py3-none-any.whl", True),
        ("demo-1.0-py3-none-any./../../x.whl", False),
        ("demo-1.0-py3-none-any.whl\n", False),
        ("demo-1.0-py3-none-any $(id).whl", False),
        ("../demo-1.0-py3-none-any.whl", False),
        ("-demo-1.0-py3-none-any.whl", False),
        ("demo-1.0-py3-none-any.zip", False),
        ("démo-1.0-py3-none-any.whl", False),
    ],
)
def test_a_wheel_s_name_is_safe_as_a_path_and_in_a_dockerfile(name: str, taken: bool) -> None:
    assert bool(WHEEL_FILE.fullmatch(name)) is taken


@pytest.mark.parametrize(
    ("requirement", "extras", "fits", "versions"),
    [("*", (), "0.1", ""), (">=1,<2", (), "1.5", "<2,>=1"), ("[a,b]>=1", ("a", "b"), "1", ">=1"), ("[a]", ("a",), "9", "")],
)
def test_what_is_asked_for_has_extras_and_versions(requirement: str, extras: tuple[str, ...], fits: str, versions: str) -> None:
    demand = RequiredBy(name="small", requirement=requirement)
    assert demand.extras == extras
    assert demand.specifier.contains(fits)
    assert str(demand.specifier) == versions
