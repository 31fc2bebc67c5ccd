"""Parsing of untrusted JSON."""

import json

DEEPEST = 100
"""How deep objects and lists may be nested: code that walks them is recursive."""


def parse_json(content: str | bytes) -> object:
    """Parses JSON. Raises ValueError for invalid JSON, also if it is nested too deep."""
    try:
        parsed: object = json.loads(content)
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} deep") from None
    level, depth = [parsed], 0
    while level := [inner for value in level for inner in _inside(value)]:
        depth += 1
        if depth > DEEPEST:
            raise ValueError(f"nested more than {DEEPEST} deep")
    return parsed


def _inside(value: object) -> list[object]:
    """The values of an object or a list."""
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
