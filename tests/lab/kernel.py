"""Run a job as root on a kernel that has ESP: the host's own, else user-mode Linux.

Both ways give the job the same surroundings: a network stack of its own with only loopback up,
tmpfs on /run and on a scratch directory, the rest of the file system read-only except for one
results directory, and the death of every process it started when it ends.

User-mode Linux runs on the host's files (hostfs), so the job sees the same programs and the same
Python virtual environment, at the same paths.
"""

import dataclasses
import functools
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

UML_PROGRAM = "linux.uml"
UML_MODULES = Path("/usr/lib/uml/modules")
UML_MEMORY = "1536M"
UML_REGISTERS = Path(__file__).with_name("uml_registers.c")

# Loaded before the clock of any scenario starts: the first SA of a cipher would otherwise stall for
# about two seconds while the kernel finds its modules.
MODULES = (
    *("xfrm_user", "esp4", "esp6", "veth", "sch_netem", "iptable_filter", "xt_tcpudp"),
    *(
        "echainiv",
        "seqiv",
        "gcm",
        "ghash-generic",
        "ctr",
        "cbc",
        "hmac",
        "sha256_generic",
        "authenc",
        "authencesn",
    ),
)

SCRATCH_ENVIRONMENT_NAME = "LAB_SCRATCH"


class KernelUnavailableError(Exception):
    """This machine can neither use its own ESP nor boot user-mode Linux."""


class JobTimeoutError(Exception):
    """The job did not end in time; its kernel or namespace has been killed."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """How a job ended.

    Attributes:
        exit_status: the job's exit status, or -1 if it left none (its kernel died under it).
        console: what the job and the kernel printed.
        wall_s: from start to end, the boot included.
        kernel: "host" or "uml".
    """

    exit_status: int
    console: str
    wall_s: float
    kernel: str


@functools.cache
def host_has_esp() -> bool:
    """Tell whether this kernel accepts an ESP SA, tried in a network namespace that is then gone."""
    add = (
        "ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1 mode tunnel "
        "aead 'rfc4106(gcm(aes))' 0x0102030405060708090a0b0c0d0e0f1011121314 128"
    )
    tried = subprocess.run(["unshare", "--net", "sh", "-c", add], capture_output=True, check=False)
    return tried.returncode == 0


def why_unavailable() -> str | None:
    """Return why no job can run here, or None if one can."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [
        name for name in ("ip", "tc", "iptables-legacy", "tcpdump", "swanctl") if shutil.which(name) is None
    ]
    if not Path("/usr/lib/ipsec/charon").exists():
        missing.append("charon")
    if missing:
        return f"not installed: {', '.join(missing)}"
    if host_has_esp():
        return None
    if shutil.which(UML_PROGRAM) is None or not UML_MODULES.is_dir():
        return "this kernel has no ESP, and user-mode Linux is not installed"
    if shutil.which("cc") is None:
        return f"user-mode Linux needs a C compiler, for {UML_REGISTERS.name}"
    return None


def run_job(
    argv: Sequence[str],
    *,
    results: Path,
    directory: Path,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
) -> JobResult:
    """Run argv as root on a kernel with ESP and wait for it.

    Args:
        argv: the command.
        results: an existing directory, the only one the job can write to and that outlives it.
        directory: working directory of the job.
        timeout_s: bound on boot and job together.
        environment: variables added to a minimal environment.

    Raises:
        KernelUnavailableError: no kernel with ESP can be had.
        JobTimeoutError: the bound was reached; what the job wrote to results is kept.
    """
    reason = why_unavailable()
    if reason is not None:
        raise KernelUnavailableError(reason)
    with tempfile.TemporaryDirectory(prefix="gossipsa-lab-") as boot_name:
        boot = Path(boot_name)
        boot.chmod(0o755)
        (boot / "scratch").mkdir()
        (boot / "status").mkdir()
        use_host = host_has_esp()
        init = boot / "init"
        init.write_text(
            _init_script(
                argv,
                boot=boot,
                results=results.resolve(),
                directory=directory.resolve(),
                environment=environment or {},
                use_host=use_host,
            )
        )
        init.chmod(0o755)
        if use_host:
            command, variables = _host_command(init), {}
        else:
            command, variables = _uml_command(init, boot), {"LD_PRELOAD": str(_build_uml_registers(boot))}
        started = time.monotonic()
        console = _run_bounded(command, boot=boot, timeout_s=timeout_s, variables=variables)
        try:
            exit_status = int((boot / "status" / "exit").read_text())
        except (FileNotFoundError, ValueError):
            exit_status = -1
        return JobResult(
            exit_status=exit_status,
            console=console,
            wall_s=time.monotonic() - started,
            kernel="host" if use_host else "uml",
        )


def _host_command(init: Path) -> list[str]:
    # The process namespace makes the end of the job the end of every daemon it left behind.
    return ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", str(init)]


def _uml_command(init: Path, boot: Path) -> list[str]:
    return [
        UML_PROGRAM,
        f"mem={UML_MEMORY}",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        "quiet",
        f"uml_dir={boot}/",
        f"init={init}",
        "con=null",
        "con0=null,fd:1",
        "con1=null",
    ]


def _build_uml_registers(boot: Path) -> Path:
    """Compile what linux.uml needs on processors that are newer than it."""
    library = boot / "uml_registers.so"
    compile_it = ["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(UML_REGISTERS)]
    compiled = subprocess.run(compile_it, capture_output=True, text=True, check=False)
    if compiled.returncode != 0:
        raise KernelUnavailableError(f"{UML_REGISTERS.name} does not compile: {compiled.stderr}")
    return library


def _run_bounded(
    command: Sequence[str], *, boot: Path, timeout_s: float, variables: Mapping[str, str]
) -> str:
    console_path = boot / "console"
    with console_path.open("wb") as console:
        process = subprocess.Popen(
            command,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            # User-mode Linux is a family of processes, all in the session made above.
            os.killpg(process.pid, 9)
            process.wait()
            text = console_path.read_text(errors="replace")
            raise JobTimeoutError(f"no end after {timeout_s:.0f} s; console ends:\n{text[-4000:]}") from None
        except BaseException:
            os.killpg(process.pid, 9)
            process.wait()
            raise
    return console_path.read_text(errors="replace")


def _init_script(
    argv: Sequence[str],
    *,
    boot: Path,
    results: Path,
    directory: Path,
    environment: Mapping[str, str],
    use_host: bool,
) -> str:
    scratch, status = boot / "scratch", boot / "status"
    variables = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "PYTHONDONTWRITEBYTECODE": "1",
        SCRATCH_ENVIRONMENT_NAME: str(scratch),
        **environment,
    }
    exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    job = f"cd {shlex.quote(str(directory))} && exec env -i {exports} {shlex.join(argv)}"
    kernel_setup = _host_setup(results, status) if use_host else _uml_setup(scratch, results, status)
    return f"""#!/bin/sh
{kernel_setup}
mount -t tmpfs run /run && mkdir /run/netns
ip link set lo up
# Bursts of a whole lab on one processor are no reason to lose packets.
echo 20000 > /proc/sys/net/core/netdev_max_backlog
echo 33554432 > /proc/sys/net/core/rmem_max
( {job} ) </dev/null 2>&1
echo $? > {status}/exit
{"" if use_host else "poweroff -f"}
"""


def _host_setup(results: Path, status: Path) -> str:
    scratch = status.parent / "scratch"
    return f"""mount --make-rprivate /
for kept in {results} {status}; do mount --bind "$kept" "$kept"; done
mount -t tmpfs scratch {scratch}
mount -o remount,bind,ro /"""


def _uml_setup(scratch: Path, results: Path, status: Path) -> str:
    modprobe = scratch / "modprobe"
    return f"""mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs shm /dev/shm 2>/dev/null
for kept in {results} {status}; do mount -t hostfs -o "$kept" none "$kept"; done
mount -t tmpfs scratch {scratch}
mkdir -p {scratch}/lib/modules
ln -s {UML_MODULES}/$(uname -r) {scratch}/lib/modules/$(uname -r)
printf '#!/bin/sh\\nexec /usr/sbin/modprobe -d {scratch} "$@"\\n' > {modprobe}
chmod 755 {modprobe}
echo {modprobe} > /proc/sys/kernel/modprobe
for module in {" ".join(MODULES)}; do {modprobe} -q $module; done"""
