/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/events/guard_events.h"

#include <string.h>

#include "artemis-core/model/topic_name.h"

struct publication {
    struct event_hub *hub;
    const struct registry_stats *stats;
    struct moment now;
};

/* An event that is refused is counted by the hub. The id is empty for the node. */
static void publish(const struct publication *publication, bool is_engaged, struct slice service_id)
{
    struct text payload = {0};
    uint64_t number;
    struct json_writer w = jw_to(&payload, CASING_SNAKE);
    jw_open(&w, '{');
    jw_name(&w, "kind");
    jw_string(&w, is_engaged ? "engaged" : "released");
    if (service_id.size) {
        jw_name(&w, "service_id");
        jw_text(&w, service_id);
    }
    jw_name(&w, "engaged_services");
    jw_u64(&w, publication->stats->engaged_services);
    jw_name(&w, "guarded_leases");
    jw_u64(&w, publication->stats->guarded);
    jw_close(&w, '}');
    if (publication->hub && !text_failed(&payload))
        (void)!event_hub_publish(publication->hub, SLICE(TOPIC_GUARD),
                                 (struct slice){payload.data, payload.size}, publication->now,
                                 &number);
    text_free(&payload);
}

static bool has(const struct guarded_services *services, struct slice id)
{
    for (size_t i = 0; i < services->count; i++)
        if (slice_equal((struct slice){services->items[i].id, services->items[i].id_size}, id))
            return true;
    return false;
}

struct engaged_services {
    const struct guarded_services *before;  /* of the last call */
    struct guarded_services known, further; /* those of `before`, and others */
};

static void add(struct guarded_services *services, struct slice id)
{
    if (services->count == GUARD_SERVICES_MAX)
        return;
    struct guarded_service *service = &services->items[services->count++];
    memcpy(service->id, id.data, id.size);
    service->id_size = id.size;
}

static void add_engaged(void *context, struct slice service_id, const struct guard *guard,
                        uint32_t guarded)
{
    struct engaged_services *engaged = context;
    (void)guarded;
    if (guard->state == GUARD_ENGAGED)
        add(has(engaged->before, service_id) ? &engaged->known : &engaged->further, service_id);
}

/* Publishes that the guards of those of `before` that `known` lacks were released. */
static void publish_released(const struct publication *publication,
                             const struct guarded_services *before,
                             const struct guarded_services *known)
{
    for (size_t i = 0; i < before->count; i++) {
        struct slice id = {before->items[i].id, before->items[i].id_size};
        if (!has(known, id))
            publish(publication, false, id);
    }
}

/* A service that is known stays known until its guard is released: where more than
 * GUARD_SERVICES_MAX are engaged, none is published as released because others came first. */
static void publish_services(struct guard_events *events, const struct publication *publication,
                             struct registry *registry)
{
    struct engaged_services engaged = {.before = &events->services};
    if (!publication->stats->engaged_services && !events->services.count)
        return;
    registry_each_guard(registry, publication->now, add_engaged, &engaged);
    publish_released(publication, &events->services, &engaged.known);
    events->services = engaged.known;
    for (size_t i = 0; i < engaged.further.count; i++) {
        struct slice id = {engaged.further.items[i].id, engaged.further.items[i].id_size};
        if (events->services.count == GUARD_SERVICES_MAX)
            return;
        publish(publication, true, id);
        add(&events->services, id);
    }
}

void guard_events_publish(struct guard_events *events, struct event_hub *hub,
                          struct registry *registry, const struct registry_stats *stats,
                          struct moment now)
{
    const struct publication publication = {hub, stats, now};
    bool is_node_engaged = stats->node_guard.state == GUARD_ENGAGED;
    if (is_node_engaged != events->is_node_engaged)
        publish(&publication, is_node_engaged, (struct slice){0});
    events->is_node_engaged = is_node_engaged;
    publish_services(events, &publication, registry);
}
