"""What the documents are that an answer cites: they are called by the names of files, which nobody can look up."""

from collections.abc import Iterator, Sequence

from envgen.profiles.constraints import Document


def with_documents(lines: Sequence[str], documents: Sequence[Document]) -> Iterator[str]:
    """`lines`, and below them each of the `documents` that is named in one."""
    yield from lines
    cited = [document for document in documents if any(document.name in line for line in lines)]
    if cited:
        yield "\ndocuments"
    for document in cited:
        yield f"  {document.name:<24} {document.title}"
        if document.about:
            yield f"  {'':<24} drawn from {document.about}"
