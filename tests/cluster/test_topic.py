"""Topics as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zchat.cluster.topic import prefix

TOPICS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(TOPICS, TOPICS)
def test_no_topic_is_a_prefix_of_another(one: str, other: str) -> None:
    assert prefix(one).startswith(prefix(other)) == (one == other)


def test_a_nul_inside() -> None:
    with pytest.raises(ValueError, match="NUL"):
        prefix("a\0b")
