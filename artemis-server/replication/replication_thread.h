/* SPDX-License-Identifier: Apache-2.0
 *
 * replication_thread - the replication thread: brings the replicator together with the transport
 * and the clock.
 *
 * One thread drives all peers. It sleeps in curl_multi_poll until something moves, a change is
 * noted, or the replicator has something due. The replicator is under one lock, which the thread
 * gives back while it sleeps; request threads only ever wake it, and never wait for it.
 *
 * Members come from the cluster's events (replication_thread_on_topology is a subscriber). What
 * happens with a peer is logged when it changes: up, down and why, stranger, caught up.
 */
#pragma once

#include "artemis-core/config/config.h"
#include "artemis-server/cluster/topology.h"
#include "artemis-server/replication/peer_client.h"
#include "artemis-server/replication/replicator.h"

struct replication_thread;

struct replication_thread_options {
    const struct config *config;     /* borrowed; constant */
    struct registry *registry;       /* borrowed */
    const char *epoch;               /* borrowed; of this process */
    void (*on_ready)(void *context); /* called once, by the thread */
    void *context;
};

/* Not yet running. ERR_NO_MEMORY. */
MUST_USE enum error replication_thread_create(const struct replication_thread_options *options,
                                              struct replication_thread **out);
/* ERR_SYSTEM. */
MUST_USE enum error replication_thread_start(struct replication_thread *thread);
/* Sends what is pending and says goodbye, for at most timeout_ms. May be called twice. True when
 * all peers that are up have been told. */
bool replication_thread_flush(struct replication_thread *thread, uint64_t timeout_ms);
/* Stops the thread. Takes NULL. */
void replication_thread_free(struct replication_thread *thread);

void replication_thread_on_topology(void *thread, const struct cluster_event *event);
/* A peer said by itself that it leaves. */
void replication_thread_on_goodbye(struct replication_thread *thread, const char *node_id);

/* --- what operators see ----------------------------------------------------------------------- */

struct peer_status {
    char url[MEMBER_URL_BYTES];
    char node_id[PEER_NAME_BYTES]; /* "": not known yet */
    char region[PEER_NAME_BYTES];  /* "": it did not say; the same for the zone */
    char zone[PEER_NAME_BYTES];
    char last_error[PEER_ERROR_BYTES]; /* the last error; "": none */
    uint64_t last_error_wall_ms;
    struct peer_view view;
};

const char *peer_health_word(enum peer_health health);
/* The peers, this node itself left out; at most MEMBERS_MAX. Returns how many. */
size_t replication_thread_peers(struct replication_thread *thread,
                                struct peer_status out[MEMBERS_MAX]);
void replication_thread_stats(struct replication_thread *thread, struct replicator_stats *stats);
