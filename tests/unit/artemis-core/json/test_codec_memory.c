/* SPDX-License-Identifier: Apache-2.0
 *
 * Each allocation of the codec fails in turn, those of Jansson included. Each failure is reported
 * as ERR_NO_MEMORY or by text_failed; it is never an error of the client or missing content.
 * Nothing leaks, out-arguments are unchanged, and the same call succeeds when there is memory
 * again.
 */
#include "artemis-core/json/codec.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka_all.h"
#include "tests/support/failing_malloc.h"

enum { FAILURES_MIN = 2, SWEEP_MAX = 100000 };

#define ITEM                                                                                       \
    "{\"region_id\":\"lab\",\"zone_id\":\"a zone of a long name, longer than a first guess\","     \
    "\"service_id\":\"orders\",\"groupId\":\"gr\\u00fcn\",\"instance_id\":\"i1\",\"ip\":\"::1\","  \
    "\"port\":80,\"metadata\":{\"a\":\"b\",\"n\":12,\"f\":1.5,\"t\":true,\"z\":null}}"
#define BODY        "{\"instances\":[" ITEM "," ITEM "],\"other\":[[1,2,[3.5]],{\"x\":null}]}"
#define SINGLE_BODY "{\"discovery_config\":{\"service_id\":\"orders\"},\"strategy\":\"random\"}"
#define LIST_BODY                                                                                  \
    "{\"discoveryConfigs\":[{\"serviceId\":\"orders\"},{\"serviceId\":\"a service of a long name," \
    " longer than a first guess\",\"status\":\"all\"}]}"

/* Does its work, checks it, and leaves nothing behind. ERR_NO_MEMORY when an allocation failed. */
typedef enum error operation(void *context);

static void sweep(operation *run, void *context)
{
    for (long n = 1; n < SWEEP_MAX; n++) {
        long live = failing_malloc_live();
        failing_malloc_after(n);
        enum error error = run(context);
        bool happened = failing_malloc_happened();
        if (failing_malloc_live() != live)
            fail_msg("allocation %ld: %ld blocks leak", n, failing_malloc_live() - live);
        if (error != (happened ? ERR_NO_MEMORY : ERR_NONE))
            fail_msg("allocation %ld%s: %s", n, happened ? " failed" : "", error_info(error)->name);
        if (!happened) {
            assert_true(n > FAILURES_MIN);
            return;
        }
    }
    fail_msg("there is no end to it");
}

/* Jansson's own allocations are failed as ours are. */
static int count_jansson(void **state)
{
    (void)state;
    failing_malloc_after(-1);
    json_decref(json_object());
    if (failing_malloc_count() == 0)
        json_set_alloc_funcs(malloc, free);
    failing_malloc_after(-1);
    json_decref(json_object());
    return failing_malloc_count() > 0 ? 0 : -1;
}

static struct batch *parsed(const char *body, enum batch_kind kind)
{
    struct batch *batch = NULL;
    enum name_casing names = NAMES_NEUTRAL;
    char message[MESSAGE_BYTES];
    assert_int_equal(batch_parse(slice_of(body), kind, &batch, &names, message), ERR_NONE);
    return batch;
}

/* --- parsing --- */

static enum error parse_document(void *context)
{
    (void)context;
    struct document *document = NULL;
    char message[MESSAGE_BYTES];
    enum error error = document_parse(SLICE(BODY), &document, message);
    assert_int_equal(document == NULL, error != ERR_NONE);
    document_free(document);
    return error;
}

static enum error parse_empty_document(void *context)
{
    (void)context;
    struct document *document = NULL;
    char message[MESSAGE_BYTES];
    enum error error = document_parse(SLICE(""), &document, message);
    assert_int_equal(document == NULL, error != ERR_NONE);
    document_free(document);
    return error;
}

static enum error parse_batch(void *context)
{
    (void)context;
    struct batch *batch = NULL;
    enum name_casing names = NAMES_NEUTRAL;
    char message[MESSAGE_BYTES];
    enum error error = batch_parse(SLICE(BODY), BATCH_OF_INSTANCES, &batch, &names, message);
    assert_int_equal(batch == NULL, error != ERR_NONE);
    batch_free(batch);
    return error;
}

static enum error parse_discovery(void *context)
{
    struct discovery_request *request = NULL;
    enum name_casing names = NAMES_NEUTRAL;
    char message[MESSAGE_BYTES];
    enum error error = discovery_request_parse(slice_of(context), &request, &names, message);
    assert_int_equal(request == NULL, error != ERR_NONE);
    discovery_request_free(request);
    return error;
}

static void parse_without_memory(void **state)
{
    (void)state;
    char single[] = SINGLE_BODY;
    char list[] = LIST_BODY;
    sweep(parse_document, NULL);
    sweep(parse_empty_document, NULL);
    sweep(parse_batch, NULL);
    sweep(parse_discovery, single);
    sweep(parse_discovery, list);
}

static long allocations_of_a_heartbeat(struct batch **batch)
{
    static const char body[] = "{\"instance_keys\":[{\"region_id\":\"lab\",\"zone_id\":\"z\","
                               "\"service_id\":\"orders\",\"instance_id\":\"i1\"}]}";
    failing_malloc_after(-1);
    *batch = parsed(body, BATCH_OF_KEYS);
    assert_non_null(batch_packed_key(*batch, 0));
    return failing_malloc_count();
}

/* The memory of a thread serves one batch at a time. */
static void small_batch_allocates_nothing(void **state)
{
    (void)state;
    struct batch *first;
    struct batch *second;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(allocations_of_a_heartbeat(&first), 0);
        assert_int_equal(allocations_of_a_heartbeat(&second), 1);
        assert_ptr_not_equal(first, second);
        batch_free(i == 0 ? first : second);
        batch_free(i == 0 ? second : first);
    }
}

/* Also those that are large beside their JSON. */
static void batch_has_memory_for_all_of_its_instances(void **state)
{
    (void)state;
    static const char *const items[] = {
        "{\"region_id\":\"r\",\"zone_id\":\"z\",\"service_id\":\"s\",\"instance_id\":\"i\",\"ip\":"
        "\"1\"}",
        "{\"region_id\":\"r\",\"zone_id\":\"z\",\"service_id\":\"s\",\"instance_id\":\"i\",\"ip\":"
        "\"1\","
        "\"weight\":1,\"revision\":1,\"metadata\":{\"a\":\"\",\"b\":\"\",\"c\":\"\",\"d\":\"\"}}",
    };
    enum { ITEMS = 1000 };
    for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
        struct text body = {0};
        text_append_string(&body, "{\"instances\":[");
        for (size_t n = 0; n < ITEMS; n++)
            text_printf(&body, "%s%s", n ? "," : "", items[i]);
        text_append_string(&body, "]}");
        failing_malloc_after(-1);
        struct batch *batch = parsed(text_string(&body), BATCH_OF_INSTANCES);
        assert_int_equal(failing_malloc_count(), 1);
        for (size_t n = 0; n < ITEMS; n++) {
            struct instance *instance = NULL;
            assert_non_null(batch_created_instance(batch, n));
            assert_int_equal(batch_instance(batch, n, &instance), ERR_NONE);
            assert_true(instance_equal(instance, batch_created_instance(batch, n)));
            instance_unref(instance);
        }
        batch_free(batch);
        text_free(&body);
    }
}

/* --- items --- */

static enum error read_instance(void *context)
{
    struct batch *batch = context;
    struct instance *instance = NULL;
    enum error error = batch_instance(batch, 1, &instance);
    assert_int_equal(batch_outcome(batch), ERR_NONE); /* it is not the item's failure */
    assert_int_equal(instance == NULL, error != ERR_NONE);
    if (error)
        return error;
    static const char *const values[] = {"b", "1.5", "12", "true"}; /* by name */
    struct metadata_entry entry;
    size_t count = 0;
    for (size_t cursor = 0; instance_next_metadata(instance, &cursor, &entry); count++)
        assert_true(slice_equal(entry.value, slice_of(values[count])));
    assert_int_equal(count, 4);
    instance_unref(instance);
    return ERR_NONE;
}

static void read_instance_without_memory(void **state)
{
    (void)state;
    struct batch *batch = parsed(BODY, BATCH_OF_INSTANCES);
    sweep(read_instance, batch);
    batch_free(batch);
}

/* Each run refuses its item, which the batch notes for its response. The batch is made again each
 * time (before the allocations are counted), since it keeps what it noted. */
static void check_rejected_item(const char *body, long n, bool *happened)
{
    long live = failing_malloc_live();
    struct batch *batch = parsed(body, BATCH_OF_INSTANCES);
    struct instance *instance = NULL;
    failing_malloc_after(n);
    enum error error = batch_instance(batch, 0, &instance);
    *happened = failing_malloc_happened();
    assert_null(instance);
    if (!*happened)
        assert_int_equal(error, ERR_INVALID_FIELD);
    /* A message may miss the value, but is the rejection's all the same. */
    assert_true(error == ERR_INVALID_FIELD || error == ERR_NO_MEMORY);
    assert_int_equal(batch_outcome(batch), error == ERR_INVALID_FIELD ? error : ERR_NONE);
    if (error == ERR_NO_MEMORY) /* and again, with memory */
        assert_int_equal(batch_instance(batch, 0, &instance), ERR_INVALID_FIELD);
    batch_free(batch);
    assert_int_equal(failing_malloc_live(), live);
}

static void reject_item_without_memory(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"instances\":[{\"region_id\":[1,2]}]}",
        "{\"instances\":[{}]}",
        "{\"instances\":[null]}",
        "{\"instances\":[{\"port\":1.5}]}",
        "{\"instances\":[{\"metadata\":{\"a\":[]}}]}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        long n = 0;
        for (bool happened = true; happened; n++)
            check_rejected_item(bodies[i], n + 1, &happened);
        assert_true(n > FAILURES_MIN);
    }
}

static void fail_item_without_memory(void **state)
{
    (void)state;
    bool happened = true;
    long n = 1;
    for (; happened; n++) {
        long live = failing_malloc_live();
        struct batch *batch = parsed("{\"instances\":[" ITEM "]}", BATCH_OF_KEYS);
        struct instance_key key;
        assert_int_equal(batch_key(batch, 0, &key), ERR_NONE);
        failing_malloc_after(n);
        enum error error = batch_fail(batch, 0, ERR_INSTANCE_NOT_FOUND, &key);
        happened = failing_malloc_happened();
        assert_int_equal(error, happened ? ERR_NO_MEMORY : ERR_NONE);
        assert_int_equal(batch_outcome(batch), happened ? ERR_NONE : ERR_INSTANCE_NOT_FOUND);
        assert_int_equal(batch_fail(batch, 0, ERR_INSTANCE_NOT_FOUND, &key), ERR_NONE);
        batch_free(batch);
        assert_int_equal(failing_malloc_live(), live);
    }
    assert_true(n > FAILURES_MIN);
}

/* More failures than the first allocation holds: growing can fail too, and keeps the others. */
static void fail_many_items_without_memory(void **state)
{
    (void)state;
    enum { ITEMS = 20 };
    bool happened = true;
    for (long n = 1; happened; n++) {
        struct batch *batch = parsed("{\"instances\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,"
                                     "19,20]}",
                                     BATCH_OF_KEYS);
        size_t noted = 0;
        failing_malloc_after(n);
        for (size_t i = 0; i < ITEMS; i++)
            noted += batch_fail(batch, i, ERR_SYSTEM, NULL) == ERR_NONE;
        happened = failing_malloc_happened();
        assert_int_equal(noted, happened ? ITEMS - 1 : ITEMS);
        struct text response = {0};
        batch_write_response(batch, DIALECT_SNAKE, 0, &response);
        json_t *read = json_loadb(response.data, response.size, 0, NULL);
        assert_int_equal(json_array_size(json_object_get(read, "failed_instances")), noted);
        json_decref(read);
        text_free(&response);
        batch_free(batch);
    }
}

/* --- writing --- */

struct writing {
    struct batch *batch;
    struct instance *instance;
    enum dialect dialect;
};

static enum error write_batch_response(void *context)
{
    const struct writing *writing = context;
    struct text out = {0};
    batch_write_response(writing->batch, writing->dialect, 0, &out);
    enum error error = text_failed(&out) ? ERR_NO_MEMORY : ERR_NONE;
    text_free(&out);
    return error;
}

static enum error write_service_and_change(void *context)
{
    const struct writing *writing = context;
    struct text out = {0};
    struct json_writer w = jw_to(&out, dialect_casing(writing->dialect));
    codec_write_service(&w, writing->dialect, SLICE("orders"), &writing->instance, 1);
    codec_write_change(&w, writing->dialect, writing->instance, CHANGE_NEW, 0);
    enum error error = text_failed(&out) ? ERR_NO_MEMORY : ERR_NONE;
    text_free(&out);
    return error;
}

static void write_without_memory(void **state)
{
    (void)state;
    struct writing writing = {.batch = parsed(BODY, BATCH_OF_INSTANCES)};
    assert_int_equal(batch_instance(writing.batch, 0, &writing.instance), ERR_NONE);
    assert_int_equal(batch_fail(writing.batch, 0, ERR_SYSTEM, NULL), ERR_NONE);
    assert_int_equal(batch_fail(writing.batch, 1, ERR_SYSTEM, NULL), ERR_NONE);
    for (enum dialect dialect = 0; dialect < DIALECT_COUNT; dialect++) {
        writing.dialect = dialect;
        sweep(write_batch_response, &writing);
        sweep(write_service_and_change, &writing);
    }
    instance_unref(writing.instance);
    batch_free(writing.batch);
}

/* docs/decisions/0003-json.md: an instance in a response costs no allocation, its url included. */
static void write_instances_into_a_reserved_text(void **state)
{
    (void)state;
    static const char format[] =
        "{\"instances\":[{\"region_id\":\"r\",\"zone_id\":\"z\",\"service_id\":\"s\","
        "\"instance_id\":\"i\",\"port\":65535,\"ip\":\"%s\"}]}";
    char longest[IP_BYTES_MAX + 1];
    memset(longest, ':', IP_BYTES_MAX); /* in brackets, as an IPv6 address */
    longest[IP_BYTES_MAX] = '\0';
    struct {
        const char *ip, *url;
    } rows[] = {
        {"10.0.0.1", "http://10.0.0.1:65535"},
        {"a\\\"b", "http://a\\\"b:65535"},
        {longest, "]:65535"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char body[512];
        snprintf(body, sizeof(body), format, rows[i].ip);
        struct batch *batch = parsed(body, BATCH_OF_INSTANCES);
        struct instance *instance = NULL;
        assert_int_equal(batch_instance(batch, 0, &instance), ERR_NONE);
        struct text out = {0};
        struct json_writer w = jw_to(&out, CASING_SNAKE);
        assert_non_null(text_reserve(&out, 4096));
        failing_malloc_after(-1);
        codec_write_instance(&w, DIALECT_SNAKE, instance);
        assert_int_equal(failing_malloc_count(), 0);
        assert_non_null(strstr(text_string(&out), rows[i].url));
        text_free(&out);
        instance_unref(instance);
        batch_free(batch);
    }
}

/* --- the sweep itself --- */

/* If this fails, no other result here means anything. */
static void failing_malloc_fails_the_requested_allocation(void **state)
{
    (void)state;
    for (long n = 1; n <= 3; n++) {
        failing_malloc_after(n);
        char *blocks[3] = {malloc(8), calloc(1, 8), strdup("x")};
        assert_int_equal(failing_malloc_count(), 3);
        assert_true(failing_malloc_happened());
        for (long i = 0; i < 3; i++) {
            assert_int_equal(blocks[i] == NULL, i + 1 == n);
            free(blocks[i]);
        }
    }
    failing_malloc_after(2);
    free(malloc(8));
    assert_false(failing_malloc_happened());
    free(strdup("no failure is left over"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing_malloc_fails_the_requested_allocation),
        cmocka_unit_test(parse_without_memory),
        cmocka_unit_test(small_batch_allocates_nothing),
        cmocka_unit_test(batch_has_memory_for_all_of_its_instances),
        cmocka_unit_test(read_instance_without_memory),
        cmocka_unit_test(reject_item_without_memory),
        cmocka_unit_test(fail_item_without_memory),
        cmocka_unit_test(fail_many_items_without_memory),
        cmocka_unit_test(write_without_memory),
        cmocka_unit_test(write_instances_into_a_reserved_text),
    };
    return cmocka_run_group_tests(tests, count_jansson, NULL);
}
