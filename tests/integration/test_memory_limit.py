"""A test that runs out of memory or time is said to have been killed for that; of memory it was warned before."""

from __future__ import annotations

from built import OneTier


def test_a_killed_test_says_so_and_what_came_before_it_stays(one_tier: OneTier) -> None:
    done = one_tier.smoke("cpu", "--memory", "200MB")
    assert done.code == 7, done.stderr
    assert "out of memory: give the engine more, or use a smaller model" in done.stdout
    assert "Traceback" not in done.stderr
    assert "memory: embedded has 0.0 GB of weights, Python takes another 0.8 GB, but only 0.2 GB are available" in done.stderr


def test_what_a_model_takes_is_said(one_tier: OneTier) -> None:
    done = one_tier.smoke("cpu", "--memory", "8GB").must_pass()
    assert "memory: 693,632 parameters take 1 MB in bf16, 1 MB in int8, 0 MB in nf4" in done.stderr
    assert "the kernel may kill it" not in done.stderr


def test_a_check_that_takes_too_long_is_killed_and_says_so(one_tier: OneTier) -> None:
    done = one_tier.smoke("cpu", "--check-limit", "0.4")
    assert done.code == 7, done.stderr
    assert "killed: it ran longer than --check-limit allows" in done.stdout
    assert "Traceback" not in done.stderr
