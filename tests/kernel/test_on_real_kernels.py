"""Runs the tests of this directory on kernels that may be worked on.

Once in a network namespace of this host, for policies, routes and raw sockets, which every kernel has; once
in the lab, whose kernel has ESP.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernel.rigs import UNDER_TEST, WITH_ESP, WITHOUT_ESP
from tests.lab.kernel import KernelUnavailableError, run_job

REPOSITORY = Path(__file__).resolve().parents[2]
TESTS = [
    "tests/kernel/test_contract.py",
    "tests/kernel/xfrm/test_real_policies.py",
    "tests/kernel/xfrm/test_real_associations.py",
]
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not memory", *TESTS]

pytestmark = pytest.mark.skipif(UNDER_TEST in os.environ, reason="runs there already")


def passed(console: str) -> int:
    """Read how many tests passed from pytest's last line."""
    found = re.search(r"(\d+) passed", console)
    return int(found[1]) if found else 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a network namespace")
def test_policies_routes_and_raw_sockets_of_this_host() -> None:
    environment = {**os.environ, UNDER_TEST: WITHOUT_ESP, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        ["unshare", "--net", *PYTEST],
        check=False,
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert passed(done.stdout) > 15


@pytest.mark.lab
def test_kernel_with_esp(tmp_path: Path) -> None:
    try:
        result = run_job(
            PYTEST,
            results=tmp_path,
            directory=REPOSITORY,
            timeout_s=180,
            environment={UNDER_TEST: WITH_ESP},
        )
    except KernelUnavailableError as error:
        pytest.skip(str(error))
    assert result.exit_status == 0, result.console
    assert passed(result.console) > 50, result.console
