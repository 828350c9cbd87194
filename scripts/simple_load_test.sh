#!/usr/bin/env bash
# Loads a running service: scripts/simple_load_test.sh [USERS [SECONDS]]. TOOL_CATALOG_URL says where it is.
set -euo pipefail
cd "$(dirname "$0")/.."
exec make --silent load-test LOAD="--users ${1:-2} --seconds ${2:-60}"
