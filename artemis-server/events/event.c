/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/events/event.h"

#include <stdlib.h>
#include <string.h>

/* Copies a slice to *to, which it moves on. */
static struct slice copy(char **to, struct slice from)
{
    struct slice copied = {*to, from.size};
    if (from.size)
        memcpy(*to, from.data, from.size);
    *to += from.size;
    return copied;
}

struct event *event_create(const struct event_content *content)
{
    size_t size =
        content->node_id.size + content->run.size + content->topic.size + content->payload.size;
    struct event *event = malloc(sizeof(*event) + size);
    if (!event)
        return NULL;
    char *to = event->bytes;
    atomic_init(&event->refs, 1);
    event->number = content->number;
    event->wall_ms = content->wall_ms;
    event->node_id = copy(&to, content->node_id);
    event->run = copy(&to, content->run);
    event->topic = copy(&to, content->topic);
    event->payload = copy(&to, content->payload);
    return event;
}

struct event *event_ref(struct event *event)
{
    atomic_fetch_add_explicit(&event->refs, 1, memory_order_relaxed);
    return event;
}

void event_unref(struct event *event)
{
    if (event && atomic_fetch_sub_explicit(&event->refs, 1, memory_order_acq_rel) == 1)
        free(event);
}
