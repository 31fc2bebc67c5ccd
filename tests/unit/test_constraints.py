"""envgen.profiles.constraints: documented bounds as data, with the stricter one holding."""

import tomllib

import pytest
from packaging.specifiers import SpecifierSet
from samples import ROOT

from envgen.core.errors import ProfileError
from envgen.profiles import Bound
from envgen.profiles.constraints import read_constraints, read_documents

SHIPPED = ROOT / "profiles" / "constraints" / "transformers.toml"


def entry(**changes: object) -> dict[str, object]:
    return {"package": "demo", "requirement": ">=1", "role": "core", "document": "paper.txt", "section": "One", **changes}


def read(*entries: dict[str, object]) -> tuple[Bound, ...]:
    return read_constraints("papers", {"bound": list(entries)}, "papers.toml")


def faults_of(*entries: dict[str, object]) -> list[str]:
    with pytest.raises(ProfileError) as caught:
        read(*entries)
    return [str(fault) for fault in caught.value.faults()]


def test_what_the_documents_are() -> None:
    data = {"documents": {"a.txt": {"title": "A guide", "about": "https://docs.example"}, "b.txt": {"title": "B"}}}
    first, second = read_documents(data, "set.toml")
    assert (first.name, first.title, first.about) == ("a.txt", "A guide", "https://docs.example")
    assert (second.name, second.title, second.about) == ("b.txt", "B", "")
    assert read_constraints("x", data, "set.toml") == ()
    for read in (read_documents, lambda data, label: read_constraints("x", data, label)):
        with pytest.raises(ProfileError, match=r"set\.toml: documents\.\"a\.txt\"\.titel: unknown key"):
            read({"documents": {"a.txt": {"titel": "A guide"}}}, "set.toml")


def test_a_bound_keeps_its_source() -> None:
    (bound,) = read(entry(package="De_Mo", note="n"))
    assert (bound.set_name, bound.package, bound.source, bound.note) == ("papers", "de-mo", "paper.txt, One", "n")


def test_a_package_may_be_named_without_a_bound() -> None:
    assert read(entry(requirement=""))[0].requirement == ""


def test_the_stricter_of_two_holds_and_both_stay() -> None:
    bounds = read(entry(requirement=">=0.22.0,<=0.23.0"), entry(requirement=">=0.22.0", document="other.txt"))
    assert len(bounds) == 2
    joined = specifier(bounds, "demo")
    assert joined.contains("0.22.2")
    assert not joined.contains("0.23.1")
    assert specifier(bounds, "other").contains("99")


@pytest.mark.parametrize(
    ("entries", "fault"),
    [
        ([entry(requirement=">=2,<1")], "papers.toml: bound[0].requirement: no version of demo can satisfy <1,>=2"),
        ([entry(requirement=">=2"), entry(requirement="<1")], "papers.toml: bound[1].requirement: no version of demo can satisfy <1,>=2"),
        ([entry(requirement="two")], "papers.toml: bound[0].requirement: found 'two', expected version bounds"),
        ([entry(role="cor")], "papers.toml: bound[0].role: found 'cor', expected one of required, core, system, optional, quantization"),
        ([entry(sektion="x")], "papers.toml: bound[0].sektion: unknown key"),
        ([{"package": "demo"}], "papers.toml: bound[0].document: missing, expected a string"),
        ([entry(package=1)], "papers.toml: bound[0].package: found an integer (1), expected a string"),
    ],
)
def test_faults(entries: list[dict[str, object]], fault: str) -> None:
    assert fault in faults_of(*entries)


def specifier(bounds: tuple[Bound, ...], package: str) -> SpecifierSet:
    joined = SpecifierSet()
    for bound in bounds:
        if bound.package == package:
            joined &= SpecifierSet(bound.requirement)
    return joined


def test_the_shipped_set_holds_what_the_documents_say() -> None:
    bounds = read_constraints("transformers", tomllib.loads(SHIPPED.read_text(encoding="utf-8")), "t.toml")
    admitted = {
        "python": ("3.10", "3.9"),
        "torch": ("2.2", "2.1.9"),
        "accelerate": ("1.1.0", "1.0.9"),
        "tokenizers": ("0.22.2", "0.23.1"),
        "safetensors": ("0.4.3", "0.4.2"),
        "huggingface-hub": ("1.2.1", "2.0"),
        "tqdm": ("4.27", "4.26"),
        "regex": ("2020.1.1", "2019.12.17"),
        "numpy": ("1.17", "1.16.9"),
        "packaging": ("20.0", "19.9"),
        "pyyaml": ("5.1", "5.0"),
        "datasets": ("2.15.0", "2.14"),
        "peft": ("0.18.0", "0.17"),
        "jinja2": ("3.1.0", "3.0.9"),
        "sentencepiece": ("0.1.91", "0.1.92"),
    }
    for package, (taken, refused) in admitted.items():
        assert specifier(bounds, package).contains(taken), package
        assert not specifier(bounds, package).contains(refused), package
    assert {bound.package for bound in bounds} >= {"requests", "filelock", "bitsandbytes", "auto-gptq", "autoawq", "optimum"}
    assert all(bound.document and bound.section for bound in bounds)
