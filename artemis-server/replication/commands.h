/* SPDX-License-Identifier: Apache-2.0
 *
 * commands - what other threads want the replication thread to do: use another list of members,
 * handle the goodbye of a peer, release guards at the peers, compare with every ready peer, check
 * the clocks of all members, flush.
 *
 * The queue has a fixed size and never allocates: a topology replaces the one before it, a peer has
 * at most one goodbye, and flush requests are numbers. No command fails, except a release when the
 * list of releases is full. The lock is held for copies alone.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "artemis-server/cluster/topology.h"
#include "artemis-server/replication/status.h"

struct command_list {
    bool has_topology;
    struct member_list topology;
    size_t goodbye_count;
    char goodbyes[MEMBERS_MAX][PEER_NAME_BYTES]; /* node ids */
    bool has_releases;                           /* the list has grown */
    struct release_list releases;                /* all that peers may still need */
    uint64_t recompare; /* number of the last request to compare with every ready peer; 0: none */
    bool check_clocks;
    uint64_t flush; /* number of the last flush request; 0: none */
};

struct command_queue {
    pthread_mutex_t lock;
    atomic_bool pending;
    struct command_list list;
};

void command_queue_init(struct command_queue *queue);
void command_queue_free(struct command_queue *queue);

/* Any thread. */
void command_queue_put_topology(struct command_queue *queue, const struct member_list *topology);
/* Ignores an empty id, which peers have whose id is not known yet, an id that is too long, and more
 * than MEMBERS_MAX goodbyes at a time. */
void command_queue_put_goodbye(struct command_queue *queue, const char *node_id);
/* As release_list_can_put and release_list_put. The list stays in the queue. */
bool command_queue_can_put_release(struct command_queue *queue, struct slice service_id,
                                   uint64_t clock_ms, uint64_t now_ms);
MUST_USE enum error command_queue_put_release(struct command_queue *queue, struct slice service_id,
                                              uint64_t clock_ms, uint64_t until_ms,
                                              uint64_t now_ms);
/* The caller numbers its requests upwards from 1. */
void command_queue_put_recompare(struct command_queue *queue, uint64_t number);
void command_queue_put_check_clocks(struct command_queue *queue);
/* Returns the number of the request, for replication_status_wait_flushed. */
uint64_t command_queue_put_flush(struct command_queue *queue);

/* Moves the commands to *out. False: there are none. Called by the replication thread only. */
bool command_queue_take(struct command_queue *queue, struct command_list *out);
