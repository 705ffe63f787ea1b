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

static void add_engaged(void *context, struct slice service_id, const struct guard *guard,
                        uint32_t guarded)
{
    struct guarded_services *services = context;
    (void)guarded;
    if (guard->state != GUARD_ENGAGED || services->count == GUARD_SERVICES_MAX)
        return;
    struct guarded_service *service = &services->items[services->count++];
    memcpy(service->id, service_id.data, service_id.size);
    service->id_size = service_id.size;
}

static bool has(const struct guarded_services *services, struct slice id)
{
    for (size_t i = 0; i < services->count; i++)
        if (slice_equal((struct slice){services->items[i].id, services->items[i].id_size}, id))
            return true;
    return false;
}

/* Publishes those of `some` that `others` lacks. */
static void publish_difference(const struct publication *publication, bool is_engaged,
                               const struct guarded_services *some,
                               const struct guarded_services *others)
{
    for (size_t i = 0; i < some->count; i++) {
        struct slice id = {some->items[i].id, some->items[i].id_size};
        if (!has(others, id))
            publish(publication, is_engaged, id);
    }
}

static void publish_services(struct guard_events *events, const struct publication *publication,
                             struct registry *registry)
{
    struct guarded_services engaged = {.count = 0};
    if (!publication->stats->engaged_services && !events->services.count)
        return;
    registry_each_guard(registry, publication->now, add_engaged, &engaged);
    publish_difference(publication, false, &events->services, &engaged);
    publish_difference(publication, true, &engaged, &events->services);
    events->services = engaged;
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
