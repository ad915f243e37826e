from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossipsa.wire.text_form import TextFormError, TextKind, from_text, to_text


@given(kind=st.sampled_from(TextKind), data=st.binary(max_size=200))
def test_text_says_what_it_holds(kind: TextKind, data: bytes) -> None:
    text = to_text(kind, data)
    assert "\n" not in text
    assert from_text(kind, f"  {text}\n") == data


def test_one_kind_is_not_taken_for_another() -> None:
    with pytest.raises(TextFormError, match="gossipsa-identity:, not with gossipsa-request:"):
        from_text(TextKind.IDENTITY, to_text(TextKind.REQUEST, b"x"))


@pytest.mark.parametrize("text", ["", "gossipsa-identity", "gossipsa-identity:***", "x:AAAA"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(TextFormError):
        from_text(TextKind.IDENTITY, text)
