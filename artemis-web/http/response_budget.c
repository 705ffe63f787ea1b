/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/http/response_budget.h"

#include <microhttpd.h>
#include <stdlib.h>

#include "artemis-web/http/web_internal.h"

/* A body that is counted. */
struct unread {
    struct web *web;
    struct text body;
};

bool response_budget_exceeded(const struct web *web, size_t bytes)
{
    uint64_t others = atomic_load_explicit(&web->metrics.unread_bytes, memory_order_relaxed);
    return bytes >= UNREAD_COUNTED_BYTES_MIN && others > 0 &&
           others + bytes > UNREAD_BODIES_BYTES_MAX;
}

void response_budget_add(struct web *web, size_t bytes)
{
    atomic_fetch_add_explicit(&web->metrics.unread_bytes, bytes, memory_order_relaxed);
}

void response_budget_subtract(struct web *web, size_t bytes)
{
    atomic_fetch_sub_explicit(&web->metrics.unread_bytes, bytes, memory_order_relaxed);
}

static void free_unread(void *context)
{
    struct unread *unread = context;
    response_budget_subtract(unread->web, unread->body.capacity);
    text_free(&unread->body);
    free(unread);
}

static struct MHD_Response *create_counted(struct web *web, struct text *body)
{
    struct unread *unread = malloc(sizeof(*unread));
    if (!unread)
        return NULL;
    *unread = (struct unread){web, *body};
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback_cls(
        body->size, body->data, free_unread, unread);
    if (!response) {
        free(unread);
        return NULL;
    }
    response_budget_add(web, body->capacity);
    *body = (struct text){0};
    return response;
}

struct MHD_Response *response_budget_create(struct web *web, struct text *body)
{
    if (body->size && body->capacity >= UNREAD_COUNTED_BYTES_MIN)
        return create_counted(web, body);
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body->size, body->size ? body->data : (char *)(uintptr_t) "",
        body->size ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    if (response && body->size)
        *body = (struct text){0};
    return response;
}
