"""The documents' pictures show what the code says."""

import xml.etree.ElementTree as ElementTree

import pytest
from tests.simulation import pictures


@pytest.mark.long
def test_the_pictures_of_the_documents_are_those_that_the_code_draws():
    drawn = pictures.all_of_them()
    stale = [name for name, text in drawn.items() if (pictures.FOLDER / name).read_text() != text]
    assert stale == [], "python -m tests.simulation.pictures"
    for text in drawn.values():
        ElementTree.fromstring(text)


def test_a_picture_is_for_a_document():
    root = pictures.FOLDER.parent
    documents = "".join(page.read_text() for page in root.rglob("*.md"))
    assert [one.name for one in pictures.FOLDER.glob("*.svg") if one.name not in documents] == []
