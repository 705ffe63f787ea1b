/* SPDX-License-Identifier: Apache-2.0
 *
 * topology - the members of the cluster, published as events.
 *
 * The membership (providers/membership.h) calls cluster_update with the current list as often as it
 * likes. The cluster compares it with the last one and publishes CLUSTER_TOPOLOGY_UPDATED with the
 * members that joined, left and are blocked; the same list twice is published once, in any order of
 * its members. Start and shutdown of the providers, and their failures, are events too.
 *
 * Subscribers are added before the providers start. The thread that publishes calls them, in the
 * order in which they were added. Any thread may publish; one event is delivered at a time. A
 * member is an address, "http://host:port"; its node id is learned from its health response. Where
 * the address is numeric and certificates have names, a member also has the name that its
 * certificate must have.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "artemis-core/base/error.h"

enum {
    MEMBERS_MAX = 64,
    MEMBER_URL_BYTES = 320,
    MEMBER_NAME_BYTES = 256,
    CLUSTER_SUBSCRIBERS_MAX = 8,
};

struct member {
    char url[MEMBER_URL_BYTES];
    char name[MEMBER_NAME_BYTES]; /* that the certificate must have; "": the host of the url */
};

struct member_list {
    size_t count;
    struct member items[MEMBERS_MAX]; /* sorted by url; each url once */
};

enum cluster_event_kind {
    CLUSTER_STARTUP,
    CLUSTER_STARTUP_FAILED,
    CLUSTER_TOPOLOGY_UPDATED,
    CLUSTER_SHUTDOWN,
    CLUSTER_SHUTDOWN_FAILED,
    CLUSTER_PROVIDER_FAILED, /* its last list stays */
    CLUSTER_PROVIDER_RECOVERED,
};

/* Borrowed for the call. */
struct cluster_event {
    enum cluster_event_kind kind;
    /* The cause of a failure or of a change of the topology, or the provider that works again; or
     * NULL. */
    const char *reason;
    const struct member_list *topology;
    const struct member_list *joined;
    const struct member_list *left;
    const struct member_list *blocked; /* members that must not be contacted */
};

typedef void cluster_subscriber(void *context, const struct cluster_event *event);

struct cluster {
    pthread_mutex_t publishing;
    struct {
        cluster_subscriber *call;
        void *context;
    } subscribers[CLUSTER_SUBSCRIBERS_MAX];
    size_t subscriber_count;
    const char *member_name;     /* see cluster_set_member_name */
    struct member_list topology; /* the last published list */
    struct member_list blocked;
    bool published;      /* a topology was published */
    uint64_t departures; /* topologies that lack a member of the one before */
};

void cluster_init(struct cluster *cluster);
void cluster_free(struct cluster *cluster);
/* The name that the certificate of each member has (cluster.tls.member_name), borrowed; "": there
 * is none. A caller with it may be a node that joins. To be set before the node serves. */
void cluster_set_member_name(struct cluster *cluster, const char *name);
/* Adds a subscriber. False: CLUSTER_SUBSCRIBERS_MAX is reached. */
bool cluster_subscribe(struct cluster *cluster, cluster_subscriber *call, void *context);

/* Adds a member without a name, or with one; prefixes http:// if there is no scheme. Adding a url
 * again has no effect. ERR_TOO_MANY_ITEMS; ERR_INVALID_FIELD: the address or the name is too long.
 */
MUST_USE enum error member_list_add(struct member_list *list, const char *address);
MUST_USE enum error member_list_add_named(struct member_list *list, const char *address,
                                          const char *name);
/* Adds the members of another list. A url that both have keeps its name. Returns the number of
 * members that were left out because the list is full. */
size_t member_list_merge(struct member_list *list, const struct member_list *added);
/* Whether both have the same members with the same names. */
bool member_list_equal(const struct member_list *a, const struct member_list *b);
/* NULL: it is not in the list. */
const struct member *member_list_find(const struct member_list *list, const char *url);
bool member_list_has(const struct member_list *list, const char *url);
/* Copies the last published list. Any thread. */
void cluster_members(struct cluster *cluster, struct member_list *out);
size_t cluster_member_count(struct cluster *cluster);
/* The number of topologies so far in which a member of the one before was missing, or had another
 * name: connections of peers may have to end. */
uint64_t cluster_departures(struct cluster *cluster);

/* Publishes this member list if it differs from the last one. Blocked members count as left.
 * `reason` says what has changed it. True if it was published. */
bool cluster_update(struct cluster *cluster, const struct member_list *members,
                    const struct member_list *blocked, const char *reason);
/* Publishes an event other than CLUSTER_TOPOLOGY_UPDATED, with the reason of a failure or NULL. */
void cluster_publish_state(struct cluster *cluster, enum cluster_event_kind kind,
                           const char *reason);
