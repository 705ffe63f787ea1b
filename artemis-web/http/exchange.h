/* SPDX-License-Identifier: Apache-2.0
 *
 * exchange - one request and its response: the callbacks of libmicrohttpd for a connection.
 *
 * libmicrohttpd calls on_target when it has read a request line, on_request once with the complete
 * header, for each part of the body, and once more at its end, and on_completed when the response
 * was sent or the connection ended. It calls on_connection at the start and at the end of a
 * connection.
 */
#pragma once

#include "artemis-web/http/web_threads.h"
#include "artemis-web/push/push.h"

/* The calls of the push thread. The arguments `connection` and `upgraded` are a struct session. */
extern const struct push_http exchange_push_calls;

/* The calls of libmicrohttpd. */
extern const struct web_thread_callbacks exchange_callbacks;
