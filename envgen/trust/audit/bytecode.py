"""Compares byte code with its source, recompiled by the Python of the base, which the image can't have tampered with.

Sources and byte code are unpacked side by side, and the probe checks them in a container of the base, at their paths in the image: byte
code contains the path of its source.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from envgen.core.progress import Reporter
from envgen.engine import Engine, RunRequest
from envgen.lock.render import PREFIX, UID
from envgen.oci.stack_entries import written
from envgen.smoke import ExpectedTree
from envgen.smoke.plan import checks_named
from envgen.smoke.report import PASSED
from envgen.smoke.run import CHECK_LIMIT, PROBE, PhaseRequest, run_phase, worst_of
from envgen.trust.audit.report import BYTE_CODE, AuditFinding
from envgen.trust.audit.rules import ROOT

PHASE = "byte-code"


def places(tree: ExpectedTree, folder: Path) -> dict[str, Path]:
    """The paths in `folder` for each source and its byte code, by their path in a layer; creates the parent folders.

    The paths come from the locked wheels, never from the image.
    """
    paths = [path for pair in tree.byte_code.items() for path in pair if ".." not in PurePosixPath(path).parts]
    targets = {f"{ROOT}/{path}": folder / path for path in paths}
    with written(folder):
        for parent in {target.parent for target in targets.values()}:
            parent.mkdir(parents=True, exist_ok=True)
    return targets


def compare_byte_code(
    tree: ExpectedTree, folder: Path, base: str, engine: Engine, reporter: Reporter
) -> tuple[tuple[AuditFinding, ...], str]:
    """The differences, and what was compared; `base` is the digest of the image that compiles.

    A probe that does not finish is a finding: byte code can be crafted to cause that. Raises EngineError.
    """
    minor = ".".join(tree.python.split(".")[:2])
    container = RunRequest(
        image=base,
        command=(f"python{minor}", "-I", "-S", "/envgen/probe", PHASE),
        mounts=((PROBE, "/envgen/probe", False), (_readable(folder), PREFIX, False)),
        environment={},
        # The base's own user may be root, which without capabilities can't read other users' files either.
        user=f"{UID}:{UID}",
        quiet=CHECK_LIMIT,
    )
    job = {"expected": tree.to_json(), "prefix": PREFIX}
    request = PhaseRequest(phase=PHASE, tier=BYTE_CODE, plan=checks_named(PHASE), container=container, job=job)
    result = worst_of(run_phase(request, engine, reporter))
    return (() if result.status == PASSED else tuple(_findings(result.detail))), result.detail


def _findings(detail: str) -> Iterator[AuditFinding]:
    for line in detail.splitlines():
        path, colon, problem = line.partition(": ")
        inside = bool(colon) and path.startswith(f"{PREFIX}/")
        yield AuditFinding(part=BYTE_CODE, path=path.removeprefix("/") if inside else "", problem=problem if inside else line)


def _readable(folder: Path) -> Path:
    """Makes `folder` readable for the container's user, regardless of our umask."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder
