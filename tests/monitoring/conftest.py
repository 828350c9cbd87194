"""The same hosts as the tests of coherence have."""

from tests.coherence.conftest import postgres, server, start_host, tools_dir

__all__ = ["postgres", "server", "start_host", "tools_dir"]
