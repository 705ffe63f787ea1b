/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/providers/kubernetes/kubernetes_view.h"

#include <stdio.h>
#include <string.h>

#include "artemis-server/cluster/providers/member_address.h"

enum { MEMBER_ADDRESS_BYTES = INET6_ADDRSTRLEN + 16 };

/* --- EndpointSlices --------------------------------------------------------------------------- */

static void remove_slice(struct kubernetes_view *view, const char *name)
{
    size_t kept = 0;
    for (size_t i = 0; i < view->endpoint_count; i++)
        if (strcmp(view->endpoints[i].slice, name) != 0)
            view->endpoints[kept++] = view->endpoints[i];
    view->endpoint_count = kept;
}

static void put_slice(struct kubernetes_view *view, const struct kubernetes_object *object)
{
    remove_slice(view, object->name);
    view->is_full[KUBERNETES_SLICES] |= object->left_out > 0;
    for (size_t i = 0; i < object->count; i++) {
        if (view->endpoint_count == KUBERNETES_ENDPOINTS_MAX) {
            view->is_full[KUBERNETES_SLICES] = true;
            return;
        }
        struct kubernetes_view_endpoint *added = &view->endpoints[view->endpoint_count++];
        added->endpoint = object->endpoints[i];
        memcpy(added->slice, object->name, sizeof(added->slice));
    }
}

static bool has_endpoint(const struct kubernetes_view *view, const char *address)
{
    for (size_t i = 0; i < view->endpoint_count; i++)
        if (strcmp(view->endpoints[i].endpoint.address, address) == 0)
            return true;
    return false;
}

/* --- Leases ----------------------------------------------------------------------------------- */

static bool is_departed(const struct kubernetes_view *view, const char *address)
{
    for (size_t i = 0; i < view->departed_count; i++)
        if (strcmp(view->departed[i], address) == 0)
            return true;
    return false;
}

/* Keeps the departed addresses that still have an endpoint. */
static void trim_departed(struct kubernetes_view *view)
{
    size_t kept = 0;
    for (size_t i = 0; i < view->departed_count; i++)
        if (has_endpoint(view, view->departed[i]))
            memmove(view->departed[kept++], view->departed[i], sizeof(view->departed[i]));
    view->departed_count = kept;
}

static void remove_lease(struct kubernetes_view *view, size_t number)
{
    const char *holder = view->leases[number].holder;
    if (has_endpoint(view, holder) && !is_departed(view, holder) &&
        view->departed_count < KUBERNETES_ENDPOINTS_MAX)
        memcpy(view->departed[view->departed_count++], holder, INET6_ADDRSTRLEN);
    view->leases[number] = view->leases[--view->lease_count];
}

static struct kubernetes_view_lease *find_lease(struct kubernetes_view *view, const char *name)
{
    for (size_t i = 0; i < view->lease_count; i++)
        if (strcmp(view->leases[i].name, name) == 0)
            return &view->leases[i];
    return NULL;
}

static void put_lease(struct kubernetes_view *view, const struct kubernetes_object *object,
                      uint64_t now_ms)
{
    struct kubernetes_view_lease *lease = find_lease(view, object->name);
    if (!lease && view->lease_count == KUBERNETES_LEASES_MAX) {
        view->is_full[KUBERNETES_LEASES] = true;
        return;
    }
    if (!lease) {
        lease = &view->leases[view->lease_count++];
        *lease = (struct kubernetes_view_lease){.changed_ms = now_ms};
    } else if (strcmp(lease->renewed, object->renewed) != 0 ||
               strcmp(lease->holder, object->holder) != 0) {
        lease->changed_ms = now_ms;
        lease->has_run_out = false;
    }
    memcpy(lease->name, object->name, sizeof(lease->name));
    memcpy(lease->holder, object->holder, sizeof(lease->holder));
    memcpy(lease->renewed, object->renewed, sizeof(lease->renewed));
    lease->ttl_ms = object->ttl_ms;
    lease->is_listed = true;
}

static uint64_t end_of(const struct kubernetes_view *view,
                       const struct kubernetes_view_lease *lease)
{
    uint64_t from_ms = lease->changed_ms > view->failed_ms ? lease->changed_ms : view->failed_ms;
    return from_ms + lease->ttl_ms;
}

static void end_leases(struct kubernetes_view *view, uint64_t asked_ms)
{
    for (size_t i = 0; i < view->lease_count;) {
        struct kubernetes_view_lease *lease = &view->leases[i];
        if (!lease->is_listed) {
            remove_lease(view, i);
            continue;
        }
        lease->has_run_out |= end_of(view, lease) <= asked_ms;
        i++;
    }
}

/* --- lists and events ------------------------------------------------------------------------- */

struct reading {
    struct kubernetes_view *view;
    enum kubernetes_kind kind;
    uint64_t now_ms;
};

static void begin(void *context)
{
    const struct reading *reading = context;
    struct kubernetes_view *view = reading->view;
    view->is_full[reading->kind] = false;
    if (reading->kind == KUBERNETES_SLICES)
        view->endpoint_count = 0;
    for (size_t i = 0; reading->kind == KUBERNETES_LEASES && i < view->lease_count; i++)
        view->leases[i].is_listed = false;
}

static void put(void *context, const struct kubernetes_object *object)
{
    const struct reading *reading = context;
    if (reading->kind == KUBERNETES_SLICES)
        put_slice(reading->view, object);
    else
        put_lease(reading->view, object, reading->now_ms);
}

bool kubernetes_view_list(struct kubernetes_view *view, const struct kubernetes_source *source,
                          struct slice body, struct kubernetes_object *space, uint64_t asked_ms,
                          uint64_t now_ms, char version[KUBERNETES_VERSION_BYTES])
{
    struct reading reading = {view, source->kind, now_ms};
    const struct kubernetes_reader reader = {begin, put, &reading};
    if (!kubernetes_read_list(source, body, version, space, &reader))
        return false;
    if (source->kind == KUBERNETES_LEASES) {
        end_leases(view, asked_ms);
        return true;
    }
    view->has_slices = true;
    trim_departed(view);
    return true;
}

static void remove_object(struct kubernetes_view *view, enum kubernetes_kind kind, const char *name)
{
    struct kubernetes_view_lease *lease = find_lease(view, name);
    if (kind == KUBERNETES_SLICES)
        remove_slice(view, name);
    else if (lease)
        remove_lease(view, (size_t)(lease - view->leases));
}

void kubernetes_view_event(struct kubernetes_view *view, enum kubernetes_kind kind,
                           const struct kubernetes_event *event, uint64_t now_ms)
{
    struct reading reading = {view, kind, now_ms};
    if (event->type == KUBERNETES_ADDED || event->type == KUBERNETES_MODIFIED)
        put(&reading, &event->object);
    else if (event->type == KUBERNETES_DELETED)
        remove_object(view, kind, event->object.name);
    trim_departed(view);
}

void kubernetes_view_on_failure(struct kubernetes_view *view, uint64_t now_ms)
{
    view->failed_ms = now_ms;
}

uint64_t kubernetes_view_due_ms(const struct kubernetes_view *view)
{
    uint64_t due_ms = UINT64_MAX;
    for (size_t i = 0; i < view->lease_count; i++) {
        uint64_t end_ms = end_of(view, &view->leases[i]);
        if (!view->leases[i].has_run_out && end_ms < due_ms)
            due_ms = end_ms;
    }
    return due_ms;
}

/* --- members ---------------------------------------------------------------------------------- */

static bool is_same_pod(const struct kubernetes_endpoint *a, const struct kubernetes_endpoint *b)
{
    return a->pod[0] ? strcmp(a->pod, b->pod) == 0 : strcmp(a->address, b->address) == 0;
}

/* Whether another endpoint of the same pod counts instead of this one: a pod is in several slices
 * for a moment while they are rearranged, and in one for each family of addresses. */
static bool is_replaced(const struct kubernetes_view *view, const struct kubernetes_endpoint *one)
{
    for (size_t i = 0; i < view->endpoint_count; i++) {
        const struct kubernetes_endpoint *other = &view->endpoints[i].endpoint;
        bool is_better = strchr(one->address, ':') && !strchr(other->address, ':');
        if (is_same_pod(one, other) && (other->is_terminating || is_better))
            return true;
    }
    return false;
}

/* An address may have several Leases: one of them is that of a pod that had it before. */
static bool is_alive(const struct kubernetes_view *view, const char *address)
{
    bool has_lease = false;
    for (size_t i = 0; i < view->lease_count; i++) {
        if (strcmp(view->leases[i].holder, address) != 0)
            continue;
        if (!view->leases[i].has_run_out)
            return true;
        has_lease = true;
    }
    return !has_lease && !is_departed(view, address);
}

bool kubernetes_view_is_usable(const struct kubernetes_view *view)
{
    bool lacks_port = false;
    for (size_t i = 0; i < view->endpoint_count; i++) {
        const struct kubernetes_endpoint *endpoint = &view->endpoints[i].endpoint;
        if (endpoint->is_terminating || is_replaced(view, endpoint))
            continue;
        if (endpoint->port != 0)
            return true;
        lacks_port = true;
    }
    return view->endpoint_count > 0 && !lacks_port;
}

size_t kubernetes_view_members(const struct kubernetes_view *view, const struct config *config,
                               struct member_list *out)
{
    size_t left_out = 0;
    out->count = 0;
    for (size_t i = 0; i < view->endpoint_count; i++) {
        const struct kubernetes_endpoint *endpoint = &view->endpoints[i].endpoint;
        char text[MEMBER_ADDRESS_BYTES];
        const char *format = strchr(endpoint->address, ':') ? "[%s]:%u" : "%s:%u";
        if (endpoint->port == 0 || endpoint->is_terminating || is_replaced(view, endpoint) ||
            !is_alive(view, endpoint->address))
            continue;
        snprintf(text, sizeof(text), format, endpoint->address, endpoint->port);
        left_out += member_address_add(out, config, text, config->cluster.tls.member_name) != 0;
    }
    return left_out;
}

const char *kubernetes_view_zone(const struct kubernetes_view *view, const char *url)
{
    char address[INET6_ADDRSTRLEN];
    kubernetes_read_url(url, address);
    for (size_t i = 0; i < view->endpoint_count; i++)
        if (strcmp(view->endpoints[i].endpoint.address, address) == 0)
            return view->endpoints[i].endpoint.zone;
    return "";
}

static bool has_port(const struct kubernetes_view *view)
{
    for (size_t i = 0; i < view->endpoint_count; i++)
        if (view->endpoints[i].endpoint.port == 0)
            return false;
    return true;
}

bool kubernetes_view_problem(const struct kubernetes_view *view, const struct config *config,
                             char out[KUBERNETES_PROBLEM_BYTES])
{
    const char *service = config->cluster.kubernetes.service;
    const char *port = config->cluster.kubernetes.peer_port;
    out[0] = '\0';
    if (view->has_slices && view->endpoint_count == 0)
        snprintf(out, KUBERNETES_PROBLEM_BYTES, "the service %.128s has no endpoints", service);
    else if (!has_port(view) && port[0])
        snprintf(out, KUBERNETES_PROBLEM_BYTES, "the service %.128s has no port named %.63s",
                 service, port);
    else if (!has_port(view))
        snprintf(
            out, KUBERNETES_PROBLEM_BYTES,
            "the service %.128s does not have exactly one port: set cluster.kubernetes.peer_port",
            service);
    else if (view->is_full[KUBERNETES_SLICES] || view->is_full[KUBERNETES_LEASES])
        snprintf(out, KUBERNETES_PROBLEM_BYTES,
                 "the service %.128s has more than %d endpoints or Leases; some are left out",
                 service, KUBERNETES_ENDPOINTS_MAX);
    return out[0];
}
