/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes bodies of register, heartbeat and unregister. Each response is JSON in every dialect, and
 * an accepted instance is read back unchanged from the response. An unknown member before the
 * others, which makes Jansson parse the body, changes nothing.
 */
#include "artemis-core/json/codec.h"

#include <string.h>

#include "tests/fuzz/support/fuzz.h"

static void check_error(enum error error, const char *message)
{
    for (enum dialect dialect = 0; dialect < DIALECT_COUNT; dialect++) {
        struct text response = {0};
        codec_write_error(&response, dialect, error, message);
        fuzz_check_response(&response);
    }
}

/* Java's dialect alone keeps what we do not know of the status. */
static void check_round_trip(const struct instance *instance)
{
    struct text body = {0};
    struct json_writer w = jw_to(&body, CASING_CAMEL);
    jw_open(&w, '{');
    jw_name(&w, "instances");
    jw_open(&w, '[');
    codec_write_instance(&w, DIALECT_JAVA, instance);
    jw_close(&w, ']');
    jw_close(&w, '}');
    assert(!text_failed(&body));
    struct batch *batch;
    enum name_casing names = NAMES_NEUTRAL;
    char message[MESSAGE_BYTES];
    struct instance *again;
    enum error error = batch_parse((struct slice){body.data, body.size}, BATCH_OF_INSTANCES, &batch,
                                   &names, message);
    assert(!error);
    error = batch_instance(batch, 0, &again);
    assert(!error && instance_equal(again, instance));
    instance_unref(again);
    batch_free(batch);
    text_free(&body);
}

static void read_item_as_instance(struct batch *batch, size_t index)
{
    struct instance *instance;
    if (batch_instance(batch, index, &instance))
        return;
    check_round_trip(instance);
    instance_unref(instance);
}

/* Half of the keys that can be read are unknown to the engine. */
static void read_item_as_key(struct batch *batch, size_t index)
{
    struct instance_key key;
    if (batch_key(batch, index, &key) || index % 2)
        return;
    enum error error = batch_fail(batch, index, ERR_INSTANCE_NOT_FOUND, &key);
    assert(!error);
}

static void read_items(struct batch *batch, enum batch_kind kind)
{
    for (size_t i = 0; i < batch_count(batch); i++) {
        if (kind == BATCH_OF_INSTANCES)
            read_item_as_instance(batch, i);
        else
            read_item_as_key(batch, i);
    }
}

/* Of two batches whose items have been read. */
static void check_same_responses(const struct batch *a, const struct batch *b)
{
    assert(batch_count(a) == batch_count(b) && batch_names(a) == batch_names(b));
    assert(batch_outcome(a) == batch_outcome(b));
    for (enum dialect dialect = 0; dialect < DIALECT_COUNT; dialect++) {
        struct text of_a = {0};
        struct text of_b = {0};
        batch_write_response(a, dialect, 0, &of_a);
        batch_write_response(b, dialect, 0, &of_b);
        assert(slice_equal((struct slice){of_a.data, of_a.size},
                           (struct slice){of_b.data, of_b.size}));
        fuzz_check_response(&of_a);
        text_free(&of_b);
    }
}

/* What the body would be with something unknown in it. */
static struct text with_a_member(struct slice body)
{
    struct text text = {0};
    text_append_string(&text, "{\"\\u0001\":[1],");
    const char *open = body.size ? memchr(body.data, '{', body.size) : NULL;
    if (open)
        text_append(&text, open + 1, (size_t)(body.data + body.size - open) - 1);
    assert(!text_failed(&text));
    return text;
}

static void read_batch(struct slice body, enum batch_kind kind)
{
    struct batch *batch;
    struct batch *other;
    enum name_casing names = NAMES_NEUTRAL;
    char message[MESSAGE_BYTES];
    enum error error = batch_parse(body, kind, &batch, &names, message);
    if (error) {
        check_error(error, message);
        return;
    }
    read_items(batch, kind);
    struct text longer = with_a_member(body);
    if (!batch_parse((struct slice){longer.data, longer.size}, kind, &other, &names, message)) {
        read_items(other, kind);
        check_same_responses(batch, other);
        batch_free(other);
    }
    text_free(&longer);
    batch_free(batch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_batch(fuzz_slice(data, size), BATCH_OF_INSTANCES);
    read_batch(fuzz_slice(data, size), BATCH_OF_KEYS);
    return 0;
}
