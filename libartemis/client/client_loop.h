/* SPDX-License-Identifier: Apache-2.0
 *
 * client_loop - the thread of a client: sends requests, applies responses and pushes, makes
 * callbacks.
 *
 * A turn has four steps: under the lock, start what is due; without it, do I/O, wait and parse;
 * under it, apply; without it, make callbacks. A callback that waits for something runs turns of
 * its own, without callbacks.
 */
#pragma once

#include "libartemis/client/client.h"

/* The thread's function; `context` is the client. Returns after shared.stopping is set. */
void *loop_run(void *context);

/* Runs one turn without callbacks, which waits until `until_ms` at most. In the client's thread,
 * without the lock. */
void loop_turn(struct artemis_client *client, uint64_t until_ms);

/* Frees the loop's data, after its thread has ended. */
void loop_free(struct artemis_client *client);
