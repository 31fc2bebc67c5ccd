"""envgen.smoke.expected_files: what uv makes of wheels, on small synthetic ones."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from envgen.core.errors import SmokeError
from envgen.smoke import ExpectedTree, expected_tree

SITE = "lib/python3.11/site-packages"
LAUNCHER = """\
#!/opt/venv/bin/python
# -*- coding: utf-8 -*-
import sys
from demo.cli import App
if __name__ == "__main__":
    if sys.argv[0].endswith("-script.pyw"):
        sys.argv[0] = sys.argv[0][:-11]
    elif sys.argv[0].endswith(".exe"):
        sys.argv[0] = sys.argv[0][:-4]
    sys.exit(App.main())
"""


def encoded(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def make_wheel(
    folder: Path,
    name: str,
    members: Mapping[str, bytes],
    *,
    modes: Mapping[str, int] | None = None,
    unrecorded: Iterable[str] = (),
    extra_rows: Iterable[str] = (),
) -> Path:
    """Write `name`-1.0-py3-none-any.whl with these members, a WHEEL, a METADATA and a RECORD."""
    info = f"{name}-1.0.dist-info"
    contents = {
        **members,
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
    }
    path = folder / f"{name}-1.0-py3-none-any.whl"
    rows = list(extra_rows)
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in contents.items():
            entry = zipfile.ZipInfo(member)
            entry.external_attr = (0o100000 | (modes or {}).get(member, 0o644)) << 16
            archive.writestr(entry, content)
            if member not in unrecorded and not member.endswith("/"):
                quoted = f'"{member}"' if "," in member else member
                rows.append(f"{quoted},{encoded(content)},{len(content)}")
        archive.writestr(f"{info}/RECORD", "\r\n".join([*rows, f"{info}/RECORD,,", ""]))
    return path


def tree_of(*wheels: Path, prefix: str = "/opt/venv") -> ExpectedTree:
    return expected_tree(wheels, python="3.11.16", prefix=prefix)


def sha256(text: bytes | str) -> tuple[str, ...]:
    return (hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest(),)


def test_a_member_of_the_wheel_goes_to_site_packages_with_its_recorded_digest(tmp_path: Path) -> None:
    tree = tree_of(make_wheel(tmp_path, "demo", {"demo/__init__.py": b"x = 1\n"}))
    assert tree.files[f"{SITE}/demo/__init__.py"].sha256 == sha256(b"x = 1\n")
    assert tree.files[f"{SITE}/demo/__init__.py"].executable is False
    assert dict(tree.distributions) == {"demo": "1.0"}


def test_a_member_without_a_recorded_digest_is_read(tmp_path: Path) -> None:
    tree = tree_of(make_wheel(tmp_path, "demo", {"demo/a": b"a"}, unrecorded=["demo/a"]))
    assert tree.files[f"{SITE}/demo/a"].sha256 == sha256(b"a")


@pytest.mark.parametrize(
    ("member", "installed"),
    [
        ("purelib/demo/p.py", f"{SITE}/demo/p.py"),
        ("platlib/demo/p.so", f"{SITE}/demo/p.so"),
        ("data/share/man/demo.1", "share/man/demo.1"),
        ("headers/demo.h", "include/site/python3.11/my-demo/demo.h"),
        ("scripts/demo.sh", "bin/demo.sh"),
    ],
)
def test_data_goes_where_its_scheme_says(tmp_path: Path, member: str, installed: str) -> None:
    tree = tree_of(make_wheel(tmp_path, "My_Demo", {f"My_Demo-1.0.data/{member}": b"content"}))
    assert tree.files[installed].sha256 == sha256(b"content")
    assert not [path for path in tree.files if ".data/" in path]


@pytest.mark.parametrize("mode", [0o744, 0o700, 0o755])
def test_any_executable_bit_makes_a_file_executable(tmp_path: Path, mode: int) -> None:
    tree = tree_of(make_wheel(tmp_path, "demo", {"demo/x.sh": b""}, modes={"demo/x.sh": mode}))
    assert tree.files[f"{SITE}/demo/x.sh"].executable is True


@pytest.mark.parametrize(
    ("script", "installed"),
    [
        (b"#!python\nrest\n", b"#!/opt/venv/bin/python\nrest\n"),
        (b"#!pythonw -x\r\nrest", b"#!/opt/venv/bin/python\nrest"),
        (b"#!python3", b"#!/opt/venv/bin/python\n"),
        (b"#!/bin/sh\n", b"#!/bin/sh\n"),
        (b"\x7fELF", b"\x7fELF"),
    ],
)
def test_scripts_are_executable_and_get_the_shebang_of_the_environment(tmp_path: Path, script: bytes, installed: bytes) -> None:
    tree = tree_of(make_wheel(tmp_path, "demo", {"demo-1.0.data/scripts/run": script}))
    assert tree.files["bin/run"].sha256 == sha256(installed)
    assert tree.files["bin/run"].executable is True


def with_entry_points(folder: Path, text: str, **members: bytes) -> Path:
    return make_wheel(folder, "demo", {"demo-1.0.dist-info/entry_points.txt": text.encode(), **members})


@pytest.mark.parametrize("section", ["console_scripts", "gui_scripts"])
@pytest.mark.parametrize("value", ["demo.cli:App.main", "demo.cli : App.main [an, extra]"])
def test_an_entry_point_becomes_a_launcher(tmp_path: Path, section: str, value: str) -> None:
    tree = tree_of(with_entry_points(tmp_path, f"# comment\n[other]\na = b:c\n[{section}]\nDemo = {value}\n"))
    assert tree.files["bin/Demo"].sha256 == sha256(LAUNCHER)
    assert [path for path in tree.files if path.startswith("bin/")] == ["bin/Demo"]


def test_a_path_that_no_shebang_can_hold_is_left_to_the_shell(tmp_path: Path) -> None:
    prefix = f"/{'long' * 40}"
    shell = f"#!/bin/sh\n'''exec' '{prefix}/bin/python' \"$0\" \"$@\"\n' '''"
    tree = tree_of(with_entry_points(tmp_path, "[console_scripts]\nDemo = demo.cli:App.main\n"), prefix=prefix)
    assert tree.files["bin/Demo"].sha256 == sha256(LAUNCHER.replace("#!/opt/venv/bin/python", shell))


def test_a_launcher_goes_before_a_script_of_its_name(tmp_path: Path) -> None:
    members = {"demo-1.0.data/scripts/Demo": b"#!python\n", "demo-1.0.data/scripts/Demo-script.py": b"#!python\n"}
    tree = tree_of(with_entry_points(tmp_path, "[console_scripts]\nDemo=demo.cli:App.main", **members))
    assert tree.files["bin/Demo"].sha256 == sha256(LAUNCHER)
    assert "bin/Demo-script.py" not in tree.files


def test_pip_gets_a_launcher_for_this_minor_version(tmp_path: Path) -> None:
    tree = tree_of(with_entry_points(tmp_path, "[console_scripts]\npip3 = p:m\npip3.7 = p:m\n"))
    assert {path for path in tree.files if path.startswith("bin/")} == {"bin/pip3", "bin/pip3.11"}


def test_an_entry_point_that_can_not_be_called_is_an_error(tmp_path: Path) -> None:
    wheel = with_entry_points(tmp_path, "[console_scripts]\ndemo = demo\n")
    with pytest.raises(SmokeError, match=r"unexpected entry point 'demo' \(expected module:function\)"):
        tree_of(wheel)


def test_the_record_is_the_one_that_uv_writes(tmp_path: Path) -> None:
    wheel = make_wheel(
        tmp_path,
        "demo",
        {"demo/b.py": b"b", "demo/a, b": b"a", "demo/new": b"new", "demo-1.0.data/scripts/run": b"#!python\n"},
        unrecorded=["demo/new"],
        extra_rows=["demo/gone.py,sha256=abc,3", f"/demo/b.py,{encoded(b'b')},01"],
    )
    run = b"#!/opt/venv/bin/python\n"
    with zipfile.ZipFile(wheel) as archive:
        metadata, kind = (archive.read(f"demo-1.0.dist-info/{name}") for name in ("METADATA", "WHEEL"))
    record = (
        f"../../../bin/run,{encoded(run)},{len(run)}\n"
        f"demo-1.0.dist-info/METADATA,{encoded(metadata)},{len(metadata)}\n"
        "demo-1.0.dist-info/RECORD,,\n"
        f"demo-1.0.dist-info/WHEEL,{encoded(kind)},{len(kind)}\n"
        f'"demo/a, b",{encoded(b"a")},1\n'
        f"demo/b.py,{encoded(b'b')},1\n"
        "demo/new,,3\n"
    )
    assert tree_of(wheel).files[f"{SITE}/demo-1.0.dist-info/RECORD"].sha256 == sha256(record)


def test_byte_code_that_the_build_writes_anew_is_not_expected(tmp_path: Path) -> None:
    compiled = {f"demo/__pycache__/a.cpython-3{minor}.pyc": b"" for minor in (11, 12)}
    tree = tree_of(make_wheel(tmp_path, "demo", {"demo/a.py": b"", "demo/alone.pyc": b"", **compiled}))
    assert f"{SITE}/demo/__pycache__/a.cpython-311.pyc" not in tree.files
    assert f"{SITE}/demo/__pycache__/a.cpython-312.pyc" in tree.files
    assert f"{SITE}/demo/alone.pyc" in tree.files


def test_a_file_of_two_wheels_may_have_either_content(tmp_path: Path) -> None:
    one = make_wheel(tmp_path, "one", {"shared/a": b"1", "shared/b": b""}, modes={"shared/a": 0o755})
    two = make_wheel(tmp_path, "two", {"shared/a": b"2", "shared/b": b""})
    tree = tree_of(one, two)
    assert set(tree.files[f"{SITE}/shared/a"].sha256) == {*sha256(b"1"), *sha256(b"2")}
    assert tree.files[f"{SITE}/shared/a"].executable is None
    assert tree.files[f"{SITE}/shared/b"].sha256 == sha256(b"")


def test_two_wheels_of_one_distribution_are_an_error(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    with pytest.raises(SmokeError, match=r"demo: found two wheels"):
        tree_of(make_wheel(first, "demo", {}), make_wheel(second, "demo", {}))


def test_folders_that_a_wheel_names_are_kept(tmp_path: Path) -> None:
    tree = tree_of(make_wheel(tmp_path, "demo", {"demo/empty/": b"", "demo-1.0.data/data/share/": b""}))
    assert tree.directories == (f"{SITE}/demo/empty", "share")


@pytest.mark.parametrize("name", ["demo-1.0-py3-none-any.whl", "demo.whl"])
def test_what_is_no_wheel_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no archive")
    with pytest.raises(SmokeError, match=f"{name}: not a wheel: "):
        tree_of(tmp_path / name)


def test_a_wheel_without_a_record_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "demo-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("demo.py", "")
    with pytest.raises(SmokeError, match=r"expected one \.dist-info folder with a RECORD, found 0"):
        tree_of(path)


def test_the_order_of_the_wheels_changes_nothing_and_json_holds_all(tmp_path: Path) -> None:
    one, two = make_wheel(tmp_path, "one", {"one.py": b"1"}), make_wheel(tmp_path, "two", {"two.py": b"2"})
    form = tree_of(one, two).to_json()
    assert json.dumps(form) == json.dumps(tree_of(two, one).to_json())
    assert json.loads(json.dumps(form)) == form
    assert form["site_packages"] == SITE
    assert form["distributions"] == {"one": "1.0", "two": "1.0"}
