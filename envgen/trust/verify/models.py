"""Verifying models of the hub: whether it still has the locked files at the locked commit."""

from collections.abc import Iterator

from envgen.core.errors import HubGoneError
from envgen.sources import Hub, HubName, LockedModelFiles
from envgen.trust.verify.questions import TimeBudget, VerifiedItem
from envgen.trust.verify.report import CHANGED, GONE, OK, Verdict


def hub_entries(hub: Hub, patience: TimeBudget, item: VerifiedItem, locked: LockedModelFiles) -> Iterator[Verdict]:
    """What became of a locked model. Raises HubUnavailableError, or HubRefusedError where the hub does not show it to whoever asks."""
    found = patience.ask(lambda: _repository(hub, HubName(repo=locked.repo, revision=locked.commit)))
    if isinstance(found, HubGoneError):
        yield item.entry(GONE, found.problem)
        return
    there = {file.name: file for file in found.files}
    gone = [file.name for file in locked.files if file.name not in there]
    new = sorted(there.keys() - {file.name for file in locked.files})
    other = [file for file in locked.files if file.name in there and file != there[file.name]]
    if gone:
        yield item.entry(GONE, f"the {hub.where} does not list {', '.join(gone)} any more")
    elif other:
        sha256 = there[other[0].name].sha256
        yield item.entry(CHANGED, f"the {hub.where} has {other[0].name} with sha256 {sha256}, the lock {other[0].sha256}: find out why")
    elif new:
        yield item.entry(CHANGED, f"the {hub.where} lists {', '.join(new)} too, which the lock has not: find out why")
    else:
        yield item.entry(OK)


def _repository(hub: Hub, name: HubName) -> LockedModelFiles | HubGoneError:
    """What the hub has; that it has nothing is an answer too, and costs no patience."""
    try:
        return hub.repository(name)
    except HubGoneError as error:
        return error
