"""A data centre is lost: its PostgreSQL, the primary, and its service. Limit: 2 hours.

The other one has a synchronous standby, and a service that knows both servers by one DATABASE_URL.
"""

from __future__ import annotations

from scripts.drills import postgres
from scripts.drills.drill import Drill, Scene, run_alone
from scripts.drills.postgres import Server
from scripts.drills.service import Writer
from toolcatalog import embedded
from toolcatalog.settings import PROJECT_ROOT

_STANDBY = "standby"


def play(scene: Scene) -> tuple[Writer, str]:
    """Lose the first data centre, and promote the standby of the second."""
    primary = scene.stack.enter_context(postgres.make(scene.folder / "postgres"))
    primary.start()
    standby = _standby_of(primary, scene)
    hosts = f"{primary.address},{standby.address}"
    url = f"postgresql://postgres@{hosts}/{embedded.DATABASE}?target_session_attrs=read-write"
    services = [scene.stack.enter_context(scene.service(PROJECT_ROOT, url)) for _ in range(2)]
    writer = scene.writing(*services)
    primary.kill()
    services[0].kill()
    scene.disaster("the first data centre is gone")
    standby.promote()
    scene.step("the standby is promoted")
    return writer, standby.url


def _standby_of(primary: Server, scene: Scene) -> Server:
    """Make a standby without which the primary acknowledges nothing."""
    data = scene.folder / "postgres" / _STANDBY
    primary.base_backup(data, "--write-recovery-conf", "--create-slot", f"--slot={_STANDBY}")
    standby = scene.stack.enter_context(Server(data))
    standby.configure(cluster_name=_STANDBY)
    standby.start()
    primary.query(f"ALTER SYSTEM SET synchronous_standby_names = '{_STANDBY}'")
    primary.query("SELECT pg_reload_conf()")
    primary.wait_for("SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')")
    return standby


DRILL = Drill("failover", limit_seconds=2 * 60 * 60, play=play)

if __name__ == "__main__":
    run_alone(DRILL)
