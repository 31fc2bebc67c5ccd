"""Utilities used by all other folders. Import each module by its own name.

`errors` has a class for each exit code; only `process` starts programs; `parallel` and `tempdirs` survive Ctrl-C and `kill -9`;
`files` writes files atomically; `toml` reads tables and collects their faults; the rest are what their names say.
Raises what `errors` defines; imports nothing from the other folders.
"""
