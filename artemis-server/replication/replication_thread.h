/* SPDX-License-Identifier: Apache-2.0
 *
 * replication_thread - the thread that drives the replicator and the peer client.
 *
 * One thread serves all peers. It sleeps in curl_multi_poll until data can be moved, a record
 * changes, a command arrives, or the replicator has to act. It owns the replicator without a
 * lock. Other threads put commands into its queue (commands.h) and read the status that it
 * publishes (status.h); they never wait for it, except replication_thread_flush.
 *
 * Members come from the cluster's events. Changes of a peer's health are logged.
 */
#pragma once

#include "artemis-core/config/config.h"
#include "artemis-server/cluster/topology.h"
#include "artemis-server/replication/status.h"
#include "artemis-server/tls/credential_store.h"

struct replication_thread;

struct replication_thread_options {
    const struct config *config;          /* borrowed; constant */
    struct registry *registry;            /* borrowed */
    struct credential_store *credentials; /* borrowed; NULL: peers use plain HTTP */
    const char *epoch;                    /* borrowed; of this process */
    struct blocks *blocks;                /* borrowed; NULL: there is no block list */
    struct event_hub *events;             /* borrowed; NULL: this node publishes no events */
    bool has_data;   /* loaded from storage: no bootstrap grace with a list of peers */
    bool has_loaded; /* instances from storage, if only a part of a list */
    /* Called by the thread for each new phase, and for the phase after each recompare, before its
     * comparisons begin. `recompare` is the number of the last one that has begun; 0: none. */
    void (*on_phase)(void *context, enum bootstrap_phase phase, uint64_t recompare);
    /* The block list of a peer; returns its hash. */
    uint64_t (*on_blocks)(void *context, struct slice text);
    void *context;
};

/* Not yet running. ERR_NO_MEMORY, ERR_SYSTEM. */
MUST_USE enum error replication_thread_create(const struct replication_thread_options *options,
                                              struct replication_thread **out);
/* ERR_SYSTEM. */
MUST_USE enum error replication_thread_start(struct replication_thread *thread);
/* Sends what is pending and a goodbye to each peer; waits at most timeout_ms. May be called twice.
 * True if all peers that are up received everything. */
bool replication_thread_flush(struct replication_thread *thread, uint64_t timeout_ms);
/* Stops the thread. Accepts NULL. */
void replication_thread_free(struct replication_thread *thread);

/* --- any thread ------------------------------------------------------------------------------- */

/* A subscriber of the cluster (topology.h); `thread` is the replication thread. */
void replication_thread_on_topology(void *thread, const struct cluster_event *event);
/* The peer with this node id announced its shutdown. */
void replication_thread_on_goodbye(struct replication_thread *thread, const char *node_id);
/* Whether replication_thread_put_release has a place for this release, while no other thread puts
 * one. */
bool replication_thread_can_put_release(struct replication_thread *thread, struct slice service_id,
                                        uint64_t clock_ms, struct moment now);
/* Sends the release of a guard to the peers: of a service, or of everything if the id is empty. It
 * was made when the clock of the cluster showed clock_ms. ERR_TOO_MANY_RELEASES as in
 * release_list.h. */
MUST_USE enum error replication_thread_put_release(struct replication_thread *thread,
                                                   struct slice service_id, uint64_t clock_ms,
                                                   struct moment now);
/* This node is not ready from now on; on_phase is called when it has been compared with every ready
 * peer. A BOOTSTRAP_READY with a lower number is an earlier one. The numbers grow from 1. */
void replication_thread_recompare(struct replication_thread *thread, uint64_t number);
/* Asks every peer for its clock at once, at most once a second: the record of a peer was refused as
 * too far ahead. */
void replication_thread_check_clocks(struct replication_thread *thread);
/* Wakes the replication thread if the calling thread has changed records since its last call. From
 * its first call on, changes of the calling thread do not wake it before the next call. A web
 * thread calls this after it has sent a response: on a busy machine the replication thread
 * would otherwise take its core before. Only while `thread` exists. */
void replication_thread_wake_deferred(struct replication_thread *thread);
/* The block list has changed: the peers get it at once. */
void replication_thread_on_blocks(struct replication_thread *thread);
/* The peers without this node itself, as last published. Returns their number. */
size_t replication_thread_peers(struct replication_thread *thread,
                                struct peer_status out[MEMBERS_MAX]);
void replication_thread_stats(struct replication_thread *thread, struct replicator_stats *stats);
