/* SPDX-License-Identifier: Apache-2.0
 *
 * exchange - one request and its response: the callbacks of libmicrohttpd for a connection.
 *
 * libmicrohttpd calls on_connection at the start and at the end of a connection. For a request it
 * calls on_target when it has read the request line; on_request with the complete header, with each
 * part of the body, and at the end of the body, when the handler runs; and on_completed when the
 * response was sent or the connection ended. After a suspended request is resumed (a long poll, or
 * web_thread_delay), on_request is called as at the end of the body once more.
 */
#pragma once

#include "artemis-web/http/web_threads.h"
#include "artemis-web/push/push.h"

/* The calls of the push thread. Their arguments `connection` and `upgraded` are a struct
 * http_connection. */
extern const struct push_http exchange_push_calls;

/* The calls of libmicrohttpd. */
extern const struct web_thread_callbacks exchange_callbacks;
