/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_fixture - shared by the tests of what peers call: messages of peers in one line, and the
 * content of a registry as text, so that two can be compared.
 *
 * Stamps are small numbers here: 1, 2, 3... is their order.
 */
#pragma once

#include "artemis-server/registry/registry_replication.h"
#include "tests/unit/artemis-server/registry/registry_fixture.h"

enum {
    TOMBSTONE_MS = 600000,
    CHECK_MAX_MS = LEASE_CHECK_MAX_MS + LEASE_CHECK_SLACK_MS, /* how long a lease is confirming */
};

/* What a peer says about one key. NULL and 0 mean the usual; stamp 0: it knows no versions. */
struct word {
    const char *service;
    const char *id;
    uint64_t stamp;
    const char *node;
    uint64_t age_ms;
    const char *machine; /* the content */
    int weight;
    uint64_t revision;
    bool deleted;
};

static inline uint64_t full_stamp(uint64_t small)
{
    return small ? (START_WALL_MS << 16) + small : 0;
}

static inline struct registry *make_node(const char *node_id)
{
    struct registry_options options = usual_options();
    options.node_id = node_id;
    options.tombstone_ms = TOMBSTONE_MS;
    return make_registry_with(options);
}

static inline struct stamp word_stamp(const struct word *word)
{
    return (struct stamp){full_stamp(word->stamp), word->stamp
                                                       ? slice_of(word->node ? word->node : "peer")
                                                       : (struct slice){0}};
}

static inline enum error say_registered(struct registry *registry, struct word word,
                                        struct moment now)
{
    struct instance *instance =
        make_instance((struct brief){.service = word.service ? word.service : "s",
                                     .id = word.id ? word.id : "a",
                                     .machine = word.machine,
                                     .weight = word.weight,
                                     .revision = word.revision});
    struct wire_record record = {
        .instance = instance, .stamp = word_stamp(&word), .age_ms = word.age_ms};
    enum error error = registry_apply(registry, &record, now);
    instance_unref(instance);
    return error;
}

static inline enum error say_of_key(struct registry *registry, struct word word, struct moment now)
{
    struct instance_key key = make_key(word.service ? word.service : "s", word.id ? word.id : "a");
    struct wire_record record = {.key = &key,
                                 .stamp = word_stamp(&word),
                                 .age_ms = word.age_ms,
                                 .client_revision = word.revision,
                                 .deleted = word.deleted};
    return word.deleted ? registry_apply_unregister(registry, &record, now)
                        : registry_apply_renewal(registry, &record, now);
}

static inline enum error say_renewed(struct registry *registry, struct word word, struct moment now)
{
    word.deleted = false;
    return say_of_key(registry, word, now);
}

static inline enum error say_unregistered(struct registry *registry, struct word word,
                                          struct moment now)
{
    word.deleted = true;
    return say_of_key(registry, word, now);
}

/* The state of a key, without its reference: what is not NULL is only there to be looked at. */
static inline bool read_state(struct registry *registry, const char *service, const char *id,
                              struct record_copy *out)
{
    struct instance_key key = make_key(service, id);
    if (!registry_read_key(registry, instance_key_packed(&key), out))
        return false;
    struct record_copy reference = *out;
    record_copy_unref(&reference); /* the registry has its own */
    return true;
}

static inline bool is_registered(struct registry *registry, const char *service, const char *id)
{
    struct record_copy state;
    return read_state(registry, service, id, &state) && !state.deleted;
}

static inline bool is_tombstone(struct registry *registry, const char *service, const char *id)
{
    struct record_copy state;
    return read_state(registry, service, id, &state) && state.deleted;
}

/* The same without the reference: the stamp in *out is not valid. */
static inline bool respond_lease_check(struct registry *registry, struct slice packed_key,
                                       struct moment now, struct wire_record *out)
{
    struct node_id *id;
    bool is_held = registry_respond_lease_check(registry, packed_key, now, out, &id);
    if (is_held)
        node_id_unref(id);
    return is_held;
}

/* --- all that a registry holds, as text ------------------------------------------------------- */

static inline int by_line(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static inline char *line_of(const struct record_copy *state)
{
    struct slice service = instance_text(state->instance, FIELD_SERVICE);
    struct slice id = instance_text(state->instance, FIELD_INSTANCE);
    struct slice machine = instance_text(state->instance, FIELD_MACHINE_NAME);
    struct slice node = record_copy_stamp(state).node_id;
    enum { LINE_BYTES = 2048 };
    char *line = malloc(LINE_BYTES);
    int size =
        snprintf(line, LINE_BYTES, "%.*s/%.*s %llu %.*s %s %.*s %u\n", (int)service.size,
                 service.data, (int)id.size, id.data, (unsigned long long)state->hlc,
                 (int)node.size, node.data, state->deleted ? "deleted" : "", (int)machine.size,
                 machine.data ? machine.data : "", instance_weight(state->instance));
    assert_true(size > 0 && size < LINE_BYTES);
    return line;
}

/* A line for each key, tombstones included, in order. For free(). */
static inline char *holdings(struct registry *registry)
{
    struct bucket_set all;
    struct record_copy *states = NULL;
    size_t count = 0;
    memset(&all, 0xff, sizeof(all));
    assert_int_equal(registry_list_buckets(registry, &all, &states, &count), ERR_NONE);
    char **lines = calloc(count + 1, sizeof(*lines));
    for (size_t i = 0; i < count; i++) {
        lines[i] = line_of(&states[i]);
        record_copy_unref(&states[i]);
    }
    free(states);
    qsort(lines, count, sizeof(*lines), by_line);
    struct text text = {0};
    for (size_t i = 0; i < count; i++) {
        text_append(&text, lines[i], strlen(lines[i]));
        free(lines[i]);
    }
    free(lines);
    text_append(&text, "", 1);
    assert_false(text_failed(&text));
    return text.data;
}

static inline bool same_digests(struct registry *a, struct registry *b)
{
    static uint64_t left[DIGEST_BUCKETS], right[DIGEST_BUCKETS];
    registry_digests(a, left);
    registry_digests(b, right);
    return memcmp(left, right, sizeof(left)) == 0;
}

static inline bool same_holdings(struct registry *a, struct registry *b)
{
    char *left = holdings(a);
    char *right = holdings(b);
    bool same = strcmp(left, right) == 0;
    free(left);
    free(right);
    return same;
}
