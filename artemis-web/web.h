/* SPDX-License-Identifier: Apache-2.0
 *
 * web - the HTTP server of a node.
 *
 * server.threads web threads serve the connections. A request is served by one thread from its
 * first byte to its response. It blocks on locks that are held for a few steps, and on a longer
 * one while another thread encodes the response with all services (response_cache.h). The main
 * thread calls the functions below, except where another thread is named.
 */
#pragma once

#include <stdatomic.h>

#include "artemis-server/engine.h"

enum { WEB_ADDRESS_BYTES = 300, WEB_PROBLEM_BYTES = 512 };

struct web;
struct route_table;

/* Binds the addresses, sets the URL of the engine, and starts to serve the routes. The engine and
 * the table must outlive the server. On failure *problem receives a message for the operator.
 * ERR_INVALID_FIELD (invalid address), ERR_SYSTEM, ERR_NO_MEMORY. */
MUST_USE enum error web_start(struct engine *engine, const struct route_table *routes,
                              struct web **out, char problem[WEB_PROBLEM_BYTES]);
/* Returns the bound address, "127.0.0.1:8080", with the actual port where the setting has 0; "" if
 * the node does not listen there. */
const char *web_address(const struct web *web, enum config_listener listener);
/* Ends the connections whose timeouts have passed. Call it every second. */
void web_tick(struct web *web, struct moment now);
/* Reads the certificates again if their files have changed, and then ends connections whose
 * certificate is not accepted any more. Call it every second. With `force`, it reads them in any
 * case, and web_check_clients follows. The thread of reload_thread.h calls this function and the
 * next two. */
void web_check_credentials(struct web *web, bool force, struct moment now);
/* Whether the certificate cannot be used, and the earlier one is kept. */
bool web_is_certificate_failing(struct web *web);
/* After a reload of the settings: ends long polls and WebSockets of tokens that were revoked, and
 * connections whose certificate is not accepted any more. */
void web_check_clients(struct web *web);
/* The connections of clients. Any thread. */
struct web_load {
    uint32_t open;
    uint32_t busy; /* with a request in progress */
    uint32_t limit;
};
void web_load(struct web *web, struct web_load *load);
/* Appends the page of /metrics. Any thread. */
void web_write_metrics(struct web *web, struct moment now, struct text *out);
/* Stops accepting connections, and waits until all requests are answered and none has arrived for a
 * moment: drain_ms at most, and for 1 s more once *is_hurried. The engine must be draining. */
void web_drain(struct web *web, uint64_t drain_ms, const atomic_bool *is_hurried);
/* Closes all connections and frees the server. Accepts NULL. */
void web_stop(struct web *web);
