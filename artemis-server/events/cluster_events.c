/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/events/cluster_events.h"

#include <stdio.h>

#include "artemis-core/model/topic_name.h"
#include "artemis-server/clock.h"
#include "artemis-server/cluster/event_log.h"

enum { REASON_BYTES = 257 }; /* escaped, the payload fits into an event */

/* An event that is refused is counted by the hub. */
static void publish(struct event_hub *hub, const char *kind, const char *url,
                    const struct cluster_event *event)
{
    char reason[REASON_BYTES];
    struct text payload = {0};
    uint64_t number;
    struct json_writer w = jw_to(&payload, CASING_SNAKE);
    snprintf(reason, sizeof(reason), "%s", event->reason ? event->reason : "");
    jw_open(&w, '{');
    jw_name(&w, "kind");
    jw_string(&w, kind);
    if (url) {
        jw_name(&w, "url");
        jw_string(&w, url);
    }
    jw_name(&w, "reason");
    jw_foreign(&w, reason);
    jw_name(&w, "members");
    jw_u64(&w, event->topology->count);
    jw_close(&w, '}');
    if (!text_failed(&payload))
        (void)!event_hub_publish(hub, SLICE(TOPIC_CLUSTER),
                                 (struct slice){payload.data, payload.size}, clock_now(), &number);
    text_free(&payload);
}

static void publish_members(struct event_hub *hub, const struct cluster_event *event)
{
    for (size_t i = 0; i < event->left->count; i++) {
        const char *url = event->left->items[i].url;
        bool is_blocked = member_list_has(event->blocked, url);
        publish(hub, cluster_log_word(is_blocked ? CLUSTER_LOG_BLOCKED : CLUSTER_LOG_LEFT), url,
                event);
    }
    for (size_t i = 0; i < event->joined->count; i++)
        publish(hub, cluster_log_word(CLUSTER_LOG_JOINED), event->joined->items[i].url, event);
}

void cluster_events_on_event(void *hub, const struct cluster_event *event)
{
    if (event->kind == CLUSTER_TOPOLOGY_UPDATED)
        publish_members(hub, event);
    else
        publish(hub, cluster_log_word(cluster_log_kind_of(event->kind)), NULL, event);
}
