"""envgen.engine.docker.run: what Docker's SDK is told of a container."""

from dataclasses import replace
from pathlib import Path

import pytest

from envgen.engine import RunRequest
from envgen.engine.docker.run import _options

ORDER = RunRequest(image="an/image", command=("true",), environment={"A": "1"}, mounts=((Path("/here"), "/there", False),))


def test_the_container_is_locked_down() -> None:
    found = _options(ORDER)
    assert (found["read_only"], found["network_mode"], found["cap_drop"]) == (True, "none", ["ALL"])
    assert (found["security_opt"], found["tmpfs"]) == (["no-new-privileges"], {"/tmp": "rw,nosuid,nodev,mode=1777"})
    assert not {"user", "working_dir", "mem_limit", "memswap_limit", "device_requests", "privileged"} & found.keys()


@pytest.mark.parametrize("memory", [1, 5 << 30])
def test_what_a_container_may_take_it_may_not_swap_beside(memory: int) -> None:
    found = _options(replace(ORDER, memory=memory))
    assert (found["mem_limit"], found["memswap_limit"]) == (memory, memory), "Docker's memswap_limit is memory and swap together"


@pytest.mark.parametrize("writable", [False, True])
def test_a_mount_may_be_written_only_where_the_order_says_so(writable: bool) -> None:
    (mount,) = _options(replace(ORDER, mounts=((Path("/here"), "/there", writable),)))["mounts"]
    assert (mount["Type"], mount["Source"], mount["Target"], mount["ReadOnly"]) == ("bind", "/here", "/there", not writable)


@pytest.mark.parametrize(("gpus", "request_"), [("all", {"Count": -1, "DeviceIDs": []}), ("0,1", {"Count": 0, "DeviceIDs": ["0", "1"]})])
def test_the_gpus_that_were_asked_for(gpus: str, request_: dict[str, object]) -> None:
    (found,) = _options(replace(ORDER, gpus=gpus))["device_requests"]
    assert {key: found[key] for key in request_} == request_
