"""All drills, one after the other."""

import sys

from scripts.drills import database_corrupted, failover, service_lost
from scripts.drills.drill import main

if __name__ == "__main__":
    sys.exit(main(service_lost.DRILL, database_corrupted.DRILL, failover.DRILL))
