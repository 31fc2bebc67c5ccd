"""What every folder stands on: each module is one thing, and is imported by its own name.

`errors` has a class for each exit code; `process` alone starts programs; `parallel` and `tempdirs` outlive Ctrl-C and `kill -9`;
`files` writes whole files; `toml` reads tables and collects their faults; `settings`, `target`, `requirements`, `progress`, `git`,
`zips` and `lazy` are what they are called. Raises what `errors` has; imports nothing of the other folders.
"""
