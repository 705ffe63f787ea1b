/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/api/long_poll.h"

#include <stdio.h>
#include <string.h>

#include "artemis-web/push/long_poll_share.h"
#include "artemis-web/query/known_revision.h"

enum {
    QUOTED_BYTES = 160,
    DIGITS_MAX = 19,
    LONG_POLL_BODY_BYTES_MAX = 8 * 1024, /* inflated; kept until the handler is called again */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads the leading digits, at most DIGITS_MAX of them: that many cannot overflow. Returns how
 * many. */
static size_t read_digits(struct slice text, uint64_t *out)
{
    size_t size = 0;
    *out = 0;
    for (; size < text.size && size < DIGITS_MAX && is_digit(text.data[size]); size++)
        *out = *out * 10 + (uint64_t)(text.data[size] - '0');
    return size;
}

static enum error refuse(char message[MESSAGE_BYTES], const char *rule, struct slice value)
{
    char quoted[QUOTED_BYTES];
    text_quote(quoted, sizeof(quoted), value);
    snprintf(message, MESSAGE_BYTES, "%s, is %s", rule, quoted);
    return ERR_INVALID_FIELD;
}

/* Reads "30s", "500ms" or "1m". A longer duration than the maximum is reduced to it. */
static enum error read_duration(struct slice text, uint64_t *out_ms, char message[MESSAGE_BYTES])
{
    static const struct {
        const char *word;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}};
    uint64_t number;
    size_t size = read_digits(text, &number);
    struct slice unit = {text.data + size, text.size - size};
    for (size_t i = 0; size && i < sizeof(units) / sizeof(units[0]); i++) {
        if (!slice_equal(unit, slice_of(units[i].word)))
            continue;
        *out_ms = number > LONG_POLL_MS_MAX / units[i].ms ? LONG_POLL_MS_MAX : number * units[i].ms;
        return ERR_NONE;
    }
    return refuse(message, "wait: must be like 30s, 500ms or 1m (60s at most)", text);
}

static enum error read_delta(struct slice word, bool *delta, char message[MESSAGE_BYTES])
{
    if (!word.data)
        return ERR_NONE;
    *delta = slice_equal(word, SLICE("1")) || slice_equal(word, SLICE("true"));
    if (*delta || slice_equal(word, SLICE("0")) || slice_equal(word, SLICE("false")))
        return ERR_NONE;
    return refuse(message, "delta: must be 1 or 0", word);
}

enum error long_poll_read(const struct request *request, const struct query *query,
                          struct long_poll_query *get, char message[MESSAGE_BYTES])
{
    struct slice wait = query->value[QUERY_WAIT];
    struct known_revision known = {0};
    *get = (struct long_poll_query){0};
    enum error error = read_delta(query->value[QUERY_DELTA], &get->delta, message);
    get->requested = wait.data;
    if (error || !(get->requested || get->delta))
        return error;
    if (get->requested)
        error = read_duration(wait, &get->wait_ms, message);
    if (!error)
        error = known_revision_from_query(request, query, &known, message);
    get->revision = known.revision;
    get->other_epoch =
        known.other_epoch || known.revision > registry_revision(request->engine->registry);
    if (get->delta && known.names_epoch && !get->other_epoch)
        get->delta_since = known.revision;
    return error;
}

/* The body of a deferred or suspended request stays in memory; a GET has none. */
static bool may_be_kept(const struct request *request)
{
    return request->is_get || request->body.size <= LONG_POLL_BODY_BYTES_MAX;
}

bool long_poll_defer(struct request *request, const struct long_poll_query *get,
                     struct response *response)
{
    bool was_admitted = request->is_deferred || request->long_poll_done; /* before this call */
    if (get->wait_ms == 0 || was_admitted || !may_be_kept(request) ||
        long_poll_share_take(request->long_poll_share))
        return false;
    request->is_deferred = true;
    response->kind = RESPONSE_DEFERRED;
    return true;
}

static enum error check_body(const struct request *request, char message[MESSAGE_BYTES])
{
    if (may_be_kept(request))
        return ERR_NONE;
    snprintf(message, MESSAGE_BYTES,
             "body: of a request with `wait` must be at most %d bytes, is %zu",
             LONG_POLL_BODY_BYTES_MAX, request->body.size);
    return ERR_BODY_TOO_LARGE;
}

enum error long_poll_decide(struct request *request, const struct long_poll_query *get,
                            struct slice service_id, uint64_t revision, struct response *response,
                            char message[MESSAGE_BYTES])
{
    bool has_version = get->requested || get->delta;
    response->send_epoch |= has_version;
    if (!has_version || get->other_epoch || revision > get->revision)
        return ERR_NONE;
    bool over = request->long_poll_done || get->wait_ms == 0 ||
                engine_state(request->engine) == NODE_DRAINING;
    if (over) {
        response->not_modified = true;
        return ERR_NONE;
    }
    enum error error = check_body(request, message);
    if (!error)
        error = request_reserve(request, message);
    if (error)
        return error;
    uint64_t wait_ms = get->wait_ms;
    if (request->token && request->token->expires_ms) { /* its end is checked then */
        uint64_t left_ms = request->token->expires_ms - request->now.wall_ms;
        wait_ms = left_ms < wait_ms ? left_ms : wait_ms;
    }
    response_clear(response);
    *response = (struct response){
        .kind = RESPONSE_LONG_POLL,
        .long_poll = {.id_size = service_id.size,
                      .revision = get->revision,
                      .until_ms = request->now.mono_ms + wait_ms,
                      .token = request->token},
    };
    if (service_id.size)
        memcpy(response->long_poll.id, service_id.data, service_id.size);
    request->long_poll_done = true;
    return ERR_NONE;
}
