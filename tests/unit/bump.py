"""A bump of transformers in all shipped locks, made in memory: the profile moves its date, and a release after the old one comes in."""

import datetime as dt
from dataclasses import replace

from samples import ROOT

from envgen.lock import Lock, Package, RequiredBy, parse_lock
from envgen.trust.diff import LockSide

NEW_AS_OF = dt.datetime(2026, 10, 22, tzinfo=dt.UTC)
UPLOADED = dt.datetime(2026, 10, 6, 14, 5, 11, tzinfo=dt.UTC)
NAME, VERSION = "transformers", "5.15.2"
NEEDS = RequiredBy(name=NAME, requirement=">=0.7.0")


def sides() -> tuple[LockSide, LockSide]:
    """The shipped locks as they are, and after the bump."""
    paths = sorted((ROOT / "locks").glob("*/*/envgen.lock"))
    locks = tuple(parse_lock(path.read_bytes(), path.relative_to(ROOT).as_posix()) for path in paths)
    before = LockSide(label="git revision HEAD (0123456789ab)", locks=locks)
    return before, LockSide(label="the locks as they are now", locks=tuple(map(_bumped, locks)))


def _bumped(lock: Lock) -> Lock:
    return replace(lock, as_of=NEW_AS_OF, inputs=f"sha256:{'2' * 64}", packages=tuple(map(_package, lock.packages)))


def _package(package: Package) -> Package:
    """transformers is a new one, which asks less of safetensors than the old one."""
    wheel = package.wheel
    if wheel.name == "safetensors":
        demands = tuple(NEEDS if demand.name == NAME else demand for demand in package.demands)
        return replace(package, demands=demands)
    if wheel.name != NAME:
        return package
    file = wheel.file.replace(wheel.version, VERSION)
    moved = replace(wheel, version=VERSION, file=file, sha256="ab" * 32, size=wheel.size + 31_234, uploaded=UPLOADED)
    return replace(package, wheel=moved)
