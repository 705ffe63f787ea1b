/* SPDX-License-Identifier: Apache-2.0
 *
 * Nodes that operators have blocked: the orders, and the exchange of the list between nodes.
 */
#include "artemis-web/api/handlers.h"

#include <stdio.h>
#include <string.h>

#include "artemis-web/api/status_writer.h"

/* --- orders of operators ---------------------------------------------------------------------- */

static enum error read_reason(struct document *document, struct block *order,
                              char message[MESSAGE_BYTES])
{
    struct slice reason = {0};
    enum error error = document_text(document, "reason", &reason, message);
    if (error)
        return error;
    if (!block_text_is_valid(reason, sizeof(order->reason)) || !text_is_safe(reason)) {
        char quoted[160];
        text_quote(quoted, sizeof(quoted), reason);
        snprintf(message, MESSAGE_BYTES,
                 "reason: must be one line of at most %zu bytes, without control characters and "
                 "marks of direction, is %s",
                 sizeof(order->reason) - 1, quoted);
        return ERR_INVALID_FIELD;
    }
    snprintf(order->reason, sizeof(order->reason), "%.*s", (int)reason.size, reason.data);
    return ERR_NONE;
}

static void audit_order(const struct request *request, struct slice node, bool blocks,
                        const struct block *order, enum error error)
{
    char object[BLOCK_NODE_BYTES];
    snprintf(object, sizeof(object), "%.*s", (int)node.size, node.data ? node.data : "");
    const struct audit_event event = {
        .action = blocks ? "block-node" : "unblock-node",
        .object = object,
        .after = error ? NULL : order->reason,
    };
    request_audit(request, event, error);
}

static enum error run_order(struct request *request, struct response *response, bool blocks,
                            char message[MESSAGE_BYTES])
{
    struct document *document;
    struct slice node = {0};
    struct block order = {0};
    bool known = false;
    enum error error = document_parse(request_body(request), &document, message);
    if (error)
        return error;
    error = document_text(document, "node", &node, message);
    if (!error)
        error = read_reason(document, &order, message);
    name_casing_add(&request->names, document_names(document));
    if (request->token)
        snprintf(order.by, sizeof(order.by), "%s", request->token->name);
    if (!error) {
        error =
            blocks ? engine_block_node(request->engine, node, &order, request->now, &known, message)
                   : engine_unblock_node(request->engine, node, &order, request->now, message);
        audit_order(request, node, blocks, &order, error);
    }
    document_free(document);
    if (error)
        return error;
    struct json_writer w = status_begin(request, response);
    named_string(&w, "node_id", order.node_id);
    named_string(&w, "address", order.address);
    if (blocks)
        named_bool(&w, "known", known);
    jw_close(&w, '}');
    return ERR_NONE;
}

enum error handle_block(struct request *request, struct response *response,
                        char message[MESSAGE_BYTES])
{
    return run_order(request, response, true, message);
}

enum error handle_unblock(struct request *request, struct response *response,
                          char message[MESSAGE_BYTES])
{
    return run_order(request, response, false, message);
}

/* --- peers ------------------------------------------------------------------------------------ */

enum error handle_peer_blocks(struct request *request, struct response *response,
                              char message[MESSAGE_BYTES])
{
    uint64_t hash;
    enum error error =
        engine_merge_blocks(request->engine, request_body(request), request->now, &hash, message);
    if (!error)
        blocks_write(&request->engine->blocks, &response->body);
    return error;
}
