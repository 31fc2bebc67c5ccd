"""`envgen run` in the image of cpu-base: as the caller, in their folder, with their cache and token, and with an end like any command's."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from built import docker
from command import Done, program, started, wait_until

TOKEN = "hf_" + "notreallyatoken" * 2
SOMEBODY = 54321

LOOK = """
import getpass, json, os, shutil, tempfile, torch
def refused(path):
    try:
        open(path, "w").close()
    except OSError as error:
        return os.strerror(error.errno)
open("made", "w").write("here")
open(os.environ["HF_HOME"] + "/fetched", "w").write("there")
print(json.dumps({
    "user": [os.getuid(), os.getgid()], "name": getpass.getuser(), "folder": os.getcwd(), "home": os.path.expanduser("~"),
    "hf": os.environ["HF_HOME"], "token": os.environ.get("HF_TOKEN"), "temporary": tempfile.gettempdir(),
    "refused": [refused(path) for path in ("/x", "/opt/venv/x", "/etc/x")], "shared": shutil.disk_usage("/dev/shm").total,
    "capabilities": [line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff")],
    "secret": os.environ.get("SECRET"), "sum": float(torch.ones(3).sum()),
}))
raise SystemExit(7)
"""

UNTIL_INTERRUPTED = """
import time
try:
    print("ready", flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    print("tidied up", flush=True)
    raise SystemExit(42)
"""


@pytest.fixture
def image(cpu_base: dict[str, Any]) -> str:
    return str(cpu_base["image"]["name"])


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder to work in, whose name docker would take apart, had it no quotes."""
    folder = tmp_path / "a, b"
    folder.mkdir()
    return folder


def surroundings(work: Path, **more: str) -> dict[str, str]:
    return {"HF_HOME": str(work.parent / "hf"), **more}


def run(
    image: str, work: Path, *words: str, options: tuple[str, ...] = (), stdin: str | None = None, prefix: tuple[str, ...] = (), **more: str
) -> Done:
    """`envgen run cpu-base` with its standard input from `stdin`."""
    command = [*prefix, program(), "run", "cpu-base", "--image", image, *options, *(("--", *words) if words else ())]
    env = {**os.environ, **surroundings(work, **more)}
    done = subprocess.run(command, cwd=work, env=env, input=stdin or "", capture_output=True, text=True, check=False, timeout=120)
    return Done(code=done.returncode, stdout=done.stdout, stderr=done.stderr)


def as_somebody(*folders: Path) -> tuple[tuple[str, ...], tuple[int, int]]:
    """What makes a command somebody's who is not root, with `folders` theirs; and their ids. Nothing where we are that already."""
    if os.getuid() != 0:
        return (), (os.getuid(), os.getgid())
    setpriv = shutil.which("setpriv")
    assert setpriv, "setpriv is missing: it is part of Debian's util-linux"
    for folder in folders:
        os.chown(folder, SOMEBODY, SOMEBODY)
    # envgen and the engine's socket may lie where only root can go; inside the container this counts for nothing.
    reach = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    return (setpriv, f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups", *reach), (SOMEBODY, SOMEBODY)


def test_a_command_of_somebodys(image: str, work: Path) -> None:
    cache = work.parent / "hf"
    cache.mkdir()
    prefix, ids = as_somebody(work, cache)
    done = run(image, work, "python", "-c", LOOK, prefix=prefix, HF_TOKEN=TOKEN, USER="ann", SECRET="s")
    assert done.code == 7, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("shared") == 2 << 30
    assert found == {
        "user": list(ids), "name": "ann", "folder": "/workspace", "home": "/tmp", "hf": "/hf", "token": TOKEN, "temporary": "/tmp",
        "refused": ["Read-only file system"] * 3, "capabilities": ["0" * 16], "secret": None, "sum": 3.0,
    }  # fmt: skip
    for path, content in ((work / "made", "here"), (cache / "fetched", "there")):
        assert path.read_text() == content
        assert (path.stat().st_uid, path.stat().st_gid) == ids
    assert f"run: {image}, as {ids[0]}:{ids[1]}, on the CPU, network bridge, /workspace is {work}, /hf is {cache}\n" in done.stderr
    assert "warning" not in done.stderr


def test_as_the_caller_and_with_a_cache_that_was_not_there(image: str, work: Path) -> None:
    run(image, work, "sh", "-c", "echo weights > $HF_HOME/model; echo mine > file").must_pass()
    assert (work.parent / "hf" / "model").read_text() == "weights\n"
    assert ((work / "file").stat().st_uid, (work / "file").stat().st_gid) == (os.getuid(), os.getgid())
    again = run(image, work, "sh", "-c", "cat $HF_HOME/model; cat file; python -c 'import socket; print(socket.if_nameindex())'")
    assert again.must_pass().stdout.startswith("weights\nmine\n")
    assert "eth0" in again.stdout
    alone = run(
        image, work, "python", "-c", "import os, socket; print(socket.if_nameindex(), os.environ['HF_HUB_OFFLINE'])",
        options=("--network", "none"),
    )  # fmt: skip
    assert alone.must_pass().stdout == "[(1, 'lo')] 1\n"


def test_a_folder_that_is_somebody_elses_is_warned_of(image: str, work: Path) -> None:
    prefix, (uid, gid) = as_somebody()
    work.chmod(0o555)
    done = run(image, work, "sh", "-c", "touch x || true", prefix=prefix)
    assert f"warning: the current folder: {work} can't be written by {uid}:{gid} in the container: " in done.stderr
    assert "Permission denied" in done.stderr


def test_standard_input_and_python_without_a_command(image: str, work: Path) -> None:
    assert run(image, work, "cat", stdin="a\nb").must_pass().stdout == "a\nb"
    assert run(image, work, stdin="print(6 * 7)\n").must_pass().stdout == "42\n"


def test_every_word_is_the_commands_own(image: str, work: Path) -> None:
    words = ("--", "--gpus", "all", "$HOME", "a b", "")
    done = run(image, work, "python", "-c", "import sys; print(sys.argv[1:])", *words)
    assert done.must_pass().stdout == f"{list(words)}\n"


def test_the_token_is_in_no_list_of_processes_and_in_no_image(image: str, work: Path) -> None:
    script = 'printf %s "$HF_TOKEN" > token; while [ ! -e go ]; do sleep 0.05; done'
    command = ("run", "cpu-base", "--image", image, "--", "sh", "-c", script)
    with started(*command, cwd=work, env=surroundings(work, HF_TOKEN=TOKEN), output=work / "said") as running:
        running.wait_for(lambda: (work / "token").is_file() and (work / "token").read_text() == TOKEN, "the token arrives")
        lines = [words for path in Path("/proc").glob("[0-9]*/cmdline") if (words := content(path))]
        assert [line for line in lines if script.encode() in line], "the container's own command is among them"
        assert not [line for line in lines if TOKEN.encode() in line]
        (work / "go").touch()
        assert running.end().code == 0
    assert TOKEN not in (work / "said").read_text()
    assert containers(image) == []
    assert TOKEN not in docker("image", "inspect", image) + docker("image", "history", "--no-trunc", image)


def content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # it ended while we looked


def containers(image: str) -> list[str]:
    return docker("ps", "--all", "--quiet", "--filter", f"ancestor={image}").split()


@pytest.mark.parametrize(("signals", "code"), [("interrupt", 42), ("terminate", 128 + signal.SIGTERM)])
def test_a_signal_is_the_commands_affair(image: str, work: Path, signals: str, code: int) -> None:
    command = ("run", "cpu-base", "--image", image, "--", "python", "-c", UNTIL_INTERRUPTED)
    with started(*command, cwd=work, env=surroundings(work), output=work / "said") as running:
        running.wait_for(lambda: running.said("ready"), "the command runs")
        getattr(running, signals)()
        done = running.end()
        assert done.code == code, done.stderr
        assert running.said("tidied up") is (signals == "interrupt")
        assert "Traceback" not in done.stderr
        assert running.left_behind() == []
    wait_until(lambda: containers(image) == [], "the container is removed")


def test_ctrl_c_at_a_terminal(image: str, work: Path) -> None:
    ours, theirs = pty.openpty()
    command = [
        program(),
        "run",
        "cpu-base",
        "--image",
        image,
        "--",
        "python",
        "-c",
        "import sys; print(sys.stdin.isatty())" + UNTIL_INTERRUPTED,
    ]
    env = {**os.environ, **surroundings(work)}
    process = subprocess.Popen(command, cwd=work, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    try:
        assert "True" in read_until(ours, "ready")
        os.write(ours, b"\x03")
        read_until(ours, "tidied up")
        assert process.wait(60) == 42
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_until(terminal: int, word: str) -> str:
    """What a terminal shows, up to `word`."""
    shown = ""
    while word not in shown:
        try:
            shown += os.read(terminal, 4096).decode(errors="replace")
        except OSError as error:  # how Linux says that nobody writes there any more
            raise AssertionError(f"{word!r} was never shown:\n{shown}") from error
    return shown


def test_what_an_end_means(image: str, work: Path) -> None:
    missing, killed = run(image, work, "nosuchthing"), run(image, work, "sh", "-c", "kill -9 $$")
    assert (missing.code, killed.code) == (127, 137)
    assert "run: exit code 127, which usually means: the image has no program 'nosuchthing'\n" in missing.stderr
    assert "run: exit code 137, which usually means: killed, often for lack of memory\n" in killed.stderr


@pytest.mark.parametrize(
    ("options", "environment", "words"),
    [
        (("--image", "envgen-test/nothing:x"), {}, ("envgen-test/nothing:x: no such image", "hint:  run: envgen build cpu-base")),
        (("--gpus", "all"), {}, ("--gpus all: cpu-base is locked without CUDA", "hint:  use a profile with CUDA")),
        (("--target", "py311-macos-arm64"), {}, ("no image is built for py311-macos-arm64",)),
    ],
)
def test_what_can_not_be_run(
    image: str, work: Path, options: tuple[str, ...], environment: Mapping[str, str], words: tuple[str, ...]
) -> None:
    run(image, work, "true", options=options, **environment).must_fail(2, *words)


def test_the_root_is_not_mounted(image: str, work: Path) -> None:
    command = [program(), "--project", str(work), "run", "cpu-base", "--image", image, "--", "true"]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    Done(code=done.returncode, stdout=done.stdout, stderr=done.stderr).must_fail(2, "the current folder: is /", "hint:  cd into the folder")


def test_the_image_of_another_lock(image: str, work: Path) -> None:
    (work / "profiles").mkdir()
    (work / "profiles" / "cpu-base.toml").write_bytes((Path(shipped()) / "profiles" / "cpu-base.toml").read_bytes())
    run(image, work, "true").must_fail(4, "there is no lock", "hint:  run: envgen lock cpu-base")


def shipped() -> Path:
    from envgen.profiles.catalog import shipped as folder

    return Path(folder())
