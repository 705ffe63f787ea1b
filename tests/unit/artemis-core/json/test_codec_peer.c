/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages between nodes: what is written is read unchanged, however it is cut into pieces. Invalid
 * records are refused or skipped, never read as something else. In these tests ' stands for " in
 * JSON.
 */
#include "artemis-core/json/codec_peer.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"
#include "tests/support/quoted_json.h"

/* What was read: a line each, and counts. */
struct story {
    struct text lines;
    uint64_t records;
    enum peer_list last_list;
    uint64_t numbers, last_number;
};

static void on_record(void *context, enum peer_list list, const struct wire_record *record)
{
    struct story *story = context;
    char line[1024];
    struct instance_key key;
    struct field_problem problem;
    struct slice parts[KEY_FIELDS];
    for (enum instance_field part = 0; part < KEY_FIELDS; part++)
        parts[part] = record->instance ? instance_text(record->instance, part)
                                       : instance_key_part(record->key, part);
    assert_int_equal(instance_key_make(parts, &key, &problem), ERR_NONE);
    uint64_t revision = wire_record_client_revision(record);
    char revision_text[32] = "";
    if (revision)
        snprintf(revision_text, sizeof(revision_text), " r%llu", (unsigned long long)revision);
    int size = snprintf(line, sizeof(line), "%d %.*s/%.*s %llu %.*s %llu%s%s\n", (int)list,
                        (int)parts[FIELD_SERVICE].size, parts[FIELD_SERVICE].data,
                        (int)parts[FIELD_INSTANCE].size, parts[FIELD_INSTANCE].data,
                        (unsigned long long)record->stamp.hlc, (int)record->stamp.node_id.size,
                        record->stamp.node_id.data, (unsigned long long)record->age_ms,
                        record->deleted ? " deleted" : "", revision_text);
    text_append(&story->lines, line, (size_t)size);
    story->records++;
    story->last_list = list;
}

static void on_number(void *context, uint64_t number)
{
    struct story *story = context;
    story->numbers++;
    story->last_number = number;
}

static struct peer_reader *reader;
static struct story story;

static int set_up(void **state)
{
    (void)state;
    story = (struct story){0};
    assert_int_equal(peer_reader_create(on_record, on_number, &story, &reader), ERR_NONE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    peer_reader_free(reader);
    text_free(&story.lines);
    return 0;
}

static void start_again(void)
{
    tear_down(NULL);
    set_up(NULL);
}

static enum error feed_text(const char *body)
{
    char *text = quoted_text("%s", body);
    enum error error = peer_reader_feed(reader, slice_of(text));
    free(text);
    return error;
}

static enum error feed_bytes(struct slice body)
{
    enum error error = ERR_NONE;
    for (size_t i = 0; i < body.size && !error; i++)
        error = peer_reader_feed(reader, (struct slice){body.data + i, 1});
    return error;
}

#define KEY_A "'region_id':'r','zone_id':'z','service_id':'s','instance_id':'a'"

/* --- round trips --- */

static struct instance *made_with(const char *id, const char *status, uint64_t revision)
{
    const struct metadata_entry metadata[] = {{SLICE("quote"), SLICE("\"}{][\\ \xc3\xa9")},
                                              {SLICE("empty"), SLICE("")}};
    const struct instance_spec spec = {
        .text = {[FIELD_REGION] = SLICE("r"),
                 [FIELD_ZONE] = SLICE("z"),
                 [FIELD_SERVICE] = SLICE("s"),
                 [FIELD_GROUP] = SLICE("g"),
                 [FIELD_INSTANCE] = slice_of(id),
                 [FIELD_IP] = SLICE("10.0.0.1"),
                 [FIELD_STATUS] = slice_of(status)},
        .port = 8080,
        .metadata = metadata,
        .metadata_count = 2,
        .client_revision = revision,
    };
    struct instance *instance = NULL;
    struct field_problem problem;
    assert_int_equal(instance_create(&spec, &instance, &problem), ERR_NONE);
    return instance;
}

static struct instance *made(const char *id, const char *status)
{
    return made_with(id, status, 0);
}

/* A response with all that a response can have. */
static struct text whole_response(void)
{
    struct text text = {0};
    struct json_writer w = jw_to(&text, CASING_SNAKE);
    jw_open(&w, '{');
    jw_name(&w, "services"), jw_open(&w, '['), jw_open(&w, '{');
    jw_name(&w, "service_id"), jw_string(&w, "s");
    jw_name(&w, "instances"), jw_open(&w, '[');
    for (int i = 0; i < 3; i++) {
        char id[16];
        snprintf(id, sizeof(id), "}]\"i%d", i);
        struct instance *instance = made_with(id, "up", (uint64_t)i);
        struct wire_record record = {.instance = instance,
                                     .stamp = {1000 + (uint64_t)i, SLICE("node-1")},
                                     .age_ms = (uint64_t)i * 7};
        codec_write_peer_instance(&w, &record, false);
        instance_unref(instance);
    }
    jw_close(&w, ']'), jw_close(&w, '}'), jw_close(&w, ']');
    struct instance *gone = made_with("gone", "up", CLIENT_REVISION_MAX);
    struct wire_record record = {
        .instance = gone, .stamp = {77, SLICE("n")}, .age_ms = 5, .deleted = true};
    jw_name(&w, "tombstones"), jw_open(&w, '[');
    codec_write_peer_key(&w, &record, false);
    jw_close(&w, ']');
    instance_unref(gone);
    jw_name(&w, "digests"), jw_open(&w, '['), jw_u64(&w, 9007199254740991), jw_u64(&w, 0);
    jw_close(&w, ']');
    jw_name(&w, "complete"), jw_bool(&w, true);
    jw_close(&w, '}');
    assert_false(text_failed(&text));
    return text;
}

static const char whole_story[] = "0 s/}]\"i0 1000 node-1 0\n"
                                  "0 s/}]\"i1 1001 node-1 7 r1\n"
                                  "0 s/}]\"i2 1002 node-1 14 r2\n"
                                  "1 s/gone 77 n 5 deleted r9223372036854775807\n";

static void check_all_records(void)
{
    assert_int_equal(story.lines.size, strlen(whole_story));
    assert_memory_equal(story.lines.data, whole_story, story.lines.size);
    assert_int_equal(story.numbers, 2);
    assert_true(story.last_number == 0);
    assert_true(peer_reader_ended(reader) && peer_reader_complete(reader));
    assert_int_equal(peer_reader_invalid(reader), 0);
}

static void round_trip_in_one_piece(void **state)
{
    (void)state;
    struct text text = whole_response();
    assert_int_equal(peer_reader_feed(reader, (struct slice){text.data, text.size}), ERR_NONE);
    check_all_records();
    text_free(&text);
}

static void round_trip_byte_by_byte(void **state)
{
    (void)state;
    struct text text = whole_response();
    assert_int_equal(feed_bytes((struct slice){text.data, text.size}), ERR_NONE);
    check_all_records();
    text_free(&text);
}

static void round_trip_in_random_pieces(void **state)
{
    (void)state;
    struct text text = whole_response();
    srand(1);
    for (int round = 0; round < 300; round++) {
        start_again();
        for (size_t at = 0; at < text.size;) {
            size_t size = (size_t)rand() % 40;
            size = size < text.size - at ? size : text.size - at;
            assert_int_equal(peer_reader_feed(reader, (struct slice){text.data + at, size}),
                             ERR_NONE);
            at += size;
        }
        check_all_records();
    }
    text_free(&text);
}

static void instance_round_trips_with_all_fields(void **state)
{
    (void)state;
    struct instance *instance = made("a", "strange-word");
    struct text text = {0};
    struct json_writer w = jw_to(&text, CASING_SNAKE);
    struct wire_record record = {.instance = instance, .stamp = {1, SLICE("n")}};
    codec_write_peer_instance(&w, &record, false);
    json_t *root = json_loadb(text.data, text.size, 0, NULL);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "status")), "strange-word");
    assert_int_equal(json_object_size(json_object_get(root, "metadata")), 2);
    json_decref(root);
    text_free(&text);
    instance_unref(instance);
}

static void legacy_form_has_no_stamp_and_every_part_of_a_key(void **state)
{
    (void)state;
    const struct slice parts[KEY_FIELDS] = {[FIELD_REGION] = SLICE("r"),
                                            [FIELD_ZONE] = SLICE("z"),
                                            [FIELD_SERVICE] = SLICE("s"),
                                            [FIELD_INSTANCE] = SLICE("a")};
    struct instance_key key;
    struct field_problem problem;
    assert_int_equal(instance_key_make(parts, &key, &problem), ERR_NONE);
    struct wire_record record = {.key = &key, .stamp = {5, SLICE("n")}, .deleted = true};
    struct text text = {0};
    struct json_writer w = jw_to(&text, CASING_SNAKE);
    codec_write_peer_key(&w, &record, true);
    json_t *root = json_loadb(text.data, text.size, 0, NULL);
    assert_int_equal(json_object_size(root), KEY_FIELDS);
    assert_string_equal(json_string_value(json_object_get(root, "group_id")), "");
    json_decref(root);
    text_free(&text);
}

static void read_weight(void *context, enum peer_list list, const struct wire_record *record)
{
    (void)list;
    *(int *)context = record->has_weight;
}

/* In the list of the keys of a bucket. In its records the instance has it. */
static void key_has_the_weight_that_is_not_the_default(void **state)
{
    (void)state;
    for (int weight = 99; weight <= 100; weight++) {
        struct instance_spec spec = {.text = {[FIELD_REGION] = SLICE("r"),
                                              [FIELD_ZONE] = SLICE("z"),
                                              [FIELD_SERVICE] = SLICE("s"),
                                              [FIELD_INSTANCE] = SLICE("a"),
                                              [FIELD_IP] = SLICE("10.0.0.1")},
                                     .weight = weight,
                                     .has_weight = true};
        struct field_problem problem;
        struct wire_record record = {
            .stamp = {5, SLICE("n")}, .age_ms = 7, .has_weight = weight != WEIGHT_DEFAULT};
        assert_int_equal(instance_create(&spec, &record.instance, &problem), ERR_NONE);
        struct text text = {0};
        struct json_writer w = jw_to(&text, CASING_SNAKE);
        jw_open(&w, '{');
        jw_name(&w, "instance_keys");
        jw_open(&w, '[');
        codec_write_peer_key(&w, &record, false);
        jw_close(&w, ']');
        jw_close(&w, '}');
        assert_int_equal(strstr(text_string(&text), "\"weight\":99") != NULL, weight == 99);
        int has_weight = -1;
        struct peer_reader *one;
        assert_int_equal(peer_reader_create(read_weight, NULL, &has_weight, &one), ERR_NONE);
        assert_int_equal(peer_reader_feed(one, (struct slice){text.data, text.size}), ERR_NONE);
        assert_int_equal(has_weight, weight == 99);
        peer_reader_free(one);
        text_free(&text);
        instance_unref(record.instance);
    }
}

static void legacy_instance_has_both_spellings_once(void **state)
{
    (void)state;
    struct instance *instance = made("a", "up");
    struct wire_record record = {.instance = instance, .stamp = {5, SLICE("n")}};
    struct text text = {0};
    struct json_writer w = jw_to(&text, CASING_SNAKE);
    codec_write_peer_instance(&w, &record, true);
    json_t *root = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "instance_id")), "a");
    assert_string_equal(json_string_value(json_object_get(root, "instanceId")), "a");
    assert_non_null(json_object_get(root, "regionId"));
    assert_non_null(json_object_get(root, "zoneId"));
    assert_non_null(json_object_get(root, "serviceId"));
    json_decref(root);
    text_clear(&text);
    codec_write_peer_instance(&w, &record, false);
    root = json_loadb(text.data, text.size, 0, NULL);
    assert_null(json_object_get(root, "instanceId"));
    json_decref(root);
    text_free(&text);
    instance_unref(instance);
}

static void legacy_form_has_only_known_statuses(void **state)
{
    (void)state;
    struct instance *instance = made("a", "strange-word");
    struct wire_record record = {.instance = instance, .stamp = {5, SLICE("n")}};
    struct text text = {0};
    struct json_writer w = jw_to(&text, CASING_SNAKE);
    codec_write_peer_instance(&w, &record, true);
    json_t *root = json_loadb(text.data, text.size, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(root, "status")), "unknown");
    assert_null(json_object_get(root, "version"));
    assert_null(json_object_get(root, "age_ms"));
    json_decref(root);
    text_free(&text);
    instance_unref(instance);
}

/* --- lists --- */

static void each_list_is_recognized(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum peer_list list;
    } lists[] = {
        {"instance_keys", PEER_LIST_KEYS},        {"instanceKeys", PEER_LIST_KEYS},
        {"tombstones", PEER_LIST_KEYS},           {"failed_instance_keys", PEER_LIST_FAILED},
        {"failedInstanceKeys", PEER_LIST_FAILED}, {"failed_instances", PEER_LIST_FAILED},
        {"failedInstances", PEER_LIST_FAILED}};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        char body[256];
        start_again();
        snprintf(body, sizeof(body), "{'code':'x','%s':[{" KEY_A "}]}", lists[i].name);
        assert_int_equal(feed_text(body), ERR_NONE);
        assert_int_equal(story.records, 1);
        assert_int_equal(story.last_list, lists[i].list);
    }
}

static void unknown_members_are_skipped(void **state)
{
    (void)state;
    assert_int_equal(feed_text("{'new':{'deep':[{'x':[1,2,{}]}]},'others':[{" KEY_A "}],"
                               "'word':'instances','n':-1.5e300,'instance_keys':[{" KEY_A
                               ",'more':{'instances':[{}]},'most':[[1],{}]}],'end':null}"),
                     ERR_NONE);
    assert_int_equal(story.records, 1);
    assert_int_equal(story.numbers, 0);
    assert_true(peer_reader_ended(reader));
}

static void list_items_that_are_not_objects_are_skipped(void **state)
{
    (void)state;
    assert_int_equal(feed_text("{'instance_keys':[1,'x',null,[],[{}],{" KEY_A "}]}"), ERR_NONE);
    assert_int_equal(story.records, 1);
    start_again(); /* a text in a record is no name of what follows it */
    assert_int_equal(feed_text("{'instance_keys':[{" KEY_A ",'ip':'tombstones'},[{" KEY_A "}]]}"),
                     ERR_NONE);
    assert_int_equal(story.records, 1);
    start_again();
    assert_int_equal(feed_text("{'instance_keys':[{" KEY_A ",'x':'tombstones'},[{" KEY_A "}]]}"),
                     ERR_NONE);
    assert_int_equal(story.records, 1);
    start_again(); /* nor is one before it */
    assert_int_equal(feed_text("{'instance_keys':['tombstones',{" KEY_A "},[{" KEY_A "}]]}"),
                     ERR_NONE);
    assert_int_equal(story.records, 1);
}

static void invalid_records_are_counted_and_skipped(void **state)
{
    (void)state;
    assert_int_equal(feed_text("{'instance_keys':[{},{'region_id':1},"
                               "{" KEY_A ",'version':-1},"
                               "{" KEY_A ",'version':4611686018427387905,'origin':'x'},"
                               "{" KEY_A ",'version':5},"
                               "{" KEY_A ",'version':'5','origin':'x'},"
                               "{" KEY_A ",'version':5,'origin':'x'}],"
                               "'instances':[{" KEY_A ",'port':70000}]}"),
                     ERR_NONE);
    assert_int_equal(story.records, 1);
    assert_int_equal(peer_reader_invalid(reader), 7);
}

static void record_without_a_stamp_has_hlc_0(void **state)
{
    (void)state;
    assert_int_equal(feed_text("{'instance_keys':[{" KEY_A "}]}"), ERR_NONE);
    assert_memory_equal(story.lines.data, "1 s/a 0  0\n", 11);
}

/* --- the end --- */

static bool is_complete(const char *body)
{
    start_again();
    assert_int_equal(feed_text(body), ERR_NONE);
    return peer_reader_complete(reader);
}

static void complete_is_the_last_member_of_the_root_and_true(void **state)
{
    (void)state;
    assert_true(is_complete("{'complete':true}"));
    assert_true(is_complete("{'a':1,'complete' : true }\n"));
    assert_false(is_complete("{}"));
    assert_false(is_complete("{'complete':false}"));
    assert_false(is_complete("{'complete':'true'}"));
    assert_false(is_complete("{'complete':true,'services':[]}"));
    assert_false(is_complete("{'complete':true,'complete':false}"));
    assert_false(is_complete("{'x':{'complete':true}}"));
    assert_false(is_complete("{'x':'complete','y':true}"));
    assert_false(is_complete("{'complete':true"));
    assert_false(is_complete("{'complete':[true]}"));
}

static void truncated_response_is_not_complete(void **state)
{
    (void)state;
    struct text text = whole_response();
    for (size_t size = 0; size < text.size; size++) {
        start_again();
        assert_int_equal(peer_reader_feed(reader, (struct slice){text.data, size}), ERR_NONE);
        assert_false(peer_reader_ended(reader) || peer_reader_complete(reader));
        assert_true(story.records <= 4);
    }
    text_free(&text);
}

/* --- refused --- */

static void malformed_response_is_rejected(void **state)
{
    (void)state;
    static const char *const bodies[] = {"x",
                                         "<html>",
                                         "]",
                                         "}",
                                         "{]",
                                         "[}",
                                         "{'a':[}",
                                         "{}}",
                                         "503 Service Unavailable",
                                         "{'instance_keys':[{'region_id' 'r'}]}",
                                         "{'instance_keys':[{'a':nonsense}]}",
                                         "{'a':123456789012345678901234567890123456}"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        start_again();
        assert_int_equal(feed_text(bodies[i]), ERR_INVALID_JSON);
        assert_int_equal(story.records, 0);
        char *text = quoted_text("%s", bodies[i]);
        start_again();
        assert_int_equal(feed_bytes(slice_of(text)), ERR_INVALID_JSON);
        free(text);
    }
}

static void nesting_has_a_limit(void **state)
{
    (void)state;
    assert_int_equal(feed_text("{'a':[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}"), ERR_NONE);
    assert_true(peer_reader_ended(reader));
    start_again();
    assert_int_equal(feed_text("{'a':[[[[[[[[[[[[[[[["), ERR_INVALID_JSON);
}

static void long_record_is_rejected(void **state)
{
    (void)state;
    static char filler[4096];
    memset(filler, 'x', sizeof(filler));
    assert_int_equal(feed_text("{'instance_keys':[{" KEY_A ",'more':'"), ERR_NONE);
    enum error error = ERR_NONE;
    size_t fed = 0;
    for (; !error && fed < 2 * PEER_RECORD_BYTES_MAX; fed += sizeof(filler))
        error = peer_reader_feed(reader, (struct slice){filler, sizeof(filler)});
    assert_int_equal(error, ERR_TOO_MANY_ITEMS);
    assert_true(fed <= PEER_RECORD_BYTES_MAX + sizeof(filler));
}

static void text_outside_of_records_has_no_limit(void **state)
{
    (void)state;
    static char filler[4096];
    memset(filler, 'x', sizeof(filler));
    assert_int_equal(feed_text("{'message':'"), ERR_NONE);
    for (size_t fed = 0; fed < 2 * PEER_RECORD_BYTES_MAX; fed += sizeof(filler))
        assert_int_equal(peer_reader_feed(reader, (struct slice){filler, sizeof(filler)}),
                         ERR_NONE);
    assert_int_equal(feed_text("','instance_keys':[{" KEY_A "}]}"), ERR_NONE);
    assert_int_equal(story.records, 1);
}

/* --- without memory --- */

static void every_allocation_can_fail(void **state)
{
    (void)state;
    struct text text = whole_response();
    long failures = 0;
    for (long n = 1;; n++) {
        long live = failing_malloc_live();
        struct story other = {0};
        struct peer_reader *made_reader = NULL;
        text_reserve(&other.lines, 4096);
        failing_malloc_after(n);
        enum error error = peer_reader_create(on_record, on_number, &other, &made_reader);
        if (!error)
            error = peer_reader_feed(made_reader, (struct slice){text.data, text.size});
        bool failed = failing_malloc_happened();
        failing_malloc_after(-1);
        peer_reader_free(made_reader);
        text_free(&other.lines);
        assert_int_equal(failing_malloc_live(), live);
        if (!failed) {
            assert_int_equal(error, ERR_NONE);
            break;
        }
        failures++;
        if (error != ERR_NO_MEMORY)
            fail_msg("allocation %ld: error %d", n, (int)error);
    }
    assert_true(failures > 10);
    text_free(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(round_trip_in_one_piece),
        TEST(round_trip_byte_by_byte),
        TEST(round_trip_in_random_pieces),
        TEST(instance_round_trips_with_all_fields),
        TEST(legacy_form_has_no_stamp_and_every_part_of_a_key),
        TEST(key_has_the_weight_that_is_not_the_default),
        TEST(legacy_instance_has_both_spellings_once),
        TEST(legacy_form_has_only_known_statuses),
        TEST(each_list_is_recognized),
        TEST(unknown_members_are_skipped),
        TEST(list_items_that_are_not_objects_are_skipped),
        TEST(invalid_records_are_counted_and_skipped),
        TEST(record_without_a_stamp_has_hlc_0),
        TEST(complete_is_the_last_member_of_the_root_and_true),
        TEST(truncated_response_is_not_complete),
        TEST(malformed_response_is_rejected),
        TEST(nesting_has_a_limit),
        TEST(long_record_is_rejected),
        TEST(text_outside_of_records_has_no_limit),
        TEST(every_allocation_can_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
