"""The shipped files of supervisor and nginx, with the paths of a test in place of those of a machine."""

from __future__ import annotations

import getpass
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from toolcatalog.settings import PROJECT_ROOT

_DEPLOY = PROJECT_ROOT / "deploy"
_SUPERVISORD = """
[supervisord]
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
nodaemon=true
[unix_http_server]
file={folder}/supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{folder}/supervisor.sock
[include]
files={folder}/program.conf
"""


@dataclass
class Supervisor:
    """A real supervisord."""

    folder: Path

    @property
    def command(self) -> list[str]:
        return ["supervisorctl", "-c", str(self.folder / "supervisord.conf")]

    def ctl(self, *arguments: str) -> str:
        """Run supervisorctl; it exits with 3 where a program does not run."""
        done = subprocess.run([*self.command, *arguments], capture_output=True)
        assert done.returncode in (0, 3), done
        return done.stdout.decode()

    def pid(self, program: str) -> int:
        return int(self.ctl("pid", program))

    def log(self, name: str) -> str:
        return (self.folder / "log" / name).read_text()


@contextmanager
def supervised(
    folder: Path, shipped: str, env_file: str, ports: dict[str, int] | None = None
) -> Iterator[Supervisor]:
    """Run supervisord on a shipped file, `ports` in place of those that stand there."""
    for link in ("current", "blue", "green"):
        (folder / link).symlink_to(PROJECT_ROOT)
    (folder / ".env").write_text(env_file)
    (folder / "log").mkdir()
    program = (_DEPLOY / "supervisor" / shipped).read_text()
    program = program.replace("/opt/tool-catalog", str(folder)).replace(
        "/var/log/tool-catalog", f"{folder}/log"
    )
    program = program.replace("user=tool-catalog", f"user={getpass.getuser()}")
    for shipped_port, port in (ports or {}).items():
        program = program.replace(f'PORT="{shipped_port}"', f'PORT="{port}"')
    (folder / "program.conf").write_text(program)
    (folder / "supervisord.conf").write_text(_SUPERVISORD.format(folder=folder))
    process = subprocess.Popen(["supervisord", "-c", folder / "supervisord.conf"], stdout=subprocess.DEVNULL)
    try:
        while not (folder / "supervisor.sock").exists():
            assert process.poll() is None
            time.sleep(0.01)
        yield Supervisor(folder)
    finally:
        process.terminate()
        process.wait(timeout=60)


def certificate(folder: Path) -> None:
    """Make a certificate for a test."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-keyout", folder / "tool-catalog.key", "-out", folder / "tool-catalog.pem"],
        check=True, capture_output=True,
    )  # fmt: skip


def nginx_main(folder: Path, tls_port: int, port: int) -> Path:
    """Write a main file that includes the shipped ones; `tool-catalog.pem` is in the folder."""
    for name in ("tool-catalog.conf", "tool-catalog-upstream.conf"):
        text = (_DEPLOY / "nginx" / name).read_text()
        text = text.replace("/etc/nginx/tls", str(folder)).replace("/var/cache/nginx", str(folder))
        text = re.sub(r" *listen \[::\].*\n", "", text)
        text = text.replace("listen 443", f"listen {tls_port}").replace("listen 80;", f"listen {port};")
        (folder / name).write_text(text)
    main = folder / "nginx.conf"
    main.write_text(
        f"user {getpass.getuser()}; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log;\n"
        "events { worker_connections 1024; }\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n"
        f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"include {folder}/tool-catalog*.conf; }}\n"
    )
    return main
