/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/api/status_writer.h"

struct json_writer status_begin(struct request *request, struct response *response)
{
    enum dialect dialect = request_dialect(request);
    struct json_writer w = jw_to(&response->body, dialect_casing(dialect));
    jw_open(&w, '{');
    codec_write_status(&w, dialect, ERR_NONE, NULL, false);
    return w;
}

enum error status_read_casing(struct request *request, char message[MESSAGE_BYTES])
{
    static const char *const names[] = {"region_id", "zone_id"};
    struct document *document = NULL;
    enum error error = ERR_NONE;
    if (!request->is_get)
        error = document_parse(request_body(request), &document, message);
    for (size_t i = 0; i < 2 && !error; i++) {
        struct slice ignored = {0};
        error = request_query(request, names[i], &ignored, message);
        if (!error && document)
            error = document_text(document, names[i], &ignored, message);
    }
    if (document)
        name_casing_add(&request->names, document_names(document));
    document_free(document);
    return error;
}

void named_string(struct json_writer *w, const char *name, const char *value)
{
    jw_name(w, name);
    jw_foreign(w, value);
}

void named_u64(struct json_writer *w, const char *name, uint64_t value)
{
    jw_name(w, name);
    jw_u64(w, value);
}

void named_bool(struct json_writer *w, const char *name, bool value)
{
    jw_name(w, name);
    jw_bool(w, value);
}
