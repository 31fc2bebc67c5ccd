"""Input that means harm, or was damaged: the smallest case of each kind that once ended in a traceback or went through."""

import io
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import InvalidRequirement
from samples import INDEX, LINUX, PROFILE, Server, client_for, profile_of, sample_lock, wheel

from envgen.cli import print_error
from envgen.core.errors import (
    IndexUnavailableError,
    ProfileError,
    ResolutionError,
    SmokeError,
    StaleLockError,
    UsageError,
    VerificationError,
)
from envgen.core.requirements import marker_holds, read_needs, read_requirement
from envgen.core.settings import read_settings
from envgen.core.toml import parse_toml
from envgen.image.layer_record import parse_records
from envgen.lock import parse_lock
from envgen.lock.demands import demands_of
from envgen.lock.folder import files_of
from envgen.lock.model import dump_lock
from envgen.lock.render import render_requirements
from envgen.lock.select import SelectedWheel
from envgen.profiles import Project
from envgen.profiles.constraints import read_constraints
from envgen.smoke import expected_tree
from envgen.smoke.launchers import Layout, launchers
from envgen.sources import WheelStore
from envgen.sources.index_pages import html_page, json_files

DEEP = 5000


ENDLESS = ("a = " + "[" * DEEP, "a" + ".a" * 1500 + " = 1", "a = " + "9" * DEEP, "a = 0x" + "f" * DEEP, "a = 9223372036854775808")


@pytest.mark.parametrize("text", [*ENDLESS, "a = '\ud800'"])
def test_toml_without_an_end_is_none(text: str, tmp_path: Path) -> None:
    data = text.encode(errors="surrogatepass")
    with pytest.raises(ValueError, match=r"."):
        parse_toml(data)
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "bad.toml").write_bytes(data)
    with pytest.raises(ProfileError, match=r"^profiles/bad.toml: invalid TOML: "):
        Project(folder=tmp_path).profile("bad")
    with pytest.raises(StaleLockError, match=r"not a lock that envgen wrote"):
        parse_lock(data, "locks/x/y/envgen.lock")
    with pytest.raises(StaleLockError, match=r"not written by envgen"):
        parse_records(data, "locks/x/y/layers.toml", "x")


def test_the_largest_integer_is_one() -> None:
    assert parse_toml(b"a = 9223372036854775807") == {"a": 2**63 - 1}


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('url = "https://torch.example/whl/cpu"', 'url = "http://["', "expected an http"),
        ('full = "3.11.16"', 'full = "3.11.\u0661"', "expected a full version"),
        ('[python."3.11"]', '[python."3.1111111"]', "not a minor version"),
        ('full = "3.11.16"', 'full = ""', "expected a full version"),
        ('installer = "uv==0.12.17"', 'installer = ""', "expected an exact version"),
        ('url = "https://torch.example/whl/cpu"', 'url = ""', "expected an http"),
        ('[env]', '[package."a\\u0000"]\nas_of = 2026-01-01\n[env]', "not a name a package can have"),
        ('[env]', '[package."--no-index"]\nas_of = 2026-01-01\n[env]', "not a name a package can have"),
        ('"demo>=1"', "\"demo; python_version ~= 'x'\"", "can't be evaluated"),
        ('"demo>=1"', "\"demo; 'a' in extras\"", "can't be evaluated"),
        ('"demo>=1"', f'"demo; {"(" * DEEP}"', "nested"),  # packaging 26.4 says it itself, in words of its own
        ('"demo>=1"', "\"demo; os_name != 'a\u2028--index-url http://evil.example/'\"", "the end of a line"),
        ('ALPHA = "1"', 'ALPHA = "a\\u2028b"', "control character"),
        ('description = "A small', 'description = "A \\u007f', "control character"),
    ],
)  # fmt: skip
def test_a_profile_that_means_harm(before: str, after: str, words: str) -> None:
    assert before in PROFILE
    with pytest.raises(ProfileError, match=words):
        profile_of(PROFILE.replace(before, after))


def test_a_command_in_a_hint_can_be_pasted() -> None:
    with pytest.raises(ProfileError) as caught:
        profile_of(PROFILE.replace('base = "python:3.11-slim-bookworm', 'base = "x; rm -rf ~'))
    assert caught.value.hint.endswith("inspect 'x; rm -rf ~'")


@pytest.mark.parametrize("bound", [{"package": "demo\n--index-url http://evil.example/"}, {"package": ""}, {"requirement": ">=1,\n<2"}])
def test_a_bound_is_one_line_of_constraints(bound: dict[str, str]) -> None:
    whole = {"package": "demo", "requirement": ">=1", "document": "paper", "section": "1", "role": "core", **bound}
    if not whole["package"]:
        del whole["package"]
    with pytest.raises(ProfileError, match=r"package|requirement"):
        read_constraints("papers", {"bound": [whole]}, "papers.toml")


WRONG_SETTINGS = ('mirror = { a = "\\u0000" }', 'network = { proxy = "a\\nb" }', 'mirror = { a = "https://u:p@x.example/" }')


@pytest.mark.parametrize("text", WRONG_SETTINGS)
def test_settings_that_can_not_be_variables(text: str, tmp_path: Path) -> None:
    (tmp_path / "envgen.toml").write_text(text)
    with pytest.raises(ProfileError, match=r"^envgen.toml: (mirror|network)\."):
        read_settings({}, tmp_path)


def test_credentials_in_the_url_of_a_mirror_are_taken_out_of_it(tmp_path: Path) -> None:
    found = read_settings({"ENVGEN_INDEX_OWN": "https://me:p%40ss@mirror.example:8443/simple?x#y"}, tmp_path)
    assert found.mirrors == {"own": "https://mirror.example:8443/simple?x#y"}
    assert found.credentials == {"own": ("me", "p@ss")}
    apart = {"ENVGEN_INDEX_OWN_USERNAME": "you", "ENVGEN_INDEX_OWN_PASSWORD": "secret"}
    assert read_settings({"ENVGEN_INDEX_OWN": "https://me:x@mirror.example/", **apart}, tmp_path).credentials == {"own": ("you", "secret")}
    with pytest.raises(UsageError, match=r"^ENVGEN_INDEX_OWN: not a valid URL"):
        read_settings({"ENVGEN_INDEX_OWN": "http://["}, tmp_path)


@pytest.mark.parametrize("change", [("size = 1004", "size = -1"), ("as_of = 2026-09-22T00:00:00Z", "as_of = 2026-09-22T00:00:00")])
def test_a_lock_of_impossible_values(change: tuple[str, str]) -> None:
    text = dump_lock(sample_lock()).decode()
    assert change[0] in text
    with pytest.raises(StaleLockError, match=r"expected (a number of bytes|an instant in UTC)"):
        parse_lock(text.replace(*change).encode(), "locks/x/y/envgen.lock")


@pytest.mark.parametrize("entry", ['{"size": true}', '{"size": -5}', f'{{"size": {10**300}}}'])
def test_a_size_that_can_not_be_is_not_said(entry: str) -> None:
    page = f'{{"files": [{{"filename": "a.whl", "url": "a.whl", {entry[1:-1]}}}]}}'
    assert next(json_files(page.encode(), INDEX, "default")).size is None


@pytest.mark.parametrize("page", [b'{"files": ' + b"[" * 100_000, b'{"files": [{"size": ' + b"9" * DEEP + b"}]}"])
def test_json_without_an_end(page: bytes) -> None:
    with pytest.raises(IndexUnavailableError, match=r"JSON that is no index page"):
        json_files(page, INDEX, "default")


@pytest.mark.parametrize("attribute", ['href="http://["', 'href="a.whl" data-upload-time="0001-01-01T00:00:00+14:00"'])
def test_html_with_what_is_no_address_and_no_instant(attribute: str) -> None:
    with pytest.raises(IndexUnavailableError, match=r"HTML that is no index page"):
        html_page(f"<a {attribute}>x</a>", INDEX, "default")


@pytest.mark.parametrize("charset", ["idna", "undefined", "zip", "no-such"])
def test_a_page_is_read_whatever_its_server_calls_it(charset: str, tmp_path: Path) -> None:
    server = Server()
    server.page(f"{INDEX}/demo/", '<a href="demo-1.0-py3-none-any.whl">x</a>', kind=f"text/html; charset={charset}")
    assert [file.filename for file in client_for(server, tmp_path).files("default", "demo")] == ["demo-1.0-py3-none-any.whl"]


@pytest.mark.parametrize(
    ("status", "header", "value"),
    [(302, "location", "http://["), (302, "location", "http://\xe9.example/"), (503, "retry-after", "9" * DEEP)],
)
def test_headers_that_lead_nowhere(status: int, header: str, value: str, tmp_path: Path) -> None:
    server = Server()
    server.answers[f"{INDEX}/demo/"] = (status, {header: value}, b"")
    with pytest.raises(IndexUnavailableError):
        client_for(server, tmp_path).files("default", "demo")


def test_a_marker_that_compares_what_can_not_be_compared() -> None:
    with pytest.raises(InvalidRequirement, match=r"can't be evaluated"):
        marker_holds(read_requirement("demo; 'linux' ~= sys_platform"), LINUX.markers())
    demo = wheel("demo")
    needs = read_needs(b"Metadata-Version: 2.1\nRequires-Dist: x; 'linux' ~= sys_platform\n", demo.file, "default")
    with pytest.raises(ResolutionError, match=r"demo: asks for what can't be understood"):
        demands_of(["demo"], "small", [SelectedWheel(wheel=demo, requires=needs.requires, requires_python="")], LINUX)


def archive(method: int, *, name: str = "demo-1.0.dist-info/METADATA", flag: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as found:
        found.writestr(name, "Metadata-Version: 2.1\n" * 50, method)
    content = bytearray(buffer.getvalue())
    content[content.find(b"PK\x01\x02") + 8] |= flag
    return bytes(content)


def damaged(content: bytes, marker: bytes, offset: int, value: int) -> bytes:
    found = bytearray(content)
    found[found.find(marker) + offset] = value
    return bytes(found)


@pytest.mark.parametrize(
    "content",
    [
        b"no zip",
        archive(zipfile.ZIP_DEFLATED, name="other"),
        archive(zipfile.ZIP_DEFLATED, flag=1),
        damaged(archive(zipfile.ZIP_DEFLATED), b"PK\x01\x02", 10, 77),
        damaged(archive(zipfile.ZIP_DEFLATED), b"METADATA", 9, 0xFF),
        damaged(archive(zipfile.ZIP_BZIP2), b"METADATA", 12, 0xFF),
    ],
    ids=["not a zip", "no metadata", "encrypted", "unknown method", "damaged", "damaged bzip2"],
)
def test_an_archive_that_can_not_be_read(content: bytes, tmp_path: Path) -> None:
    demo = wheel("demo")
    store = WheelStore(tmp_path)
    path = store.path(demo.sha256, demo.file)
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(VerificationError, match=r"not a wheel"):
        store.metadata_of(demo)
    with pytest.raises(SmokeError, match=r"not a wheel"):
        expected_tree([path], python="3.11.16")


def test_an_entry_point_that_would_take_a_regular_expression_for_ever() -> None:
    with pytest.raises(SmokeError, match=r"unexpected entry point"):
        launchers("[console_scripts]\nx = a:b [" + "a " * 5000, Layout(prefix="/opt/venv", python="3.11"))


@pytest.mark.parametrize("template", ["{{ nothing }}", "{% if %}", "{{ 1 / 0 }}", "{{ ''.__class__.__mro__ }}", "{% include 'x' %}"])
def test_a_template_that_gives_nothing(template: str) -> None:
    with pytest.raises(ProfileError, match=r"^templates/requirements.txt.j2: can't be rendered: "):
        render_requirements(sample_lock(), template)


def test_a_template_is_no_program(tmp_path: Path) -> None:
    """What a project brings along is filled in, and reaches nothing of this machine."""
    (tmp_path / "templates").mkdir()
    program = "{{ lock.packages.__class__.__base__.__subclasses__() }}"
    (tmp_path / "templates" / "requirements.txt.j2").write_text(program)
    with pytest.raises(ProfileError, match=r"SecurityError"):
        files_of(sample_lock(), Project(folder=tmp_path))
    (tmp_path / "templates" / "requirements.txt.j2").write_bytes(b"\xff")
    with pytest.raises(ProfileError, match=r"can't be read"):
        files_of(sample_lock(), Project(folder=tmp_path))


def test_a_message_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(UsageError("a\x1b[31m", "b\u2028c\nd\te", hint="f\ng\x07"))
    assert capsys.readouterr().err == "error: a\\x1b[31m: b\\u2028c\n       d       e\nhint:  f\n       g\\x07\n"
