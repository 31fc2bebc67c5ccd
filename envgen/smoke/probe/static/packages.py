"""Phase static-imports: the installed packages are consistent, and torch is the locked build."""

from __future__ import annotations

from collections import defaultdict
from importlib import import_module, metadata

import cuda_packages
import harness
from versions import name as normal_name

NEEDED = ("libnccl", "libcublas", "libcudnn")
_SHOWN = 10


def torch_build(job: harness.Job) -> str:
    """torch.__version__ with its local part is as locked, and it was built for the lock's CUDA.

    Versions on the default index don't name a CUDA: a torch locked as 2.13.0 reports 2.13.0+cu130.
    """
    expected = harness.optional_text(job, "torch")
    if expected is None:
        raise harness.NotRun("the lock has no torch")
    torch = import_module("torch")
    found, cuda = str(torch.__version__), torch.version.cuda
    locked = harness.optional_text(job, "cuda")
    named = f"{expected}+cu{locked.replace('.', '')}" if locked and "+" not in expected else expected
    if found not in (expected, named):
        raise harness.Failed(f"torch {found} (expected {expected})")
    if cuda != locked:
        raise harness.Failed(f"torch {found} was built for {_words(cuda)} (expected {_words(locked)})")
    return f"torch {found}, {_words(cuda)}"


def _words(cuda: str | None) -> str:
    return f"CUDA {cuda}" if cuda else "no CUDA"


def runtime_dependencies(_job: harness.Job) -> str:
    """transformers' own check of its dependencies on import passes; each is also checked by name."""
    if not _is_installed("transformers"):
        # If it should be, the check `distributions` fails.
        raise harness.NotRun("transformers is not installed")
    # The import itself runs the check, and raises an error if it fails.
    checker = import_module("transformers.dependency_versions_check")
    known = import_module("transformers.dependency_versions_table").deps
    checked, absent, unknown = [], [], []
    for package in checker.pkgs_to_check_at_runtime:
        if package not in known:
            unknown.append(package)
        elif package in ("tokenizers", "accelerate") and not _is_installed(package):
            # Like transformers, which works without these two.
            absent.append(package)
        else:
            checker.dep_version_check(package)
            checked.append(package)
    note = f"; not installed, and so not checked: {', '.join(absent)}" if absent else ""
    note += f"; without a bound: {', '.join(unknown)}" if unknown else ""
    return f"{len(checked)} checked by transformers {metadata.version('transformers')}{note}"


def one_cuda_copy(job: harness.Job) -> str:
    """No CUDA library exists twice; a torch for CPUs comes with none, one for CUDA with those it requires."""
    copies: defaultdict[str, list[str]] = defaultdict(list)
    for path in cuda_packages.installed():
        if library := cuda_packages.cuda_library(path):
            copies[library].append(path)
    torch = harness.optional_text(job, "torch") or ""
    if torch.endswith("+cpu") and copies:
        _report([f"{path}: a CUDA library beside torch {torch}" for paths in copies.values() for path in paths])
    _report([f"{library}: {len(paths)} copies: {', '.join(sorted(paths))}" for library, paths in copies.items() if len(paths) > 1])
    if harness.optional_text(job, "cuda") is None:
        return f"{len(copies)} CUDA libraries, each once" if copies else "no CUDA library"
    _report([f"{library}: missing" for library in NEEDED if library not in copies])
    names = ", ".join(copies[library][0].rpartition("/")[2] for library in NEEDED)
    return f"{len(copies)} CUDA libraries, each once, {names} among them"


def consistent_requirements(_job: harness.Job) -> str:
    """Every installed distribution's requirements are met, including those of requested extras."""
    try:
        requirements = import_module("packaging.requirements")
    except ModuleNotFoundError as error:
        raise harness.NotRun("packaging, which parses requirements, is not installed") from error
    installed = {normal_name(found.metadata["Name"]): found for found in metadata.distributions()}
    pending = [(name, "") for name in installed]
    seen = set(pending)
    count, findings = 0, []
    while pending:
        name, extra = pending.pop()
        for text in installed[name].requires or ():
            requirement = requirements.Requirement(text)
            if not _applies(requirement, extra):
                continue
            count += 1
            required = normal_name(requirement.name)
            version = installed[required].version if required in installed else None
            if version is None or not requirement.specifier.contains(version, prereleases=True):
                findings.append(f"{name} requires {requirement} (found {version or 'none'})")
                continue
            further = {(required, inner) for inner in requirement.extras} - seen
            seen |= further
            pending += further
    _report(findings)
    return f"{count} requirements of {len(installed)} distributions, all met"


def _applies(requirement: object, extra: str) -> bool:
    """Return whether a requirement applies here; with an extra, only if it applies because of it."""
    marker = getattr(requirement, "marker", None)
    if marker is None:
        return not extra
    plain = bool(marker.evaluate({"extra": ""}))
    return bool(marker.evaluate({"extra": extra})) and not plain if extra else plain


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _report(findings: list[str]) -> None:
    if findings:
        rest = f"; and {len(findings) - _SHOWN} more" if len(findings) > _SHOWN else ""
        raise harness.Failed(f"{len(findings)} found: " + "; ".join(sorted(findings)[:_SHOWN]) + rest)


def checks(job: harness.Job) -> harness.Checks:
    """Return the checks of the phase; those for CUDA and bitsandbytes only if these are locked."""
    cuda: harness.Checks = (
        (("cuda-majors", cuda_packages.one_major), ("no-cuda-base", cuda_packages.no_cuda_base)) if job.get("cuda") else ()
    )
    bitsandbytes: harness.Checks = (("bitsandbytes-library", cuda_packages.bitsandbytes_library),) if job.get("bitsandbytes") else ()
    return (
        ("torch-build", torch_build),
        ("runtime-dependencies", runtime_dependencies),
        ("one-cuda-copy", one_cuda_copy),
        *cuda,
        *bitsandbytes,
        ("consistent-requirements", consistent_requirements),
    )
