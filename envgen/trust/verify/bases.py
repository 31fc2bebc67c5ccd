"""Verifying bases: whether a registry still has the locked digest, and what the tag means now."""

from collections.abc import Iterator

from envgen.core.errors import BaseGoneError, EngineError
from envgen.core.settings import Settings, base_via_mirror
from envgen.engine import Registry
from envgen.trust.verify.questions import VerifiedItem
from envgen.trust.verify.report import GONE, NOT_CHECKED, OK, TAG_DELETED, TAG_MOVED, Verdict


def base_entries(engine: Registry, settings: Settings, item: VerifiedItem, base: str) -> Iterator[Verdict]:
    """What became of `base`, NAME:TAG@DIGEST."""
    tagged, _, digest = base.partition("@")
    reference = base_via_mirror(settings, base)
    # A pull-through cache that can't reach its registry has no such tag either, but says so of no digest.
    through = " (asked through its mirror)" if reference != base else ""
    try:
        engine.digest(reference)
    except BaseGoneError:
        yield item.entry(GONE, f"its registry has no such digest any more{through}")
    except EngineError as error:
        yield item.entry(NOT_CHECKED, error.problem, error.hint)
        return
    else:
        yield item.entry(OK)
    if ":" not in tagged.rpartition("/")[2]:
        return
    try:
        now = engine.digest(base_via_mirror(settings, tagged))
    except BaseGoneError:
        yield item.entry(TAG_DELETED, f"{tagged} is not there any more{through}: name another tag when the base is to move")
    except EngineError as error:
        yield item.entry(NOT_CHECKED, f"what its tag means now: {error.problem}", error.hint)
    else:
        if now != digest:
            yield item.entry(TAG_MOVED, f"{tagged} now means {now}{through}")
