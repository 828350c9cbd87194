"""The same hosts and the same PostgreSQL as in the tests of coherence."""

from tests.coherence.conftest import postgres, server, start_host, tools_dir

__all__ = ["postgres", "server", "start_host", "tools_dir"]
