/* SPDX-License-Identifier: Apache-2.0
 *
 * write_audit - records in the audit log which instances an operator registers and unregisters.
 *
 * A call with the token of an operator or administrator is recorded item by item, up to
 * WRITE_AUDIT_ITEMS_MAX items; one more record has the number of the others. An instance is
 * described by its status and url, and a changed one also by the other fields that differ. A
 * registration with identical content is a renewal and not recorded. Calls of other tokens, and of
 * a node without tokens, cost one comparison. A call belongs to one thread.
 */
#pragma once

#include "artemis-server/engine.h"

enum {
    WRITE_AUDIT_ITEMS_MAX = 100,
    WRITE_AUDIT_BYTES_MAX = 4 * 1024, /* of a description; values beyond are given by their size */
};

/* A call. Zero: it is not recorded. */
struct write_audit {
    struct engine *engine; /* NULL: the call is not recorded */
    struct audit_origin origin;
    struct moment now;
    uint32_t items; /* that are recorded, or would be without the limit */
};

/* An item, with the stored instance before the write. */
struct write_audit_item {
    struct slice packed_key;
    struct instance *before; /* a reference; NULL: none */
};

/* Whether the calls of a token (NULL: none) are recorded. */
bool write_audit_is_due(const struct token *token);
void write_audit_begin(const struct write_audit *audit, struct write_audit_item *item,
                       struct slice packed_key);
/* `after` is NULL for an unregistration. */
void write_audit_end(struct write_audit *audit, struct write_audit_item *item,
                     const struct instance *after, enum error error);
/* After the last item. */
void write_audit_rest(const struct write_audit *audit);
