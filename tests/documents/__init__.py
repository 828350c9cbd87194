"""The deployment guide and the runbook, run as they stand."""
