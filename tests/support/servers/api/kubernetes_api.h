/* SPDX-License-Identifier: Apache-2.0
 *
 * kubernetes_api - an API server of Kubernetes for tests: EndpointSlices of one headless service,
 * and Leases, as the documentation of the API describes them.
 *
 * Objects have resource versions. Lists and watches have label selectors; watches have bookmarks
 * and end after a time. A version whose changes were forgotten is answered with 410, as a status or
 * as an event. A Lease is replaced only at its current version. Requests need a bearer token.
 *
 * The service is "artemis" in the namespace "prod", with a port "peer". The pods are what the test
 * says. Any thread may call; every error fails the test.
 */
#pragma once

#include "tests/support/servers/api/json_api.h"

enum kubernetes_api_kind { API_SLICES, API_LEASES, API_KINDS };

enum { API_CHANGES_MAX = 4096, API_PODS_MAX = 16 };

struct kubernetes_pod {
    char name[64];
    char address[48];
    const char *zone; /* NULL: none */
    bool is_ready, is_terminating;
};

struct kubernetes_api {
    struct json_api http; /* its folder has the files of the service account */
    uint16_t peer_port;   /* of the service */
    /* Under the lock of `http`: */
    char token[64];
    uint64_t revision, oldest; /* the last one, and the oldest that can be watched */
    unsigned drops;            /* how often all watches were dropped */
    struct kubernetes_pod pods[API_PODS_MAX];
    size_t pod_count, change_count;
    struct api_change *changes; /* API_CHANGES_MAX */
    void *leases;               /* json_t: objects by name */
    void *slices;               /* the same */
    /* What tests set: */
    bool is_gone_event;         /* 410 is an event */
    unsigned status[API_KINDS]; /* of each request for them; 0: the usual one */
    unsigned watch_ms_max;      /* 0: as requested */
    /* What tests read: */
    unsigned lists[API_KINDS], watches[API_KINDS], rejected_tokens;
    unsigned odd_responses;           /* with `status`, to requests for one object */
    uint64_t watched_from[API_KINDS]; /* the version of the last watch */
};

/* Chooses a port and starts nothing. With TLS, it makes an authority and a certificate. */
void kubernetes_api_init(struct kubernetes_api *api, uint16_t peer_port, bool has_tls);
void kubernetes_api_free(struct kubernetes_api *api); /* also one that runs */
void kubernetes_api_start(struct kubernetes_api *api);
/* Closes all connections. What it stores stays. */
void kubernetes_api_stop(struct kubernetes_api *api);

/* Adds a pod, or replaces the one of that name. */
void kubernetes_api_put_pod(struct kubernetes_api *api, const struct kubernetes_pod *pod);
void kubernetes_api_remove_pod(struct kubernetes_api *api, const char *name);
/* Replaces all pods, which have IPv4 addresses. */
void kubernetes_api_set_pods(struct kubernetes_api *api, const struct kubernetes_pod *pods,
                             size_t count);
/* Whether a Lease of that name exists. */
bool kubernetes_api_has_lease(struct kubernetes_api *api, const char *name);

/* Writes another token, and accepts no other from now on. */
void kubernetes_api_rotate_token(struct kubernetes_api *api);
/* Closes the connections of all watches. */
void kubernetes_api_drop_watches(struct kubernetes_api *api);
/* Forgets all changes so far: no version before this call can be watched. */
void kubernetes_api_forget(struct kubernetes_api *api);
/* The response to each request for this kind; 0: the usual one. */
void kubernetes_api_set_status(struct kubernetes_api *api, enum kubernetes_api_kind kind,
                               unsigned status);
