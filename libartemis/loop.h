/* SPDX-License-Identifier: Apache-2.0
 *
 * loop - the thread of a client: sends what is due, applies what came, tells the callbacks.
 *
 * One turn is: under the lock, begin what is due; without it, move bytes, wait and parse; under it,
 * apply; without it, call back. A callback that waits for something drives turns of its own, which
 * do not call back.
 */
#pragma once

#include "libartemis/client.h"

/* The thread; `context` is the client. Ends when shared.stopping is set. */
void *loop_run(void *context);

/* One turn without callbacks, that waits until then at the latest. On the client's thread, without
 * the lock. */
void loop_turn(struct artemis_client *client, uint64_t until_ms);

/* Frees what the loop has, once its thread has ended. */
void loop_free(struct artemis_client *client);
