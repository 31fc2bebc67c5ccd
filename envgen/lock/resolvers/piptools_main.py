"""Runs pip-tools for a described target: `python piptools_main.py TARGET.json ARGUMENTS…`.

pip-tools resolves for the Python that runs it, and that is close to a target but not the same: 3.11.7 takes other
dependencies than 3.11.16 (markers), other releases (Requires-Python), and a host's newer glibc takes wheels that the
target can't load. A lock must not depend on the host, so pip is told the target's own markers, version and wheel tags.
pip has a parameter for the version, which pip-tools leaves out; for the rest it has none that takes exact values.

This runs in a process of its own and imports nothing of envgen's.
"""

import json
import sys
from functools import partial, partialmethod
from pathlib import Path


def main() -> None:
    """Puts the target in place of the host, then becomes `pip-compile`."""
    about = json.loads(Path(sys.argv.pop(1)).read_text(encoding="utf-8"))
    # Before anything else of pip: the other modules take this function by its name.
    from pip._internal.utils import compatibility_tags
    from pip._vendor.packaging import markers
    from pip._vendor.packaging.tags import Tag

    tags = [Tag(*words) for words in about["tags"]]
    compatibility_tags.get_supported = lambda *_args, **_options: tags
    markers.default_environment = lambda: dict(about["markers"])  # type: ignore[assignment,return-value]

    from pip._internal.commands.install import InstallCommand
    from pip._internal.models.target_python import TargetPython

    python = tuple(about["python"])
    finder = partialmethod(InstallCommand._build_package_finder, target_python=TargetPython(py_version_info=python))
    InstallCommand._build_package_finder = finder  # type: ignore[method-assign,assignment]
    InstallCommand.make_resolver = partial(InstallCommand.make_resolver, py_version_info=python)  # type: ignore[method-assign]

    from pip._internal.exceptions import PipError
    from piptools.scripts.compile import cli

    try:
        cli(prog_name="pip-compile")
    except PipError as error:
        sys.exit(f"ERROR: {' '.join(str(error).split())}")


if __name__ == "__main__":
    main()
