"""The whole demo, small: real daemons as processes, one of them killed."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from examples.demo.__main__ import main
from examples.demo.run import DemoOptions, run_demo


async def test_clients_of_a_killed_gateway_carry_on(tmp_path: Path) -> None:
    output = StringIO()
    options = DemoOptions(
        clients=6,
        gateways=3,
        packets_a_second=10,
        picture=tmp_path / "takeover.png",
        before_kill_s=0.5,
        after_takeover_s=1.0,
    )
    verdict = await run_demo(options, console=Console(file=output, width=120))

    assert verdict.failures == ()
    assert len(verdict.moved) == 2
    assert len(verdict.undisturbed) == 4
    assert options.picture.read_bytes().startswith(b"\x89PNG")
    text = output.getvalue()
    for words in ("killed with SIGKILL", "detected", "2 of 2 clients are served", "PASS"):
        assert words in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["--gateways", "2"],
        ["--clients", "4"],
        ["--rate", "0"],
        ["--clients", "many"],
        ["--out", "/dev/null/there"],
    ],
)
def test_impossible_arguments_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
