"""Writes the golden files anew, from the locks in this folder: `python tests/golden/write.py`. Review the difference.

Each folder holds a small made-up lock and its renderings. `small` has two indexes, several layers and an environment
that needs quoting; `bare` is lock only. The lock is written from tests/unit/samples.py.
`diff` has what `envgen diff` says of a bump of transformers in the shipped locks, which tests/unit/bump.py makes.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "unit")]

from bump import sides  # noqa: E402  (the path to it is set above)
from samples import sample_lock  # noqa: E402

from envgen.cli.trust import diff_markdown, diff_text  # noqa: E402
from envgen.lock.folder import files_of, write_files  # noqa: E402
from envgen.profiles import Project  # noqa: E402
from envgen.trust.diff import compare_locks  # noqa: E402

LOCKS = {
    "small": sample_lock(),
    "bare": sample_lock(profile="bare", base="", installer=None, tiers=(), env=()),
}


def main() -> None:
    for name, lock in LOCKS.items():
        changed = write_files(HERE / name, files_of(lock, Project(folder=HERE.parents[1])))
        print(f"{name}: {'written' if changed else 'unchanged'}")
    bump = compare_locks(*sides())
    texts = {"bump.txt": "\n".join(diff_text.lines(bump)), "bump.md": diff_markdown.document(bump, "envgen diff")}
    changed = write_files(HERE / "diff", {name: f"{text}\n".encode() for name, text in texts.items()})
    print(f"diff: {'written' if changed else 'unchanged'}")


if __name__ == "__main__":
    main()
