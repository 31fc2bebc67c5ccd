"""envgen.trust.audit.recipe: the last stage of a Dockerfile is read as BuildKit does, or refused."""

import pytest
from samples import NASTY, sample_lock

from envgen.core.errors import UsageError
from envgen.lock.render import labels_of, render_dockerfile
from envgen.profiles.catalog import shipped
from envgen.trust.audit.dockerfile import DEFAULT_PATH, ImageConfig, read_recipe


def read(*lines: str, **environment: str) -> ImageConfig:
    return read_recipe("\n".join(("FROM ${BASE} AS base", "RUN x", "FROM base", *lines, "")), {"BASE": "base:1"}, environment)


def test_the_shipped_recipe_is_understood() -> None:
    lock = sample_lock()
    dockerfile = render_dockerfile(lock, (shipped() / "templates" / "Dockerfile.j2").read_text())
    recipe = read_recipe(dockerfile, {"BASE": "base:1", "PYTHON": "3.11.2"}, {"PATH": "/bin"})
    assert recipe.layers == ("skeleton", "workdir", "models", "torch", "libraries", "own")
    assert recipe.environment["PATH"] == "/opt/venv/bin:/bin"
    assert recipe.environment["NASTY"] == NASTY
    assert {**recipe.labels} == {**labels_of(lock), "org.opencontainers.image.base.name": "base:1", "envgen.python": "3.11.2"}
    assert (recipe.user, recipe.workdir, recipe.command) == ("10001:10001", "/tmp", ("python",))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=b", "b"),
        ('A="b c"', "b c"),
        (r'A="\"\\\$B"', '"\\$B'),
        (r'A="\d"', "\\d"),
        ("A=${BASE}/x", "base:1/x"),
        ('A="$BASE x"', "base:1 x"),
        ("A=", ""),
        ('A=b"c d"e', "bc de"),
        ("A=${UNKNOWN}", ""),
        ('A="it\'s"', "it's"),
    ],
)
def test_words_are_read_as_buildkit_reads_them(text: str, value: str) -> None:
    assert dict(read(f"ENV {text}").environment) == {"A": value}


def test_a_variable_may_stand_on_an_earlier_one_and_on_those_of_the_base() -> None:
    recipe = read("ENV A=1 B=2", "ENV C=${A}${PATH}", "LABEL x=${C}", PATH="/base")
    assert recipe.environment["C"] == "1/base"
    assert dict(recipe.labels) == {"x": "1/base"}
    assert read("ENV A=${PATH}").environment["A"] == DEFAULT_PATH
    assert dict(read("LABEL x=${BASE}", BASE="of the base's own environment").labels) == {"x": "of the base's own environment"}


@pytest.mark.parametrize(
    "line",
    [
        "RUN rm -rf /x",
        "ENTRYPOINT x",
        "COPY x /y",
        "COPY --from=other / /",
        "ENV A 1",
        "ENV A=${B:-c}",
        "ENV A='b'",
        'ENV A="b',
        "CMD python",
        'CMD {"a": 1}',
    ],
)
def test_what_is_not_understood_is_refused(line: str) -> None:
    with pytest.raises(UsageError, match="an audit can't tell what an image has of that") as raised:
        read(line)
    assert raised.value.where == "templates/Dockerfile.j2"
