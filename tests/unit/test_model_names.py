"""envgen.sources.models: what names a model, and which files of a repository loading takes."""

import pytest

from envgen.sources import HubName, LockedModelFiles, WheelName
from envgen.sources.models import HubFile, listing_of, needed, parse_model_name, read_listing


def test_a_wheel_s_name_may_have_its_hash() -> None:
    assert parse_model_name("wheel:De_Mo==1.0") == WheelName(name="de-mo", version="1.0")
    assert parse_model_name(f"wheel:demo==1!2.0+x#sha256={'a' * 64}") == WheelName(name="demo", version="1!2.0+x", sha256="a" * 64)


def test_a_name_of_the_hub_has_any_revision() -> None:
    for revision in ("main", "v1.0", "refs/pr/1", "c" * 40):
        assert parse_model_name(f"hub:Org/some.model_1@{revision}") == HubName(repo="Org/some.model_1", revision=revision)


def test_safetensors_are_taken_and_nothing_beside_them() -> None:
    names = [
        "tokenizer.json", "config.json", "model.safetensors", "pytorch_model.bin", "model.onnx", "tf_model.h5", "model.pth", "merges.txt",
        "README.md", "onnx/config.json", "../config.json", ".hidden.json", "chat_template.jinja", "spiece.model", "x.tiktoken",
        "model.gguf", ".gitattributes", "modeling_x.py", "a\nb.json", "é.json",
    ]  # fmt: skip
    assert needed(names) == (
        "chat_template.jinja", "config.json", "merges.txt", "model.safetensors", "spiece.model", "tokenizer.json", "x.tiktoken",
    )  # fmt: skip


def test_without_safetensors_it_is_bin_and_without_weights_nothing() -> None:
    assert needed(["pytorch_model.bin", "config.json", "model.h5"]) == ("config.json", "pytorch_model.bin")
    assert needed(["config.json", "model.h5", "sub/model.safetensors"]) == ()


def test_the_digest_of_a_repository_is_that_of_its_files_alone() -> None:
    files = (HubFile(name="a.json", sha256="a" * 64, size=1), HubFile(name="b.json", sha256="b" * 64, size=2))
    one = LockedModelFiles(repo="a/b", commit="c" * 40, files=files)
    assert one.listing == f"{'a' * 64}  a.json\n{'b' * 64}  b.json\n".encode()
    assert LockedModelFiles(repo="x/y", commit="d" * 40, files=files[::-1]).digest == one.digest
    assert LockedModelFiles(repo="a/b", commit="c" * 40, files=files[:1]).digest != one.digest
    assert (one.size, one.name) == (3, f"hub:a/b@{'c' * 40}")


def test_a_listing_round_trips() -> None:
    digests = {"b c.json": "a" * 64, "a.json": "b" * 64}
    assert read_listing(listing_of(digests)) == digests
    assert read_listing(b"") == {}


@pytest.mark.parametrize(
    "content",
    [
        b"\xff", b"x", b"\n", f"{'a' * 64} a.json\n".encode(), f"{'a' * 64}  a.json".encode(), f"{'A' * 64}  a.json\n".encode(),
        f"{'a' * 64}  b\n{'a' * 64}  a\n".encode(), f"{'a' * 64}  a\n{'a' * 64}  a\n".encode(),
    ],
)  # fmt: skip
def test_what_is_no_listing_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        read_listing(content)
