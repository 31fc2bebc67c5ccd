"""envgen.profiles.layer_groups: which wheels share a layer."""

import pytest

from envgen.core.errors import ProfileError
from envgen.profiles.layer_groups import DEFAULT_LAYERS, LIMIT, OWN, REST, check_sizes, groups_for, layer_of
from envgen.profiles.model import LayerGroup


@pytest.mark.parametrize(
    ("package", "layer"),
    [
        ("torch", "torch"),
        ("torchmetrics", REST),
        ("nvidia-cublas-cu12", "cuda"),
        ("triton", "cuda"),
        ("transformers", "hugging-face"),
        ("numpy", REST),
    ],
)
def test_the_default_groups(package: str, layer: str) -> None:
    assert layer_of(package, (), inherited=True) == layer


def test_what_a_profile_adds_is_apart_unless_it_names_a_group() -> None:
    own = (LayerGroup(name="models", packages=("demo",)),)
    assert layer_of("numpy", own, inherited=False) == OWN
    assert layer_of("datasets", own, inherited=False) == OWN
    assert layer_of("demo", own, inherited=False) == "models"


def test_a_profile_s_own_groups_come_first() -> None:
    own = (LayerGroup(name="models", packages=("demo-*", "torch")),)
    assert [group.name for group in groups_for(own)][:2] == ["models", "cuda"]
    assert layer_of("demo-data", own, inherited=True) == "models"
    assert layer_of("demo", own, inherited=True) == REST
    assert layer_of("torch", own, inherited=True) == "models"


def test_a_group_with_a_default_s_name_replaces_it() -> None:
    own = (LayerGroup(name="torch", packages=("torch",)),)
    assert sum(group.name == "torch" for group in groups_for(own)) == 1
    assert layer_of("torchvision", own, inherited=True) == REST


def test_every_package_goes_into_a_group_that_there_is() -> None:
    own = (LayerGroup(name="libraries", packages=("numpy",)), LayerGroup(name="own", packages=("demo",)))
    names = {group.name for group in groups_for(own)}
    for package in ("numpy", "demo", "torch", "anything"):
        assert {layer_of(package, own, inherited=True), layer_of(package, own, inherited=False)} <= names


def test_a_star_alone_takes_everything() -> None:
    assert layer_of("anything", (LayerGroup(name="all", packages=("*",)),), inherited=False) == "all"


def test_names_are_unique_and_change_least_first() -> None:
    names = [group.name for group in DEFAULT_LAYERS]
    assert len(set(names)) == len(names)
    assert names[0] == "cuda"
    assert names[-1] == OWN


def test_a_group_that_is_too_large_for_registries_is_said() -> None:
    check_sizes([("cuda", LIMIT - 1), ("torch", LIMIT), ("cuda", 1)], "here")
    with pytest.raises(ProfileError, match=r"^here: the wheels of the layer group cuda are 5.0 GB, expected at most 5 GB") as caught:
        check_sizes([("cuda", LIMIT - 1), ("torch", 1), ("cuda", 2)], "here")
    assert "[layers]" in caught.value.hint
