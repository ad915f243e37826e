"""What may answer on an admin socket without being a gossipsa."""

from __future__ import annotations

import pytest

from gossipsa.daemon.admin_client import DaemonRefusedError, DaemonUnreachableError, decode_answer


@pytest.mark.parametrize("line", [b"", b"5\n", b"[]\n", b'{"text": ', b'"\xff"\n', b"[" * 100_000])
def test_answer_of_something_else_is_said_to_be_none_of_gossipsa(line: bytes) -> None:
    with pytest.raises(DaemonUnreachableError, match="is no gossipsa"):
        decode_answer(line)


def test_refusal_is_raised_with_the_daemons_reason() -> None:
    with pytest.raises(DaemonRefusedError, match="no such op"):
        decode_answer(b'{"error": "no such op"}\n')
