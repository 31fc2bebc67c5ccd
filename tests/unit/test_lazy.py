"""envgen.core.lazy: names of a package that are imported when they are first used."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from envgen.core.lazy import lazy

FACE = """
from envgen.core.lazy import lazy

__all__ = ["Thing"]
__getattr__ = lazy(__name__, {"Thing": "inner.deep", "absent": "heavy"})
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    folder = tmp_path / "lazy_sample" / "inner"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "deep.py").write_text("class Thing: pass\n")
    (folder.parent / "heavy.py").write_text("other = 1\n")
    (folder.parent / "__init__.py").write_text(FACE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "lazy_sample"
    for name in [name for name in sys.modules if name.partition(".")[0] == "lazy_sample"]:
        del sys.modules[name]


def test_a_name_is_imported_when_it_is_first_used(package: str) -> None:
    face = importlib.import_module(package)
    assert "lazy_sample.inner.deep" not in sys.modules
    thing = face.Thing
    assert thing is sys.modules["lazy_sample.inner.deep"].Thing
    assert vars(face)["Thing"] is thing, "found without the function from then on"


def test_modules_are_still_found_and_other_names_are_not(package: str) -> None:
    face = importlib.import_module(package)
    assert "lazy_sample.heavy" not in sys.modules
    namespace: dict[str, object] = {}
    exec("from lazy_sample import heavy, Thing", namespace)
    assert namespace["heavy"] is sys.modules["lazy_sample.heavy"]
    with pytest.raises(AttributeError, match="module 'lazy_sample' has no attribute 'Thinq'"):
        face.Thinq  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Thinq'"):
        exec("from lazy_sample import Thinq")
    with pytest.raises(AttributeError, match=r"lazy_sample\.heavy.*absent"):
        face.absent  # noqa: B018


def test_a_name_that_is_a_module_too_is_refused() -> None:
    with pytest.raises(ValueError, match="sample: why: the name of a module too"):
        lazy("sample", {"why": "why", "Lock": "model"})
