"""The disasters, rehearsed: `python -m scripts.drills` runs all three, `... .failover` one.

Each is done to real processes in a temporary folder of this machine, while a client writes all the time. It
measures how long nothing could be written, and how many acknowledged changes are gone, and exits with 1 if
the one is over its limit or the other is not 0. docs/backup-and-recovery.md has the same steps for people.
"""
