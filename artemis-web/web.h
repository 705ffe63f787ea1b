/* SPDX-License-Identifier: Apache-2.0
 *
 * web - the face of a node: an HTTP server over the engine.
 *
 * libmicrohttpd runs the threads (server.threads of them, each with its own epoll) and calls back;
 * a request runs on one thread from its first byte to its answer, and blocks on nothing but a
 * shard's lock. Start and stop belong to the main thread.
 */
#pragma once

#include "artemis-server/engine.h"

enum { WEB_ADDRESS_BYTES = 300, WEB_PROBLEM_BYTES = 512 };

struct web;

/* Binds, tells the engine its url, and serves from then on. The engine must outlive it. On failure
 * *problem is a sentence for people: ERR_INVALID_FIELD (an address that cannot be), ERR_SYSTEM,
 * ERR_NO_MEMORY. */
MUST_USE enum error web_start(struct engine *engine, struct web **out,
                              char problem[WEB_PROBLEM_BYTES]);
/* "127.0.0.1:8080", with the real port where 0 was asked for. */
const char *web_address(const struct web *web);
/* What must be done about once a second: ends connections that are overdue. */
void web_tick(struct web *web, struct moment now);
/* Takes no new connection, answers what has been sent, and waits until it is quiet, drain_ms at
 * most. The engine should be draining. */
void web_drain(struct web *web, uint64_t drain_ms);
/* Closes what is open, and ends. Takes NULL. */
void web_stop(struct web *web);
