"""envgen.trust.diff.images: two images by their labels, their layers, and the packages in these."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from layouts import Layout
from samples import package, sample_lock

from envgen.core.errors import VerificationError
from envgen.lock import Lock, RequiredBy
from envgen.lock.model import digest_of, dump_lock
from envgen.profiles import Project
from envgen.trust.diff import ImageComparison, ImageSide, compare_images
from envgen.trust.diff.images import layer_contents, packages_of

SITE = "opt/venv/lib/python3.11/site-packages"
BASE, TORCH = ("etc/passwd", "usr/bin/python3.11"), (f"{SITE}/torch-2.13.0+cpu.dist-info/METADATA", f"{SITE}/torch/__init__.py")


def info(name: str, version: str, site: str = SITE) -> str:
    return f"{site}/{name}-{version}.dist-info/METADATA"


def test_packages_are_found_by_their_metadata() -> None:
    names = [info("Huggingface_Hub", "1.2.1"), f"./{info('six', '1.17')}", f"{SITE}/six.py", "METADATA", f"{SITE}/a.dist-info/METADATA"]
    names.append(info("zipp", "3.23.0", f"{SITE}/setuptools/_vendor"))
    assert packages_of([layer_contents(names)]) == {
        ("/opt/venv/lib/python3/site-packages", "huggingface-hub"): "1.2.1",
        ("/opt/venv/lib/python3/site-packages", "six"): "1.17",
    }


@pytest.mark.parametrize(
    "whiteout",
    [
        f"{SITE}/.wh.old-1.0.dist-info",
        f"{SITE}/old-1.0.dist-info/.wh.METADATA",
        f"{SITE}/old-1.0.dist-info/.wh..wh..opq",
        f"{SITE}/.wh..wh..opq",
        "opt/.wh.venv",
    ],
)
def test_what_a_layer_hides_is_gone(whiteout: str) -> None:
    below, above = layer_contents([info("old", "1.0")]), layer_contents([whiteout, info("new", "2.0")])
    assert {name for _, name in packages_of([below, above])} == {"new"}
    assert {name for _, name in packages_of([above, below])} == {"new", "old"}


def test_a_name_that_only_begins_like_a_hidden_one_stays() -> None:
    below, above = layer_contents([info("old", "1.0")]), layer_contents([f"{SITE}/.wh.old"])
    assert {name for _, name in packages_of([below, above])} == {"old"}


def archive(path: Path, layers: Sequence[Sequence[str]], labels: object = None, padding: int = 0) -> ImageSide:
    """An OCI archive whose layers have files of these names; the last layer is padded."""
    tars = [_tar(dict.fromkeys(layer, b"\x00" * (padding if layer is layers[-1] else 0))) for layer in layers]
    digests = [f"sha256:{hashlib.sha256(content).hexdigest()}" for content in tars]
    config = json.dumps({"config": {"Labels": labels}, "rootfs": {"diff_ids": digests}}).encode()
    described = [{"digest": digest, "size": len(content), "mediaType": "tar"} for digest, content in zip(digests, tars, strict=True)]
    manifest = json.dumps({"config": {"digest": digest_of(config)}, "layers": described}).encode()
    index = json.dumps({"manifests": [{"digest": digest_of(manifest)}]}).encode()
    blobs = {f"blobs/{digest_of(content).replace(':', '/')}": content for content in (*tars, config, manifest)}
    path.write_bytes(_tar({"index.json": index, **blobs}))
    return ImageSide(label=f"archive {path.name}", path=path)


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def no_engine() -> None:
    raise AssertionError("archives need no engine")


def compared(folder: Path, before: ImageSide, after: ImageSide) -> ImageComparison:
    catalog = Project(folder=folder)
    return compare_images((before, after), no_engine, catalog, lambda _text: None)  # type: ignore[arg-type]  # there is none


def told(found: ImageComparison) -> list[tuple[str, str, str, str, list[str]]]:
    changes = [(entry.change, [reason.text for reason in entry.reasons]) for entry in found.packages]
    return [(change.kind, change.name, change.before, change.after, reasons) for change, reasons in changes]


def test_the_same_image_is_not_different(tmp_path: Path) -> None:
    before, after = (archive(tmp_path / name, [BASE, TORCH], {"a": "1"}) for name in ("a.tar", "b.tar"))
    found = compared(tmp_path, before, after)
    assert not found.different
    assert (found.labels, found.packages, found.push) == ((), (), 0)
    assert {layer.side for layer in found.layers} == {"both"}


def test_layers_are_shared_or_of_one_image_and_weigh_what_the_manifest_says(tmp_path: Path) -> None:
    before = archive(tmp_path / "a.tar", [BASE, TORCH, [info("demo", "1.0"), info("old", "1")]])
    after = archive(tmp_path / "b.tar", [BASE, TORCH, [info("demo", "2.0"), info("new", "1")]], padding=20_000)
    found = compared(tmp_path, before, after)
    assert [(layer.side, layer.holds) for layer in found.layers] == [
        ("before", "demo, old"),
        ("both", ""),
        ("both", "torch"),
        ("after", "demo, new"),
    ]
    assert found.push == found.layers[-1].size > 40_000
    assert found.after.size == sum(layer.size for layer in found.layers[1:])
    assert told(found) == [("upgraded", "demo", "1.0", "2.0", []), ("added", "new", "", "1", []), ("removed", "old", "1", "", [])]


def test_labels_that_differ_are_told(tmp_path: Path) -> None:
    before = archive(tmp_path / "a.tar", [BASE], {"envgen.python": "3.11.16", "same": "1", "number": 1})
    after = archive(tmp_path / "b.tar", [BASE], {"envgen.python": "3.11.17", "same": "1"})
    found = compared(tmp_path, before, after)
    assert found.different
    assert [(fact.name, fact.before, fact.after) for fact in found.labels] == [
        ("envgen.python", "3.11.16", "3.11.17"),
        ("number", "1", "none"),
    ]
    assert found.packages == ()


def test_another_minor_python_does_not_make_all_packages_new(tmp_path: Path) -> None:
    before = archive(tmp_path / "a.tar", [[info("demo", "1.0"), info("same", "1")]])
    newer = "opt/venv/lib/python3.12/site-packages"
    after = archive(tmp_path / "b.tar", [[info("demo", "2.0", newer), info("same", "1", newer)]])
    assert told(compared(tmp_path, before, after)) == [("upgraded", "demo", "1.0", "2.0", [])]


def test_a_package_of_the_base_is_said_to_be_there(tmp_path: Path) -> None:
    site = "usr/local/lib/python3.11/site-packages"
    before, after = (archive(tmp_path / f"{version}.tar", [[info("pip", version, site)]]) for version in ("24.0", "25.0"))
    reason = "in /usr/local/lib/python3/site-packages, where envgen does not install packages"
    assert told(compared(tmp_path, before, after)) == [("upgraded", "pip", "24.0", "25.0", [reason])]


def locked(project: Path, version: str) -> Lock:
    """A lock of the project with this version of demo."""
    lock = sample_lock(
        profile=f"p{version[0]}",
        packages=(package("demo", version, "own", (RequiredBy(name=f"p{version[0]}", requirement=f"=={version}"),)),),
    )
    folder = project / "locks" / lock.profile / lock.target.slug
    folder.mkdir(parents=True)
    (folder / "envgen.lock").write_bytes(dump_lock(lock))
    return lock


def test_with_both_locks_at_hand_the_reasons_are_theirs(tmp_path: Path) -> None:
    digests = [locked(tmp_path, version).digest for version in ("1.0", "2.0")]
    before, after = (
        archive(tmp_path / f"{version}.tar", [[info("demo", version), info("own", version)]], {"envgen.lock": digest})
        for version, digest in zip(("1.0", "2.0"), digests, strict=True)
    )
    found = compared(tmp_path, before, after)
    assert (found.before.known_as, found.after.known_as) == ("p1 py311-linux-amd64", "p2 py311-linux-amd64")
    assert (found.before.lock, found.after.lock) == tuple(digests)
    # The layer has what is in no group of the lock.
    assert [layer.group for layer in found.layers] == ["", ""]
    # What somebody put into the image besides is in no lock, and has no reason.
    assert told(found) == [
        ("upgraded", "demo", "1.0", "2.0", ["the profile requires ==2.0, before ==1.0"]),
        ("upgraded", "own", "1.0", "2.0", []),
    ]


def test_a_layer_has_the_group_of_all_its_packages(tmp_path: Path) -> None:
    labels = {"envgen.lock": locked(tmp_path, "1.0").digest}
    before = archive(tmp_path / "a.tar", [BASE, [info("demo", "1.0")]], labels)
    after = archive(tmp_path / "b.tar", [BASE, [info("demo", "1.0"), f"{SITE}/demo.py"], ["etc/new"]], labels)
    found = compared(tmp_path, before, after)
    assert [(layer.side, layer.group, layer.holds) for layer in found.layers] == [
        ("before", "own", "demo"),
        ("both", "", ""),
        ("after", "own", "demo"),
        ("after", "", ""),
    ]


def test_a_lock_that_is_not_here_is_said_not_to_be(tmp_path: Path) -> None:
    lock = locked(tmp_path, "1.0")
    before = archive(tmp_path / "a.tar", [[info("demo", "1.0")]], {"envgen.lock": lock.digest})
    after = archive(tmp_path / "b.tar", [[info("demo", "2.0")]], {"envgen.lock": replace(lock, profile="other").digest})
    found = compared(tmp_path, before, after)
    assert (found.before.known_as, found.after.known_as) == ("p1 py311-linux-amd64", "")
    assert told(found) == [("upgraded", "demo", "1.0", "2.0", [])]


def test_a_layer_that_is_not_what_its_digest_says_is_refused(tmp_path: Path) -> None:
    before = archive(tmp_path / "a.tar", [[info("demo", "1.0")]])
    after = archive(tmp_path / "b.tar", [[info("demo", "2.0")]])
    assert after.path is not None
    after.path.write_bytes(after.path.read_bytes().replace(b"demo-2.0", b"demo-3.0"))
    with pytest.raises(VerificationError, match=r"b\.tar: its layer sha256:"):
        compared(tmp_path, before, after)


@pytest.mark.parametrize("position", [0, 1])
def test_blobs_are_read_before_images_are_called_the_same(tmp_path: Path, position: int) -> None:
    """Manifest and configuration are the same; what a layer has is not what they say."""
    layers = [[info("demo", "1.0")], BASE]
    sides = [archive(tmp_path / name, layers) for name in ("a.tar", "b.tar")]
    path = sides[position].path
    assert path is not None
    path.write_bytes(path.read_bytes().replace(b"demo-1.0", b"evil-1.0"))
    with pytest.raises(VerificationError, match=rf"{path.name}: its layer sha256:") as caught:
        compared(tmp_path, *sides)
    assert caught.value.exit_code == 8


def test_an_archive_with_another_image_is_not_compared(tmp_path: Path) -> None:
    layout = Layout()
    image = layout.image(_tar({"a": b"b"}))
    layout.docker_index(layout.image(_tar({"a": b"evil"})))
    side = ImageSide(label="c.tar", path=layout.write(tmp_path / "c.tar", image))
    with pytest.raises(VerificationError, match=r"its manifest\.json names a different image"):
        compared(tmp_path, side, side)


@pytest.mark.parametrize("labels", [1, "x", [1], True])
def test_a_configuration_that_is_none_is_refused(tmp_path: Path, labels: object) -> None:
    before, after = archive(tmp_path / "a.tar", [BASE]), archive(tmp_path / "b.tar", [BASE], labels)
    with pytest.raises(VerificationError, match=r"^archive b\.tar: its manifest or configuration is malformed"):
        compared(tmp_path, before, after)


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.tar").write_bytes(_tar({"a": b"b"}))
    with pytest.raises(VerificationError, match=r"index\.json is missing or far too large"):
        compared(tmp_path, archive(tmp_path / "a.tar", [BASE]), ImageSide(label="c.tar", path=tmp_path / "c.tar"))
