/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/push/topics.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "artemis-web/frames/frame.h"

enum error topics_init(struct topics *topics, uint64_t seed)
{
    *topics = (struct topics){.seed = seed};
    slab_init(&topics->slab, sizeof(struct topic));
    topics->all = topics_get(topics, SLICE("*"));
    return topics->all ? ERR_NONE : ERR_NO_MEMORY;
}

static void drop_states_of(struct topic *topic, struct topic_view *view)
{
    for (enum push_form form = 0; form < FORM_COUNT; form++) {
        if (!view->state[form])
            continue;
        frame_unref(view->state[form]);
        view->state[form] = NULL;
        if (--topic->cached_states == 0)
            LIST_REMOVE(topic, cached_link);
    }
}

static void free_topic(struct topics *topics, struct topic *topic)
{
    topic_drop_states(topic);
    hash_index_remove(&topics->index, topic->hash, topic->number);
    free(topic->id);
    slab_release(&topics->slab, topic->number);
}

void topics_free(struct topics *topics)
{
    topics_free_idle(topics);
    if (topics->all)
        free_topic(topics, topics->all);
    hash_index_free(&topics->index);
    slab_free(&topics->slab);
    *topics = (struct topics){0};
}

static uint32_t hash_of(const struct topics *topics, struct slice id)
{
    return (uint32_t)XXH3_64bits_withSeed(id.data, id.size, topics->seed);
}

static bool has_id(const void *context, uint32_t element, const void *wanted)
{
    const struct topics *topics = context;
    const struct topic *topic = slab_at(&topics->slab, element);
    return slice_equal(topic_id(topic), *(const struct slice *)wanted);
}

struct topic *topics_find(const struct topics *topics, struct slice id)
{
    uint32_t number = hash_index_find(&topics->index, hash_of(topics, id), has_id, topics, &id);
    return number ? slab_at(&topics->slab, number) : NULL;
}

static bool has_subscribers(const struct topic *topic)
{
    return topic_has_subscriptions(topic) || !LIST_EMPTY(&topic->long_polls);
}

void topics_subscriber_removed(struct topics *topics, struct topic *topic)
{
    if (has_subscribers(topic) || topic == topics->all || topic->in_idle_list)
        return;
    topic->in_idle_list = true;
    SLIST_INSERT_HEAD(&topics->idle, topic, idle_link);
}

static struct topic *create_topic(struct topics *topics, struct slice id)
{
    uint32_t number;
    char *copy = malloc(id.size ? id.size : 1);
    if (!copy)
        return NULL;
    if (hash_index_reserve(&topics->index) || slab_alloc(&topics->slab, &number)) {
        free(copy);
        return NULL;
    }
    memcpy(copy, id.data, id.size);
    struct topic *topic = slab_at(&topics->slab, number);
    *topic = (struct topic){
        .number = number, .hash = hash_of(topics, id), .id = copy, .id_size = id.size};
    hash_index_insert(&topics->index, topic->hash, number);
    return topic;
}

struct topic *topics_get(struct topics *topics, struct slice id)
{
    struct topic *topic = topics_find(topics, id);
    if (topic)
        return topic;
    topic = create_topic(topics, id);
    if (topic && topics->all)
        topics_subscriber_removed(topics, topic); /* idle until it has one */
    return topic;
}

void topics_free_idle(struct topics *topics)
{
    struct topic *topic;
    while ((topic = SLIST_FIRST(&topics->idle))) {
        SLIST_REMOVE_HEAD(&topics->idle, idle_link);
        topic->in_idle_list = false;
        if (!has_subscribers(topic))
            free_topic(topics, topic);
    }
}

/* --- views ------------------------------------------------------------------------------------ */

struct filtered_view *topic_find_view(const struct topic *topic, struct slice key)
{
    struct filtered_view *filtered;
    LIST_FOREACH (filtered, &topic->filtered, link)
        if (slice_equal((struct slice){filtered->key, filtered->key_size}, key))
            return filtered;
    return NULL;
}

struct filtered_view *topic_add_view(struct topic *topic, struct slice key)
{
    struct filtered_view *filtered = malloc(sizeof(*filtered) + key.size);
    if (!filtered)
        return NULL;
    *filtered = (struct filtered_view){.key_size = key.size};
    memcpy(filtered->key, key.data, key.size);
    instance_filter_of_key((struct slice){filtered->key, key.size}, &filtered->filter);
    filtered->view.filter = &filtered->filter;
    LIST_INSERT_HEAD(&topic->filtered, filtered, link);
    topic->filtered_count++;
    return filtered;
}

void topic_remove_view(struct topic *topic, struct filtered_view *filtered)
{
    assert(LIST_EMPTY(&filtered->view.subscriptions));
    drop_states_of(topic, &filtered->view);
    LIST_REMOVE(filtered, link);
    topic->filtered_count--;
    free(filtered);
}

/* --- cached states ---------------------------------------------------------------------------- */

void topic_cache_state(struct topics *topics, struct topic *topic, struct topic_view *view,
                       enum push_form form, struct frame *frame)
{
    if (topic->cached_states == 0)
        LIST_INSERT_HEAD(&topics->cached, topic, cached_link);
    topic->cached_states += !view->state[form];
    topics->cached_bytes += frame->size;
    frame_unref(view->state[form]);
    view->state[form] = frame;
}

void topic_drop_states(struct topic *topic)
{
    struct filtered_view *filtered;
    if (topic->cached_states == 0)
        return;
    drop_states_of(topic, &topic->plain);
    LIST_FOREACH (filtered, &topic->filtered, link)
        drop_states_of(topic, &filtered->view);
}

void topics_drop_states(struct topics *topics)
{
    while (!LIST_EMPTY(&topics->cached))
        topic_drop_states(LIST_FIRST(&topics->cached));
    topics->cached_bytes = 0;
}
