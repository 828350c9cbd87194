#!/usr/bin/env bash
# Switches nginx to another release without a failed request, and back if it does not become ready.
#
#   scripts/blue_green.sh RELEASE_FOLDER
#
# Starts the colour that does not serve (deploy/supervisor/tool-catalog-blue-green.conf) on the release, waits until
# it is ready, leads nginx to it, lets the other finish, and stops it. Run it again with the earlier release to go back.
set -euo pipefail

release=$(realpath "${1:?usage: blue_green.sh RELEASE_FOLDER}")
root=${ROOT:-/opt/tool-catalog}
upstream=${UPSTREAM:-/etc/nginx/conf.d/tool-catalog-upstream.conf}
supervisorctl=${SUPERVISORCTL:-supervisorctl}
nginx=${NGINX:-nginx}
blue_port=${BLUE_PORT:-3006}
green_port=${GREEN_PORT:-3007}

if grep -q ":$blue_port;" "$upstream"; then
    old=blue new=green port=$green_port
else
    old=green new=blue port=$blue_port
fi

give_up() {
    echo "$new is not ready$1; $old still serves. Its log:" >&2
    $supervisorctl tail "tool-catalog-$new" >&2 || true
    $supervisorctl stop "tool-catalog-$new" >/dev/null || true
    exit 1
}

echo "Starting $new on $release, port $port"
$supervisorctl stop "tool-catalog-$new" >/dev/null || true
ln -sfn "$release" "$root/$new"
$supervisorctl start "tool-catalog-$new" >/dev/null || give_up ": it does not start"

for ((tries = 0; ; tries++)); do
    curl -fsS -o /dev/null --max-time 2 "http://127.0.0.1:$port/health/ready" 2>/dev/null && break
    ((tries < ${READY_SECONDS:-60})) || give_up " after ${READY_SECONDS:-60} seconds"
    sleep 1
done

before=$(cat "$upstream")
sed --in-place "s/127\.0\.0\.1:[0-9]*/127.0.0.1:$port/" "$upstream"
if ! $nginx -t 2>/dev/null; then
    echo "nginx refuses its configuration; nothing was switched:" >&2
    $nginx -t >&2 || true
    printf '%s\n' "$before" >"$upstream"
    exit 1
fi
$nginx -s reload
echo "nginx leads to $new; $old finishes what it has begun"
# nginx's old workers go on using the old colour for the requests that they have.
sleep "${DRAIN_SECONDS:-5}"
$supervisorctl stop "tool-catalog-$old" >/dev/null || true
echo "Done: $new serves $release"
