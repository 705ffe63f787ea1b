/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/query/known_revision.h"

#include <stdio.h>

enum { QUOTED_BYTES = 160 };

/* An empty `run` counts as absent. */
static bool is_other_epoch(const struct request *request, struct slice run)
{
    return run.size && !slice_equal(run, slice_of(request->engine->epoch));
}

enum error known_revision_from_query(const struct request *request, const struct query *query,
                                     struct known_revision *known, char message[MESSAGE_BYTES])
{
    struct slice version = query->value[QUERY_VERSION];
    struct slice run = query->value[QUERY_RUN];
    known->names_epoch |= run.size > 0;
    known->other_epoch |= is_other_epoch(request, run);
    if (!version.data)
        return ERR_NONE;
    known->given = true;
    if (slice_to_u64(version, &known->revision))
        return ERR_NONE;
    char quoted[QUOTED_BYTES];
    text_quote(quoted, sizeof(quoted), version);
    snprintf(message, MESSAGE_BYTES, "version: must be an integer from 0, is %s", quoted);
    return ERR_INVALID_FIELD;
}

enum error known_revision_from_body(struct request *request, struct document *document,
                                    struct known_revision *known, char message[MESSAGE_BYTES])
{
    uint64_t version = UINT64_MAX;
    struct slice run = {0};
    enum error error = document_u64(document, "version", &version, message);
    if (!error)
        error = document_text(document, "run", &run, message);
    if (error)
        return error;
    known->names_epoch |= run.size > 0;
    known->other_epoch |= is_other_epoch(request, run);
    if (version != UINT64_MAX) {
        known->given = true;
        known->revision = version;
    }
    return ERR_NONE;
}
