"""Errors for a resolver that disagrees with the wheels' own metadata, usually over the meaning of a marker."""

from collections.abc import Iterator, Sequence

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from envgen.core.errors import ResolutionError
from envgen.core.target import Target
from envgen.lock.select import SelectedWheel

OTHER_RESOLVER = "pip-tools reads markers as envgen does: envgen lock PROFILE --resolver pip-tools"


def unneeded_error(unneeded: Sequence[str], chosen: Sequence[SelectedWheel], target: Target) -> ResolutionError:
    """The error for resolved packages that nothing requires on `target`."""
    shut_out = [line for package in unneeded for line in _with_markers(package, chosen)]
    if not shut_out:
        problem = f"resolved, but nobody asks for them: {', '.join(unneeded)}"
        hint = "lock again; if that does not help, use the other resolver: envgen lock PROFILE --resolver pip-tools"
        return ResolutionError(target.slug, problem, hint=hint)
    lines = "\n".join(f"  {line}" for line in shut_out)
    problem = f"the resolver takes a marker to hold that does not hold for this target, and so resolved {', '.join(unneeded)}:\n{lines}"
    return ResolutionError(target.slug, problem, hint=OTHER_RESOLVER)


def _with_markers(package: str, chosen: Sequence[SelectedWheel]) -> Iterator[str]:
    for entry in chosen:
        for requirement in entry.requires:
            # A marker on an extra is no disagreement: nothing requires that extra.
            if canonicalize_name(requirement.name) == package and requirement.marker and "extra" not in str(requirement.marker):
                yield f"{entry.wheel.name} {entry.wheel.version} requires {requirement}"


def unmet_error(asker: str, requirement: Requirement, version: str | None, target: Target) -> ResolutionError:
    """The error for a `requirement` resolved to nothing, or to a `version` that it excludes."""
    where = f"{target.slug}: {canonicalize_name(requirement.name)}"
    if requirement.url:
        problem = f"{asker} requires {requirement}, a direct URL, which no lock can hold: no index vouches for it"
        return ResolutionError(where, problem, hint=f"name a release of {asker} that requires it by its name")
    problem = f"resolved to {version or 'nothing'}, but {asker} asks for {requirement}"
    if version is None and requirement.marker:
        return ResolutionError(where, f"{problem}: the resolver reads this marker differently", hint=OTHER_RESOLVER)
    if version is None:
        hint = f"the index's metadata of {asker} may not be that of its wheel, which counts and which pip-tools is shown: "
        return ResolutionError(where, problem, hint=hint + OTHER_RESOLVER.partition(": ")[2])
    return ResolutionError(where, problem)
