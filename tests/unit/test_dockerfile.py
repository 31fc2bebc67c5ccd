"""envgen.trust.audit.recipe: the stages that an image is made in are read as BuildKit does, or refused."""

import pytest
from samples import NASTY, sample_lock

from envgen.core.errors import UsageError
from envgen.lock.labels import labels_of
from envgen.lock.render import render_dockerfile
from envgen.profiles.catalog import shipped
from envgen.trust.audit.dockerfile import DEFAULT_PATH, ImageConfig, read_image_config


def read(*lines: str, **environment: str) -> ImageConfig:
    stages = ("FROM ${BASE} AS base", "FROM base AS other", "RUN x", "FROM base", *lines, "")
    return read_image_config("\n".join(stages), {"BASE": "base:1"}, environment)


def test_the_shipped_recipe_is_understood() -> None:
    lock = sample_lock()
    dockerfile = render_dockerfile(lock, (shipped() / "templates" / "Dockerfile.j2").read_text())
    recipe = read_image_config(dockerfile, {}, {"PATH": "/bin"})
    assert recipe.layers == ("skeleton", "workdir", "models", "torch", "libraries", "own")
    assert recipe.environment["PATH"] == "/opt/venv/bin:/bin"
    assert recipe.environment["NASTY"] == NASTY
    assert dict(recipe.labels) == labels_of(lock)
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


def test_stages_that_an_image_stands_on_are_part_of_it_and_others_are_not() -> None:
    stages = ("FROM ${BASE} AS base", "FROM base AS first", "COPY --link --from=skeleton /out/ /", "ENV A=1")
    stages += ("FROM base AS other", "ENV A=3", "FROM --platform=x first AS second", "LABEL b=${A}", "FROM second", "USER 1")
    recipe = read_image_config("\n".join(stages), {"BASE": "base:1"}, {})
    assert (recipe.layers, dict(recipe.environment), dict(recipe.labels)) == (("skeleton",), {"A": "1"}, {"b": "1"})
    assert recipe.user == "1"
    with pytest.raises(UsageError, match="a stage of the image has 'RUN y'"):
        read_image_config("\n".join((*stages[:2], "RUN y", *stages[2:])), {"BASE": "base:1"}, {})


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
    with pytest.raises(UsageError, match="whose result an audit can't predict") as raised:
        read(line)
    assert raised.value.where == "templates/Dockerfile.j2"
