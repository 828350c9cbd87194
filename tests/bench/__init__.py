"""Measures the service on this machine, and sets it against what gunicorn and Flask themselves can do."""
