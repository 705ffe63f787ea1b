/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/push/topics.h"

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

static void free_topic(struct topics *topics, struct topic *topic)
{
    topic_drop_state(topic);
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
    return !LIST_EMPTY(&topic->subscriptions) || !LIST_EMPTY(&topic->long_polls);
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

/* --- cached states ---------------------------------------------------------------------------- */

static bool has_state(const struct topic *topic)
{
    for (int form = 0; form < FORM_COUNT; form++)
        if (topic->state[form])
            return true;
    return false;
}

void topic_cache_state(struct topics *topics, struct topic *topic, enum push_form form,
                       struct frame *frame)
{
    if (!has_state(topic))
        LIST_INSERT_HEAD(&topics->cached, topic, cached_link);
    topics->cached_bytes += frame->size;
    frame_unref(topic->state[form]);
    topic->state[form] = frame;
}

void topic_drop_state(struct topic *topic)
{
    if (!has_state(topic))
        return;
    LIST_REMOVE(topic, cached_link);
    for (int form = 0; form < FORM_COUNT; form++) {
        frame_unref(topic->state[form]);
        topic->state[form] = NULL;
    }
}

void topics_drop_states(struct topics *topics)
{
    while (!LIST_EMPTY(&topics->cached))
        topic_drop_state(LIST_FIRST(&topics->cached));
    topics->cached_bytes = 0;
}
