"""Small values that several unit tests build upon: a profile, a lock, wheels, and a server that is no socket."""

import datetime as dt
import hashlib
import io
import json
import tomllib
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import requests
from requests.adapters import BaseAdapter
from urllib3.response import HTTPResponse

from envgen.core.settings import read_settings
from envgen.core.target import Target
from envgen.lock import Lock, LockedBound, LockedModel, Package, RequiredBy
from envgen.lock.model import LockedIndex
from envgen.lock.notice import Notice, NoticeKind
from envgen.profiles import Profile, Project
from envgen.profiles.read import load_profile
from envgen.sources import Hub, IndexClient, LockedModelFiles, Wheel
from envgen.sources.models import HubFile

ROOT = Path(__file__).parents[2]
AS_OF = dt.datetime(2026, 9, 22, tzinfo=dt.UTC)
LINUX = Target(python_full="3.11.16", platform="linux/amd64")
WINDOWS = Target(python_full="3.11.16", platform="windows/amd64")
BASE = f"python:3.11-slim-bookworm@sha256:{'a' * 64}"
INDEX = "https://index.example/simple"
HUB = "https://hub.example"

PROFILE = f"""
description = "A small profile"
as_of = 2026-09-22
requirements = ["demo>=1", "torch==2.13.0"]
platforms = ["linux/amd64", "windows/amd64"]
installer = "uv==0.12.17"

[python."3.11"]
full = "3.11.16"
base = "{BASE}"

[index.pytorch-cpu]
url = "https://torch.example/whl/cpu"
packages = ["torch"]
platforms = ["linux/amd64"]
upload_times = false

[layers]
models = ["demo-*"]

[env]
HF_HOME = "/models"
ALPHA = "1"

[smoke]
tiers = ["static", "cpu"]
"""


def profile_of(text: str = PROFILE, name: str = "small", **others: str) -> Profile:
    """The profile whose file has this text; `others` are the files it may extend."""
    files = {name: text, **others}
    return load_profile(name, lambda wanted: (tomllib.loads(files[wanted]), f"profiles/{wanted}.toml"))


def wheel(name: str, version: str = "1.0", **fields: object) -> Wheel:
    values: dict[str, object] = {
        "file": f"{name.replace('-', '_')}-{version}-py3-none-any.whl",
        "sha256": f"{sum(name.encode()):064x}",
        "size": 1000 + len(name),
        "index": "default",
        "uploaded": dt.datetime(2026, 8, 1, 12, 30, 15, tzinfo=dt.UTC),
        **fields,
    }
    return Wheel(name=name, version=version, **values)  # type: ignore[arg-type]  # test data


NOTICE = Notice(
    kind=NoticeKind.FAR_BEHIND,
    package="demo",
    text="1.5 is 40 releases behind 9.0: it wants torch==2.11.0, but small asks for ==2.13.0",
    cure="loosen what holds it back",
)

COMMIT = "8c7bfcd4a1c4bd1f2b0f0f3c5b9d1f4a6e7d8c9b"
HUB_MODEL = LockedModel(
    source=LockedModelFiles(
        repo="tests/small",
        commit=COMMIT,
        files=(
            HubFile(name="config.json", sha256="c" * 64, size=600),
            HubFile(name="model.safetensors", sha256="d" * 64, size=1_400_000),
            HubFile(name="tokenizer.json", sha256="e" * 64, size=0),
        ),
    ),
    prompt='Is "it" so?\nSay it.',
    expect="é",
)


NASTY = 'it\'s "quoted", costs $5, ${HOME} $(id) `id` {{ lock.base }} {% if %} C:\\dir\\ and é\\'
"""A value that would break out of a Dockerfile that is not careful."""


def sample_lock(**fields: object) -> Lock:
    """A lock with two indexes, several layers and an environment that needs quoting."""
    packages = (
        package("demo", "1.5", "own", (RequiredBy(name="small", requirement=">=1"),)),
        package("demo-data", "2.0", "models", (RequiredBy(name="demo", requirement="*"),)),
        package("numpy", "2.4.6", "libraries", (RequiredBy(name="demo", requirement=">=2"), RequiredBy(name="torch", requirement="*"))),
        Package(
            wheel=wheel(
                "torch", "2.13.0+cpu", file="torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl", index="pytorch-cpu", uploaded=None
            ),
            layer="torch",
            demands=(RequiredBy(name="small", requirement="==2.13.0"),),
            bounds=(LockedBound(set_name="documents", requirement=">=2.2", source='paper.txt, Section "1"'),),
        ),
    )
    values: dict[str, object] = {
        "profile": "small",
        "description": "A small profile",
        "platform": "linux/amd64",
        "as_of": AS_OF,
        "inputs": f"sha256:{'1' * 64}",
        "python": "3.11.16",
        "base": BASE,
        "indexes": (LockedIndex(name="pytorch-cpu", url="https://torch.example/whl/cpu", packages=("torch", "torchvision")),),
        "env": (("HF_HOME", "/models"), ("NASTY", NASTY)),
        "tiers": ("static", "cpu"),
        "layers": ("models", "cuda", "torch", "libraries", "hugging-face", "own"),
        "installer": wheel("uv", "0.12.17", file="uv-0.12.17-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"),
        "packages": packages,
        **fields,
    }
    return Lock(**values)  # type: ignore[arg-type]  # test data


def package(name: str, version: str, layer: str, demands: tuple[RequiredBy, ...]) -> Package:
    return Package(wheel=wheel(name, version), layer=layer, demands=demands)


def make_wheel(name: str, version: str = "1.0", requires: Iterable[str] = ()) -> bytes:
    """The bytes of a wheel with no more in it than its metadata: the same at any time of day."""
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {text}" for text in requires), ""]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo(f"{name.replace('-', '_')}-{version}.dist-info/METADATA")  # of 1980, where a bare name would be of now
        archive.writestr(entry, "\n".join(lines))
    return buffer.getvalue()


@dataclass
class Server(BaseAdapter):
    """Answers requests from a table in place of a network: `url -> (status, headers, body)`."""

    answers: dict[str, tuple[int, Mapping[str, str], bytes]] = field(default_factory=dict)
    seen: list[requests.PreparedRequest] = field(default_factory=list)
    proxies: list[Mapping[str, str]] = field(default_factory=list)

    def page(self, url: str, body: bytes | str, kind: str = "application/vnd.pypi.simple.v1+json", status: int = 200) -> None:
        content = body.encode() if isinstance(body, str) else body
        self.answers[url] = (status, {"content-type": kind, "content-length": str(len(content))}, content)

    def send(self, request: requests.PreparedRequest, **options: object) -> requests.Response:  # type: ignore[override]
        self.seen.append(request)
        self.proxies.append(dict(options.get("proxies") or {}))  # type: ignore[call-overload]
        status, headers, body = self.answers.get(str(request.url), (404, {}, b""))
        response = requests.Response()
        response.status_code, response.url, response.request = status, str(request.url), request
        response.headers.update(headers)
        response.raw = HTTPResponse(io.BytesIO(body), preload_content=False, status=status)
        return response

    def close(self) -> None:
        pass


def hub_for(server: Server, folder: Path, **environ: str) -> Hub:
    """A hub at HUB whose answers come from `server`, with a table that knows the cure for a gated model."""
    settings = read_settings({"ENVGEN_CACHE": str(folder / "cache"), "HF_ENDPOINT": HUB, **environ}, folder)
    hub = Hub(settings, Project(folder=folder).explain)
    for scheme in ("https://", "http://"):
        hub._session().mount(scheme, server)
    return hub


def serve_model(server: Server, files: Mapping[str, bytes], repo: str = "tests/small") -> None:
    """Serves a model at COMMIT, which `main` is; its safetensors are in LFS. The list has a page for each entry."""
    server.page(f"{HUB}/api/models/{repo}/revision/main", json.dumps({"sha": COMMIT}))
    tree = f"{HUB}/api/models/{repo}/tree/{COMMIT}"
    entries: list[dict[str, object]] = [{"type": "directory", "path": "onnx", "oid": "0" * 40, "size": 0}]
    for name, content in files.items():
        lfs = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
        entries.append({"type": "file", "path": name, "size": len(content), **({"lfs": lfs} if name.endswith(".safetensors") else {})})
        server.page(f"{HUB}/{repo}/resolve/{COMMIT}/{quote(name)}", content, "application/octet-stream")
    for number, entry in enumerate(entries):
        url = f"{tree}?cursor={number}" if number else tree
        server.page(url, json.dumps([entry]))
        if number + 1 < len(entries):
            server.answers[url][1]["link"] = f'<https://elsewhere.example/api?cursor={number + 1}>; rel="next"'  # type: ignore[index]


def client_for(server: Server, folder: Path, environ: Mapping[str, str] | None = None, **urls: str) -> IndexClient:
    """A client whose requests all go to `server`; the default index is at INDEX."""
    settings = read_settings({"ENVGEN_CACHE": str(folder / "cache"), "ENVGEN_INDEX_DEFAULT": INDEX, **(environ or {})}, folder)
    client = IndexClient(settings, urls)
    for scheme in ("https://", "http://"):
        client._session().mount(scheme, server)
    return client
