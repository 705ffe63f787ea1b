/* SPDX-License-Identifier: Apache-2.0
 *
 * exchange - one request and its response: the callbacks of libmicrohttpd for a connection.
 *
 * libmicrohttpd calls exchange_on_target when it has read a request line, exchange_on_request once
 * with the complete header, for each part of the body, and once more at its end, and
 * exchange_on_completed when the response was sent or the connection ended. Their context is the
 * web server, except where noted.
 */
#pragma once

#include <microhttpd.h>

#include "artemis-web/push/push.h"

/* The calls of the push thread: `connection` and `upgraded` are the session. */
extern const struct push_http exchange_push_calls;

/* Starts or ends a session; `context` is the web thread. */
void exchange_on_connection(void *context, struct MHD_Connection *mhd, void **socket_context,
                            enum MHD_ConnectionNotificationCode code);
void *exchange_on_target(void *context, const char *target, struct MHD_Connection *mhd);
enum MHD_Result exchange_on_request(void *context, struct MHD_Connection *mhd, const char *url,
                                    const char *method, const char *version, const char *data,
                                    size_t *size, void **request_context);
void exchange_on_completed(void *context, struct MHD_Connection *mhd, void **request_context,
                           enum MHD_RequestTerminationCode how);
