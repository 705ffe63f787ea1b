/* SPDX-License-Identifier: Apache-2.0
 *
 * topology - which nodes there are, told as events.
 *
 * A provider (provider.h) says who the members are, as often as it likes; the cluster works out
 * what that changes and publishes it: TOPOLOGY_UPDATED with who joined, who left and who is
 * blocked. The same topology twice is published once, whatever the order of its members. STARTUP
 * and SHUTDOWN, and their failures with a reason, are events too. Nobody else decides who is a
 * member.
 *
 * Subscribers are called one after the other, by the thread that published, in the order in which
 * they subscribed; they subscribe before the cluster starts. Any thread may publish: one at a time
 * gets through. A member is an address, "http://host:port"; what its node is called is learned
 * from itself.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "artemis-core/base/error.h"

enum { MEMBERS_MAX = 64, MEMBER_URL_BYTES = 320, CLUSTER_SUBSCRIBERS_MAX = 8 };

struct member_list {
    size_t count;
    char urls[MEMBERS_MAX][MEMBER_URL_BYTES]; /* sorted */
};

enum cluster_event_kind {
    CLUSTER_STARTUP,
    CLUSTER_STARTUP_FAILED,
    CLUSTER_TOPOLOGY_UPDATED,
    CLUSTER_SHUTDOWN,
    CLUSTER_SHUTDOWN_FAILED,
};

/* Borrowed for the call. */
struct cluster_event {
    enum cluster_event_kind kind;
    const char *reason; /* of a failure; else NULL */
    const struct member_list *topology;
    const struct member_list *joined;
    const struct member_list *left;
    const struct member_list *blocked; /* members that must not be talked to */
};

typedef void cluster_subscriber(void *context, const struct cluster_event *event);

struct cluster {
    pthread_mutex_t publishing;
    struct {
        cluster_subscriber *call;
        void *context;
    } subscribers[CLUSTER_SUBSCRIBERS_MAX];
    size_t subscriber_count;
    struct member_list topology; /* as last published */
    struct member_list blocked;
    bool published; /* something has been */
};

void cluster_init(struct cluster *cluster);
void cluster_free(struct cluster *cluster);
/* False: there are too many. */
bool cluster_subscribe(struct cluster *cluster, cluster_subscriber *call, void *context);

/* Adds a member, with http:// where it names no scheme. Twice is once. ERR_TOO_MANY_ITEMS;
 * ERR_INVALID_FIELD: too long. */
MUST_USE enum error member_list_add(struct member_list *list, const char *address);
bool member_list_has(const struct member_list *list, const char *url);

/* What a provider found. Members that are blocked count as gone. True when it was news. */
bool cluster_update(struct cluster *cluster, const struct member_list *members,
                    const struct member_list *blocked);
/* STARTUP, SHUTDOWN or a failure, with its reason. */
void cluster_announce(struct cluster *cluster, enum cluster_event_kind kind, const char *reason);
