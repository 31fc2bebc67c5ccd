"""Audits an image: reads every layer once and compares it with the lock. Prints nothing."""

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
from envgen.trust.audit.dockerfile import ImageConfig, read_image_config
from envgen.trust.audit.image import AuditedBase, AuditedImage, find_audited_base, opened
from envgen.trust.audit.layers import LayerStack, compare_base, compare_layers, make_stack
from envgen.trust.audit.report import AuditFinding, AuditReport, Part
from envgen.trust.audit.rules import compare, group_rules
from envgen.trust.audit.skeleton import compare_skeleton, merged
from envgen.trust.report import Status
from envgen.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditContext:
    """What an audit compares: an image and its base with the lock, the expected configuration, and the files of each group's wheels."""

    subject: AuditedImage
    audited_base: AuditedBase
    lock: Lock
    expected_config: ImageConfig
    trees: Mapping[str, ExpectedTree]

    @property
    def everything(self) -> ExpectedTree:
        """The files of all wheels, and their byte code."""
        files = {path: file for tree in self.trees.values() for path, file in tree.files.items()}
        return replace(expected_tree((), python=self.audited_base.python), files=files)


def audit_image(workspace: Workspace, lock: Lock, engine: Engine, name: str) -> AuditReport:
    """Compares the image called `name` (a tag, the path of an OCI archive, or empty for the default tag) with `lock`.

    Differences are data in the report. Raises UsageError, VerificationError, EngineError or DiskFullError if there is nothing to compare.
    """
    trees = _trees(workspace, lock)
    with opened(lock, engine, name) as subject, temp_dir("audit") as folder:
        audited_base = find_audited_base(subject.documents, lock, engine)
        expected_config = _recipe(workspace, lock, subject, audited_base)
        context = AuditContext(subject=subject, audited_base=audited_base, lock=lock, expected_config=expected_config, trees=trees)
        unpack = places(context.everything, folder)
        workspace.reporter.step(f"image: {subject.name} ({subject.documents.digest[:19]}), {len(subject.documents.layers)} layers")
        layers = []
        for layer in subject.documents.layers:
            workspace.reporter.detail(f"reading layer {layer.digest[:19]}")
            layers.append(tuple(read_entries(subject.archive, layer, unpack)))
        stack = make_stack(subject.documents, layers, audited_base.documents, expected_config.layers)
        outcomes = [
            _configuration(context),
            _base(context, stack),
            _outcome(
                parts.LAYERS, list(compare_layers(stack, expected_config.layers)), f"{', '.join(expected_config.layers)}, and no others"
            ),
            _skeleton(context, stack),
            _files(context, stack),
            _byte_code(context, folder, engine, workspace.reporter),
            *_archive(subject),
        ]
    return AuditReport(
        profile=lock.profile,
        target=lock.target.slug,
        image=subject.name,
        digest=subject.documents.digest,
        base=audited_base.reference,
        overridden=not audited_base.locked,
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


def _recipe(workspace: Workspace, lock: Lock, subject: AuditedImage, audited_base: AuditedBase) -> ImageConfig:
    """The configuration that the Dockerfile of `lock` makes on this base. Raises UsageError if it can't be determined."""
    dockerfile = render_dockerfile(lock, workspace.project.template("Dockerfile.j2"))
    below = audited_base.documents.config if audited_base.documents else assumed_base(subject.documents.config)
    expected_config = read_image_config(dockerfile, {"BASE": audited_base.reference, "PYTHON": audited_base.python}, environment_of(below))
    expected = own_layers(lock)
    if expected_config.layers != expected:
        problem = f"the stages of the image make the layers {', '.join(expected_config.layers)} (expected {', '.join(expected)})"
        raise UsageError("templates/Dockerfile.j2", problem, hint="an audit doesn't know what other layers should contain")
    # `envgen build` on another base than the locked one adds this label; a plain `docker build` may not.
    has_label = OVERRIDE in labels_of(subject.documents.config) and not audited_base.locked
    override = {OVERRIDE: audited_base.reference} if has_label else {}
    return replace(
        expected_config, labels={**expected_config.labels, **base_labels(audited_base.reference, audited_base.python), **override}
    )


Outcome = tuple[Part, Sequence[AuditFinding]]


def _outcome(name: str, findings: Sequence[AuditFinding], detail: str) -> Outcome:
    """The outcome of a compared part; `detail` is used if there are no findings."""
    if findings:
        return Part(name=name, status=Status.FAILED, detail=pluralize(len(findings), "finding")), findings
    return Part(name=name, status=Status.PASSED, detail=detail), ()


def _unless(reason: str, outcome: Outcome) -> Outcome:
    """`outcome`, turned into "not compared" instead of a pass if there is a reason why something was not compared."""
    part, findings = outcome
    if reason and findings:
        return replace(part, detail=f"{part.detail}; {Status.NOT_COMPARED}: {reason}"), findings
    return (replace(part, status=Status.NOT_COMPARED, detail=reason) if reason else part), findings


def _configuration(context: AuditContext) -> Outcome:
    config, audited_base = context.subject.documents.config, context.audited_base
    base = audited_base.documents.config if audited_base.documents else assumed_base(config)
    findings = list(compare_configuration(config, base, context.expected_config, context.lock.platform))
    counts = f"{len(labels_of(config))} labels, {len(environment_of(config))} variables"
    detail = f"{counts}, user {context.expected_config.user}, as in the Dockerfile and base"
    reason = f"only the Dockerfile's part, not the base's, because {audited_base.missing}" if audited_base.missing else ""
    return _unless(reason, _outcome(parts.CONFIGURATION, findings, detail))


def _archive(subject: AuditedImage) -> Iterator[Outcome]:
    """An engine must load the audited image from an archive, and no other."""
    if subject.others is not None:
        findings = [AuditFinding(part=parts.ARCHIVE, problem=problem) for problem in subject.others]
        yield _outcome(parts.ARCHIVE, findings, "this image, and no other that an engine may load")


def _base(context: AuditContext, stack: LayerStack) -> Outcome:
    audited_base = context.audited_base
    findings = list(compare_base(context.subject.documents, stack, audited_base.documents, audited_base.reference))
    if audited_base.locked and audited_base.python != context.lock.python:
        problem = f"the base has Python {audited_base.python} (expected {context.lock.python})"
        findings.append(AuditFinding(part=parts.BASE, problem=problem))
    count = len(stack.base)
    digest = audited_base.documents.digest[:19] if audited_base.documents else ""
    detail = f"{pluralize(count, 'layer')} of {audited_base.reference} ({digest}), Python {audited_base.python}"
    return _unless(f"because {audited_base.missing}" if audited_base.missing else "", _outcome(parts.BASE, findings, detail))


def _skeleton(context: AuditContext, stack: LayerStack) -> Outcome:
    if SKELETON not in stack.own:
        return _unless("because the layer is missing", _outcome(parts.SKELETON, (), ""))
    entries = stack.own[SKELETON]
    findings = list(compare_skeleton(stack.label(SKELETON), entries, merged(stack.base), context.audited_base.python))
    return _outcome(parts.SKELETON, findings, f"{len(entries)} entries: the interpreter's links, pyvenv.cfg, the user")


def _files(context: AuditContext, stack: LayerStack) -> Outcome:
    findings: list[AuditFinding] = []
    files = 0
    for group, tree in context.trees.items():
        entries = stack.own.get(group)
        if entries is not None:
            rules = group_rules(replace(tree, python=context.audited_base.python))
            findings += compare(parts.FILES, stack.label(group), entries, rules, f"which is in no wheel of the group {group}")
            files += sum(entry.kind == FILE for entry in entries)
    count = sum(len(tree.files) for tree in context.trees.values())
    lost = [group for group in context.trees if group not in stack.own]
    reason = f"because the layer {', '.join(lost)} is missing" if lost else ""
    return _unless(
        reason, _outcome(parts.FILES, findings, f"{files} files in {len(context.trees)} layers, {count} of them as in the wheels")
    )


def _byte_code(context: AuditContext, folder: Path, engine: Engine, reporter: Reporter) -> Outcome:
    audited_base, name = context.audited_base, parts.BYTE_CODE
    if audited_base.documents is None or audited_base.unasked:
        return _unless(f"because {audited_base.unasked}", _outcome(name, (), ""))
    sources = len(context.everything.byte_code)
    reporter.step(f"byte code: compiling {sources} sources again with the base's Python {audited_base.python}")
    try:
        findings, detail = compare_byte_code(context.everything, folder, audited_base.documents.digest, engine, reporter)
    except EnvgenError as error:
        return _unless(f"because {error.problem}", _outcome(name, (), ""))
    return _outcome(name, findings, detail)
