"""What each command does: wiring, and the order in which things happen."""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from envgen import pipeline
from envgen.catalog import Catalog
from envgen.cli import show
from envgen.errors import IndexUnavailableError, SmokeError, UsageError
from envgen.pipeline import MakeResolver, Written
from envgen.profile import Profile
from envgen.schema import suggestion
from envgen.settings import mirrored_base, read_settings
from envgen.target import Target
from envgen.workspace import Workspace

if TYPE_CHECKING:  # only what every command needs is imported at once: `envgen lock --check` is to be quick
    from envgen.building import Built
    from envgen.engine.docker import DockerEngine
    from envgen.why import Held

Command = Callable[[argparse.Namespace, Workspace], int]


def run(options: argparse.Namespace) -> int:
    """Runs the command that `options` name; the exit code."""
    project = Path(options.project)
    if not project.is_dir():
        raise UsageError(f"--project {options.project}", "there is no such folder")
    reporter = show.make_reporter(quiet=getattr(options, "json", False))
    settings = read_settings(os.environ, project)
    # requests takes proxies from the environment alone, with no_proxy as everybody knows it.
    os.environ.update(settings.network)
    work = Workspace(catalog=Catalog(project=project.absolute()), settings=settings, reporter=reporter)
    commands: dict[str, Command] = {
        "lock": _lock,
        "update": _update,
        "why": _why,
        "build": _build,
        "smoke": _smoke,
        "show": _later("profile"),
        "run": _later("run"),
        "doctor": _later("doctor"),
    }
    with reporter:
        return commands[options.command](options, work)


def _later(name: str) -> Command:
    """The command in the module envgen.cli.`name`, which is imported when it is called."""
    return lambda options, work: int(import_module(f"envgen.cli.{name}").command(options, work))


def _lock(options: argparse.Namespace, work: Workspace) -> int:
    profiles = [work.catalog.profile(name) for name in options.profiles or work.catalog.profiles()]
    wanted = [(profile, _targets(profile, options.target)) for profile in profiles]
    rows = []
    if options.check:
        pairs = [(profile, target) for profile, targets in wanted for target in targets]
        pipeline.check_locks(work, pairs)
        rows = [{"profile": profile.name, "target": target.slug, "status": "up to date"} for profile, target in pairs]
    else:
        for profile, targets in wanted:
            rows += _rows(work, profile, pipeline.write_locks(work, profile, targets, _resolver(options.resolver)))
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        show.lock_rows(rows)
    return 0


def _resolver(name: str) -> MakeResolver:
    if name == "pip-tools":
        from envgen.resolve.piptools import PipToolsResolver

        return PipToolsResolver
    from envgen.resolve.uv import UvResolver

    return UvResolver


def _rows(work: Workspace, profile: Profile, locks: Sequence[Written]) -> list[dict[str, str]]:
    return [
        {
            "profile": profile.name,
            "target": lock.target.slug,
            "status": "written" if lock.changed else "unchanged",
            "folder": work.catalog.label(lock.folder),
        }
        for lock in locks
    ]


def _targets(profile: Profile, slug: str) -> Sequence[Target]:
    targets = [target for target in profile.targets() if slug in ("", target.slug)]
    if not targets:
        known = ", ".join(target.slug for target in profile.targets())
        raise UsageError(f"--target {slug}", f"{profile.name} has no such target", hint=f"use one of {known}")
    return targets


def _update(options: argparse.Namespace, work: Workspace) -> int:
    from envgen import update

    if options.package and not options.as_of:
        raise UsageError("--package", "needs a date", hint=f"add --as-of DATE, as in --package {options.package} --as-of 2026-11-01")
    if not options.as_of and not options.base:
        raise UsageError("update", "nothing to move", hint="give --as-of DATE (with --package NAME for one package), or --base")
    profile = work.catalog.profile(options.profile)
    path = update.profile_path(work.catalog, options.profile)
    before = path.read_bytes()
    try:
        _move(options, work, profile, path)
        if not options.no_lock:
            moved = work.catalog.profile(options.profile)
            show.lock_rows(_rows(work, moved, pipeline.write_locks(work, moved, moved.targets(), _resolver("uv"))))
    except BaseException:
        # A profile that moved without its locks would leave both stale.
        path.write_bytes(before)
        raise
    return 0


def _move(options: argparse.Namespace, work: Workspace, profile: Profile, path: Path) -> None:
    """Edits the profile in the file `path`."""
    from envgen import update

    if options.as_of:
        update.move_date(path, update.parse_day(options.as_of), canonicalize_name(options.package or ""))
        work.reporter.step(f"{work.catalog.label(path)}: as_of {'of ' + options.package if options.package else ''} is {options.as_of}")
    if options.base:
        from envgen.engine.docker import DockerEngine

        engine = DockerEngine(work.settings)
        for python in profile.pythons:
            if python.base:
                base = engine.base(mirrored_base(work.settings, python.base))
                base = replace(base, pinned=f"{python.base.partition('@')[0]}@{base.pinned.partition('@')[2]}")
                update.move_base(path, profile, python.version, base)
                said = f"Python {base.python}" if base.python else "it does not say which Python it has: `full` stays"
                work.reporter.step(f"{work.catalog.label(path)}: base of Python {python.version} is {base.pinned} ({said})")


def _why(options: argparse.Namespace, work: Workspace) -> int:
    profile = work.catalog.profile(options.profile)
    target = _targets(profile, options.target)[0]
    lock = pipeline.checked_lock(work, profile, target)
    package = lock.package(canonicalize_name(options.package))
    if package is None:
        names = tuple(found.wheel.name for found in lock.packages)
        raise UsageError(
            options.package, f"is not in the lock of {profile.name} for {target.slug}", hint=suggestion(options.package, names)
        )
    try:
        held: tuple[Held, ...] | None = pipeline.why(work, profile, lock, target, package)
        reason = ""
    except IndexUnavailableError as error:
        held, reason = None, str(error)
    if options.json:
        print(
            json.dumps(
                {**asdict(package), "held_back": held and [asdict(entry) for entry in held], "not_asked": reason}, indent=2, default=str
            )
        )
    else:
        show.why(package, held, reason)
    return 0


def _build(options: argparse.Namespace, work: Workspace) -> int:
    from envgen import building, images
    from envgen.engine.docker import DockerEngine

    profile = work.catalog.profile(options.profile)
    lock = pipeline.checked_lock(work, profile, images.image_target(profile, options.target))
    engine = DockerEngine(work.settings)
    info = engine.check()
    work.reporter.step(f"engine: Docker {info.engine}, buildx {info.buildx}, BuildKit {info.buildkit}")
    work.reporter.step(show.estimate(images.estimate(work, lock)))
    images.check_platform(lock, info)
    images.check_disk(work, lock, info)
    images.fetch(work, lock)
    with show.clock() as elapsed:
        asked = building.BuildOptions(base=options.base, tag=options.tag, compression=options.compression, cache=not options.no_cache)
        built = building.build(work, lock, engine, asked)
    work.reporter.step(f"image: {built.image.name}, built in {elapsed():.0f} s, {show.size(built.image.size)} in the engine's store")
    work.reporter.step(f"digest: {built.image.digest}")
    for line in show.push(built):
        work.reporter.step(line)
    if options.no_smoke:
        work.reporter.step("smoke: NOT RUN (--no-smoke)")
        if options.json:
            print(json.dumps({**_image_json(built), "smoke": None}, indent=2))
        return 0
    return _test(options, work, engine, built)


def _smoke(options: argparse.Namespace, work: Workspace) -> int:
    from envgen import images
    from envgen.engine.docker import DockerEngine

    profile = work.catalog.profile(options.profile)
    lock = pipeline.checked_lock(work, profile, images.image_target(profile, options.target))
    engine = DockerEngine(work.settings)
    engine.check()
    built = images.existing(lock, engine, options.image)
    images.fetch(work, lock)
    return _test(options, work, engine, built)


def _test(options: argparse.Namespace, work: Workspace, engine: "DockerEngine", built: "Built") -> int:
    from envgen import images, memory
    from envgen.smoke.runner import Bench, Subject, smoke
    from envgen.smoke.sources import find_model

    bench = Bench(engine=engine, reporter=work.reporter)
    hub = {name: os.environ[name] for name in ("HF_TOKEN", "HF_ENDPOINT") if os.environ.get(name)}
    kit = images.model_kit(work, built, bench, hub)
    model = find_model(options.model, options.prompt, options.expect, kit)
    if warning := memory.warning(model.folder, engine.check().memory):
        work.reporter.step(warning)
    subject = Subject(image=built.image, lock=built.lock, python=built.python, base=built.base)
    report = smoke(subject, model, bench, work.store, kit.diagnoses)
    if options.json:
        print(json.dumps({**_image_json(built), "smoke": report.as_json()}, indent=2))
    else:
        show.report(report)
    return SmokeError.exit_code if report.failed else 0


def _image_json(built: "Built") -> dict[str, object]:
    """What was built: the image, and for a new one its layer groups with the bytes that a push would send."""
    groups = [asdict(group) for group in built.groups]
    return {"image": asdict(built.image), "layers": groups, "push": sum(group.push for group in built.groups), "replaced": built.replaced}
