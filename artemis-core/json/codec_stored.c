/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/json/codec_stored.h"

#include <string.h>

#include "artemis-core/json/codec_internal.h"
#include "artemis-core/json/fast_parser.h"

void codec_write_stored(struct text *out, const struct instance *instance)
{
    struct json_writer w = jw_to(out, CASING_SNAKE);
    jw_open(&w, '{');
    codec_write_instance_members(&w, DIALECT_SNAKE, instance, true);
    jw_close(&w, '}');
}

void codec_write_stored_revision(struct text *out, uint64_t client_revision)
{
    struct json_writer w = jw_to(out, CASING_SNAKE);
    jw_open(&w, '{');
    jw_name(&w, "revision");
    jw_u64(&w, client_revision);
    jw_close(&w, '}');
}

bool codec_read_stored_revision(struct slice body, uint64_t *out)
{
    const struct slice start = SLICE("{\"revision\":");
    uint64_t number = 0;
    if (body.size <= start.size + 1 || memcmp(body.data, start.data, start.size) != 0 ||
        body.data[body.size - 1] != '}')
        return false;
    for (size_t i = start.size; i < body.size - 1; i++) {
        unsigned digit = (unsigned char)body.data[i] - (unsigned)'0';
        if (digit > 9 || number > (CLIENT_REVISION_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *out = number;
    return true;
}

enum error codec_read_stored(struct slice body, struct instance **out)
{
    struct field_problem problem;
    struct metadata_entry metadata[METADATA_ENTRIES_MAX];
    struct fast_record fast = {.metadata = metadata};
    if (fast_record_read(body, &fast) && fast.whole.size == body.size)
        return instance_create(&fast.spec, out, &problem);
    char message[MESSAGE_BYTES];
    struct document document;
    enum error error = document_open(body, &document, message);
    if (error)
        return error;
    enum name_casing names = NAMES_NEUTRAL;
    error = item_instance(document.root, &names, out, &problem);
    document_close(&document);
    return error;
}
