"""Runs pip-tools for a described target: `python piptools_main.py TARGET.json ARGUMENTS…`.

pip-tools resolves for the Python that runs it, which may differ from the target: 3.11.7 selects other dependencies
than 3.11.16 (markers) and other releases (Requires-Python), and a newer glibc on the host accepts wheels that the
target can't load. A lock must not depend on the host, so this sets the target's markers, version and wheel tags.
pip has a parameter for the version, which pip-tools does not expose, and none for exact markers and tags.

Runs in its own process and imports nothing from envgen.
"""

import json
import sys
from functools import partial, partialmethod
from pathlib import Path


def main() -> None:
    """Replaces the host by the target, then runs `pip-compile`."""
    about = json.loads(Path(sys.argv.pop(1)).read_text(encoding="utf-8"))
    # Before any other import from pip: its modules import this function by name.
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
