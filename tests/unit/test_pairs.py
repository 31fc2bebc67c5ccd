"""envgen.profiles.pairs: packages that go together or do not, with their sources."""

import tomllib
from pathlib import Path

import pytest
from samples import ROOT

from envgen.core.errors import ProfileError
from envgen.profiles import Project
from envgen.profiles.pairs import read_pairs

LABEL = "profiles/pairs/mine.toml"
PAIR = """\
[[pair]]
package = "Demo_A"
versions = "<2"
with = "other"
with_versions = ">=1"
problem = "import fails"
cure = "ask for demo-a>=2"
source = "its changelog"

[[family]]
package = "torchaudio"
source = "its README"

[family.builds]
"==2.9.*" = "==2.9.*"
"""


def test_the_shipped_pairs_have_sources() -> None:
    table = Project(folder=ROOT).pairs()
    assert len(table.pairs) >= 6
    assert all(entry.source for entry in (*table.pairs, *table.builds))
    assert all(pair.problem and pair.cure for pair in table.pairs)


@pytest.mark.parametrize(
    ("package", "torch", "release"),
    [
        ("torchvision", "2.13.0", "0.28.0"),
        ("torchvision", "2.7.1+cu126", "0.22.1"),
        ("torchaudio", "2.9.1", "2.9.1"),
        ("torchaudio", "2.13.0+cpu", "2.11.0"),
        ("torchcodec", "2.8.0", "0.6.0"),
        ("torchvision", "1.0", ""),
        ("demo", "2.13.0", ""),
    ],
)
def test_the_release_for_a_torch(package: str, torch: str, release: str) -> None:
    assert Project(folder=ROOT).pairs().release_for(package, torch) == release


def test_a_project_has_its_own_pairs_beside_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "profiles" / "pairs").mkdir(parents=True)
    (tmp_path / LABEL).write_text(PAIR, encoding="utf-8")
    table = Project(folder=tmp_path).pairs()
    assert {"demo-a", "peft"} <= {pair.package for pair in table.pairs}
    # A file of the same name stands in for the shipped one.
    (tmp_path / "profiles" / "pairs" / "known.toml").write_text(PAIR, encoding="utf-8")
    assert {pair.package for pair in Project(folder=tmp_path).pairs().pairs} == {"demo-a"}


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('versions = "<2"', 'versions = "two"', "pair[0].versions: found 'two', expected version bounds"),
        ('source = "its changelog"', "", "pair[0].source: missing"),
        ('"==2.9.*" = "==2.9.*"', '">=2.9" = "==2.9.*"', 'family[0].builds.">=2.9": expected one release or one series of them'),
        ('"==2.9.*" = "==2.9.*"', '"==2.9.*" = "new"', "family[0].builds.\"==2.9.*\": found 'new', expected version bounds"),
        (
            'package = "torchaudio"',
            'package = "numpy"',
            "family[0].package: found 'numpy', expected one of torchvision, ",
        ),
        ('package = "Demo_A"', 'package = "a b"', "pair[0].package: found 'a b', expected a package's name"),
        ("[[pair]]", "[[pairs]]", "pairs: unknown key"),
    ],
)
def test_a_fault_is_said_with_its_place(old: str, new: str, problem: str) -> None:
    with pytest.raises(ProfileError) as caught:
        read_pairs([(LABEL, tomllib.loads(PAIR.replace(old, new, 1)))])
    assert f"{LABEL}: {problem}" in str(caught.value)
