"""envgen.cli.citations: an answer that cites documents says what they are."""

import re

from envgen.cli.citations import with_documents
from envgen.profiles import Project
from envgen.profiles.catalog import shipped
from envgen.profiles.constraints import Document

GUIDE = Document(name="000_a.txt", title="the guide", about="https://docs.example/guide")
NOTES = Document(name="001_b.txt", title="the notes", about="")


def test_only_what_is_cited_is_explained() -> None:
    lines = ["numpy 2.0", "  >=2  000_a.txt, Packages (set x)", "  <3   000_a.txt, Packages (set x)"]
    assert list(with_documents(lines, (GUIDE, NOTES))) == [
        *lines,
        "\ndocuments",
        "  000_a.txt                the guide",
        "                           drawn from https://docs.example/guide",
    ]
    assert list(with_documents(["see 001_b.txt"], (GUIDE, NOTES)))[1:] == ["\ndocuments", "  001_b.txt                the notes"]
    assert list(with_documents(["numpy 2.0"], (GUIDE, NOTES))) == ["numpy 2.0"]


def test_every_document_of_a_shipped_profile_that_is_named_like_a_file_is_explained() -> None:
    project = Project(folder=shipped())
    for name in project.profiles():
        profile = project.profile(name)
        cited = {bound.document for bound in project.bounds(profile) if re.search(r"[0-9a-f]{16}", bound.document)}
        assert cited == {document.name for document in project.documents(profile)}, name
