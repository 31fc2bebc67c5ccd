"""envgen.lock.checks.paths and what it reads RECORDs with: the store, the wheel, or ranges of it."""

import hashlib
import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import requests
from resolutions import selected
from samples import INDEX, Server, client_for

from envgen.core.errors import FileGoneError, VerificationError
from envgen.lock.checks.paths import ComparedPaths, PathConflict, compare_paths, read_paths
from envgen.lock.select import SelectedWheel
from envgen.sources import IndexFile, Packages, WheelStore
from envgen.sources.packages import LARGEST_FOR_RECORD
from envgen.sources.remote_zip import RemoteFile
from envgen.sources.wheel_store import read_dist_info


def wheel_bytes(name: str, files: Mapping[str, bytes], *, record: bool = True, padding: int = 0) -> bytes:
    info = f"{name}-1.0.dist-info"
    rows = [f"{path},sha256={hashlib.sha256(content).hexdigest()},{len(content)}" for path, content in files.items()]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("padding.bin", hashlib.shake_128(name.encode()).digest(padding))
        for path, content in files.items():
            archive.writestr(path, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        if record:
            archive.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,", ""]))
    return buffer.getvalue()


class RangeServer(Server):
    """As `Server`, but it answers requests for a part; `whole` are the URLs of which it sends the whole all the same."""

    whole: tuple[str, ...] = ()

    def send(self, request: requests.PreparedRequest, **options: object) -> requests.Response:  # type: ignore[override]
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
        url = str(request.url)
        if not asked or url not in self.answers or url in self.whole:
            return super().send(request, **options)
        body = self.answers[url][2]
        part = body[int(asked[1]) : int(asked[2]) + 1]
        headers = {"content-range": f"bytes {asked[1]}-{asked[2]}/{len(body)}", "content-length": str(len(part))}
        kept, self.answers[url] = self.answers[url], (206, headers, part)
        try:
            return super().send(request, **options)
        finally:
            self.answers[url] = kept


def served(folder: Path, **wheels: bytes) -> tuple[RangeServer, Packages, list[SelectedWheel]]:
    """A server of wheels, and that they were chosen."""
    server, chosen = RangeServer(), []
    for name, content in wheels.items():
        sha256 = hashlib.sha256(content).hexdigest()
        entry = selected(name, "1.0", sha256=sha256, size=len(content))
        server.page(f"{INDEX}/{entry.wheel.file}", content, "application/zip")
        chosen.append(entry)
    return server, Packages(client_for(server, folder), WheelStore(folder / "wheels")), chosen


def test_two_wheels_that_share_a_path_with_other_bytes(tmp_path: Path) -> None:
    first = wheel_bytes("first", {"shared/a.so": b"1", "shared/b.so": b"1", "same/__init__.py": b""})
    second = wheel_bytes("second", {"shared/b.so": b"2", "shared/a.so": b"2", "same/__init__.py": b"", "second.py": b"2"})
    _, packages, chosen = served(tmp_path, first=first, second=second, third=wheel_bytes("third", {"third.py": b""}))
    found = compare_paths(chosen, packages)
    assert found == ComparedPaths(conflicts=(PathConflict(first="first", second="second", paths=("shared/a.so", "shared/b.so")),))


def test_no_wheel_is_fetched_for_it_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    large = wheel_bytes("large", {"large.py": b""}, padding=3_000_000)
    server, packages, chosen = served(tmp_path, large=large, small=wheel_bytes("small", {"small.py": b""}))
    assert compare_paths(chosen, packages) == ComparedPaths()
    assert not list((tmp_path / "wheels").glob("*/*.whl"))
    parts = [re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers["Range"]) for request in server.seen]
    assert sum(int(part[2]) - int(part[1]) for part in parts if part) < 200_000
    server.seen.clear()
    assert compare_paths(chosen, packages) == ComparedPaths()
    assert server.seen == []


def test_a_server_without_ranges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = wheel_bytes("small", {"a.py": b"1"}), wheel_bytes("large", {"a.py": b"2"}, padding=5000)
    server, packages, chosen = served(tmp_path, small=small, large=large)
    server.whole = tuple(server.answers)
    monkeypatch.setattr("envgen.sources.packages.LARGEST_FOR_RECORD", 4000)
    assert LARGEST_FOR_RECORD == 20_000_000
    assert compare_paths(chosen, packages) == ComparedPaths(too_large=("large",))
    assert [path.name for path in (tmp_path / "wheels").glob("*/*.whl")] == [chosen[0].wheel.file]


def test_a_wheel_without_record_or_that_is_none(tmp_path: Path) -> None:
    _, packages, chosen = served(tmp_path, bare=wheel_bytes("bare", {"a.py": b""}, record=False), broken=b"PK no zip" * 100)
    assert compare_paths(chosen, packages) == ComparedPaths(unread=("bare", "broken"))


def test_a_wheel_that_is_gone_is_an_error(tmp_path: Path) -> None:
    server, packages, chosen = served(tmp_path, gone=wheel_bytes("gone", {}))
    server.answers.clear()
    with pytest.raises(FileGoneError):
        compare_paths(chosen, packages)


def test_the_schemes_of_a_data_folder_lie_elsewhere() -> None:
    record = b"""\
demo/__init__.py,sha256=a,1
demo-1.0.data/purelib/demo/pure.py,sha256=b,1
demo-1.0.data/platlib/demo/./plat.so,sha256=c,1
demo-1.0.data/scripts/demo,sha256=d,1
demo-1.0.data/data/share/demo.txt,sha256=e,1
"demo/a,b.py",sha256=f,1
demo/none.py,,
demo-1.0.dist-info/RECORD,,

"""
    assert dict(read_paths(record)) == {
        "demo/__init__.py": "sha256=a",
        "demo/pure.py": "sha256=b",
        "demo/plat.so": "sha256=c",
        "../../../bin/demo": "sha256=d",
        "../../../share/demo.txt": "sha256=e",
        "demo/a,b.py": "sha256=f",
        "demo/none.py": "",
    }


@pytest.mark.parametrize("record", [b"", b"\xff\xfe,\x00", b'"' * 300_000, b"a" * 300_000, b"\n\n,,\n", b"/,x,1\n"])
def test_a_record_of_anything_is_no_crash(record: bytes) -> None:
    list(read_paths(record))


@pytest.mark.parametrize("padding", [0, 100_000, 1_000_000])
def test_a_remote_zip_reads_as_the_file_does(tmp_path: Path, padding: int) -> None:
    content = wheel_bytes("demo", {f"demo/{number}.py": b"x" * number for number in range(1200)}, padding=padding)
    _, packages, [entry] = served(tmp_path, demo=content)
    assert entry.file is not None
    remote = RemoteFile(packages.client, entry.file, len(content))
    assert read_dist_info(remote, "RECORD", "demo").count(b"\n") == 1201  # type: ignore[arg-type]  # it reads as one does
    remote.seek(10)
    assert remote.read(20) == content[10:30]
    assert remote.seek(-5, io.SEEK_END) == len(content) - 5
    assert remote.read() == content[-5:]
    assert remote.read(1) == b""


def test_more_than_was_asked_for_is_refused(tmp_path: Path) -> None:
    class Generous(RangeServer):
        def send(self, request: requests.PreparedRequest, **options: object) -> requests.Response:  # type: ignore[override]
            response = super().send(request, **options)
            response.status_code = 206
            return response

    server = Generous()
    file = IndexFile(index="default", filename="demo-1.0-py3-none-any.whl", url=f"{INDEX}/demo.whl", sha256="0" * 64)
    server.page(file.url, b"x" * 100)
    server.whole = (file.url,)
    with pytest.raises(VerificationError, match=r"sends more than the 10 bytes"):
        client_for(server, tmp_path).part(file, 0, 10)


def test_metadata_is_read_by_ranges_where_the_index_keeps_none(tmp_path: Path) -> None:
    content = wheel_bytes("demo", {}, padding=1_000_000)
    server, packages, [entry] = served(tmp_path, demo=content)
    assert entry.file is not None
    assert packages.metadata(entry.file).startswith(b"Metadata-Version: 2.1\nName: demo")
    assert not list((tmp_path / "wheels").glob("*/*.whl"))
    assert {str(request.url).rpartition("/")[2] for request in server.seen} == {entry.wheel.file, f"{entry.wheel.file}.metadata"}
