/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/api/long_poll.h"

#include <stdio.h>
#include <string.h>

#include "artemis-web/http/web_internal.h"

enum {
    QUOTED_BYTES = 160,
    DIGITS_MAX = 19,
    WAITING_BODY_BYTES_MAX = 8 * 1024, /* inflated: it is kept until the request is handled again */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads the digits at the start; as many of them as cannot overflow. */
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

static enum error read_version(struct slice text, uint64_t *version, char message[MESSAGE_BYTES])
{
    if (text.size && read_digits(text, version) == text.size)
        return ERR_NONE;
    return refuse(message, "version: must be an integer from 0", text);
}

/* "30s", "500ms" or "1m"; what is longer than can be waited is as long as can be. */
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

enum error long_poll_read(struct request *request, struct long_poll_query *get,
                          char message[MESSAGE_BYTES])
{
    struct slice version = {0};
    struct slice wait = {0};
    struct slice run = {0};
    *get = (struct long_poll_query){0};
    enum error error = request_query(request, "wait", &wait, message);
    if (!error && wait.data)
        error = request_query(request, "version", &version, message);
    if (!error && wait.data)
        error = request_query(request, "run", &run, message);
    if (error || !wait.data)
        return error;
    get->asked = true;
    error = read_duration(wait, &get->wait_ms, message);
    if (!error && version.data)
        error = read_version(version, &get->version, message);
    get->elsewhere = get->version > registry_version(request->engine->registry) ||
                     (run.size && !slice_equal(run, slice_of(request->engine->run_id)));
    return error;
}

/* A GET keeps no body. */
static enum error judge_body(const struct request *request, char message[MESSAGE_BYTES])
{
    if (request->is_get || request->body.size <= WAITING_BODY_BYTES_MAX)
        return ERR_NONE;
    snprintf(message, MESSAGE_BYTES,
             "body: of a request that waits must be at most %d bytes, is %zu",
             WAITING_BODY_BYTES_MAX, request->body.size);
    return ERR_BODY_TOO_LARGE;
}

enum error long_poll_judge(struct request *request, const struct long_poll_query *get,
                           struct slice service_id, uint64_t version, struct response *reply,
                           char message[MESSAGE_BYTES])
{
    reply->tells_run |= get->asked;
    if (!get->asked || get->elsewhere || version > get->version)
        return ERR_NONE;
    bool over =
        request->has_waited || get->wait_ms == 0 || engine_state(request->engine) == NODE_DRAINING;
    if (over) {
        reply->not_modified = true;
        return ERR_NONE;
    }
    enum error error = judge_body(request, message);
    if (!error)
        error = request_reserve(request, message);
    if (error)
        return error;
    cached_response_unref(reply->answer);
    *reply = (struct response){
        .waits = true,
        .wait = {.id_size = service_id.size,
                 .version = get->version,
                 .until_ms = request->now.mono_ms + get->wait_ms},
    };
    if (service_id.size)
        memcpy(reply->wait.id, service_id.data, service_id.size);
    request->has_waited = true;
    return ERR_NONE;
}
