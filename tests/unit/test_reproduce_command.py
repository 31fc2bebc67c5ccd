"""envgen.cli.trust.reproduce: what is said of images that differ."""

import pytest
from samples import sample_lock

from envgen.cli.app import parse
from envgen.cli.trust import reproduce
from envgen.cli.trust.reproduce import ReproduceArgs
from envgen.core.errors import UsageError
from envgen.engine import EngineInfo, Image
from envgen.image import Built, LayerComparison
from envgen.oci import Difference
from envgen.trust.reproduce import Reproduction
from envgen.trust.reproduce.reproduce import OtherImage, layer_names

INFO = EngineInfo(
    name="Docker", version="26.1", tools={"buildx": "0.13", "BuildKit": "0.13.2"}, image_store="containerd image store", data_root=""
)
LOCK = sample_lock()
BUILT = Built(image=Image(name="a", digest="sha256:1", size=1, labels={}), lock=LOCK, python="3.11.16", base=LOCK.base)
NOT_COMPARED = LayerComparison(python="3.11.16", built_with="", same=(), wrong=(), not_compared=("own",))
ARGS = parse(["reproduce", "small", "--against", "theirs"]).arguments


def said(found: Reproduction, args: ReproduceArgs = ARGS, compared: LayerComparison = NOT_COMPARED) -> list[str]:
    return list(reproduce._text(found, compared, args, INFO))


def against(*differences: Difference, digest: str = "sha256:2", causes: tuple[str, ...] = ()) -> Reproduction:
    other = OtherImage(name="theirs", digest=digest)
    return Reproduction(built=BUILT, other=other, seconds=(1.2,), differences=differences, causes=causes)


def test_the_first_line_is_the_answer() -> None:
    assert said(against(digest="sha256:1"))[0] == "reproduce small py311-linux-amd64: the same as theirs"
    assert said(against())[0] == "reproduce small py311-linux-amd64: NOT THE SAME as theirs"
    assert "only the digests were compared: the other image is not here" in said(against())


def test_differences_go_by_layer_and_many_are_cut_off() -> None:
    many = [Difference(layer="torch", path=f"lib/{number}", what="mtime", first="1", second="2") for number in range(30)]
    lines = said(against(*many, Difference(layer="", path="configuration", what="config.User", second="root"), causes=("a reason",)))
    assert "likely cause: a reason" in lines
    start = lines.index("torch:")
    assert lines[start + 1 : start + 4] == ["  lib/0: mtime: 1 / 2", "  lib/1: mtime: 1 / 2", "  lib/2: mtime: 1 / 2"]
    assert lines[start + 1 + reproduce.SHOWN :][:3] == [
        "  and 10 more: see --json",
        "image:",
        "  configuration: config.User: nothing / root",
    ]


def test_names_in_somebody_else_s_archive_reach_no_terminal() -> None:
    nasty = Difference(layer="torch", path="a\x1b[2Jb\nc\udcff", what="content", first="é", second="\r")
    line = said(against(nasty))[-2]
    assert line == "  a\\x1b[2Jb\\nc\\udcff: content: é / \\r"
    line.encode()


def test_a_wrong_record_names_what_built_it() -> None:
    wrong = LayerComparison(
        python="3.11.16", built_with="Docker 29", same=("own",), wrong=(("torch", "sha256:a", "sha256:b"),), not_compared=()
    )
    assert said(against(digest="sha256:1"), compared=wrong)[-3:] == [
        "layers: 1 of 2 as recorded for Python 3.11.16; torch: NOT as recorded",
        "  torch: recorded sha256:a, built sha256:b",
        "  likely cause: recorded with Docker 29, built with Docker 26.1, buildx 0.13, BuildKit 0.13.2",
    ]


def test_what_two_builds_shared_is_said_of_two_builds_alone() -> None:
    lines = said(against(digest="sha256:1"), parse(["reproduce", "small"]).arguments)
    assert any(line.startswith("  not varied   engine and its builder, kernel") for line in lines)
    assert not any("not varied" in line for line in said(against()))


@pytest.mark.parametrize(
    ("words", "message"),
    [(("--record", "--against", "x"), "--record: requires two builds"), (("--against", ""), "--against: empty, expected an image")],
)
def test_what_does_not_go_together_is_said_at_once(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        reproduce.run(parse(["reproduce", "small", *words]).arguments, None)  # type: ignore[arg-type]


def test_layers_have_names() -> None:
    assert layer_names(LOCK, 8) == ["base 1", "base 2", "skeleton", "workdir", "models", "torch", "libraries", "own"]
