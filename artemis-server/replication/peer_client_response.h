/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_client_response - what the peer client reads of a response, apart from its records: the
 * result and the headers.
 *
 * Internal to peer_client.c.
 */
#pragma once

#include <curl/curl.h>

#include "artemis-server/replication/peer_client.h"

enum send_result peer_client_result(CURL *curl, CURLcode code);
/* The value of a header of the response; NULL: not sent. Borrowed until the next request. */
const char *peer_client_header(CURL *curl, const char *name);
/* A number from a header; 0 if it is absent. An invalid value is out of range. */
uint64_t peer_client_number(CURL *curl, const char *name);
/* Whether a text is valid UTF-8 without control characters, as JSON, metrics and the log require,
 * and fits into the status, which would cut it inside a character; "" is not. */
bool peer_client_is_printable(const char *text);
/* Fills in the members of a delivered MESSAGE_HEALTH. `own` are the options of this node. */
void peer_client_read_health(CURL *curl, const struct peer_client_options *own, uint64_t clock_ms,
                             struct peer_response *response);
