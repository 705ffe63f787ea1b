/* SPDX-License-Identifier: Apache-2.0
 *
 * kubernetes_view - the EndpointSlices and Leases that a node has read, and the members that follow
 * from them.
 *
 * A member is a pod of the slices that is not terminating. A pod with several addresses is one
 * member: its IPv4 address counts, or without one its IPv6 address.
 *
 * A Lease belongs to the pod whose address it has. Its time begins when this node sees a renewal,
 * so clocks of nodes are not compared. It has run out when a list that was asked for later than its
 * end shows no renewal. While requests fail, perhaps no node can renew: after a failure each Lease
 * has its whole time again. A pod whose Lease has run out, or was deleted, is not a member, until
 * there is a renewal or a new Lease. A pod that never had a Lease is a member.
 *
 * Pure. Times are monotonic milliseconds. Not thread-safe.
 */
#pragma once

#include "artemis-core/config/config.h"
#include "artemis-server/cluster/providers/kubernetes/kubernetes_messages.h"
#include "artemis-server/cluster/topology.h"

enum { KUBERNETES_LEASES_MAX = 256, KUBERNETES_PROBLEM_BYTES = 240 };

struct kubernetes_view_endpoint {
    struct kubernetes_endpoint endpoint;
    char slice[KUBERNETES_NAME_BYTES];
};

struct kubernetes_view_lease {
    char name[KUBERNETES_NAME_BYTES];
    char holder[INET6_ADDRSTRLEN];
    char renewed[KUBERNETES_TIME_BYTES];
    uint64_t ttl_ms;
    uint64_t changed_ms; /* when this node saw the last renewal */
    bool has_run_out;
    bool is_listed; /* in the list that is being read */
};

struct kubernetes_view {
    bool has_slices; /* a list was read */
    size_t endpoint_count, lease_count, departed_count;
    struct kubernetes_view_endpoint endpoints[KUBERNETES_ENDPOINTS_MAX];
    struct kubernetes_view_lease leases[KUBERNETES_LEASES_MAX];
    char departed[KUBERNETES_ENDPOINTS_MAX][INET6_ADDRSTRLEN]; /* whose Lease was deleted */
    uint64_t failed_ms;                                        /* the last failure of a request */
    bool is_full[KUBERNETES_KINDS]; /* some did not fit since the last list */
};

/* The response to a list, which was asked for at asked_ms. Writes its version. False: the list
 * cannot be read, and nothing has changed. *space is memory for one object. */
bool kubernetes_view_list(struct kubernetes_view *view, const struct kubernetes_source *source,
                          struct slice body, struct kubernetes_object *space, uint64_t asked_ms,
                          uint64_t now_ms, char version[KUBERNETES_VERSION_BYTES]);
/* An object that was added, modified or deleted; others have no effect. */
void kubernetes_view_event(struct kubernetes_view *view, enum kubernetes_kind kind,
                           const struct kubernetes_event *event, uint64_t now_ms);
/* A request has failed: it had no response, or not the expected one. */
void kubernetes_view_on_failure(struct kubernetes_view *view, uint64_t now_ms);

/* Whether the members follow from the slices. False: they must stay as they were, because there is
 * no endpoint, although this node has one itself, or the port of none is known. */
bool kubernetes_view_is_usable(const struct kubernetes_view *view);
/* When Leases must be listed, because one may have run out; UINT64_MAX: there is none. */
uint64_t kubernetes_view_due_ms(const struct kubernetes_view *view);
/* The members. Returns the number of those that did not fit. */
size_t kubernetes_view_members(const struct kubernetes_view *view, const struct config *config,
                               struct member_list *out);
/* The zone of the pod with the address of this url; "": not known. Valid until the view changes. */
const char *kubernetes_view_zone(const struct kubernetes_view *view, const char *url);
/* Writes what is wrong with the slices. False: nothing is. */
bool kubernetes_view_problem(const struct kubernetes_view *view, const struct config *config,
                             char out[KUBERNETES_PROBLEM_BYTES]);
