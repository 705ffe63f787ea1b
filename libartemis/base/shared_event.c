/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/base/shared_event.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Appends the text with a NUL, and returns its address. */
static const char *append(char **at, struct slice text)
{
    const char *start = *at;
    if (text.size > 0)
        memcpy(*at, text.data, text.size);
    (*at)[text.size] = '\0';
    *at += text.size + 1;
    return start;
}

enum error shared_event_create(const struct event_parts *parts, struct shared_event **out)
{
    size_t bytes = parts->topic.size + parts->node_id.size + parts->run.size + parts->payload.size +
                   4; /* the NUL of each */
    struct shared_event *event = calloc(1, sizeof *event + bytes);
    if (!event)
        return ERR_NO_MEMORY;
    char *at = event->bytes;
    atomic_init(&event->refs, 1);
    event->view.type = ARTEMIS_EVENT;
    event->view.topic = append(&at, parts->topic);
    event->view.payload = append(&at, parts->payload);
    event->view.payload_size = parts->payload.size;
    event->view.node_id = append(&at, parts->node_id);
    event->view.run = append(&at, parts->run);
    event->view.number = parts->number;
    event->view.time_ms = parts->time_ms;
    *out = event;
    return ERR_NONE;
}

struct shared_event *shared_event_ref(struct shared_event *event)
{
    atomic_fetch_add_explicit(&event->refs, 1, memory_order_relaxed);
    return event;
}

void shared_event_unref(struct shared_event *event)
{
    if (event && atomic_fetch_sub_explicit(&event->refs, 1, memory_order_acq_rel) == 1)
        free(event);
}
