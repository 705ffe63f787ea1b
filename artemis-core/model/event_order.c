/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/model/event_order.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/base/sim_bug.h"

void event_order_free(struct event_order *order)
{
    free(order->publishers);
    *order = (struct event_order){0};
}

bool event_run_is_valid(struct slice run)
{
    if (run.size != EVENT_RUN_BYTES - 1)
        return false;
    for (size_t i = 0; i < run.size; i++)
        if (!(run.data[i] >= '0' && run.data[i] <= '9') &&
            !(run.data[i] >= 'a' && run.data[i] <= 'f'))
            return false;
    return true;
}

static struct event_publisher *find(const struct event_order *order, struct slice node_id,
                                    struct slice run)
{
    for (size_t i = 0; i < order->count; i++) {
        struct event_publisher *publisher = &order->publishers[i];
        if (slice_equal(slice_of(publisher->run), run) &&
            slice_equal(slice_of(publisher->node_id), node_id))
            return publisher;
    }
    return NULL;
}

/* A free place, or that of the publisher that was used least recently. */
static struct event_publisher *take_place(struct event_order *order)
{
    struct event_publisher *oldest = order->publishers;
    if (order->count < EVENT_PUBLISHERS_MAX)
        return &order->publishers[order->count++];
    for (size_t i = 1; i < order->count; i++)
        if (order->publishers[i].used_ms < oldest->used_ms)
            oldest = &order->publishers[i];
    return oldest;
}

static struct event_publisher *add(struct event_order *order, struct slice node_id,
                                   struct slice run)
{
    assert(node_id.size < EVENT_NODE_ID_BYTES && run.size < EVENT_RUN_BYTES);
    if (!order->publishers)
        order->publishers = malloc(EVENT_PUBLISHERS_MAX * sizeof(*order->publishers));
    if (!order->publishers)
        return NULL;
    struct event_publisher *publisher = take_place(order);
    *publisher = (struct event_publisher){0};
    memcpy(publisher->node_id, node_id.data, node_id.size);
    memcpy(publisher->run, run.data, run.size);
    return publisher;
}

enum error event_order_admit(struct event_order *order, struct slice node_id, struct slice run,
                             uint64_t number, uint64_t now_ms, bool *is_admitted, uint64_t *missed)
{
    struct event_publisher *publisher = find(order, node_id, run);
    bool is_known = publisher != NULL;
    if (!publisher)
        publisher = add(order, node_id, run);
    if (!publisher)
        return ERR_NO_MEMORY;
    *is_admitted = number > publisher->number || SIM_BUG(19); /* a repeated message counts twice */
    *missed = is_known && *is_admitted ? number - publisher->number - 1 : 0;
    if (*is_admitted)
        publisher->number = number;
    publisher->used_ms = now_ms;
    return ERR_NONE;
}
