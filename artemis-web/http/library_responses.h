/* SPDX-License-Identifier: Apache-2.0
 *
 * library_responses - what libmicrohttpd answers by itself, in our words.
 *
 * A request that is not even HTTP, or whose header is too large, never reaches a handler: the
 * library answers it with a page of HTML (and, where the header cannot be parsed, in 0.9.75 with
 * its own header twice), and has no hook for that. But it queues the page through its own exported
 * function MHD_queue_response. This room defines that symbol in the binary, where the dynamic
 * linker finds it first: for calls that come from the library it writes the contract's JSON to the
 * socket and has the connection closed; our own replies go straight to the library's function by
 * library_queue_response. Should a later library bind the call internally, its HTML comes back, and
 * the test of a 64 KiB header says so (docs/decisions/0004-library-replies.md).
 */
#pragma once

#include <microhttpd.h>

#include "artemis-web/http/metrics.h"

/* Finds the library's own function, and says where refusals are counted. Before the daemon starts.
 * ERR_SYSTEM when it is not there. */
MUST_USE enum error library_responses_start(struct metrics *metrics);
/* The library's MHD_queue_response. */
enum MHD_Result library_queue_response(struct MHD_Connection *connection, unsigned status,
                                       struct MHD_Response *response);
