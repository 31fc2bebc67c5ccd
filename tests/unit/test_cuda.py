"""envgen.profiles.cuda: what a profile's `cuda` stands for, and what is read of profiles/toolkits/cuda.toml."""

import tomllib
from collections.abc import Mapping

import pytest
from samples import LINUX, PROFILE, ROOT, profile_of

from envgen.core.errors import ProfileError
from envgen.profiles import CudaTable, Index, Profile
from envgen.profiles.cuda import cuda_of_local, index_name, read_toolkit, runtime_of, torch_of, with_cuda
from envgen.profiles.pairs import TORCH_FAMILY

LABEL = "profiles/toolkits/cuda.toml"
WITHOUT_INDEX = PROFILE[: PROFILE.index("[index.")] + PROFILE[PROFILE.index("[layers]") :]
CUDA = WITHOUT_INDEX.replace('"windows/amd64"', '"linux/arm64"').replace("as_of", 'cuda = "13.0"\nas_of')


@pytest.fixture(scope="module")
def toolkit() -> CudaTable:
    return read_toolkit(tomllib.loads((ROOT / LABEL).read_text(encoding="utf-8")), LABEL)


def profile(cuda: str = "13.0", torch: str = "2.13.0", text: str = CUDA) -> Profile:
    return profile_of(text.replace("13.0", cuda, 1).replace("torch==2.13.0", f"torch=={torch}"))


def test_the_shipped_toolkit(toolkit: CudaTable) -> None:
    assert {driver.cuda: driver.floor for driver in toolkit.drivers} == {"12": "525", "13": "580"}
    assert all(driver.source for driver in toolkit.drivers)
    releases = ("2.7.1", "2.8.0", "2.10.9", "2.11.0", "2.14.1", "2.15.0", "2.16.0")
    assert [toolkit.default(torch, "linux/amd64") for torch in releases] == ["", "12.8", "12.8", "13.0", "13.0", "13.2", ""]
    assert [toolkit.default(torch, "linux/arm64") for torch in releases] == ["", "", "", "13.0", "13.0", "13.2", ""]
    assert {toolkit.default(torch, "macos/arm64") for torch in releases} == {""}
    assert all(toolkit.driver(build.cuda) for build in toolkit.builds)


def test_the_driver_goes_by_the_major_version(toolkit: CudaTable) -> None:
    found = {cuda: driver.floor for cuda in ("12.4", "12.8", "13.0", "13.2") if (driver := toolkit.driver(cuda))}
    assert found == {"12.4": "525", "12.8": "525", "13.0": "580", "13.2": "580"}
    assert toolkit.driver("1.3") is None
    assert toolkit.driver("130") is None


def test_the_default_index_has_its_own_cuda(toolkit: CudaTable) -> None:
    given = profile()
    found = with_cuda(given, toolkit)
    assert (found.cuda, found.driver, found.indexes) == ("13.0", "580", given.indexes)


@pytest.mark.parametrize(("cuda", "torch", "tag", "driver"), [("12.8", "2.13.0", "cu128", "525"), ("13.0", "2.15.0", "cu130", "580")])
def test_any_other_cuda_comes_from_pytorchs_own_index(toolkit: CudaTable, cuda: str, torch: str, tag: str, driver: str) -> None:
    found = with_cuda(profile(cuda, torch), toolkit)
    url = f"https://download.pytorch.org/whl/{tag}"
    both = ("linux/amd64", "linux/arm64")
    expected = Index(name=f"pytorch-{tag}", url=url, packages=TORCH_FAMILY, platforms=both, upload_times=False, public=("*",))
    assert found.indexes == (expected,)
    assert found.driver == driver
    assert index_name(cuda) == f"pytorch-{tag}"


def test_a_platform_whose_default_build_is_another_has_an_index_of_its_own(toolkit: CudaTable) -> None:
    found = with_cuda(profile("12.8", "2.10.0"), toolkit)
    assert [(index.name, index.platforms) for index in found.indexes] == [("pytorch-cu128", ("linux/arm64",))]


@pytest.mark.parametrize(
    ("asked", "found"), [("torch==2.13.0", "2.13.0"), ("torch>=2,==2.13.0+cpu", "2.13.0+cpu"), ("torch==2.*", ""), ("torch>=2", "")]
)
def test_the_one_torch(asked: str, found: str) -> None:
    assert torch_of(profile_of(PROFILE.replace("torch==2.13.0", asked).replace("demo>=1", "torchvision==1.0")), LINUX) == found


def test_the_torch_of_each_target(toolkit: CudaTable) -> None:
    text = CUDA.replace(
        '"torch==2.13.0"', "\"torch==2.10.0; platform_machine == 'aarch64'\", \"torch==2.13.0; platform_machine == 'x86_64'\""
    )
    found = with_cuda(profile_of(text), toolkit)
    assert [torch_of(found, target) for target in found.targets()] == ["2.13.0", "2.10.0"]
    # For 13.0 the default index has 2.13.0 alone.
    assert [(index.name, index.platforms) for index in found.indexes] == [("pytorch-cu130", ("linux/arm64",))]
    with pytest.raises(ProfileError, match=r"cuda: needs an exact version of torch on py311-linux-arm64: which"):
        with_cuda(profile_of(CUDA.replace('"torch==2.13.0"', '"torch==2.13.0; platform_machine == \'x86_64\'", "torch>=2"')), toolkit)


def test_the_indexes_stay_sorted(toolkit: CudaTable) -> None:
    text = (
        CUDA
        + '\n[index.zoo]\nurl = "https://a.example"\npackages = ["demo"]\n\n[index.aaa]\nurl = "https://zoo.example"\npackages = ["a"]\n'
    )
    assert [index.name for index in with_cuda(profile("12.8", text=text), toolkit).indexes] == ["aaa", "pytorch-cu128", "zoo"]


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        (CUDA.replace("linux/arm64", "windows/amd64"), "cuda: windows/amd64: no CUDA there, expected linux alone", "platforms = "),
        (CUDA.replace('"13.0"', '"14.1"'), "cuda: found '14.1', whose driver floor is not known", "use one of 12.x, 13.x"),
        (CUDA.replace("torch==2.13.0", "torch>=2.13"), "cuda: needs an exact version of torch", "torch==2.13.0"),
        (CUDA.replace("torch==2.13.0", "torch==2.*"), "cuda: needs an exact version of torch", "torch==2.13.0"),
        (
            CUDA + '\n[index.pytorch-cpu]\nurl = "https://t.example"\npackages = ["torch"]\n',
            "cuda: torch is mapped to the index pytorch-cpu (profiles/small.toml), so '13.0' can't choose where it comes from",
            "pytorch-cpu = false",
        ),
    ],
)
def test_a_profile_that_can_not_have_cuda(toolkit: CudaTable, text: str, words: str, hint: str) -> None:
    with pytest.raises(ProfileError) as caught:
        with_cuda(profile_of(text), toolkit)
    assert str(caught.value).startswith("profiles/small.toml: ")
    assert words in str(caught.value)
    assert hint in caught.value.hint


BUILD = {"releases": ">=2.8", "cuda": "12.8", "platforms": ["linux/amd64"]}


def data(**changes: object) -> Mapping[str, object]:
    driver = {"cuda": "12", "floor": "525", "source": "a page"}
    return {"index": "https://x/{tag}", "driver": [driver], "torch": [BUILD], **changes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"index": 3}, "index: found an integer (3), expected a string"),
        ({"driver": [{"cuda": "12", "source": "x"}]}, "driver[0].floor: missing, expected a string"),
        ({"torch": [{**BUILD, "platforms": [3]}]}, "torch[0].platforms[0]: found an integer (3), expected a string"),
        ({"torch": [BUILD, {**BUILD, "releases": "about 2"}]}, "torch[1].releases: found 'about 2', expected version bounds"),
        ({"torch": [{**BUILD, "x": 1}]}, "torch[0].x: unknown key"),
        ({"drivers": []}, "drivers: unknown key"),
    ],
)
def test_a_toolkit_that_is_wrong(changes: Mapping[str, object], words: str) -> None:
    with pytest.raises(ProfileError) as caught:
        read_toolkit(data(**changes), "t.toml")
    assert f"t.toml: {words}" in str(caught.value)


@pytest.mark.parametrize(
    ("versions", "cuda"),
    [
        ([("torch", "2.13.0"), ("nvidia-cuda-runtime", "13.0.96")], "13.0"),
        ([("nvidia-cuda-runtime-cu12", "12.8.90")], "12.8"),
        ([("nvidia-cuda-runtime-cu12-extra", "12.8.90")], ""),
        ([("nvidia-cuda-nvrtc", "13.0.1"), ("torch", "2.13.0+cpu")], ""),
        ([], ""),
    ],
)
def test_the_cuda_that_a_resolution_brings(versions: list[tuple[str, str]], cuda: str) -> None:
    assert runtime_of(versions) == cuda


def test_the_whole_family_of_torch_comes_from_its_index(toolkit: CudaTable) -> None:
    own = '\n[index.audio]\nurl = "https://a.example"\npackages = ["torchaudio"]\n'
    found = with_cuda(profile("12.8", text=CUDA + own), toolkit)
    assert {index.name: index.packages for index in found.indexes} == {
        "audio": ("torchaudio",),
        "pytorch-cu128": ("torch", "torchvision", "torchcodec"),
    }


@pytest.mark.parametrize("torch", ["2.10.0", "2.10.0+cu128", "2.10"])
def test_a_torch_with_the_local_version_of_its_cuda_is_that_release(toolkit: CudaTable, torch: str) -> None:
    found = with_cuda(profile("12.8", torch), toolkit)
    assert found.requirements == ("demo>=1", f"torch=={torch.removesuffix('+cu128')}")
    assert [(index.name, index.platforms) for index in found.indexes] == [("pytorch-cu128", ("linux/arm64",))]


def test_a_torch_for_another_cuda_is_refused(toolkit: CudaTable) -> None:
    with pytest.raises(ProfileError) as caught:
        with_cuda(profile("12.8", "2.7.0+cu126"), toolkit)
    assert str(caught.value) == (
        "profiles/small.toml: requirements: found 'torch==2.7.0+cu126' beside cuda = '12.8', whose builds are called +cu128"
    )
    assert caught.value.hint == 'name the release alone, as in "torch==2.7.0": cuda chooses its build'


@pytest.mark.parametrize(
    ("version", "cuda"),
    [
        ("2.8.0+cu128", "12.8"),
        ("1.0+cu92", "9.2"),
        ("1.0+cu12", "12"),
        ("1.0+cpu", ""),
        ("1.0", ""),
        ("1+cu12torch2.6", ""),
        ("1+x.cu130", "13.0"),
    ],
)
def test_the_cuda_of_a_local_version(version: str, cuda: str) -> None:
    assert cuda_of_local(version) == cuda
