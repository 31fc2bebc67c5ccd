"""envgen.smoke.probe: its modules know each other by short names, whichever folder they are in."""

import ast
import runpy
import sys
from collections import Counter

from samples import ROOT

PROBE = ROOT / "envgen" / "smoke" / "probe"
MODULES = sorted(PROBE.rglob("*.py"))


def test_no_name_is_there_twice_or_hides_one_of_pythons_own() -> None:
    names = Counter(path.stem for path in MODULES)
    assert len(names) > 15
    assert [name for name, count in names.items() if count > 1] == []
    assert set(names) & (sys.stdlib_module_names - {"__main__"}) == set()


def test_a_folder_imports_from_itself_and_from_the_top_alone() -> None:
    """No other folder is on the path when a phase of this one begins."""
    ours = {path.stem: path.parent for path in MODULES}
    for path in MODULES:
        nodes = list(ast.walk(ast.parse(path.read_text())))
        named = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        named += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
        assert [name for name in named if name in ours and ours[name] not in (path.parent, PROBE)] == [], path.name


def test_every_phase_has_its_module_with_checks() -> None:
    before = sys.path[:]
    sys.path.insert(0, str(PROBE))
    try:
        phases = runpy.run_path(str(PROBE / "__main__.py"), run_name="probe")["PHASES"]
    finally:
        sys.path[:] = before
        sys.modules.pop("harness", None)
    for phase, module in phases.items():
        tree = ast.parse((PROBE / f"{module}.py").read_text())
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        defined |= {
            target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets if isinstance(target, ast.Name)
        }
        defined |= {node.target.id for node in tree.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
        assert defined & {"checks", "CHECKS"}, phase
