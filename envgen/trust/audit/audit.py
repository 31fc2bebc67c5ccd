"""The audit of an image: every layer is read once and compared with the lock. Prints nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from envgen.core.errors import EnvgenError, UsageError, VerificationError
from envgen.core.progress import Reporter
from envgen.core.tempdirs import temp_dir
from envgen.core.text import pluralize
from envgen.engine import Engine
from envgen.image.layers import SKELETON, own_layers
from envgen.lock import Lock
from envgen.lock.labels import OVERRIDE, base_labels
from envgen.lock.render import render_dockerfile
from envgen.oci.stack_entries import FILE, read_entries
from envgen.smoke import ExpectedTree, expected_tree
from envgen.trust.audit import report as parts
from envgen.trust.audit.bytecode import compare_byte_code, places
from envgen.trust.audit.configuration import assumed_base, compare_configuration, environment_of, labels_of
from envgen.trust.audit.dockerfile import ImageConfig, read_recipe
from envgen.trust.audit.image import AuditedBase, AuditedImage, find_ground, opened
from envgen.trust.audit.layers import LayerStack, compare_base, compare_layers, make_stack
from envgen.trust.audit.report import AuditFinding, AuditReport, Part
from envgen.trust.audit.rules import compare, group_rules
from envgen.trust.audit.skeleton import compare_skeleton, merged
from envgen.trust.report import Status
from envgen.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditContext:
    """What an audit compares: an image and its base with the lock, its recipe, and the files of each group's wheels."""

    subject: AuditedImage
    ground: AuditedBase
    lock: Lock
    recipe: ImageConfig
    trees: Mapping[str, ExpectedTree]

    @property
    def everything(self) -> ExpectedTree:
        """The files of all wheels, and their byte code."""
        files = {path: file for tree in self.trees.values() for path, file in tree.files.items()}
        return replace(expected_tree((), python=self.ground.python), files=files)


def audit_image(workspace: Workspace, lock: Lock, engine: Engine, name: str) -> AuditReport:
    """Compares the image called `name` (a tag, the path of an OCI archive, or empty for the default tag) with `lock`.

    Differences are data in the report. Raises UsageError, VerificationError, EngineError or DiskFullError when there is nothing to
    compare, or to compare with.
    """
    trees = _trees(workspace, lock)
    with opened(lock, engine, name) as subject, temp_dir("audit") as folder:
        ground = find_ground(subject.documents, lock, engine)
        recipe = _recipe(workspace, lock, subject, ground)
        scene = AuditContext(subject=subject, ground=ground, lock=lock, recipe=recipe, trees=trees)
        unpack = places(scene.everything, folder)
        workspace.reporter.step(f"image: {subject.name} ({subject.documents.digest[:19]}), {len(subject.documents.layers)} layers")
        layers = []
        for layer in subject.documents.layers:
            workspace.reporter.detail(f"reading layer {layer.digest[:19]}")
            layers.append(tuple(read_entries(subject.archive, layer, unpack)))
        stack = make_stack(subject.documents, layers, ground.documents, recipe.layers)
        outcomes = [
            _configuration(scene),
            _base(scene, stack),
            _outcome(parts.LAYERS, list(compare_layers(stack, recipe.layers)), f"{', '.join(recipe.layers)}, and no other"),
            _skeleton(scene, stack),
            _files(scene, stack),
            _byte_code(scene, folder, engine, workspace.reporter),
            *_archive(subject),
        ]
    return AuditReport(
        profile=lock.profile,
        target=lock.target.slug,
        image=subject.name,
        digest=subject.documents.digest,
        base=ground.reference,
        overridden=not ground.locked,
        parts=tuple(part for part, _ in outcomes),
        findings=tuple(finding for _, findings in outcomes for finding in findings),
    )


def _trees(workspace: Workspace, lock: Lock) -> dict[str, ExpectedTree]:
    """The files of each layer group's wheels, read from the wheel store. Raises VerificationError."""
    missing = workspace.store.missing(lock.wheels)
    if missing:
        problem = f"{len(missing)} of {len(lock.wheels)} wheels are not in the wheel store, such as {missing[0].file}"
        raise VerificationError(f"profile {lock.profile}", problem, hint=f"run: envgen fetch {lock.profile}")
    workspace.store.verify(lock.wheels)
    groups = lock.groups.items()
    return {
        group: expected_tree([workspace.store.path(wheel.sha256, wheel.file) for wheel in wheels], python=lock.python)
        for group, wheels in groups
    }


def _recipe(workspace: Workspace, lock: Lock, subject: AuditedImage, ground: AuditedBase) -> ImageConfig:
    """What the Dockerfile of `lock` makes on this base. Raises UsageError when that can't be told."""
    dockerfile = render_dockerfile(lock, workspace.project.template("Dockerfile.j2"))
    below = ground.documents.config if ground.documents else assumed_base(subject.documents.config)
    recipe = read_recipe(dockerfile, {"BASE": ground.reference, "PYTHON": ground.python}, environment_of(below))
    expected = own_layers(lock)
    if recipe.layers != expected:
        problem = f"the stages of the image make the layers {', '.join(recipe.layers)} (expected {', '.join(expected)})"
        raise UsageError("templates/Dockerfile.j2", problem, hint="an audit can't tell what is in others")
    # A build on another base than the locked one adds this label; a plain `docker build` need not.
    has_label = OVERRIDE in labels_of(subject.documents.config) and not ground.locked
    override = {OVERRIDE: ground.reference} if has_label else {}
    return replace(recipe, labels={**recipe.labels, **base_labels(ground.reference, ground.python), **override})


Outcome = tuple[Part, Sequence[AuditFinding]]


def _outcome(name: str, findings: Sequence[AuditFinding], detail: str) -> Outcome:
    """A part that was compared; `detail` is for one without findings."""
    if findings:
        return Part(name=name, status=Status.FAILED, detail=pluralize(len(findings), "finding")), findings
    return Part(name=name, status=Status.PASSED, detail=detail), ()


def _unless(reason: str, outcome: Outcome) -> Outcome:
    """Return `outcome`, which is not a pass if there is a reason why something could not be compared."""
    part, findings = outcome
    if reason and findings:
        return replace(part, detail=f"{part.detail}; {Status.NOT_COMPARED}: {reason}"), findings
    return (replace(part, status=Status.NOT_COMPARED, detail=reason) if reason else part), findings


def _configuration(scene: AuditContext) -> Outcome:
    config, ground = scene.subject.documents.config, scene.ground
    base = ground.documents.config if ground.documents else assumed_base(config)
    findings = list(compare_configuration(config, base, scene.recipe, scene.lock.platform))
    told = f"{len(labels_of(config))} labels, {len(environment_of(config))} variables, user {scene.recipe.user}, as in recipe and base"
    reason = f"only the recipe's part, not what the base brings, because {ground.missing}" if ground.missing else ""
    return _unless(reason, _outcome(parts.CONFIGURATION, findings, told))


def _archive(subject: AuditedImage) -> Iterator[Outcome]:
    """What is loaded out of an archive should be what was audited."""
    if subject.others is not None:
        findings = [AuditFinding(part=parts.ARCHIVE, problem=problem) for problem in subject.others]
        yield _outcome(parts.ARCHIVE, findings, "this image, and nothing else that an engine may load")


def _base(scene: AuditContext, stack: LayerStack) -> Outcome:
    ground = scene.ground
    findings = list(compare_base(scene.subject.documents, stack, ground.documents, ground.reference))
    if ground.locked and ground.python != scene.lock.python:
        problem = f"the base has Python {ground.python} (expected {scene.lock.python})"
        findings.append(AuditFinding(part=parts.BASE, problem=problem))
    count = len(stack.base)
    digest = ground.documents.digest[:19] if ground.documents else ""
    told = f"{pluralize(count, 'layer')} of {ground.reference} ({digest}), Python {ground.python}"
    return _unless(f"because {ground.missing}" if ground.missing else "", _outcome(parts.BASE, findings, told))


def _skeleton(scene: AuditContext, stack: LayerStack) -> Outcome:
    if SKELETON not in stack.own:
        return _unless("because the layer is missing", _outcome(parts.SKELETON, (), ""))
    entries = stack.own[SKELETON]
    findings = list(compare_skeleton(stack.label(SKELETON), entries, merged(stack.base), scene.ground.python))
    return _outcome(parts.SKELETON, findings, f"{len(entries)} entries: the interpreter's links, pyvenv.cfg, the user")


def _files(scene: AuditContext, stack: LayerStack) -> Outcome:
    findings: list[AuditFinding] = []
    files = 0
    for group, tree in scene.trees.items():
        entries = stack.own.get(group)
        if entries is not None:
            rules = group_rules(replace(tree, python=scene.ground.python))
            findings += compare(parts.FILES, stack.label(group), entries, rules, f"which no wheel of the group {group} brings")
            files += sum(entry.kind == FILE for entry in entries)
    count = sum(len(tree.files) for tree in scene.trees.values())
    lost = [group for group in scene.trees if group not in stack.own]
    reason = f"because the layer {', '.join(lost)} is missing" if lost else ""
    return _unless(reason, _outcome(parts.FILES, findings, f"{files} files in {len(scene.trees)} layers, {count} of them as in the wheels"))


def _byte_code(scene: AuditContext, folder: Path, engine: Engine, reporter: Reporter) -> Outcome:
    ground, name = scene.ground, parts.BYTE_CODE
    if ground.documents is None or ground.unasked:
        return _unless(f"because {ground.unasked}", _outcome(name, (), ""))
    sources = len(scene.everything.byte_code)
    reporter.step(f"byte code: compiling {sources} sources again with the base's Python {ground.python}")
    try:
        findings, told = compare_byte_code(scene.everything, folder, ground.documents.digest, engine, reporter)
    except EnvgenError as error:
        return _unless(f"because {error.problem}", _outcome(name, (), ""))
    return _outcome(name, findings, told)
