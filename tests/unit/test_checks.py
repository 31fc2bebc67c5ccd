"""envgen.lock.checks.refusals: what a resolution must fulfil to become a lock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from resolutions import CPU_INDEX, MAPPED, packages_of, profile, resolved, selected
from samples import LINUX, WINDOWS

from envgen.core.errors import ResolutionError
from envgen.core.target import Target
from envgen.lock.checks.paths import ComparedPaths, PathConflict
from envgen.lock.checks.refusals import Resolved, cuda_packages, is_cuda_name, refuse
from envgen.lock.select import SelectedWheel
from envgen.profiles import Index

ARM = Target(python_full="3.11.16", platform="linux/arm64")
MAC = Target(python_full="3.11.16", platform="macos/arm64")
NVIDIA = 'nvidia-cuda-runtime==13.0.96; platform_system == "Linux"'
TORCH = selected("torch", "2.13.0", NVIDIA)
RUNTIME = selected("nvidia-cuda-runtime", "13.0.96")
CPU_TORCH = selected("torch", "2.13.0+cpu", index="pytorch-cpu", uploaded=None)


def refused(found: Resolved) -> list[tuple[str, str]]:
    """Each fault and its cure; none where nothing is refused."""
    try:
        refuse(found)
    except ResolutionError as error:
        return [(str(fault), fault.hint) for fault in error.faults()]
    return []


def test_nothing_is_refused_without_a_reason() -> None:
    assert refused(resolved(["demo[fast]>=1"], selected("demo", "1.0", "other", extras=["fast"]), selected("other"))) == []


def test_a_torch_for_cuda_where_there_is_no_cuda() -> None:
    [(problem, hint)] = refused(resolved(["demo"], selected("demo", "1.0", "torch"), TORCH, RUNTIME))
    assert problem == (
        "py311-linux-amd64: torch: 2.13.0 of the index default is built for CUDA 13.0, and the profile has no cuda; "
        "with it comes nvidia-cuda-runtime (demo asks for it)"
    )
    assert hint == (
        'for GPUs: cuda = "13.0" in the profile, and "torch==2.13.0" in requirements; '
        'for CPUs: extends = "cpu-base", which maps torch and its family to PyTorch\'s builds for CPUs'
    )


def test_a_platform_that_a_mapping_leaves_out_is_named() -> None:
    ours = profile(["torch==2.13.0"], indexes=(MAPPED,))
    [(problem, hint)] = refused(resolved(ours, TORCH, RUNTIME, target=ARM))
    assert problem.startswith("py311-linux-arm64: torch: 2.13.0 of the index default is built for CUDA 13.0")
    assert hint.endswith('for CPUs: add "linux/arm64" to the platforms of [index.pytorch-cpu]')


def test_a_cuda_whose_driver_is_not_known_is_not_offered() -> None:
    old = selected("torch", "1.13.1", "nvidia-cuda-runtime-cu11")
    [(_, hint)] = refused(resolved(["torch==1.13.1"], old, selected("nvidia-cuda-runtime-cu11", "11.7.99")))
    assert hint.startswith("for GPUs: ask for a torch that is built for CUDA 12.x or 13.x, and name that CUDA in the profile; for CPUs: ")


def test_a_package_of_cuda_without_torch() -> None:
    [(problem, hint)] = refused(resolved(["nvidia-nccl-cu12"], selected("nvidia-nccl-cu12", "2.27.3")))
    assert problem.endswith("nvidia-nccl-cu12: 2.27.3 is a package of CUDA, and the profile has no cuda (the profile asks for it)")
    assert hint == 'remove nvidia-nccl-cu12 from requirements, or name the CUDA in the profile, as in cuda = "13.0"'


@pytest.mark.parametrize(
    ("entry", "target"),
    [
        (selected("torch", "2.8.0+cu128"), LINUX),
        (selected("torch", "2.8.0+cu128"), WINDOWS),
        (selected("torchvision", "0.23.0+cu128"), ARM),
        (selected("xformers", "0.0.30+cu126"), LINUX),
        (selected("cupy-cuda12x", "14.0"), LINUX),
        (selected("jax-cuda12-plugin", "0.9"), LINUX),
        (selected("cuda-bindings", "13.0"), MAC),
        (selected("nvidia-cublas", "13.0"), ARM),
    ],
)
def test_what_is_for_cuda(entry: SelectedWheel, target: Target) -> None:
    assert cuda_packages([entry], target) == [entry]
    assert refused(resolved([entry.wheel.name], entry, target=target))


@pytest.mark.parametrize(
    "entry",
    [
        selected("torch", "2.13.0+cpu"),
        selected("torch", "2.7.0"),
        selected("triton", "3.5.0"),
        selected("nvidia-ml-py", "13.0"),
        selected("flash-attn", "2.7.4.post1+cu12torch2.6cxx11abifalse"),
        selected("cucumber", "1.0"),
        selected("barracuda", "1.0"),
        selected("focus", "1.0+cup"),
    ],
)
def test_what_is_not(entry: SelectedWheel) -> None:
    assert cuda_packages([entry], LINUX) == []


def test_triton_is_of_cuda_where_torch_is() -> None:
    triton = selected("triton", "3.5.0")
    assert cuda_packages([TORCH, triton], LINUX) == [TORCH, triton]
    # On macOS that torch requires nothing of CUDA.
    assert cuda_packages([TORCH, triton], MAC) == []


NAMES = st.sampled_from(
    ["demo", "numpy", "triton", "nvidia-cublas", "nvidia-nccl-cu12", "cuda-toolkit", "cupy-cuda12x", "torch", "torchvision"]
)
VERSIONS = st.sampled_from(["1.0", "2.13.0", "2.8.0+cu128", "2.8.0+cpu", "1.0+cu126"])
TARGETS = st.sampled_from([LINUX, ARM, MAC, WINDOWS])


@given(st.dictionaries(NAMES, st.tuples(VERSIONS, st.booleans()), min_size=1), TARGETS)
def test_no_package_of_cuda_is_ever_locked_without_cuda(versions: dict[str, tuple[str, bool]], target: Target) -> None:
    """Whatever a resolver gives, on any platform: what is not refused holds nothing of CUDA."""
    needs = [NVIDIA] if "torch" in versions and versions["torch"][1] else []
    chosen = [selected(name, version, *(needs if name == "torch" else [])) for name, (version, _) in versions.items()]
    if needs and "nvidia-cuda-runtime" not in versions:
        chosen.append(selected("nvidia-cuda-runtime", "13.0.96"))
    asked = [entry.wheel.name for entry in chosen]
    pages = {name: [{"filename": entry.wheel.file} for entry in chosen if entry.wheel.name == name] for name in asked}
    found = resolved(asked, *chosen, target=target, packages=packages_of(pages))
    of_cuda = [entry for entry in chosen if is_cuda_name(entry.wheel.name) or "+cu" in entry.wheel.version]
    if of_cuda or (needs and target in (LINUX, ARM)):
        assert refused(found)


def test_a_profile_with_cuda_may_have_them() -> None:
    assert refused(resolved(profile(["torch==2.13.0"], cuda="13.0"), TORCH, RUNTIME)) == []


@pytest.mark.parametrize(
    ("other", "problem", "hint"),
    [
        (
            selected("torchvision", "0.28.0", "torch==2.13.0"),
            "torchvision: 0.28.0 of the index default is another build than torch 2.13.0+cpu of the index pytorch-cpu",
            'map torchvision to the index of torch: packages = ["torch", "torchvision"] in [index.pytorch-cpu]',
        ),
        (
            selected("torchaudio", "2.9.1+cpu", index="pytorch-cpu"),
            "torchaudio: 2.9.1+cpu is built for torch==2.9.1, and torch is 2.13.0+cpu (TorchAudio documentation 2.11.0, …)",
            'ask for "torchaudio==2.11.0"',
        ),
        (
            selected("torchcodec", "0.10.0+cpu", index="pytorch-cpu"),
            "torchcodec: 0.10.0+cpu is built for torch==2.10.*, and torch is 2.13.0+cpu (README of torchcodec 0.17.0, …)",
            'ask for "torchcodec==0.12.0"',
        ),
    ],
)
def test_the_family_of_torch_is_of_one_build_and_train(other: SelectedWheel, problem: str, hint: str) -> None:
    ours = profile(["torch==2.13.0", other.wheel.name], indexes=(MAPPED,))
    pages = {f"{CPU_INDEX}/{entry.wheel.name}/": [{"filename": entry.wheel.file}] for entry in (CPU_TORCH, other)}
    [(found, cure)] = refused(resolved(ours, CPU_TORCH, other, packages=packages_of(pages)))
    assert found.startswith(f"py311-linux-amd64: {problem.removesuffix('…)')}")
    assert cure == hint


@pytest.mark.parametrize(
    "family",
    [
        (selected("torch", "2.13.0"), selected("torchvision", "0.28.0", "torch==2.13.0"), selected("torchaudio", "2.11.0")),
        (selected("torch", "2.13.0"), selected("torchcodec", "0.16.0"), selected("torchaudio", "2.11.1", "torch>=2.11")),
        # Builds for ARM have no local version in older releases, and come from the same index all the same.
        (selected("torch", "2.6.0+cpu", index="pytorch-cpu"), selected("torchvision", "0.21.0", "torch==2.6.0", index="pytorch-cpu")),
        (selected("torchaudio", "2.9.1"),),
    ],
)
def test_a_family_that_fits(family: tuple[SelectedWheel, ...]) -> None:
    pages = {f"{CPU_INDEX}/{entry.wheel.name}/": [{"filename": entry.wheel.file}] for entry in family}
    assert refused(resolved(profile([entry.wheel.name for entry in family], indexes=(MAPPED,)), *family, packages=packages_of(pages))) == []


LOCAL = Index(name="pytorch-cpu", url=CPU_INDEX, packages=("torchx",), upload_times=False)


def builds(*locals_: str, tag: str = "py3-none-any") -> dict[str, list[dict[str, object]]]:
    return {f"{CPU_INDEX}/torchx/": [{"filename": f"torchx-2.7.1{local}-{tag}.whl"} for local in locals_]}


def torchx(asked: str, version: str, *locals_: str, cuda: str = "", tag: str = "py3-none-any") -> list[tuple[str, str]]:
    ours = profile([asked], cuda=cuda, indexes=(LOCAL,))
    entry = selected("torchx", version, index="pytorch-cpu", uploaded=None)
    return refused(resolved(ours, entry, packages=packages_of(builds(*locals_, tag=tag))))


def test_a_build_is_not_chosen_by_the_order_of_letters() -> None:
    found = torchx("torchx==2.7.1", "2.7.1+xpu", "+cpu", "+cu128", "+xpu", "")
    problem = "torchx: 2.7.1 fits 4 builds in the index pytorch-cpu, and nothing says which: 2.7.1, 2.7.1+cpu, 2.7.1+cu128, 2.7.1+xpu"
    assert found == [(f"py311-linux-amd64: {problem}", 'name one in the profile, as in "torchx==2.7.1+cpu"')]


@pytest.mark.parametrize(
    ("asked", "version", "locals_", "cuda"),
    [
        ("torchx==2.7.1+cpu", "2.7.1+cpu", ("+cpu", "+xpu"), ""),
        ("torchx==2.7.1", "2.7.1+cpu", ("+cpu",), ""),
        ("torchx==2.7.1", "2.7.1+cu128", ("+cpu", "+cu128", "+xpu"), "12.8"),
        ("torchx==2.7.1", "2.7.1", ("", "+cpu"), ""),
    ],
)
def test_a_build_that_was_named_or_is_the_only_one(asked: str, version: str, locals_: tuple[str, ...], cuda: str) -> None:
    assert torchx(asked, version, *locals_, cuda=cuda) == []


def test_only_builds_that_fit_the_target_count() -> None:
    pages = builds("+cpu")
    pages[f"{CPU_INDEX}/torchx/"].append({"filename": "torchx-2.7.1+xpu-cp311-cp311-win_amd64.whl"})
    entry = selected("torchx", "2.7.1+cpu", index="pytorch-cpu")
    assert refused(resolved(profile(["torchx==2.7.1"], indexes=(LOCAL,)), entry, packages=packages_of(pages))) == []


def test_two_wheels_that_write_one_path() -> None:
    paths = ComparedPaths(conflicts=(PathConflict(first="one", second="two", paths=("nvidia/lib/a.so", "nvidia/lib/b.so")),))
    [(problem, hint)] = refused(
        resolved(["one", "demo"], selected("one"), selected("two", "2.0"), selected("demo", "1", "two"), paths=paths)
    )
    assert problem == "py311-linux-amd64: one: one 1.0 and two 2.0 both write nvidia/lib/a.so and 1 other, with other bytes"
    assert hint == "remove one from requirements: demo asks for two"
    [(_, hint)] = refused(resolved(["one", "two"], selected("one"), selected("two", "2.0"), paths=paths))
    assert hint == ("keep one of the two, or ask for releases that don't share it (the profile asks for one; the profile asks for two)")


@pytest.mark.parametrize(
    ("extras", "hint"),
    [
        (["sentencepiece", "torch"], "did you mean 'sentencepiece'?"),
        (["audio", "vision"], "use one of audio, vision"),
        ([], "it has no extras at all: ask for demo alone"),
    ],
)
def test_an_extra_that_does_not_exist(extras: list[str], hint: str) -> None:
    found = refused(resolved(["demo[sentencepeice]"], selected("demo", "5.17.0", extras=extras)))
    assert found == [("py311-linux-amd64: demo[sentencepeice]: 5.17.0 has no extra 'sentencepeice'", hint)]


def test_an_extra_in_another_spelling_exists() -> None:
    assert refused(resolved(["demo[Fast_Tokens]"], selected("demo", extras=["fast-tokens"]))) == []


def test_what_was_yanked_is_refused_with_the_reason_and_the_next_release() -> None:
    pages = packages_of(
        {
            "demo": [
                {"filename": "demo-0.9-py3-none-any.whl", "upload-time": "2026-01-01T00:00:00Z"},
                {"filename": "demo-1.0-py3-none-any.whl", "upload-time": "2026-01-01T00:00:00Z", "yanked": "broken"},
                {"filename": "demo-1.1-py3-none-any.whl", "upload-time": "2026-01-01T00:00:00Z", "yanked": True},
                {"filename": "demo-1.2-py3-none-any.whl", "upload-time": "2026-01-01T00:00:00Z"},
                {"filename": "demo-2.0-py3-none-any.whl", "upload-time": "2027-01-01T00:00:00Z"},
            ],
            "other": [{"filename": "other-1.0-py3-none-any.whl", "upload-time": "2026-01-01T00:00:00Z", "yanked": True}],
        }
    )
    demo, other = selected("demo", "1.0", "other", yanked="broken"), selected("other", yanked="")
    assert refused(resolved(["demo==1.0"], demo, other, packages=pages)) == [
        ("py311-linux-amd64: demo: 1.0 was yanked: broken", 'use a release that was not, such as "demo==1.2"'),
        (
            "py311-linux-amd64: other: 1.0 was yanked, and the index does not say why (demo asks for it)",
            "use another package: all of its releases were yanked",
        ),
    ]


def test_all_that_is_wrong_is_said_at_once() -> None:
    found = refused(resolved(["demo[x]", "nvidia-nccl-cu12"], selected("demo", extras=[]), selected("nvidia-nccl-cu12")))
    assert [problem.partition(": ")[2].partition(":")[0] for problem, _ in found] == ["nvidia-nccl-cu12", "demo[x]"]
