"""An index whose metadata is not that of its wheel: it is found when the wheel arrives, each time, and there is a way on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from loopback import Answer, Fault, Proxy, content
from tiny import BETA, Site, make_wheel, wheel_name, write_profile

LIAR = "envgen-tiny-liar"


def hashed(folder: Path) -> Fault:
    """The same page with the digest of each wheel: an index without them has its wheels fetched, and so read, while locking."""

    def change(answer: Answer) -> Answer:
        page = json.loads(answer.body)
        for file in page["files"]:
            content = next(folder.glob(f"*/{file['filename']}")).read_bytes()
            file["hashes"] = {"sha256": hashlib.sha256(content).hexdigest()}
            file["core-metadata"] = True
        return replace(answer, body=json.dumps(page).encode())

    return change


def test_the_wheel_counts(locked: Site, index: Proxy, tiny_wheels: Path) -> None:
    make_wheel(tiny_wheels, LIAR, requires=[BETA])
    write_profile(locked.project, requirements=[LIAR])
    index.faults.add(f"/{LIAR}/", hashed(tiny_wheels))
    index.faults.add(
        f"{wheel_name(LIAR)}.metadata",
        content("application/octet-stream", f"Metadata-Version: 2.1\nName: {LIAR}\nVersion: 1.0\n\n".encode()),
    )
    locked.envgen("lock", "tiny").must_pass()
    fetch = ("fetch", "tiny", "--no-base")
    for _ in range(2):
        done = locked.envgen(*fetch)
        done.must_fail(8, wheel_name(LIAR), f"requires {BETA} by its own metadata", "--resolver pip-tools")
    assert wheel_name(LIAR) not in locked.kept()
    locked.envgen("lock", "tiny").must_fail(3, BETA, "--resolver pip-tools")
    locked.envgen("lock", "tiny", "--resolver", "pip-tools").must_pass()
    locked.envgen(*fetch).must_pass()
    assert wheel_name(LIAR) in locked.kept()
