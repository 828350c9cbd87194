"""The service is lost with its disk; PostgreSQL, on another machine, is not. Limit: 30 minutes."""

from __future__ import annotations

import shutil
from pathlib import Path

from scripts.drills import postgres
from scripts.drills.drill import Drill, Scene, run_alone
from scripts.drills.service import Writer
from toolcatalog.settings import PROJECT_ROOT

_RELEASE = ("toolcatalog", "migrations", "catalog", "deploy", "wsgi.py", "alembic.ini")


def play(scene: Scene) -> tuple[Writer, str]:
    """Lose it, deploy the release on what stands for another machine, and start it there."""
    server = scene.stack.enter_context(postgres.make(scene.folder / "postgres"))
    server.start()
    machine = deploy(scene.folder / "machine")
    service = scene.stack.enter_context(scene.service(machine, server.url))
    writer = scene.writing(service)
    service.kill()
    shutil.rmtree(machine)
    scene.disaster("the service and its disk are gone")
    machine = deploy(scene.folder / "another-machine")
    scene.step("the release is deployed; toolcatalog serve")
    scene.stack.enter_context(scene.service(machine, server.url, service.port))
    return writer, server.url


def deploy(folder: Path) -> Path:
    """Put the release into a folder. What it needs of Python is on this machine already."""
    folder.mkdir()
    for name in _RELEASE:
        source = PROJECT_ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder)
    return folder


DRILL = Drill("service_lost", limit_seconds=30 * 60, play=play)

if __name__ == "__main__":
    run_alone(DRILL)
