/* SPDX-License-Identifier: Apache-2.0
 *
 * The subscriptions of a WebSocket.
 */
#include <stdlib.h>

#include "artemis-web/push/push_internal.h"

struct subscription *subscription_find(const struct websocket *websocket, const struct topic *topic)
{
    struct subscription *subscription;
    TAILQ_FOREACH (subscription, &websocket->current, link)
        if (subscription->topic == topic)
            return subscription;
    TAILQ_FOREACH (subscription, &websocket->lagging, link)
        if (subscription->topic == topic)
            return subscription;
    return NULL;
}

static void set_form(struct subscription *subscription, enum push_form form)
{
    subscription->topic->form_subscriptions[subscription->form]--;
    subscription->topic->form_subscriptions[form]++;
    subscription->form = form;
}

static struct subscription *create(struct websocket *websocket, struct topic *topic,
                                   enum push_form form)
{
    struct push_counters *counters = &websocket->push->counters;
    if (websocket->subscription_count >= SUBSCRIPTIONS_MAX ||
        atomic_load(&counters->subscriptions) >= SUBSCRIPTIONS_ALL_MAX)
        return NULL;
    struct subscription *subscription = malloc(sizeof(*subscription));
    if (!subscription)
        return NULL;
    *subscription = (struct subscription){.topic = topic, .websocket = websocket, .form = form};
    LIST_INSERT_HEAD(&topic->subscriptions, subscription, topic_link);
    TAILQ_INSERT_TAIL(&websocket->current, subscription, link);
    topic->form_subscriptions[form]++;
    websocket->subscription_count++;
    push_count(&counters->subscriptions, 1);
    return subscription;
}

struct subscription *subscription_add(struct websocket *websocket, struct slice service_id,
                                      enum push_form form)
{
    struct topic *topic = topics_get(&websocket->push->topics, service_id);
    if (!topic)
        return NULL;
    struct subscription *subscription = subscription_find(websocket, topic);
    if (!subscription)
        return create(websocket, topic, form);
    set_form(subscription, form);
    return subscription;
}

void subscription_end(struct subscription *subscription)
{
    struct websocket *websocket = subscription->websocket;
    struct topic *topic = subscription->topic;
    send_queue_forget(&websocket->queue, subscription);
    LIST_REMOVE(subscription, topic_link);
    topic->form_subscriptions[subscription->form]--;
    topics_subscriber_removed(&websocket->push->topics, topic);
    subscription_set_state(subscription, SUBSCRIPTION_ENDED);
    websocket->subscription_count--;
    push_uncount(&websocket->push->counters.subscriptions);
}

void subscriptions_end_all(struct websocket *websocket)
{
    while (!TAILQ_EMPTY(&websocket->current))
        subscription_end(TAILQ_FIRST(&websocket->current));
    while (!TAILQ_EMPTY(&websocket->lagging))
        subscription_end(TAILQ_FIRST(&websocket->lagging));
}
