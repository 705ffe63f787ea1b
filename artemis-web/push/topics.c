/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/push/topics.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "artemis-web/push/frame.h"

enum error topics_init(struct topics *topics, uint64_t seed)
{
    *topics = (struct topics){.seed = seed};
    slab_init(&topics->slab, sizeof(struct topic));
    topics->all = topics_take(topics, SLICE("*"));
    return topics->all ? ERR_NONE : ERR_NO_MEMORY;
}

static void forget(struct topics *topics, struct topic *topic)
{
    topic_drop_state(topic);
    hash_index_remove(&topics->index, topic->hash, topic->number);
    free(topic->id);
    slab_release(&topics->slab, topic->number);
}

void topics_free(struct topics *topics)
{
    if (topics->all)
        forget(topics, topics->all);
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

struct topic *topics_take(struct topics *topics, struct slice id)
{
    struct topic *topic = topics_find(topics, id);
    uint32_t number;
    if (topic)
        return topic;
    char *copy = malloc(id.size ? id.size : 1);
    if (!copy)
        return NULL;
    if (hash_index_reserve(&topics->index) || slab_alloc(&topics->slab, &number)) {
        free(copy);
        return NULL;
    }
    memcpy(copy, id.data, id.size);
    topic = slab_at(&topics->slab, number);
    *topic = (struct topic){
        .number = number, .hash = hash_of(topics, id), .id = copy, .id_size = id.size};
    hash_index_insert(&topics->index, topic->hash, number);
    return topic;
}

void topics_release(struct topics *topics, struct topic *topic)
{
    bool topic_of_change =
        topic->subscribers[SUBSCRIBER_WEBSOCKET] || topic->subscribers[SUBSCRIBER_LONG_POLL];
    if (!topic_of_change && topic != topics->all && !topic->first_change && !topic->pinned)
        forget(topics, topic);
}

void topic_link(struct topic *topic, enum subscriber_kind kind, struct subscriber *subscriber)
{
    struct subscriber *next = topic->subscribers[kind];
    *subscriber = (struct subscriber){.next = next, .topic = topic};
    if (next)
        next->prev = subscriber;
    topic->subscribers[kind] = subscriber;
}

void topic_unlink(struct subscriber *subscriber, enum subscriber_kind kind)
{
    if (subscriber->prev)
        subscriber->prev->next = subscriber->next;
    else
        subscriber->topic->subscribers[kind] = subscriber->next;
    if (subscriber->next)
        subscriber->next->prev = subscriber->prev;
    *subscriber = (struct subscriber){0};
}

void topic_keep_state(struct topics *topics, struct topic *topic, enum push_form form,
                      struct frame *frame)
{
    if (!topic->kept_by) {
        topic->kept_by = &topics->kept;
        topic->next_kept = topics->kept;
        if (topic->next_kept)
            topic->next_kept->kept_by = &topic->next_kept;
        topics->kept = topic;
    }
    topics->kept_bytes += frame->size;
    frame_unref(topic->state[form]);
    topic->state[form] = frame;
}

void topic_drop_state(struct topic *topic)
{
    if (topic->kept_by) {
        *topic->kept_by = topic->next_kept;
        if (topic->next_kept)
            topic->next_kept->kept_by = topic->kept_by;
        topic->kept_by = NULL;
    }
    for (int form = 0; form < FORM_COUNT; form++) {
        frame_unref(topic->state[form]);
        topic->state[form] = NULL;
    }
}

void topics_drop_states(struct topics *topics)
{
    while (topics->kept)
        topic_drop_state(topics->kept);
    topics->kept_bytes = 0;
}
