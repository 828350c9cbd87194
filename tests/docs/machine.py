"""A Debian machine of its own, for commands that are meant for a whole machine.

Its processes and its /etc, /opt, /var, /run, /root, /home and /usr/local are its own, laid over the real;
programs and network are those of the machine that it runs on. It ends with everything that was started on it.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from pathlib import Path

_SETUP = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs {scratch}
for name in etc opt var root home usr/local; do
    upper={scratch}/upper/$name work={scratch}/work/$name
    mkdir -p $upper $work
    mount -t overlay -o lowerdir=/$name,upperdir=$upper,workdir=$work overlay /$name
done
mount -t tmpfs tmpfs /run
set +e
cd /root
"""
_MARK = "--- that was all, with"


class Machine:
    """One shell, on which commands run one after the other; what they set and start stays."""

    def __init__(self, scratch: Path) -> None:
        scratch.mkdir()
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self._shell = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={"PATH": path, "HOME": "/root", "LANG": "C.UTF-8", "TERM": "dumb"},
        )  # fmt: skip
        self.run(_SETUP.format(scratch=scratch))

    def close(self) -> None:
        """End it, and everything that runs on it."""
        self._shell.kill()
        self._shell.communicate()

    def run(self, command: str, seconds: float = 180) -> str:
        """Run a command, and return what it printed.

        Raises:
            AssertionError: when it fails, or takes longer.
        """
        assert self._shell.stdin
        self._shell.stdin.write(f"{{ {command}\n}} </dev/null 2>&1\necho '{_MARK}' $?\n".encode())
        self._shell.stdin.flush()
        output = self._read(time.monotonic() + seconds, command)
        printed, _, status = output.rpartition(_MARK)
        assert int(status) == 0, f"{command}\n{printed}ended with {status}"
        return printed

    def _read(self, deadline: float, command: str) -> str:
        assert self._shell.stdout
        output = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._shell.stdout, selectors.EVENT_READ)
            while not (_MARK.encode() in output and output.endswith(b"\n")):
                assert selector.select(max(0.0, deadline - time.monotonic())), (
                    f"{command}\n{output.decode()}hangs"
                )
                read = os.read(self._shell.stdout.fileno(), 65536)
                assert read, f"{command}\n{output.decode()}ended the machine"
                output += read
        return output.decode()
