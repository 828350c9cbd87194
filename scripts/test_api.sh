#!/usr/bin/env bash
# Checks a running service from end to end, and prints what passed: scripts/test_api.sh [URL].
# It makes a tool of its own and retires it again. TOOL_CATALOG_KEY is the API key, where one is needed.
set -euo pipefail

url="${1:-${TOOL_CATALOG_URL:-http://127.0.0.1:3005}}"
tools="$url/api/v1/tools"
name="test-api-$$-$(date +%s)"
answer="$(mktemp)"
trap 'rm -f "$answer"' EXIT
passed=0 failed=0

# request METHOD PATH [CURL OPTIONS]: the status; the body goes to $answer.
request() {
    local method="$1" path="$2"
    shift 2
    curl --silent --max-time 20 --request "$method" --output "$answer" --write-out '%{http_code}' \
        ${TOOL_CATALOG_KEY:+--header "Authorization: Bearer $TOOL_CATALOG_KEY"} "$@" "$path" || true
}

# check WHAT STATUS-WANTED STATUS [TEXT THAT THE ANSWER HAS]
check() {
    if [ "$2" = "$3" ] && { [ -z "${4:-}" ] || grep --quiet --fixed-strings -- "$4" "$answer"; }; then
        passed=$((passed + 1))
        echo "passed  $1"
    else
        failed=$((failed + 1))
        echo "FAILED  $1: status $3, wanted $2${4:+ and $4}: $(head -c 300 "$answer")"
    fi
}

json=(--header 'Content-Type: application/json' --data)
definition='{"tool_name": "'"$name"'", "version": "1.0", "description": "Made by a check of the API.", "capabilities":
    {"checking": {"patterns": {"check": {"description": "Checks.", "typical_use_cases": ["see that it works"]}}}}}'

status="$(request GET "$url/health")"
if [ "$status" = 000 ]; then
    echo "Nothing answers at $url. Start the service, or say where it is: $0 URL" >&2
    exit 1
fi
check "the service is healthy" 200 "$status" '"status":"healthy"'
check "it is ready for requests" 200 "$(request GET "$url/health/ready")"
check "tools are listed" 200 "$(request GET "$tools?limit=1")" '"tool_name"'
check "a tool is made" 201 "$(request POST "$tools" "${json[@]}" "$definition")" "$name"
check "it is found by its name" 200 "$(request GET "$tools/name/$name")" "$name"
check "it is found by a search" 200 "$(request GET "$tools/search?q=$name")" "$name"
check "it is changed" 200 "$(request PATCH "$tools/$name" "${json[@]}" '{"description": "Changed."}')" 'Changed.'
check "the change is seen at once" 200 "$(request GET "$tools/$name")" 'Changed.'
check "its history has both" 200 "$(request GET "$tools/$name/history")" '"updated"'
check "it is disabled" 200 "$(request PATCH "$tools/$name/disable")" '"enabled":false'
check "it is enabled" 200 "$(request PATCH "$tools/$name/enable")" '"enabled":true'
check "what is wrong is refused" 422 "$(request POST "$tools" "${json[@]}" '{"tool_name": 1}')" '"errors"'
check "a name that is not there is told" 404 "$(request GET "$tools/no-such-tool-$$")"
check "it is retired" 204 "$(request DELETE "$tools/$name")"
check "it is gone" 404 "$(request GET "$tools/$name")"
check "metrics are there for people" 200 "$(request GET "$tools/metrics")" '"requests_total"'
check "metrics are there for Prometheus" 200 "$(request GET "$url/metrics")" 'tool_catalog_api_requests_total'
check "the API describes itself" 200 "$(request GET "$url/api/v1/openapi.json")" '"openapi"'

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
