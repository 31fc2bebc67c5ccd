"""Tampering with archives: what is not what it says is found, in bounded memory and time, by every command that reads archives."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tiny
from bounded import bounded
from changes import one_byte
from command_line import envgen, refused
from figures import campaign
from hostile_tars import END, HOSTILE, a_file, header, pax
from image_files import MEDIA_TYPE
from layouts import Described, Layout, placed
from zstandard import ZstdCompressor

from envgen.lock.model import digest_of

TARGET = "py311-linux-amd64"
GIB = 1 << 30
LAYERS = (a_file("etc/hosts") + END, a_file("opt/a.py") + pax(("mtime", "1.5")) + a_file("opt/b.py") + END)


def packed(chunks: Iterator[bytes], compression: str) -> bytes:
    """What `chunks` are compressed to, of which there may be gigabytes."""
    buffer = io.BytesIO()
    if compression == "zstd":
        writer = ZstdCompressor(level=1).stream_writer(buffer, closefd=False)  # type: ignore[arg-type]  # the stubs lag behind
    else:
        writer = gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1, mtime=0)  # type: ignore[assignment]
    with writer:
        for chunk in chunks:
            writer.write(chunk)
    return buffer.getvalue()


def zeros(size: int, *before: bytes) -> Iterator[bytes]:
    yield from before
    for _ in range(size >> 20):
        yield bytes(1 << 20)


def entries(count: int) -> Iterator[bytes]:
    for _ in range(count // 1000):
        yield header("x") * 1000


def long_paths(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield pax(("path", "n" * 4000)) + header("x")


BOMBS: dict[str, Callable[[], Iterator[bytes]]] = {
    "an extended header of 6 GiB": lambda: zeros(6 * GIB, header("h", length=6 * GIB, kind=b"x")),
    "a long name of 6 GiB": lambda: zeros(6 * GIB, header("h", length=6 * GIB, kind=b"L")),
    "a file of 6 GiB": lambda: zeros(6 * GIB, header("x", length=6 * GIB)),
    "6 GiB behind the end": lambda: zeros(6 * GIB),
    "4,000,000 entries": lambda: entries(4_000_000),
    "60,000 long paths": lambda: long_paths(60_000),
}


@pytest.fixture(scope="module")
def site(image_site: tiny.Site, tmp_path_factory: pytest.TempPathFactory) -> tiny.Site:
    """A project whose wheels are in the store, so that nothing but the archive is wrong."""
    found = image_site.copy(tmp_path_factory.mktemp("archives"))
    found.envgen("fetch", "tiny", "--no-base").must_pass()
    return found


def labelled(site: tiny.Site) -> dict[str, object]:
    """A configuration that says the image was built from the lock of `site`."""
    lock = (site.project / "locks" / "tiny" / TARGET / "envgen.lock").read_bytes()
    return {"config": {"Labels": {"envgen.lock": digest_of(lock)}}}


def with_layer(layout: Layout, blob: bytes, compression: str, site: tiny.Site) -> Described:
    """An image whose last layer is `blob`; what that unpacks to it does not know."""
    image = layout.image(LAYERS[0], compression=compression, config=labelled(site))
    manifest = json.loads(layout.blobs[image["digest"]])
    config = json.loads(layout.blobs[manifest["config"]["digest"]])
    config["rootfs"]["diff_ids"].append(f"sha256:{'0' * 64}")
    kind = f"{MEDIA_TYPE}+{compression}" if compression else MEDIA_TYPE
    return layout.document(
        config=layout.add(json.dumps(config).encode(), manifest["config"]["mediaType"]),
        layers=[*manifest["layers"], layout.add(blob, kind)],
    )


def commands(path: Path, store: Path) -> dict[str, tuple[str, ...]]:
    """Everything that reads an archive of somebody else; an archive of a store has that of an image in it."""
    return {
        "diff": ("diff", str(path), str(path)),
        "audit": ("audit", "tiny", "--image", str(path)),
        "reproduce": ("reproduce", "tiny", "--against", str(path), *tiny.base_arguments()),
        "store import": ("store", "import", str(store)),
    }


def hostile_archives(site: tiny.Site) -> Iterator[tuple[str, Callable[[Path], Path]]]:
    """Each with its name and what writes it to a path."""

    def of_bytes(content: bytes) -> Callable[[Path], Path]:
        def write(path: Path) -> Path:
            path.write_bytes(content)
            return path

        return write

    def of_layer(blob: Callable[[], bytes], compression: str) -> Callable[[Path], Path]:
        def write(path: Path) -> Path:
            layout = Layout()
            return layout.write(path, with_layer(layout, blob(), compression, site))

        return write

    for name, (content, _) in HOSTILE.items():
        if content:  # an empty file is no archive, and for diff a lock
            yield f"archive: {name}", of_bytes(content)
        yield f"layer: {name}", of_layer(lambda content=content: content, "")  # type: ignore[misc]  # a value, kept
    for name, chunks in BOMBS.items():
        for compression in ("zstd", "gzip"):
            yield f"{compression}: {name}", of_layer(lambda made=chunks, how=compression: packed(made(), how), compression)  # type: ignore[misc]


def test_archives_that_no_honest_program_writes(site: tiny.Site, tmp_path: Path) -> None:
    """Of those with gigabytes in them a sample has two."""
    cases = list(hostile_archives(site))
    with campaign("tampering: archives that no honest program writes", sample=6, full=len(cases)) as running:
        bombs = [case for case in cases if case[0].startswith("zstd")]
        chosen = cases if running.cases == len(cases) else [*running.random.sample(bombs, 2), *running.random.sample(cases, 4)]
        for name, write in chosen:
            path = write(tmp_path / "image.tar")
            found = {command: bounded(*words, cwd=site.project, env=site.env) for command, words in commands(path, path).items()}
            wrong = {command: str(ended) for command, ended in found.items() if not ended.is_refusal_of(path)}
            if wrong:
                running.failed(f"{name}: {wrong}")
            else:
                running.detected()
            path.unlink()


def contents(path: Path) -> dict[str, bytes]:
    """Every file of an archive, as Python's own reader sees them."""
    with tarfile.open(path) as tar:
        return {member.name: stream.read() for member in tar if (stream := tar.extractfile(member))}


def is_whole(path: Path, expected: dict[str, bytes]) -> bool:
    """Whether all blobs are there and what their names say."""
    found = contents(path)
    blobs = {name: content for name, content in found.items() if name.startswith("blobs/")}
    named = all(name.rpartition("/")[2] == hashlib.sha256(content).hexdigest() for name, content in blobs.items())
    return named and blobs == {name: content for name, content in expected.items() if name.startswith("blobs/")}


@pytest.mark.parametrize("compression", ["", "gzip", "zstd"])
def test_a_byte_of_an_archive(compression: str, tmp_path: Path) -> None:
    """Wherever it is, both archives are the same image only if all their blobs are."""
    layout = Layout()
    good = layout.write(tmp_path / "good.tar", layout.image(*LAYERS, compression=compression))
    content, expected = good.read_bytes(), contents(good)
    with campaign(f"tampering: an archive, layers {compression or 'not compressed'}", sample=60, full=600) as running:
        for _ in range(running.cases):
            changed = one_byte(content, running.random)
            (tmp_path / "changed.tar").write_bytes(changed.content)
            done = envgen("diff", "--exit-code", str(good), str(tmp_path / "changed.tar"), project=tmp_path)
            if done.code:
                assert refused(done) or done.code == 8, done
                running.detected()
            elif is_whole(tmp_path / "changed.tar", expected):
                running.harmless()
            else:
                running.failed(changed.words)


def test_a_blob_in_an_archive(tmp_path: Path) -> None:
    """Any blob in place of any other, or something of its size, or nothing."""
    layout = Layout()
    other = layout.image(a_file("etc/evil") + END, compression="gzip")
    image = layout.image(*LAYERS, compression="gzip")
    good = layout.write(tmp_path / "good.tar", image)
    used = [image["digest"], *(blob["digest"] for blob in json.loads(layout.blobs[image["digest"]])["layers"])]
    before = dict(layout.blobs)
    with campaign("tampering: blobs of an archive", sample=20, full=100) as running:
        for _ in range(running.cases):
            digest = running.random.choice(used)
            layout.blobs = dict(before)
            layout.blobs[digest] = running.random.choice(
                [*(content for name, content in before.items() if name != digest), b"EVIL", b"", bytes(len(before[digest]))]
            )
            changed = layout.write(tmp_path / "changed.tar", image)
            for pair in ((good, changed), (changed, good)):
                done = envgen("diff", *map(str, pair), project=tmp_path)
                if not (refused(done) and done.code == 8):
                    running.failed(f"{digest}: {layout.blobs[digest][:20]!r}: {done}")
                    break
            else:
                running.detected()
    layout.blobs = before
    layout.write(tmp_path / "two.tar", image, placed(other, "arm64"))
    assert envgen("diff", str(good), str(tmp_path / "two.tar"), project=tmp_path).code == 8
