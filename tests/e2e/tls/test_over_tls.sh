#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs test programs of plain HTTP once more with TLS between client and server: whatever they check,
# malformed requests, timeouts, limits and the responses of libmicrohttpd included, is the same over
# TLS.
set -uo pipefail

programs=$(realpath -m "${EXAMPLES_DIR:?}/../tests/e2e")
export ARTEMIS_TEST_CONNECTIONS=400 # each is a thread of the tunnel
names=(api/test_registry_api api/test_discovery_api http/test_bad_http http/test_bad_body
    http/test_request_limits http/test_slow_clients http/test_many_connections http/test_long_poll
    http/test_long_poll_bodies http/test_deferred_long_polls http/test_web_threads
    websocket/test_websocket websocket/test_websocket_closing
    websocket/test_websocket_handshake websocket/test_websocket_protocol websocket/test_websocket_hostile
    websocket/test_websocket_filters)
TIMES="" TEST_OVER_TLS=1 JOBS=2 exec "$(dirname "$0")/../../tools/run_tests.sh" "${names[@]/#/$programs/}"
