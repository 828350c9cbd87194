"""The database's files are overwritten; its last base backup and its WAL bring it back. Limit: 1 hour."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import psycopg2

from scripts.drills import postgres
from scripts.drills.drill import Drill, Scene, run_alone
from scripts.drills.postgres import Server
from scripts.drills.service import Writer
from toolcatalog.settings import PROJECT_ROOT

# Another name until it is whole: an archiver that died on the way would find its half file in its way.
ARCHIVE_COMMAND = "test ! -f {archive}/%f && cp %p {archive}/.%f && mv {archive}/.%f {archive}/%f"
RESTORE_COMMAND = "cp {archive}/%f %p || cp {rescued}/%f %p"
_PAGE_BYTES = 8_192


def play(scene: Scene) -> tuple[Writer, str]:
    """Damage it under load, and recover it up to its last change."""
    server = scene.stack.enter_context(postgres.make(scene.folder / "postgres"))
    archive, base = scene.folder / "postgres" / "archive", scene.folder / "postgres" / "base"
    archive.mkdir()
    postgres.owned(archive)
    server.configure(archive_mode="on", archive_command=ARCHIVE_COMMAND.format(archive=archive))
    server.start()
    service = scene.stack.enter_context(scene.service(PROJECT_ROOT, server.url))
    server.base_backup(base)
    writer = scene.writing(service)
    server.query("SELECT pg_switch_wal()")
    server.wait_for("SELECT archived_count > 0 FROM pg_stat_archiver")
    time.sleep(scene.seconds)  # what is written now is in no archive yet
    scene.disaster("the database is overwritten")
    scene.step(f"{_damage(server) / 1e6:.1f} MB of it are gone")
    recovered = _recover(scene, server, base, archive)
    scene.step(f"the damaged one could not have been used: {_complaint_of(server)}")
    return writer, recovered.url


def _damage(server: Server) -> int:
    """Overwrite every page of the catalog's tables and indexes; returns how many bytes."""
    found = server.query(
        "SELECT pg_relation_filepath(oid) FROM pg_class WHERE relkind IN ('r', 'i', 't', 'm')"
    )
    damaged_bytes = 0
    for (name,) in found:
        path = server.data / str(name)
        if name is not None and path.exists():
            pages = path.stat().st_size // _PAGE_BYTES
            path.write_bytes(b"damaged!" * (pages * _PAGE_BYTES // 8))
            damaged_bytes += pages * _PAGE_BYTES
    return damaged_bytes


def _recover(scene: Scene, damaged: Server, base: Path, archive: Path) -> Server:
    """Do what docs/backup-and-recovery.md says."""
    damaged.stop("immediate")
    data = damaged.data
    damaged.data = data.rename(data.with_name("damaged"))
    rescued = damaged.data / "pg_wal"
    scene.step("it is stopped, and put aside with the last of its WAL")
    subprocess.run(["cp", "-a", base, data], check=True)  # noqa: S607 - the system's own
    server = scene.stack.enter_context(Server(data, damaged.port))
    scene.step("a copy of the base backup is started, and reads the archive and then that WAL")
    server.recover(RESTORE_COMMAND.format(archive=archive, rescued=rescued))
    scene.step("it is at the last change, and takes new ones")
    return server


def _complaint_of(damaged: Server) -> str:
    """Start the damaged server once more, where nobody finds it; returns what it says, which it has to."""
    alone = Server(damaged.data)
    alone.configure(archive_mode="off")
    try:
        with alone:
            alone.start()
            alone.query("SELECT count(*) FROM changes")
    except (RuntimeError, psycopg2.Error) as error:
        return str(error).strip().splitlines()[0]
    raise RuntimeError("The damage did no harm: this was no drill.")


DRILL = Drill("database_corrupted", limit_seconds=60 * 60, play=play)

if __name__ == "__main__":
    run_alone(DRILL)
