"""Model folders of anybody: links, pipes, headers that are deep, large or lie are each an error, in bounded time."""

import json
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from envgen.core.errors import EnvgenError, SmokeError, UsageError
from envgen.core.plain_files import open_plain, read_plain
from envgen.smoke import cached_model, memory
from envgen.smoke.model import check_plain, check_readable
from envgen.sources import ModelStore


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model folder with nothing wrong with it."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    write(folder / "model.safetensors", {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, 8)
    (folder / "more").mkdir()
    (folder / "link.json").symlink_to("config.json")
    (folder / "more" / "link").symlink_to("../config.json")
    return folder


def write(file: Path, header: object, size: int) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + bytes(size))


def test_files_folders_and_links_between_them_are_what_a_model_may_have(model: Path) -> None:
    check_readable(model)
    check_plain(model)
    assert memory.estimate(model).parameters == 2
    assert cached_model(str(model), ModelStore(model), ()) == model


def to(target: str, name: str = "x") -> Callable[[Path], object]:
    return lambda folder: (folder / name).symlink_to(target)


def pipe(name: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return make


def unix_socket(folder: Path) -> None:
    os.mknod(folder / "x", stat.S_IFSOCK | 0o666)


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link that leads nowhere": (to("missing"), "x: a broken link"),
    "a link to itself": (to("x"), "x: a broken link"),
    "a link out of the folder": (to("../other"), "x: a link out of the model's folder"),
    "a link out of the folder and back": (to("../model/config.json"), "x: a link out of the model's folder"),
    "an absolute link": (to("/etc/passwd"), "x: a link out of the model's folder"),
    "a link to a device": (to("/dev/zero"), "x: a link out of the model's folder"),
    "a link deeper inside": (to("../../other", "more/x"), "more/x: a link out of the model's folder"),
    "a pipe": (pipe("x"), "x: is a pipe, expected files and folders"),
    "a pipe for weights": (pipe("model.safetensors"), "model.safetensors: is a pipe, expected files and folders"),
    "a socket": (unix_socket, "x: is a socket, expected files and folders"),
}


@pytest.mark.parametrize("name", ODD)
def test_a_folder_with_odd_things_is_refused(name: str, model: Path) -> None:
    make, words = ODD[name]
    (model.parent / "other").write_text("{}")
    make(model)
    for check in (check_readable, check_plain, lambda folder: cached_model(str(folder), ModelStore(model), ())):
        with pytest.raises(SmokeError) as caught:
            check(model)
        assert words in str(caught.value)
        assert caught.value.hint


@pytest.mark.parametrize("name", ["model.safetensors", "model.safetensors.index.json", "config.json", "other.safetensors"])
def test_no_pipe_is_waited_for(name: str, model: Path) -> None:
    if name != "model.safetensors":
        (model / "model.safetensors").unlink()
    pipe(name)(model)
    if name != "config.json":
        with pytest.raises(UsageError, match=r"can't be read: it is a pipe, expected a file|has no safetensors"):
            memory.estimate(model)
    assert memory.summary(model) == ""
    assert memory.warning(model, 1) == ""


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path / "pipe", "a pipe"), (tmp_path, "a folder"), (Path("/dev/zero"), "a device")):
        with pytest.raises(OSError, match=f"it is {kind}, expected a file"):
            open_plain(path)
    (tmp_path / "large").write_bytes(b"12345")
    assert read_plain(tmp_path / "large", 5) == b"12345"
    with pytest.raises(ValueError, match="found more than 4 bytes"):
        read_plain(tmp_path / "large", 4)


def tensor(**fields: Any) -> dict[str, Any]:
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **fields}}


TWO = {"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}, "b": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}

LIES: dict[str, tuple[object, str]] = {
    "deep": (b"[" * 200_000, "nested more than 100 deep"),
    "deep in a tensor": (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "nested more than 100 deep"),
    "a list": ([], "expected a JSON object"),
    "a tensor that is none": ({"a": ["\x1b[2J" * 1000]}, "found ['\\x1b[2J\\x1b"),
    "a shape that is huge": (tensor(shape=[10**4000] * 1000), "for a size"),
    "a shape of many axes": (tensor(shape=[1] * 100_000), "which does not match its shape"),
    "a shape that is too large": (tensor(shape=[1 << 61, 1 << 61]), "has 8 bytes, which does not match its shape"),
    "a shape below nothing": (tensor(shape=[-2, -1]), "found -2 for a size"),
    "a shape that is no number": (tensor(shape=["2"]), "found '2' for a size"),
    "a shape that is true": (tensor(shape=[True]), "found True for a size"),
    "another shape": (tensor(shape=[3]), "has 8 bytes, which does not match its shape"),
    "another type": (tensor(dtype="F16"), "has 8 bytes, which does not match its shape"),
    "an end before its beginning": (tensor(data_offsets=[8, 0]), "has -8 bytes, which does not match its shape"),
    "a place below nothing": (tensor(data_offsets=[-8, 0]), "found -8 for a size"),
    "a place with a fraction": (tensor(data_offsets=[0.0, 8.0]), "found 0.0 for a size"),
    "a place that is not there": (tensor(data_offsets=[0]), "not enough values"),
    "a hole": (tensor(data_offsets=[8, 16]), "found a tensor at byte 8, expected the next one at 0"),
    "two at one place": (TWO, "found a tensor at byte 0, expected the next one at 4"),
    "a number without end": (b'{"a": ' + b"9" * 1_000_000 + b"}", "not a safetensors file"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_header_that_lies(name: str, model: Path) -> None:
    header, words = LIES[name]
    write(model / "model.safetensors", header, 8)
    with pytest.raises(UsageError, match=r"model\.safetensors: not a safetensors file: ") as caught:
        memory.estimate(model)
    assert words in str(caught.value)
    assert len(caught.value.problem) < 200
    assert caught.value.problem.isprintable()
    assert memory.summary(model) == ""


def test_a_header_that_is_too_large_is_not_read(model: Path) -> None:
    (model / "model.safetensors").write_bytes((1 << 60).to_bytes(8, "little") + b"{}")
    with pytest.raises(UsageError, match=rf"found a header of {1 << 60} bytes, expected at most {memory.LONGEST_HEADER}"):
        memory.estimate(model)


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F4", "BOOL", "I64", "C64", "of tomorrow"])
def test_every_type_is_as_large_as_it_is(dtype: str, model: Path) -> None:
    size = 32 * memory._BITS.get(dtype, 24) // 8
    write(model / "model.safetensors", {"a": {"dtype": dtype, "shape": [4, 8], "data_offsets": [0, size]}}, size)
    assert memory.estimate(model).stored == size


INDEXES: dict[str, tuple[bytes, str]] = {
    "deep": (b"[" * 200_000, "invalid safetensors index"),
    "a file elsewhere": (b'{"weight_map": {"a": "/etc/passwd"}}', "names '/etc/passwd', which is not a file in the model's folder"),
    "a file above": (b'{"weight_map": {"a": "../x.safetensors"}}', "names '../x.safetensors', which is not a file"),
    "a file with a zero": (b'{"weight_map": {"a": "x\\u0000.safetensors"}}', "which is not a file in the model's folder"),
    "words for a terminal": (b'{"weight_map": {"a": "/\\u001b[2J"}}', "names '/\\x1b[2J', which is not a file"),
    "the folder itself": (b'{"weight_map": {"a": ".."}}', "not a file in the model's folder|missing, but"),
}


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_that_lies(name: str, model: Path) -> None:
    content, words = INDEXES[name]
    (model / "model.safetensors").unlink()
    (model / "model.safetensors.index.json").write_bytes(content)
    with pytest.raises(UsageError) as caught:
        memory.estimate(model)
    assert any(word in str(caught.value) for word in words.split("|"))


def test_an_index_that_is_too_large(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (model / "model.safetensors").unlink()
    (model / "model.safetensors.index.json").write_bytes(b'{"weight_map": {}}')
    monkeypatch.setattr(memory, "LONGEST_HEADER", 10)
    with pytest.raises(UsageError, match="invalid safetensors index"):
        memory.estimate(model)


@pytest.mark.parametrize("content", [b"[" * 200_000, b"[]", b'{"quantization_config": ' + b"[" * 3000 + b"]" * 3000 + b"}", b"\xff"])
def test_a_configuration_that_is_none_says_nothing_of_weights(content: bytes, model: Path) -> None:
    (model / "config.json").write_bytes(content)
    assert memory.estimate(model).parameters == 2


def test_every_error_is_one_of_ours(model: Path) -> None:
    """Whatever is in the eight bytes before a header, and in it."""
    whole = (model / "model.safetensors").read_bytes()
    for place in range(len(whole)):
        for value in (0, 0xFF, ord("["), ord("9")):
            (model / "model.safetensors").write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            with suppress(EnvgenError):
                memory.estimate(model)
