"""The faces of folders: `__init__.py` names at most ten things, imports each when it is first used, and others use no other way to them."""

import ast
import functools
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from samples import ROOT

FACES = (
    "sources",
    "profiles",
    "lock",
    "engine",
    "image",
    "smoke",
    "offline",
    "oci",
    "doctor",
    "trust.audit",
    "trust.reproduce",
    "trust.verify",
    "trust.diff",
)


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(module: ast.AST) -> Iterator[tuple[str, str]]:
    """The module and the name of each `from … import …`."""
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


@functools.cache
def imports_of(path: Path) -> tuple[tuple[str, str], ...]:
    """As `imported`, of a whole file: every face asks the same of all files, and reading them takes seconds."""
    return tuple(imported(tree(path)))


@pytest.mark.parametrize("folder", FACES)
def test_a_face_names_at_most_ten_things_and_each_is_there(folder: str) -> None:
    face = importlib.import_module(f"envgen.{folder}")
    assert face.__doc__
    assert "raise" in face.__doc__.lower()
    assert 3 <= len(face.__doc__.splitlines()) <= 6
    assert len(face.__all__) <= 10
    shown = {name: module for module, name in imports_of(Path(str(face.__file__))) if module.startswith(f"envgen.{folder}.")}
    assert sorted(shown) == sorted(face.__all__), "what mypy sees and what there is"
    for name, module in shown.items():
        assert getattr(face, name) is getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("folder", FACES)
def test_others_import_from_the_face(folder: str) -> None:
    names = set(importlib.import_module(f"envgen.{folder}").__all__)
    here = ROOT.joinpath("envgen", *folder.split("."))
    inside = {(module, name) for path in here.rglob("*.py") for module, name in imports_of(path)}
    wrong = [
        f"{path.relative_to(ROOT)}: from {module} import {name}"
        for top in ("envgen", "tests", "benchmarks")
        for path in sorted((ROOT / top).rglob("*.py"))
        if here not in path.parents
        for module, name in imports_of(path)
        if name in names and module.startswith(f"envgen.{folder}.")
    ]
    assert not wrong
    assert not [pair for pair in inside if pair[0] == f"envgen.{folder}" and pair[1] in names], (
        "inside, modules import each other by their own names"
    )


@pytest.mark.parametrize("folder", [folder for folder in FACES if folder != "engine"])  # a Protocol and its values: nothing to put off
def test_a_face_is_lazy(folder: str) -> None:
    body = tree(ROOT.joinpath("envgen", *folder.split(".")) / "__init__.py").body
    at_once = [module for statement in body if isinstance(statement, ast.ImportFrom) for module, _ in imported(statement)]
    assert at_once == ["typing", "envgen.core.lazy"]
