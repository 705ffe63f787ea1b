/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/json/codec_stored.h"

#include "artemis-core/json/codec_internal.h"
#include "artemis-core/json/fast_parser.h"

void codec_write_stored(struct text *out, const struct instance *instance)
{
    struct json_writer w = jw_to(out, CASING_SNAKE);
    jw_open(&w, '{');
    codec_write_instance_members(&w, DIALECT_SNAKE, instance, true);
    jw_close(&w, '}');
}

enum error codec_read_stored(struct slice body, struct instance **out)
{
    struct field_problem problem;
    struct fast_record fast;
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
