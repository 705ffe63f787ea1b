/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/client/publications.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void publications_init(struct publications *publications)
{
    *publications = (struct publications){0};
    TAILQ_INIT(&publications->waiting);
}

void publication_free(struct publication *publication)
{
    if (!publication)
        return;
    text_free(&publication->body);
    free(publication);
}

void publications_free(struct publications *publications)
{
    struct publication *publication;
    while ((publication = TAILQ_FIRST(&publications->waiting))) {
        TAILQ_REMOVE(&publications->waiting, publication, link);
        publication_free(publication);
    }
    publication_free(publications->in_flight);
    publications_init(publications);
}

bool publications_is_empty(const struct publications *publications)
{
    return publications->count == 0;
}

enum error publications_add(struct publications *publications, const char *topic, struct text *body,
                            uint64_t deadline_ms, bool has_caller, struct publication **out)
{
    if (publications->count == PUBLICATIONS_MAX)
        return ERR_TOO_MANY_EVENTS;
    struct publication *publication = calloc(1, sizeof *publication);
    if (!publication)
        return ERR_NO_MEMORY;
    snprintf(publication->topic, sizeof publication->topic, "%s", topic);
    publication->body = *body;
    *body = (struct text){0};
    publication->deadline_ms = deadline_ms;
    publication->has_caller = has_caller;
    TAILQ_INSERT_TAIL(&publications->waiting, publication, link);
    publications->count++;
    *out = publication;
    return ERR_NONE;
}

static void take_out(struct publications *publications, struct publication *publication)
{
    TAILQ_REMOVE(&publications->waiting, publication, link);
    publications->count--;
}

struct publication *publications_expired(struct publications *publications, uint64_t now_ms,
                                         uint64_t *at_ms)
{
    struct publication *publication;
    if (publications->is_kept)
        return NULL;
    TAILQ_FOREACH (publication, &publications->waiting, link) {
        if (publication->has_caller)
            continue;
        if (publication->deadline_ms <= now_ms) {
            take_out(publications, publication);
            return publication;
        }
        if (publication->deadline_ms < *at_ms)
            *at_ms = publication->deadline_ms;
    }
    return NULL;
}

void publications_keep(struct publications *publications)
{
    publications->is_kept = true;
}

bool publications_is_due(const struct publications *publications)
{
    return !publications->in_flight && !TAILQ_EMPTY(&publications->waiting);
}

struct publication *publications_next(struct publications *publications)
{
    struct publication *publication = TAILQ_FIRST(&publications->waiting);
    assert(publications_is_due(publications));
    TAILQ_REMOVE(&publications->waiting, publication, link);
    publications->in_flight = publication;
    return publication;
}

bool publication_may_send(struct publication *publication)
{
    publication->sent |= !publication->withdrawn;
    return publication->sent;
}

enum publication_result publication_result_of(const struct publication *publication,
                                              const struct publication_response *response)
{
    if (response->answered && response->readable) {
        int status = response->status;
        if (response->result->done)
            return PUBLICATION_DELIVERED;
        if (status == 408 || status == 429 || status == 503)
            return PUBLICATION_RETRYABLE;
        if (status >= 400 && status < 500)
            return PUBLICATION_REJECTED;
    }
    return publication->sent ? PUBLICATION_UNCERTAIN : PUBLICATION_RETRYABLE;
}

static struct publication *take_in_flight(struct publications *publications)
{
    struct publication *publication = publications->in_flight;
    assert(publication);
    publications->in_flight = NULL;
    return publication;
}

void publications_retry(struct publications *publications, const char *cause)
{
    struct publication *publication = take_in_flight(publications);
    if (publication->withdrawn) {
        publications->count--;
        publication_free(publication);
        return;
    }
    publication->sent = false;
    snprintf(publication->cause, sizeof publication->cause, "%s", cause);
    TAILQ_INSERT_HEAD(&publications->waiting, publication, link);
}

void publications_end(struct publications *publications, enum artemis_error error,
                      const char *cause, const struct artemis_published *published)
{
    struct publication *publication = take_in_flight(publications);
    publications->count--;
    if (!publication->has_caller) {
        publication_free(publication);
        return;
    }
    publication->done = true;
    publication->error = error;
    if (published)
        publication->published = *published;
    snprintf(publication->cause, sizeof publication->cause, "%s", cause);
}

bool publications_leave(struct publications *publications, struct publication *publication,
                        char cause[PUBLICATION_CAUSE_MAX])
{
    memcpy(cause, publication->cause, PUBLICATION_CAUSE_MAX);
    if (publication == publications->in_flight) {
        publication->has_caller = false;
        publication->withdrawn = true;
        return publication->sent;
    }
    take_out(publications, publication);
    publication_free(publication);
    return false;
}
