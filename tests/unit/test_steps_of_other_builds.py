"""envgen.image.build: a history with step names of another build is found."""

import pytest

from envgen.image.build import steps_of_other_builds

LINES = ("#1 [internal] load build definition", "#9 [with-torch 1/1] COPY --link --from=layer-torch /out/ /", "#9 CACHED")


@pytest.mark.parametrize(
    "text",
    [
        "[stage-14 5/5] COPY --link --from=layer-torch /out/ /",
        "[with-torch 1/1] COPY --link --from=layer-cuda /out/ /",
        "[with-torch 1/1] COPY --link --from=layer-torch /out/",
    ],
)
def test_a_step_of_another_build(text: str) -> None:
    assert steps_of_other_builds([LINES[1][3:], text], LINES) == [text]


def test_own_steps_and_what_is_no_step() -> None:
    assert steps_of_other_builds([LINES[1][3:], "mount / from exec /bin/sh -c true", "pulled from docker.io/library/x"], LINES) == []
