"""Files of a project in which everything that can stand there does, as plain values."""

from __future__ import annotations

import tomllib
from typing import Any

from samples import BASE, INDEX, PROFILE

PAPER = {"requirement": ">=1", "package": "demo", "document": "paper.txt", "section": "Table 1", "role": "core", "note": "none"}
CONSTRAINTS: dict[str, Any] = {"description": "papers", "bound": [PAPER, {**PAPER, "package": "torch", "requirement": ">=2.2,<3"}]}
SETTINGS: dict[str, Any] = {
    "mirror": {"pytorch-cpu": "https://mirror.example/whl", "default": "wheels"},
    "registry": {"docker.io": "127.0.0.1:5000"},
    "network": {"proxy": "http://proxy.example:3128", "ca": "/etc/ssl/certs/ca.pem"},
}
PROFILES: tuple[dict[str, Any], ...] = (
    tomllib.loads(PROFILE),
    {
        "extends": "cpu-base",
        "platforms": ["linux/amd64", "linux/arm64"],
        "requirements": ["demo[extra]>=1; python_version >= '3.10'"],
        "cuda": "12.8",
        "package": {"demo": {"as_of": tomllib.loads(PROFILE)["as_of"]}},
        "python": {"3.12": {"full": "3.12.4", "base": BASE}},
        "index": {"pytorch-cpu": False, "own": {"url": INDEX, "packages": ["demo"], "upload_times": True}},
    },
)
