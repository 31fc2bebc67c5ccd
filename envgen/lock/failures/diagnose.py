"""Explains a failed resolution by querying the indexes.

A resolver's message shows only its conclusions, and names options of its own. An index shows the fault of a requirement
(no such package, no upload times, source only, uploaded later, no wheel that fits the target), and with it the cure.
"""

import datetime as dt
import difflib
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename
from packaging.version import InvalidVersion, Version

from envgen.core.errors import EnvgenError, IndexRefusedError, IndexUnavailableError, ResolutionError, ResolutionErrors
from envgen.core.parallel import map_parallel
from envgen.core.requirements import marker_holds
from envgen.core.text import first_few, pluralize
from envgen.lock.failures.candidates import Candidate, admits, candidates, needs_of, newest_of
from envgen.lock.resolvers import ResolveRequest
from envgen.profiles import Bound, Profile
from envgen.sources import IndexFile, Packages
from envgen.sources.index import CONNECTIONS

SECONDS = 20.0
"""How long new index requests are started; pending ones are completed."""

DEPTH = 5
"""How many levels of requirements are searched for faults, starting at the profile's."""


class Fault(StrEnum):
    """The fault of a requirement."""

    REFUSED = "refused"
    UNKNOWN = "unknown"
    UNDATED = "undated"
    URL = "direct URL"
    SOURCE_ONLY = "source only"
    LATER = "uploaded later"
    LACKING = "no such version"
    UNFIT = "no wheel that fits"
    BOUND = "documented bound"


_BEYOND_DOUBT = (Fault.UNKNOWN, Fault.URL, Fault.SOURCE_ONLY, Fault.BOUND)
"""Faults that are reported for indirect requirements, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unresolved:
    """A failed resolve request, with its `error`."""

    profile: Profile
    query: ResolveRequest
    bounds: tuple[Bound, ...]
    packages: Packages
    error: ResolutionError


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """A requirement and its origin; `asker` is empty for the profile, else a package with its version."""

    requirement: Requirement
    asker: str = ""

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """The result for a question: a fault with its error, or the newest wheel that fits."""

    question: _Question
    fault: Fault | None = None
    error: ResolutionError | None = None
    best: Candidate | None = None
    below: tuple[_Question, ...] = field(default=())


def diagnose(case: Unresolved) -> ResolutionError:
    """The error for `case`: all faults that were found, else the resolver's own error."""
    if isinstance(case.error, IndexUnavailableError) and not isinstance(case.error, IndexRefusedError):
        return case.error  # the index has been tried often enough
    requirements = [Requirement(text) for text in case.query.requirements]
    questions = [_Question(requirement=requirement) for requirement in requirements if _is_meant(requirement, case.query)]
    try:
        answers = _explore(case, questions)
    except EnvgenError:
        return case.error  # a failure here must not hide the resolver's
    faults = [answer for answer in answers if answer.fault]
    own = [answer for answer in faults if not answer.question.asker]
    others = [answer for answer in faults if answer.question.asker and answer.fault in _BEYOND_DOUBT]
    # A resolver that follows a direct URL may report the server's answer without naming the package.
    if not any(answer.fault is Fault.URL or _is_named(answer.question.name, case.error) for answer in others):
        others = [answer for answer in others if own and answer.fault is Fault.SOURCE_ONLY]
    errors = _errors([*own, *others], case)
    return errors[0] if len(errors) == 1 else ResolutionErrors(tuple(errors)) if errors else case.error


def _is_named(package: str, error: ResolutionError) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(package)}(?![\w-])", error.problem) is not None


def _is_meant(requirement: Requirement, query: ResolveRequest, extras: Sequence[str] = ()) -> bool:
    try:
        return any(marker_holds(requirement, {**query.target.markers(), "extra": extra}) for extra in ("", *extras))
    except InvalidRequirement:
        return False


def _explore(case: Unresolved, questions: Sequence[_Question]) -> list[_Answer]:
    """Answers `questions` and those that follow from them, nearest to the profile first."""
    until, seen = time.monotonic() + SECONDS, set[str]()
    answers: list[_Answer] = []
    level = list(questions)
    for _ in range(DEPTH):
        level = list({text: question for question in level if (text := str(question.requirement)) not in seen}.values())
        seen.update(str(question.requirement) for question in level)
        if not level or time.monotonic() > until:
            break
        results = map_parallel(lambda question: _answer(case, question, until), level, at_once=CONNECTIONS)
        answers += [answer for answer in results if answer is not None]
        level = [question for answer in results if answer is not None for question in answer.below]
    return answers


def _answer(case: Unresolved, question: _Question, until: float) -> _Answer | None:
    """Answers `question` from the index; None after the time limit."""
    if time.monotonic() > until:
        return None
    request, name = case.query, question.name
    if question.requirement.url:
        return _failed(
            case, question, Fault.URL, f"requires {question.requirement}, a direct URL: no index vouches for it", _url_hint(question)
        )
    index = request.index_of(name)
    try:
        files = case.packages.files(index, name)
    except IndexRefusedError as error:
        return _Answer(question=question, fault=Fault.REFUSED, error=error)
    wheels = candidates(request, files, name)
    fault = _fault_of(case, question, files, wheels)
    if fault:
        return _failed(case, question, *fault)
    best = newest_of(wheels, question.requirement.specifier & _bound_of(case, name))
    if best is None:
        bound = next(bound for bound in case.bounds if bound.package == name and bound.requirement)
        problem = f"{_asker(case, question)} admits no release that another bound does: {_documented(bound)}"
        return _failed(
            case, question, Fault.BOUND, problem, "ask for a release within it, or name constraint sets of your own: constraints = [...]"
        )
    below = tuple(_below(case, question, best))
    return _held(case, question, best, wheels, below) or _Answer(question=question, best=best, below=below)


def _below(case: Unresolved, question: _Question, best: Candidate) -> Iterator[_Question]:
    try:
        needs = needs_of(best, case.packages)
    except EnvgenError:
        return  # reported where the wheel is used
    for requirement in needs.requires:
        if _is_meant(requirement, case.query, sorted(question.requirement.extras)):
            yield _Question(requirement=requirement, asker=f"{question.name} {best.version}")


def _held(case: Unresolved, question: _Question, best: Candidate, found: Sequence[Candidate], below: Sequence[_Question]) -> _Answer | None:
    """The answer if a documented bound excludes a requirement of the newest release that fits, else None."""
    for inner in below:
        bound = _against(case, inner.requirement)
        if bound:
            problem = f"its newest release within that, {best.version}, requires {inner.requirement.name}{inner.requirement.specifier}, "
            problem += f"but {_documented(bound)}"
            hint = _newer_hint(case, question, found, bound)
            return _Answer(question=inner, fault=Fault.BOUND, error=ResolutionError(_where(case, question), problem, hint=hint))
    return None


def _against(case: Unresolved, requirement: Requirement) -> Bound | None:
    """The documented bound that conflicts with `requirement`, None without one."""
    for bound in case.bounds:
        meant = bound.package == canonicalize_name(requirement.name) and bound.requirement
        if meant and (requirement.specifier & SpecifierSet(bound.requirement)).is_unsatisfiable():
            return bound
    return None


def _newer_hint(case: Unresolved, question: _Question, found: Sequence[Candidate], bound: Bound) -> str:
    """A hint to the releases that the set of `bound` is for, judged by the newest one."""
    newest = newest_of(found, SpecifierSet())
    if newest is not None:
        inner = [below.requirement for below in _below(case, question, newest) if below.name == bound.package]
        if not any(_against(case, requirement) for requirement in inner):
            major = newest.version.release[0]
            return f"these bounds are for {question.name} {major}: ask for {question.name}>={major}, or name constraint sets of your own"
    return f"name a constraint set of your own in place of {bound.set_name}: constraints = [...]"


def _documented(bound: Bound) -> str:
    return f"the documented bound of set {bound.set_name} is {bound.package}{bound.requirement} ({bound.source})"


def _bound_of(case: Unresolved, package: str) -> SpecifierSet:
    specifier = SpecifierSet()
    for bound in case.bounds:
        if bound.package == package and bound.requirement:
            specifier &= SpecifierSet(bound.requirement)
    return specifier


def _fault_of(
    case: Unresolved, question: _Question, files: Sequence[IndexFile], found: Sequence[Candidate]
) -> tuple[Fault, str, str] | None:
    """The fault of `question` with its problem and hint, None if a wheel fits."""
    name, request = question.name, case.query
    index, specifier = request.index_of(name), question.requirement.specifier
    the_index = _the_index(index)
    if not files:
        return Fault.UNKNOWN, f"{the_index} has no package of that name", _unknown_hint(case, index, name)
    if request.publishes_times(name) and not any(file.uploaded for file in files):
        return (
            Fault.UNDATED,
            f"{the_index} publishes no upload times, so it can't be read as of a date",
            _undated_hint(question, index),
        )
    if not found or (not newest_of(found, SpecifierSet()) and _newest_source(files) > found[0].version):
        return Fault.SOURCE_ONLY, f"{the_index} has its source only, or old wheels beside it", ""
    if newest_of(found, specifier):
        return None
    admitted = [candidate for candidate in found if admits(specifier, candidate.version)]
    if not admitted:
        return Fault.LACKING, *_lacking(the_index, name, found, specifier)
    in_time = [candidate for candidate in admitted if candidate.in_time]
    if not in_time:
        first = min((c for c in admitted if c.file.uploaded), key=lambda c: (c.file.uploaded or request.as_of, c.version), default=None)
        if first is None or first.file.uploaded is None:
            return Fault.UNDATED, f"{the_index} publishes no upload time for {admitted[0].file.filename}", _undated_hint(question, index)
        problem = (
            f"{first.version} was uploaded on {first.file.uploaded:%Y-%m-%d}, after the profile's as_of, {request.cutoff(name):%Y-%m-%d}"
        )
        day = f"{first.file.uploaded + dt.timedelta(days=1):%Y-%m-%d}"
        return Fault.LATER, problem, f"envgen update {case.profile.name} --as-of {day}, or for this package alone, with --package {name}"
    return Fault.UNFIT, *_unfit(case, found, in_time)


def _newest_source(files: Sequence[IndexFile]) -> Version:
    """The newest version with a source distribution, the lowest possible version without any."""
    newest = Version("0.dev0")
    for file in files:
        with suppress(InvalidSdistFilename, InvalidVersion):
            newest = max(newest, parse_sdist_filename(file.filename)[1])
    return newest


def _lacking(the_index: str, name: str, found: Sequence[Candidate], specifier: SpecifierSet) -> tuple[str, str]:
    """The problem and hint if the index only has other versions."""
    early = next((candidate for candidate in found if specifier.contains(candidate.version, prereleases=True)), None)
    if early:
        return f"{the_index} has pre-releases of it only", f"to use one name it, as in {name}=={early.version}"
    usable = [candidate for candidate in found if candidate.in_time] or list(found)
    stable = [candidate for candidate in usable if not candidate.version.is_prerelease] or usable
    newest = stable[0].version.public
    return f"{the_index} has {newest} as its newest", f"name a version that it has, as in {name}=={newest}"


def _unfit(case: Unresolved, found: Sequence[Candidate], in_time: Sequence[Candidate]) -> tuple[str, str]:
    """The problem and hint if no wheel of the required versions fits the target."""
    target, newest = case.query.target, in_time[0]
    ours = [candidate for candidate in in_time if candidate.version == newest.version]
    if any(candidate.has_tag for candidate in ours):
        wanted = next(candidate.file.requires_python for candidate in ours if candidate.has_tag)
        problem = f"{newest.version} requires Python {wanted}, the target has {target.python_full}"
    else:
        tags = sorted({"-".join(candidate.file.filename.removesuffix(".whl").split("-")[-3:]) for candidate in ours})
        problem = f"{newest.version} has no wheel for {target.slug}, but for {first_few(tags, 4)}"
    other = newest_of(found, SpecifierSet())
    if other:
        return problem, f"{other.version} has a wheel that fits: ask for a release that does"
    return problem, "ask for a release that has a wheel for this platform, or take the platform out of the profile"


def _unknown_hint(case: Unresolved, index: str, name: str) -> str:
    holders = [other.name for other in case.query.indexes if other.name != index and _holds(case, other.name, name)]
    if holders:
        return f'the index {holders[0]} has it: add "{name}" to packages in [index.{holders[0]}]'
    close = difflib.get_close_matches(name, _names(case, index), n=1, cutoff=0.75)
    own = "for a package of your own, name its index: [index.NAME] with url and packages"
    similar = next((other for other in close if other != name and _holds(case, index, other)), None)
    if similar:
        return f"did you mean {similar!r}?" + ("" if index != "default" else f" ({own})")
    return own if index == "default" else f"take it out of packages in [index.{index}], if it comes from the default index"


def _names(case: Unresolved, index: str) -> list[str]:
    """Names to suggest: those in the index, unless its list is large, and those with documented bounds."""
    known = {bound.package for bound in case.bounds} if index == "default" else set()
    return sorted({*case.packages.client.names(index), *known})


def _holds(case: Unresolved, index: str, name: str) -> bool:
    try:
        return bool(case.packages.files(index, name))
    except ResolutionError:
        return False


def _undated_hint(question: _Question, index: str) -> str:
    name, exact = question.name, question.requirement
    pin = exact if any(part.operator in ("==", "===") for part in exact.specifier) else f"{name}==1.2.3"
    way = f'and exact versions, as in "{pin}"'
    if index == "default":
        return f'name that index, and what comes from it: [index.NAME] with its url, packages = ["{name}"], upload_times = false, {way}'
    return f"set upload_times = false in [index.{index}], {way}"


def _url_hint(question: _Question) -> str:
    return (
        f"name a release of {question.asker.split()[0] or question.name} that requires {question.name} by its name, "
        f"or serve a wheel of it from an index of yours: [index.NAME]"
    )


def _the_index(index: str) -> str:
    return "the default index" if index == "default" else f"the index {index}"


def _asker(case: Unresolved, question: _Question) -> str:
    return question.asker or f"the profile {case.profile.name}"


def _where(case: Unresolved, question: _Question) -> str:
    return f"{case.query.target.slug}: {question.name if question.requirement.url else question.requirement}"


def _failed(case: Unresolved, question: _Question, fault: Fault, problem: str, hint: str) -> _Answer:
    if question.asker:
        problem = f"{question.asker} {problem}" if fault is Fault.URL else f"{problem} (required by {question.asker})"
    return _Answer(question=question, fault=fault, error=ResolutionError(_where(case, question), problem, hint=hint))


def _errors(answers: Sequence[_Answer], case: Unresolved) -> list[ResolutionError]:
    """One error per fault, but one for all source-only packages, and one per index that refuses access or has no upload times."""
    errors: dict[str, ResolutionError] = {}
    for answer in answers:
        if answer.fault is Fault.SOURCE_ONLY or answer.error is None:
            continue
        index = case.query.index_of(answer.question.name)
        together = answer.fault in (Fault.REFUSED, Fault.UNDATED)
        errors.setdefault(f"{answer.fault} {index if together else answer.error}", answer.error)
    sources: dict[str, list[str]] = {}
    for answer in answers:
        if answer.fault is Fault.SOURCE_ONLY:
            sources.setdefault(answer.question.name, []).append(_asker(case, answer.question))
    return [*errors.values(), *([_source_only(sources, case)] if sources else [])]


def _source_only(sources: dict[str, list[str]], case: Unresolved) -> ResolutionError:
    lines = [f"{name}, required by {', '.join(dict.fromkeys(askers))}" for name, askers in sorted(sources.items())]
    count = pluralize(len(lines), "package is", "packages are")
    problem = "\n".join([f"{count} published as source only, and a lock holds wheels only:", *(f"  {line}" for line in lines)])
    hint = "leave them out, or build a wheel of each once (pip wheel --no-deps NAME) and serve them: [index.NAME] with upload_times = false"
    return ResolutionError(case.query.target.slug, problem, hint=hint)
