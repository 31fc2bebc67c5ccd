"""envgen diff: its three formats, its exit code, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from bump import sides
from samples import ROOT, package, sample_lock

from envgen.cli.output import PlainReporter
from envgen.cli.trust import diff, diff_markdown, diff_text
from envgen.cli.trust.diff_words import headline, moved
from envgen.core.errors import UsageError
from envgen.core.settings import read_settings
from envgen.lock import Lock, RequiredBy
from envgen.lock.header import HeaderField
from envgen.lock.model import dump_lock
from envgen.profiles import Project
from envgen.trust.diff import ImageComparison, LockComparison, LockSide, compare_locks
from envgen.trust.diff.images import ImageLayer, ImageSummary
from envgen.workspace import Workspace

GOLDEN = ROOT / "tests" / "golden" / "diff"
NASTY = "<script>|`x` *b* _i_ [l](https://e.example) @all #1 ~s~ $m$ :smile: & \\ \x1b[31m\u202e\n## title"


def compared(before: Lock, after: Lock) -> LockComparison:
    return compare_locks(LockSide(label="A", locks=(before,)), LockSide(label="B", locks=(after,)))


@pytest.fixture(scope="module")
def bump() -> LockComparison:
    return compare_locks(*sides())


def test_a_bump_of_transformers_reads_as_it_should(bump: LockComparison) -> None:
    assert "\n".join(diff_text.lines(bump)) + "\n" == (GOLDEN / "bump.txt").read_text(encoding="utf-8")
    assert diff_markdown.document(bump, "envgen diff") + "\n" == (GOLDEN / "bump.md").read_text(encoding="utf-8")


def test_the_bump_is_told_once_and_in_80_columns(bump: LockComparison) -> None:
    lines = list(diff_text.lines(bump))
    assert sum("transformers 5.15.1 -> " in line for line in lines) == 1
    assert max(map(len, lines)) <= 80
    assert diff_markdown.document(bump, "envgen diff").count("| transformers |") == 1


def test_json_can_be_read_without_this_package(bump: LockComparison) -> None:
    found = json.loads(json.dumps(diff.as_json(bump)))
    assert (found["kind"], found["different"], len(found["compared"]), found["same"]) == ("locks", True, 15, [])
    change = found["packages"][0]
    assert change["change"] == {"kind": "upgraded", "name": "transformers", "before": "5.15.1", "after": "5.15.2"}
    assert change["reasons"][0]["text"] == "uploaded 2026-10-06, after the old as_of 2026-09-22"
    assert {"profile": "cuda", "target": "py311-linux-amd64"} in change["places"]


def test_nothing_different_is_one_line() -> None:
    found = compared(sample_lock(), sample_lock())
    assert list(diff_text.lines(found)) == ["no differences: 1 lock is the same"]
    assert diff_markdown.document(found, "") == "### envgen: no differences: 1 lock is the same"
    assert not diff.as_json(found)["different"]


def test_no_lock_at_all_is_not_said_to_be_the_same() -> None:
    assert headline(compare_locks(LockSide(label="A", locks=()), LockSide(label="B", locks=()))) == "no locks on either side"


def test_what_a_lock_says_can_not_become_markdown() -> None:
    found = compared(sample_lock(), sample_lock(description=NASTY, env=(("A", "x" * 5000),)))
    text = diff_markdown.document(found, "envgen diff")
    (row,) = (line for line in text.splitlines() if line.startswith("| description"))
    assert row.count("|") == 5
    for mark in ("<script", "`", "*b", "[l", "://", "@all", "#1", "~s", "$m", ":smile:", "\\", "\x1b", "\u202e"):
        assert mark not in row.replace("&#", "")
    assert "\n## title" not in text
    assert "more characters)" in text


def test_what_a_lock_says_can_not_move_a_terminals_cursor() -> None:
    text = "\n".join(diff_text.lines(compared(sample_lock(), sample_lock(description=NASTY))))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b[31m\\u202e" in text


def many(version: str, count: int) -> Lock:
    asked = (RequiredBy(name="small", requirement=f"=={version}"),)
    return sample_lock(packages=tuple(package(f"package-{number:05}", version, "own", asked) for number in range(count)))


def test_a_comment_that_would_be_too_long_is_cut_between_rows() -> None:
    found = compared(many("1.0", 1000), many("2.0", 1000))
    text = diff_markdown.document(found, "envgen diff main")
    assert 60_000 < len(text) <= diff_markdown.LONGEST
    assert text.count("<details>") == text.count("</details>")
    shown = sum(line.startswith("| package-") for line in text.splitlines())
    cut = text.splitlines()[-1]
    assert cut.startswith(f"**Truncated**: {1000 - shown + 1} table rows (")
    assert cut.endswith("Full output: envgen diff main")
    assert all(line.endswith("|") for line in text.splitlines() if line.startswith("|"))


def test_a_long_table_has_to_be_opened_and_a_short_one_not() -> None:
    assert "<details>" not in diff_markdown.document(compared(many("1.0", 8), many("2.0", 8)), "")
    assert "<details><summary>packages in small py311-linux-amd64</summary>\n\n|" in diff_markdown.document(
        compared(many("1.0", 9), many("2.0", 9)), ""
    )


def image(label: str, digest: str, lock: str = "", known_as: str = "") -> ImageSummary:
    return ImageSummary(label=label, digest=f"sha256:{digest * 64}", size=3_000_000, lock=lock, known_as=known_as)


IMAGES = ImageComparison(
    before=image("image app:1", "1", f"sha256:{'a' * 64}", "small py311-linux-amd64"),
    after=image("image app:2", "2"),
    labels=(HeaderField(name="envgen.python", before="3.11.16", after="3.11.17"),),
    layers=(
        ImageLayer(digest=f"sha256:{'b' * 64}", size=2_000_000, side="both", holds="torch"),
        ImageLayer(digest=f"sha256:{'c' * 64}", size=1_000_000, side="after", holds="a, b and 3 more"),
    ),
    packages=compared(many("1.0", 1), many("2.0", 1)).packages,
)


def test_images_in_each_format() -> None:
    text = "\n".join(diff_text.lines(IMAGES))
    for words in (
        "the images differ; packages: 1 upgraded; 1 of 2 layers shared",
        "before: image app:1, 3 MB compressed; lock sha256:aaaaaaaaaaaa, that of",
        "after:  image app:2, 3 MB compressed; no lock in its labels",
        "envgen.python: 3.11.16 -> 3.11.17",
        "package-00000 1.0 -> 2.0 (upgraded)",
        "no reasons: the locks of both are not here",
        "  after   sha256:cccccccccccc     1 MB  a, b and 3 more",
        "the first sends 1 MB of 3 MB",
    ):
        assert words in text
    assert max(map(len, text.splitlines())) <= 80
    comment = diff_markdown.document(IMAGES, "")
    assert "| after | sha256:cccccccccccc | 1 MB | a, b and 3 more |" in comment
    assert "| package-00000 | upgraded | 1.0 -> 2.0 |" in comment
    assert {"kind": "images", "different": True, "push": 1_000_000}.items() <= diff.as_json(IMAGES).items()


def test_the_same_image_is_one_line() -> None:
    same = replace(IMAGES, after=IMAGES.before, labels=(), packages=())
    assert list(diff_text.lines(same)) == ["no differences: the same image (sha256:111111111111)"]


def test_images_that_differ_in_nothing_that_is_told_are_said_to_differ() -> None:
    shared = tuple(replace(layer, side="both") for layer in IMAGES.layers)
    text = headline(replace(IMAGES, labels=(), packages=(), layers=shared))
    assert text == "the images differ in their configuration; the same layers and labels"


def test_sizes_say_by_how_much_they_moved() -> None:
    assert moved(1_000_000, 1_500_000) == "1 MB -> 2 MB (+500 kB)"
    assert moved(1_500_000, 1_000_000) == "2 MB -> 1 MB (-500 kB)"
    assert moved(7, 7) == "7 B -> 7 B"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.chdir(tmp_path)
    for folder, lock in (("a", sample_lock()), ("b", sample_lock(tiers=("static",)))):
        path = tmp_path / folder / lock.profile / lock.target.slug / "envgen.lock"
        path.parent.mkdir(parents=True)
        path.write_bytes(dump_lock(lock))
    settings = read_settings({}, tmp_path)
    return Workspace(project=Project(folder=tmp_path), settings=settings, reporter=PlainReporter())


def arguments(before: str = "./a", after: str = "./b", *, profile: str = "", how: str = "text", exit_code: bool = False) -> diff.DiffArgs:
    return diff.DiffArgs(before=before, after=after, profile=profile, format=how, exit_code=exit_code)


@pytest.mark.parametrize(("after", "asked", "code"), [("./b", False, 0), ("./b", True, 8), ("./a", True, 0)])
def test_the_exit_code_tells_only_when_it_is_asked_to(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], after: str, asked: bool, code: int
) -> None:
    assert diff.run(arguments(after=after, exit_code=asked), workspace) == code
    assert ("tiers" in capsys.readouterr().out) == (after == "./b")


@pytest.mark.parametrize("name", ["text", "json", "markdown"])
def test_each_format_is_printed(workspace: Workspace, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert diff.run(arguments(how=name), workspace) == 0
    start = {"text": "1 of 1 locks differ", "json": '{\n  "kind": "locks"', "markdown": "### envgen: 1 of 1"}[name]
    assert capsys.readouterr().out.startswith(start)


def test_images_and_locks_do_not_go_together(workspace: Workspace, tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(tmp_path / "image.tar", "w") as archive:
        archive.add(tmp_path / "a", "a")
    with pytest.raises(UsageError, match=r"found archive \./image\.tar against \./a, expected two images") as caught:
        diff.run(arguments("./a", "./image.tar"), workspace)
    assert "envgen audit" in caught.value.hint
    with pytest.raises(UsageError, match="no other image to compare it with"):
        diff.run(arguments("./image.tar", ""), workspace)
    with pytest.raises(UsageError, match="does not apply to images"):
        diff.run(arguments("./image.tar", "./image.tar", profile="small"), workspace)
