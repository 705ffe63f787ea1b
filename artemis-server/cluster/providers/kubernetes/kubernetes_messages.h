/* SPDX-License-Identifier: Apache-2.0
 *
 * kubernetes_messages - reads the responses of a Kubernetes API server, and writes Leases.
 *
 * Read are lists and watch events of EndpointSlices (discovery.k8s.io/v1) and Leases
 * (coordination.k8s.io/v1), and Status. Unknown members are ignored, as the API demands. A message
 * with a member of the wrong type is refused as a whole; an endpoint without a usable address is
 * left out.
 *
 * Pure.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"

enum {
    KUBERNETES_NAME_BYTES = 254, /* of an object: a DNS name */
    KUBERNETES_VERSION_BYTES = 64,
    KUBERNETES_POD_BYTES = 64,
    KUBERNETES_ZONE_BYTES = 64,
    KUBERNETES_TIME_BYTES = 40,
    KUBERNETES_TEXT_BYTES = 200,
    KUBERNETES_ENDPOINTS_MAX = 256, /* that are kept, of one slice and of all */
};

enum kubernetes_kind { KUBERNETES_SLICES, KUBERNETES_LEASES, KUBERNETES_KINDS };

struct kubernetes_endpoint {
    char address[INET6_ADDRSTRLEN];   /* in the form of inet_ntop */
    char pod[KUBERNETES_POD_BYTES];   /* its uid; "": the endpoint is not a pod */
    char zone[KUBERNETES_ZONE_BYTES]; /* "": not known */
    uint16_t port;                    /* 0: not known which */
    bool is_terminating;
};

/* One EndpointSlice or Lease. */
struct kubernetes_object {
    char name[KUBERNETES_NAME_BYTES];
    char version[KUBERNETES_VERSION_BYTES]; /* its resourceVersion */
    /* Of an EndpointSlice: */
    size_t count, left_out;
    struct kubernetes_endpoint endpoints[KUBERNETES_ENDPOINTS_MAX];
    /* Of a Lease: */
    char holder[INET6_ADDRSTRLEN]; /* the address of the node, as above; "": it is none */
    char renewed[KUBERNETES_TIME_BYTES];
    uint64_t ttl_ms;
};

enum kubernetes_event_type {
    KUBERNETES_ADDED,
    KUBERNETES_MODIFIED,
    KUBERNETES_DELETED,
    KUBERNETES_BOOKMARK, /* the object has only a version */
    KUBERNETES_ERROR,    /* it has `status` instead of an object */
};

struct kubernetes_status {
    int64_t code; /* 0: it is not a Status */
    char message[KUBERNETES_TEXT_BYTES];
};

struct kubernetes_event {
    enum kubernetes_event_type type;
    struct kubernetes_object object;
    struct kubernetes_status status;
};

/* What is read, and cluster.kubernetes.peer_port. */
struct kubernetes_source {
    enum kubernetes_kind kind;
    const char *port;
};

/* Gets the objects of a list, after `begin`. Neither is called for a list that is refused. */
struct kubernetes_reader {
    void (*begin)(void *context);
    void (*put)(void *context, const struct kubernetes_object *object);
    void *context;
};

/* Reads a list, and writes its version. *space holds one object at a time. False: it is refused. */
bool kubernetes_read_list(const struct kubernetes_source *source, struct slice body,
                          char version[KUBERNETES_VERSION_BYTES], struct kubernetes_object *space,
                          const struct kubernetes_reader *reader);
/* Reads a line of a watch. False: it is refused. */
bool kubernetes_read_event(const struct kubernetes_source *source, struct slice line,
                           struct kubernetes_event *out);
/* Reads one object, such as a Lease. */
bool kubernetes_read_object(const struct kubernetes_source *source, struct slice body,
                            struct kubernetes_object *out);
/* Writes the numeric address of a url like "http://10.1.2.3:8080"; "": it has none. */
void kubernetes_read_url(const char *url, char out[INET6_ADDRSTRLEN]);
/* Reads the body of a response that is not 2xx. */
void kubernetes_read_status(struct slice body, struct kubernetes_status *out);

/* The content of a Lease of this node. Everything is borrowed. */
struct kubernetes_lease_spec {
    const char *name;
    const char *service; /* in a label, by which the Leases of a cluster are found */
    const char *holder;  /* the address for peers: "http://10.1.2.3:8080" */
    const char *version; /* of the Lease that is replaced; "": it is created */
    uint32_t ttl_secs;
    uint64_t acquired_wall_ms, renewed_wall_ms;
};

#define KUBERNETES_LEASE_LABEL "artemis/service"

/* Appends the Lease as JSON. */
void kubernetes_write_lease(struct text *out, const struct kubernetes_lease_spec *spec);
