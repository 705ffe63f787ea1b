/* SPDX-License-Identifier: Apache-2.0
 *
 * The subscriptions of a WebSocket.
 */
#include <stdio.h>
#include <stdlib.h>

#include "artemis-web/push/websocket.h"

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

/* --- limits ----------------------------------------------------------------------------------- */

/* A subscription is to a service or to a topic of events; each kind has its own limits. */
static _Atomic uint64_t *counter_of(const struct websocket *websocket, bool is_of_events)
{
    struct push *push = websocket->push;
    return is_of_events ? &push->engine->event_hub.subscriptions : &push->counters.subscriptions;
}

/* Whether `count` is at its limit; then *problem says that `owner` may have so many `things`. */
static bool is_full(uint64_t count, uint64_t max, const char *owner, const char *things,
                    char problem[SUBSCRIPTION_PROBLEM_BYTES])
{
    if (count >= max)
        snprintf(problem, SUBSCRIPTION_PROBLEM_BYTES, "%s may have %llu %s", owner,
                 (unsigned long long)max, things);
    return count >= max;
}

static bool is_at_limit(const struct websocket *websocket, bool is_of_events,
                        char problem[SUBSCRIPTION_PROBLEM_BYTES])
{
    uint64_t all = atomic_load(counter_of(websocket, is_of_events));
    if (is_of_events)
        return is_full(websocket->topic_count, EVENT_TOPICS_MAX, "a connection", "topics",
                       problem) ||
               is_full(all, EVENT_TOPICS_ALL_MAX, "a node", "subscriptions of topics", problem);
    return is_full(websocket->subscription_count, SUBSCRIPTIONS_MAX, "a connection",
                   "subscriptions", problem) ||
           is_full(all, SUBSCRIPTIONS_ALL_MAX, "a node", "subscriptions", problem);
}

static uint32_t *own_count(struct websocket *websocket, bool is_of_events)
{
    return is_of_events ? &websocket->topic_count : &websocket->subscription_count;
}

/* --- views ------------------------------------------------------------------------------------ */

/* Whether the view of a replaced subscription (NULL: none) ends with it. */
static bool ends_view(const struct subscription *replaced)
{
    return replaced && replaced->view->filter &&
           LIST_FIRST(&replaced->view->subscriptions) == replaced &&
           !LIST_NEXT(replaced, view_link);
}

/* Whether the filter of the view may be added; `is_new`: no other subscription has it yet. */
static bool has_place_for_filter(const struct websocket *websocket, const struct topic *topic,
                                 const struct subscription *replaced, bool is_new,
                                 char problem[SUBSCRIPTION_PROBLEM_BYTES])
{
    const bool adds = !replaced || !replaced->view->filter;
    const uint64_t ending = ends_view(replaced);
    if (adds && is_full(websocket->filtered_count, FILTERED_SUBSCRIPTIONS_MAX, "a connection",
                        "subscriptions with a filter", problem))
        return false;
    return !is_new || !(is_full(topic->filtered_count - ending, FILTERS_PER_SERVICE_MAX,
                                "a service", "different filters", problem) ||
                        is_full(atomic_load(&websocket->push->counters.filters) - ending,
                                FILTERS_ALL_MAX, "a node", "different filters", problem));
}

/* Returns the view of a filter for a subscription that replaces another one (NULL: none). NULL: no
 * memory, or at a limit. */
static struct topic_view *get_view(struct websocket *websocket, struct topic *topic,
                                   const struct instance_filter *filter,
                                   const struct subscription *replaced,
                                   char problem[SUBSCRIPTION_PROBLEM_BYTES])
{
    struct push_counters *counters = &websocket->push->counters;
    char buffer[FILTER_KEY_BYTES_MAX];
    if (!filter || instance_filter_selects_all(filter))
        return &topic->plain;
    struct slice key = {buffer, instance_filter_key(filter, buffer)};
    struct filtered_view *filtered = topic_find_view(topic, key);
    if (!has_place_for_filter(websocket, topic, replaced, !filtered, problem)) {
        push_count(&counters->filters_refused, 1);
        return NULL;
    }
    if (filtered)
        return &filtered->view;
    filtered = topic_add_view(topic, key);
    if (!filtered)
        return NULL;
    push_count(&counters->filters, 1);
    return &filtered->view;
}

/* Frees a filtered view without subscriptions. */
static void release_view(struct push *push, struct topic *topic, struct topic_view *view)
{
    if (!view->filter || !LIST_EMPTY(&view->subscriptions))
        return;
    topic_remove_view(topic, topic_filtered(view));
    push_uncount(&push->counters.filters);
}

static void enter_view(struct subscription *subscription, struct topic_view *view,
                       enum push_form form)
{
    subscription->view = view;
    subscription->form = form;
    LIST_INSERT_HEAD(&view->subscriptions, subscription, view_link);
    view->form_subscriptions[form]++;
    subscription->websocket->filtered_count += view->filter != NULL;
}

/* The caller releases the view. */
static void leave_view(struct subscription *subscription)
{
    struct topic_view *view = subscription->view;
    LIST_REMOVE(subscription, view_link);
    view->form_subscriptions[subscription->form]--;
    subscription->websocket->filtered_count -= view->filter != NULL;
}

/* --- adding ----------------------------------------------------------------------------------- */

static struct subscription *create(struct websocket *websocket, struct topic *topic,
                                   bool is_of_events, char problem[SUBSCRIPTION_PROBLEM_BYTES])
{
    if (is_at_limit(websocket, is_of_events, problem))
        return NULL;
    struct subscription *subscription = malloc(sizeof(*subscription));
    if (!subscription)
        return NULL;
    *subscription =
        (struct subscription){.topic = topic, .websocket = websocket, .is_of_events = is_of_events};
    TAILQ_INSERT_TAIL(&websocket->current, subscription, link);
    ++*own_count(websocket, is_of_events);
    push_count(counter_of(websocket, is_of_events), 1);
    return subscription;
}

struct subscription *subscription_add(struct websocket *websocket, struct slice service_id,
                                      enum push_form form, const struct instance_filter *filter,
                                      char problem[SUBSCRIPTION_PROBLEM_BYTES])
{
    snprintf(problem, SUBSCRIPTION_PROBLEM_BYTES, "out of memory");
    struct topic *topic = topics_get(&websocket->push->topics, service_id);
    if (!topic)
        return NULL;
    struct subscription *subscription = subscription_find(websocket, topic);
    struct topic_view *view = get_view(websocket, topic, filter, subscription, problem);
    if (!view)
        return NULL;
    struct topic_view *left = subscription ? subscription->view : view;
    if (subscription)
        leave_view(subscription);
    else
        subscription = create(websocket, topic, false, problem);
    if (subscription)
        enter_view(subscription, view, form);
    release_view(websocket->push, topic, left);
    return subscription;
}

struct subscription *subscription_add_events(struct websocket *websocket, struct slice name,
                                             char problem[SUBSCRIPTION_PROBLEM_BYTES])
{
    snprintf(problem, SUBSCRIPTION_PROBLEM_BYTES, "out of memory");
    struct topic *topic = topics_get(&websocket->push->event_topics, name);
    if (!topic)
        return NULL;
    struct subscription *subscription = subscription_find(websocket, topic);
    if (subscription)
        return subscription;
    subscription = create(websocket, topic, true, problem);
    if (subscription)
        enter_view(subscription, &topic->plain, FORM_NATIVE);
    return subscription;
}

/* --- lagging and ending ----------------------------------------------------------------------- */

void subscriptions_lag(struct websocket *websocket)
{
    struct subscription *subscription = TAILQ_FIRST(&websocket->current);
    while (subscription) {
        struct subscription *next = TAILQ_NEXT(subscription, link);
        if (!subscription->is_of_events)
            subscription_set_state(subscription, SUBSCRIPTION_LAGGING);
        subscription = next;
    }
}

void subscription_end(struct subscription *subscription)
{
    struct websocket *websocket = subscription->websocket;
    struct push *push = websocket->push;
    send_queue_forget(&websocket->queue, subscription);
    leave_view(subscription);
    release_view(push, subscription->topic, subscription->view);
    topics_subscriber_removed(subscription->is_of_events ? &push->event_topics : &push->topics,
                              subscription->topic);
    subscription_set_state(subscription, SUBSCRIPTION_ENDED);
    --*own_count(websocket, subscription->is_of_events);
    push_uncount(counter_of(websocket, subscription->is_of_events));
}

void subscriptions_end_all(struct websocket *websocket)
{
    while (!TAILQ_EMPTY(&websocket->current))
        subscription_end(TAILQ_FIRST(&websocket->current));
    while (!TAILQ_EMPTY(&websocket->lagging))
        subscription_end(TAILQ_FIRST(&websocket->lagging));
}
