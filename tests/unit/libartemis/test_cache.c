/* SPDX-License-Identifier: Apache-2.0
 *
 * What differs is told, once; what does not, is not. Each test writes down what it was told as
 * text: "+a/1" for new, "~a/1" for a change, "-a/1" for a delete.
 */
#include "libartemis/cache.h"

#include "tests/support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct heard {
    char text[1024];
    long fails_after; /* so many more are taken; -1: all */
};

static enum error hear(void *context, enum artemis_change_type type, struct record *before,
                       struct record *now)
{
    struct heard *heard = context;
    static const char signs[] = {
        [ARTEMIS_NEW] = '+', [ARTEMIS_CHANGE] = '~', [ARTEMIS_DELETE] = '-'};
    const struct record *record = now ? now : before;
    assert_int_equal(before != NULL, type != ARTEMIS_NEW);
    assert_int_equal(now != NULL, type != ARTEMIS_DELETE);
    if (heard->fails_after == 0)
        return ERR_NO_MEMORY;
    heard->fails_after -= heard->fails_after > 0;
    size_t size = strlen(heard->text);
    snprintf(heard->text + size, sizeof heard->text - size, "%c%s/%s ", signs[type],
             record->view.service_id, record->view.instance_id);
    return ERR_NONE;
}

static struct record *make(const char *service_id, const char *instance_id, int port)
{
    const struct instance_spec spec = {
        .text = {[FIELD_REGION] = SLICE("r"),
                 [FIELD_ZONE] = SLICE("z"),
                 [FIELD_SERVICE] = slice_of(service_id),
                 [FIELD_INSTANCE] = slice_of(instance_id),
                 [FIELD_IP] = SLICE("10.0.0.1")},
        .port = port,
    };
    struct instance *instance;
    struct record *record;
    struct field_problem problem;
    assert_int_equal(instance_create(&spec, &instance, &problem), ERR_NONE);
    assert_int_equal(record_create(instance, &record), ERR_NONE);
    instance_unref(instance);
    return record;
}

static void put(struct cache *cache, const char *id, int port, struct heard *heard)
{
    struct record *record = make("a", id, port);
    assert_int_equal(cache_put(cache, record, hear, heard), ERR_NONE);
    record_unref(record);
}

/* "a1 b2": service, instance; the port follows after a colon, or is 1. */
static size_t parse(const char *text, struct record *records[16])
{
    size_t count = 0;
    for (const char *at = text; *at; at += strcspn(at, " "), at += strspn(at, " ")) {
        const char service[] = {at[0], '\0'};
        const char instance[] = {at[1], '\0'};
        records[count++] = make(service, instance, at[2] == ':' ? at[3] - '0' : 1);
    }
    return count;
}

static enum error replace(struct cache *cache, const char *service_id, const char *text,
                          struct heard *heard)
{
    struct record *records[16];
    size_t count = parse(text, records);
    enum error error = cache_replace(cache, service_id, records, count, hear, heard);
    for (size_t i = 0; i < count; i++)
        record_unref(records[i]);
    return error;
}

static void assert_heard(struct heard *heard, const char *expected)
{
    assert_string_equal(heard->text, expected);
    heard->text[0] = '\0';
}

static void put_tells_new_and_change_but_not_the_same(void **state)
{
    (void)state;
    struct cache cache = {0};
    struct heard heard = {.fails_after = -1};
    put(&cache, "2", 1, &heard);
    put(&cache, "1", 1, &heard);
    put(&cache, "3", 1, &heard);
    assert_heard(&heard, "+a/2 +a/1 +a/3 ");
    put(&cache, "2", 1, &heard);
    assert_heard(&heard, "");
    put(&cache, "2", 7, &heard);
    assert_heard(&heard, "~a/2 ");
    assert_int_equal(cache.count, 3);
    for (size_t i = 0; i < 3; i++) /* in order */
        assert_int_equal(cache.records[i]->view.instance_id[0], '1' + (int)i);
    assert_int_equal(cache.records[1]->view.port, 7);
    cache_clear(&cache);
}

static void remove_tells_what_was_there_only(void **state)
{
    (void)state;
    struct cache cache = {0};
    struct heard heard = {.fails_after = -1};
    struct record *key = make("a", "1", 9);
    put(&cache, "1", 1, &heard);
    put(&cache, "2", 1, &heard);
    heard.text[0] = '\0';
    assert_int_equal(cache_remove(&cache, key, hear, &heard), ERR_NONE);
    assert_heard(&heard, "-a/1 ");
    assert_int_equal(cache_remove(&cache, key, hear, &heard), ERR_NONE);
    assert_heard(&heard, "");
    assert_int_equal(cache.count, 1);
    record_unref(key);
    cache_clear(&cache);
}

static void replace_tells_the_difference(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after, *told;
    } rows[] = {
        {"", "", ""},
        {"", "a1 a2", "+a/1 +a/2 "},
        {"a1 a2", "", "-a/1 -a/2 "},
        {"a1 a2 a3", "a3 a1 a2", ""},
        {"a1 a2 a3", "a4 a2:5 a3", "-a/1 ~a/2 +a/4 "},
        {"a1 b1 c1", "b1:2 d1", "-a/1 ~b/1 -c/1 +d/1 "},
        {"a1", "a1 a1", ""}, /* twice the same */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cache cache = {0};
        struct heard heard = {.fails_after = -1};
        assert_int_equal(replace(&cache, NULL, rows[i].before, &heard), ERR_NONE);
        heard.text[0] = '\0';
        assert_int_equal(replace(&cache, NULL, rows[i].after, &heard), ERR_NONE);
        assert_heard(&heard, rows[i].told);
        assert_int_equal(replace(&cache, NULL, rows[i].after, &heard), ERR_NONE);
        assert_heard(&heard, ""); /* and nothing twice */
        cache_clear(&cache);
    }
}

static void replace_of_one_service_leaves_the_others(void **state)
{
    (void)state;
    struct cache cache = {0};
    struct heard heard = {.fails_after = -1};
    assert_int_equal(replace(&cache, NULL, "a1 b1 b2 c1", &heard), ERR_NONE);
    heard.text[0] = '\0';
    assert_int_equal(replace(&cache, "b", "b2:3 b4", &heard), ERR_NONE);
    assert_heard(&heard, "-b/1 ~b/2 +b/4 ");
    assert_int_equal(cache.count, 4);
    cache_clear(&cache);
}

static void failure_half_way_keeps_what_was_known(void **state)
{
    (void)state;
    struct cache cache = {0};
    struct heard heard = {.fails_after = -1};
    assert_int_equal(replace(&cache, NULL, "a1 a2 a3", &heard), ERR_NONE);
    for (long n = 0; n < 3; n++) {
        heard = (struct heard){.fails_after = n};
        assert_int_equal(replace(&cache, NULL, "a2:9 a3:9 a4", &heard), ERR_NO_MEMORY);
        assert_int_equal(cache.count, 3);
        assert_int_equal(cache.records[1]->view.port, 1);
    }
    heard = (struct heard){.fails_after = -1};
    assert_int_equal(replace(&cache, NULL, "a2:9 a3:9 a4", &heard), ERR_NONE);
    assert_heard(&heard, "-a/1 ~a/2 ~a/3 +a/4 ");
    cache_clear(&cache);
}

/* Random operations, against an array that is searched from its start. */
static void agrees_with_a_dumb_cache(void **state)
{
    (void)state;
    enum { IDS = 40, STEPS = 20000 };
    struct cache cache = {0};
    struct heard heard = {.fails_after = -1};
    int dumb[IDS] = {0}; /* the port; 0: not there */
    unsigned seed = 42;
    for (int step = 0; step < STEPS; step++) {
        int id = rand_r(&seed) % IDS;
        int port = rand_r(&seed) % 3;
        char name[4];
        snprintf(name, sizeof name, "%d", id);
        struct record *record = make("a", name, port);
        heard.text[0] = '\0';
        enum error error = port ? cache_put(&cache, record, hear, &heard)
                                : cache_remove(&cache, record, hear, &heard);
        assert_int_equal(error, ERR_NONE);
        assert_int_equal(heard.text[0] != '\0', dumb[id] != port);
        dumb[id] = port;
        record_unref(record);
    }
    size_t count = 0;
    for (int id = 0; id < IDS; id++)
        count += dumb[id] != 0;
    assert_int_equal(cache.count, count);
    for (size_t i = 0; i < cache.count; i++)
        assert_int_equal(cache.records[i]->view.port,
                         dumb[strtol(cache.records[i]->view.instance_id, NULL, 10)]);
    cache_clear(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_tells_new_and_change_but_not_the_same),
        cmocka_unit_test(remove_tells_what_was_there_only),
        cmocka_unit_test(replace_tells_the_difference),
        cmocka_unit_test(replace_of_one_service_leaves_the_others),
        cmocka_unit_test(failure_half_way_keeps_what_was_known),
        cmocka_unit_test(agrees_with_a_dumb_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
