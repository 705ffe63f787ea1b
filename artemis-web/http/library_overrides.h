/* SPDX-License-Identifier: Apache-2.0
 *
 * library_overrides - functions of libmicrohttpd that this program replaces by its own.
 *
 * libmicrohttpd calls some of its own exported functions through the dynamic linker, which finds
 * the definitions of the program first. Two of them are defined here:
 *
 *   - MHD_queue_response: libmicrohttpd answers by itself what it cannot parse, with a page of HTML
 *     that it queues through this function. The override queues the contract's JSON in its place.
 *     It always queues a response: libmicrohttpd frees the buffer of the connection when queueing
 *     fails, and goes on reading it.
 *   - MHD_set_connection_value_n: libmicrohttpd stores each field of a header and each argument of
 *     a query through this function. When it fails for an argument or a cookie, libmicrohttpd
 *     0.9.75 loses the state of the connection or sends its own header twice. The override keeps
 *     the limits of framing.h, below which the library's own buffer suffices for the request and
 *     for the header of its response, and skips what the library would answer wrongly.
 *
 * Responses of this program go to libmicrohttpd by library_queue_response. A libmicrohttpd that
 * binds these calls internally ignores the overrides and sends its HTML;
 * tests/e2e/http/test_request_limits.c fails then (docs/decisions/0004).
 */
#pragma once

#include <microhttpd.h>

#include "artemis-core/base/error.h"

/* Finds the functions of the library. Call it before a daemon starts; any thread may use the
 * overrides after that. ERR_SYSTEM when a function is missing. */
MUST_USE enum error library_overrides_init(void);
/* The library's own MHD_queue_response. */
enum MHD_Result library_queue_response(struct MHD_Connection *connection, unsigned status,
                                       struct MHD_Response *response);
