"""JSON that anybody may have written."""

import json

DEEPEST = 100
"""How many objects and lists may be in one another: what walks through them calls itself."""


def parse_json(content: str | bytes) -> object:
    """The value that `content` is. Raises ValueError for what is no JSON, also for what is nested too deep."""
    try:
        found: object = json.loads(content)
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} deep") from None
    level, depth = [found], 0
    while level := [inner for value in level for inner in _inside(value)]:
        depth += 1
        if depth > DEEPEST:
            raise ValueError(f"nested more than {DEEPEST} deep")
    return found


def _inside(value: object) -> list[object]:
    """What is in an object or a list."""
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
