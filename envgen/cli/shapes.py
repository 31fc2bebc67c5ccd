"""What the `--json` of commands prints, for their help: keys, and values where they are not plain text. Keys may be added, none goes."""

RESULT = """\
{"tier", "name", "status": "passed" | "failed" | "not run", "seconds": number, "peak_memory": bytes, "detail", "error", "cause", "cure"}"""

REPORT = f"""\
report: {{"headline", "verdict", "states": {{tier: "passed" | "failed" | "incomplete" | "not run"}}, "profile", "target", "image", "digest",
"base", "overridden": boolean, "python", "model", "model_digest", "tiers": [text], "results": [{RESULT}]}}"""

RECORDED = """\
{"headline", "python", "built_with", "same": [layer], "wrong": [[layer, expected, found]], "not_compared": [text]}"""

IMAGE = f"""\
"image": {{"name", "digest", "size": bytes, "labels": {{name: text}}, "platform", "diff_ids": [digest]}}, "layers": [{{"name", "digest",
"size": bytes, "push": bytes}}], "push": bytes, "replaced": digest, "recorded": {RECORDED} | null, "built_with\""""

SHAPES = {
    "lock": '[{"profile", "target", "status": "written" | "unchanged" | "up to date", "folder"}]',
    "why": """\
{"wheel": {"name", "version", "file", "sha256", "size": bytes, "index", "uploaded": instant}, "layer", "demands": [{"name",
"requirement"}], "bounds": [{"set_name", "requirement", "source"}], "held_back": [{"first", "last", "reason"}] | null, "not_asked"}""",
    "build": f'{{{IMAGE}, "smoke": report | null, "published": {{"tags": [{{"reference", "digest", "sent": [layer]}}], "index", '
    f'"platforms": [text], "absent": [target]}} | null}}\n{REPORT}',
    "smoke": f'{{{IMAGE}, "smoke": report, "published": null}}\n{REPORT}',
    "show": """\
{"profile", "description", "as_of": instant, "cuda", "driver", "indexes": [[name, url, [package]]], "tiers": [text],
"env": [[name, value]], "targets": [{"target", "python", "base", "state": "locked" | "stale" | "not locked", "wheels": number,
"bytes": number}], "target", "layers": [{"name", "wheels": number, "bytes": number}], "origins": [[path, file]], "memory": {"model",
"parameters": number, "stored": bytes, "bf16": bytes, "int8": bytes, "nf4": bytes, "documented_fp16": bytes, "documented_8bit": bytes,
"documented"} | null}""",
    "doctor": """\
{"problems": number, "warnings": number, "findings": [{"subject", "status", "found", "cure"}]}; with --explain:
{"cause", "cure", "documented": text | null, "why": text | null, "source", "versions": text | null, "error",
"others": [{"error", "cause"}]}""",
    "audit": """\
{"headline", "verdict": "passed" | "FAILED" | "INCOMPLETE", "profile", "target", "image", "digest", "base", "overridden": boolean,
"parts": [{"name", "status", "detail"}], "findings": [{"part", "layer", "path", "problem"}]}""",
    "reproduce": f"""\
{{"profile", "target", "same": boolean, "digest", "other": {{"name", "digest"}},
"differences": [{{"layer", "path", "what", "first", "second"}}],
"causes": [text], "seconds": [number], "depends_on": {{"lock", "base", "python", "compression", "engine", "buildx", "buildkit"}},
"varied": [text], "not_varied": [text], "recorded": {RECORDED}}}""",
    "init": '{"profile", "written": [path], "kept": [path], "left_out": [{"text", "reason"}]}',
}
"""By command; those that are not here say it in their own text."""
