"""Wheels that are wrong as archives, or in what their members say."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from hypothesis import strategies as st
from mutation import damaged, texts

INFO = "demo-1.0.dist-info"
METADATA = """\
Metadata-Version: 2.4
Name: demo
Version: 1.0
Requires-Python: >=3.9
Requires-Dist: numpy>=2; python_version >= "3.10"
Requires-Dist: rich[jupyter]>=13,<15; extra == "extra" and (sys_platform == "linux" or os_name == "nt")
Provides-Extra: extra

A description.
"""
MEMBERS = {
    "demo/__init__.py": b"VERSION = 1\n",
    "demo-1.0.data/scripts/demo": b"#!python\nprint(1)\n",
    "demo-1.0.data/purelib/more.py": b"MORE = 1\n",
    f"{INFO}/METADATA": METADATA.encode(),
    f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{INFO}/entry_points.txt": b"[console_scripts]\ndemo = demo.cli:main [extra]\npip3 = demo:pip\n",
    f"{INFO}/RECORD": b"demo/__init__.py,sha256=" + b"A" * 43 + b",12\n" + f"{INFO}/METADATA,,\n{INFO}/RECORD,,\n".encode(),
}
ENTRY_POINTS = (b"[console_scripts]\nx = a:b [" + b"a " * 40, b"[console_scripts]\n= :\n", b"[console_scripts]\n../../x = a:b\n")
REQUIREMENTS = (
    b"Requires-Dist: x; " + b"(" * 5000,
    b"Requires-Dist: x; python_version ~= 'y'",
    b"Requires-Dist: x; 'a' in extras",
    b"Requires-Dist: x @ file:///etc/passwd",
    b"Requires-Dist: \xff\xfe",
    b"Content-Type: multipart/mixed; boundary=a\n\n--a\n" * 500,
)
NAMES = ("../../outside", "/etc/passwd", "demo/__init__.py", f"{INFO}/RECORD", "other-1.dist-info/RECORD", "demo-1.0.data/x/y", "a\\b", "é")


@st.composite
def contents(draw: st.DrawFn) -> dict[str, bytes]:
    """The members of a wheel, of which a few say something else, are missing, or are too many."""
    found = dict(MEMBERS)
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from([member for member in MEMBERS if member.startswith(INFO)]))
        line = st.one_of(st.sampled_from((*ENTRY_POINTS, *REQUIREMENTS)), st.binary(max_size=30), texts.map(lambda text: text.encode()))
        match draw(st.sampled_from(("damage", "damage", "line", "line", "remove", "add"))):
            case "damage":
                found[name] = draw(damaged(MEMBERS[name]))
            case "line":
                found[name] = draw(line) + b"\n" + MEMBERS[name]
            case "remove":
                found.pop(name, None)
            case "add":
                found[draw(st.one_of(st.sampled_from(NAMES), texts.filter(bool)))] = draw(line)
    return found


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """The bytes of a wheel whose members are wrong, or packed in a way that not all can read."""
    buffer = io.BytesIO()
    method = draw(st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)))
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in draw(contents()).items():
            entry: Any = zipfile.ZipInfo(name.replace("\0", "\x01"), date_time=(2026, 1, 1, 0, 0, 0))
            entry.external_attr = draw(st.sampled_from((0o100644 << 16, 0o120777 << 16, 0)))
            archive.writestr(entry, content, method)
    return buffer.getvalue()


@st.composite
def headers(draw: st.DrawFn, archive: bytes) -> bytes:
    """`archive` with one field of its directory changed: flags, method, sizes, offsets."""
    found = bytearray(archive)
    start = found.rfind(b"PK\x01\x02") if draw(st.booleans()) else found.find(b"PK\x01\x02")
    found[start + draw(st.integers(4, 45))] = draw(st.integers(0, 255))
    return bytes(found)


def wheels() -> st.SearchStrategy[bytes]:
    """The bytes of wheels with something wrong."""
    return st.one_of(archives(), archives(), archives().flatmap(headers), archives().flatmap(damaged), st.binary(max_size=30))
