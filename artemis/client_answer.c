/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/client_answer.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WHICH_ONE "is it the address of an Artemis? Name it with --server or ARTEMIS_URL"

static const struct fate {
    enum client_exit exit_code;
    bool later;
    bool detailed;       /* libcurl knows more */
    const char *message; /* of one %s, the address */
    const char *hint;
} fates[CLIENT_FATE_COUNT] = {
    [CLIENT_NO_HOST] = {CLIENT_UNREACHABLE, true, false, "the host of %s is not known",
                        "check the spelling of --server or ARTEMIS_URL, and the name service"},
    [CLIENT_NO_PROXY] = {CLIENT_UNREACHABLE, true, true,
                         "%s cannot be reached, and a proxy may be in the way",
                         "check http_proxy and https_proxy, or set no_proxy"},
    [CLIENT_NO_LISTENER] = {CLIENT_UNREACHABLE, true, false, "nothing listens at %s",
                            "start one with: artemis server, or name another with --server or "
                            "ARTEMIS_URL"},
    [CLIENT_TIMED_OUT] = {CLIENT_UNREACHABLE, true, false, "%s did not answer in time",
                          "try again, or name another node with --server or ARTEMIS_URL"},
    [CLIENT_NO_TLS] = {CLIENT_UNREACHABLE, false, true, "no secure connection to %s can be made",
                       "does it speak http only, or is its certificate not trusted here?"},
    [CLIENT_NOT_HTTP] = {CLIENT_UNREACHABLE, false, false, "%s does not speak HTTP", WHICH_ONE},
    [CLIENT_TOO_LARGE] = {CLIENT_UNREACHABLE, false, false, "the answer of %s is too large to read",
                          WHICH_ONE},
    [CLIENT_BROKEN] = {CLIENT_UNREACHABLE, true, true, "the connection to %s broke", "try again"},
    [CLIENT_NO_MEMORY] = {CLIENT_REFUSED, false, false, "out of memory while talking to %s", ""},
};

static const struct reason {
    const char *reason;
    const char *hint;
    bool later; /* the hint goes on with the time to wait */
} reasons[] = {
    {"instance-not-found", "is it the region, zone and group that it was registered with?", false},
    {"service-not-found", "see which there are: artemis services", false},
    {"invalid-json", "the body is one JSON object: {\"instances\":[{...}]}", false},
    {"too-large", "send fewer items in one request", false},
    {"no-such-path",
     "check the path in --server or ARTEMIS_URL; or the server is older than this client", false},
    {"over-limit", "try again", true},
    {"not-ready", "try again", true},
    {"draining", "name another node with --server or ARTEMIS_URL, or try again", true},
};

/* --- fields ----------------------------------------------------------------------------------- */

json_t *client_answer_field(const json_t *object, const char *name)
{
    char camel[64];
    size_t length = 0;
    json_t *field = json_object_get(object, name);
    for (const char *from = name; !field && *from && length + 1 < sizeof camel; from++) {
        bool upper = *from == '_' && from[1];
        camel[length++] = upper ? (char)toupper((unsigned char)*++from) : *from;
    }
    camel[length] = '\0';
    if (!field)
        field = json_object_get(object, camel);
    return json_is_null(field) ? NULL : field;
}

const char *client_answer_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(client_answer_field(object, name));
    return text ? text : "";
}

json_t *client_answer_failed(const json_t *root)
{
    json_t *failed = client_answer_field(root, "failed_instances");
    if (json_array_size(failed) == 0)
        failed = client_answer_field(root, "failed_instance_keys");
    return json_array_size(failed) > 0 ? failed : NULL;
}

/* --- verdict ---------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void set_message(struct client_verdict *verdict,
                                                              const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(verdict->message, sizeof verdict->message, format, arguments);
    va_end(arguments);
}

static void set_hint(struct client_verdict *verdict, const char *hint)
{
    snprintf(verdict->hint, sizeof verdict->hint, "%s", hint);
}

static void judge_unanswered(const struct client_answer *answer, const char *shown,
                             struct client_verdict *verdict)
{
    const struct fate *fate = &fates[answer->fate];
    verdict->exit_code = fate->exit_code;
    verdict->later = fate->later;
    int length = snprintf(verdict->message, sizeof verdict->message, fate->message, shown);
    if (fate->detailed && *answer->detail && length > 0 && (size_t)length < sizeof verdict->message)
        snprintf(verdict->message + length, sizeof verdict->message - (size_t)length, " (%s)",
                 answer->detail);
    set_hint(verdict, fate->hint);
}

static void add_wait(struct client_verdict *verdict, unsigned retry_after_secs)
{
    size_t length = strlen(verdict->hint);
    char *end = verdict->hint + length;
    size_t room = sizeof verdict->hint - length;
    if (retry_after_secs > 0)
        snprintf(end, room, " in %u s", retry_after_secs);
    else
        snprintf(end, room, " in a moment");
}

/* Another server, or something between us and an Artemis. */
static void judge_stranger(const struct client_answer *answer, const char *shown,
                           struct client_verdict *verdict)
{
    verdict->exit_code = CLIENT_UNREACHABLE;
    if (answer->location[0]) {
        set_message(verdict, "%s redirects to %s", shown, answer->location);
        set_hint(verdict, "give the address behind it with --server or ARTEMIS_URL");
        return;
    }
    if (answer->http_status >= 502 && answer->http_status <= 504) {
        verdict->later = true;
        set_message(verdict, "%s answers for a server that is away (HTTP %d)", shown,
                    answer->http_status);
        set_hint(verdict, "try again");
        add_wait(verdict, answer->retry_after_secs);
        return;
    }
    set_message(verdict, "%s does not answer like an Artemis (HTTP %d)", shown,
                answer->http_status);
    set_hint(verdict, WHICH_ONE);
}

/* What is to be done next follows from the reason. */
static void advise(struct client_verdict *verdict, const char *reason,
                   const struct client_answer *answer)
{
    verdict->later = answer->http_status == 503 || answer->http_status == 429;
    set_hint(verdict, verdict->later ? "try again" : "");
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (strcmp(reasons[i].reason, reason) == 0) {
            set_hint(verdict, reasons[i].hint);
            verdict->later = reasons[i].later;
        }
    if (verdict->later)
        add_wait(verdict, answer->retry_after_secs);
}

static void judge_refusal(const struct client_answer *answer, const json_t *status,
                          const json_t *failed, struct client_verdict *verdict)
{
    const json_t *item = verdict->failed_count == 1 ? json_array_get(failed, 0) : NULL;
    const char *message = client_answer_text(item, "error_message");
    const char *reason = client_answer_text(item, "reason");
    if (!*message)
        message = client_answer_text(status, "error_message");
    if (!*message)
        message = client_answer_text(status, "message"); /* the Java prefix */
    if (!*reason)
        reason = client_answer_text(status, "reason");

    verdict->exit_code = CLIENT_REFUSED;
    advise(verdict, reason, answer);
    if (verdict->failed_count > 1)
        set_message(verdict, "%zu items were refused", verdict->failed_count);
    else if (*message)
        set_message(verdict, "%s", message);
    else
        set_message(verdict, "refused with HTTP %d %s", answer->http_status,
                    client_answer_text(status, "error_code"));
}

void client_answer_judge(const struct client_answer *answer, const char *shown,
                         struct client_verdict *verdict, json_t **root)
{
    *verdict = (struct client_verdict){.exit_code = CLIENT_DONE};
    *root = NULL;
    if (answer->fate != CLIENT_ANSWERED) {
        judge_unanswered(answer, shown, verdict);
        return;
    }
    json_error_t error;
    *root = json_loadb(answer->body.data ? answer->body.data : "", answer->body.size,
                       JSON_ALLOW_NUL, &error);
    if (!*root && json_error_code(&error) == json_error_out_of_memory) {
        struct client_answer lost = {.fate = CLIENT_NO_MEMORY};
        judge_unanswered(&lost, shown, verdict);
        return;
    }
    const json_t *status = client_answer_field(*root, "response_status");
    const char *code = client_answer_text(status, "error_code");
    if (!*code) {
        judge_stranger(answer, shown, verdict);
        return;
    }
    const json_t *failed = client_answer_failed(*root);
    verdict->failed_count = json_array_size(failed);
    bool served = answer->http_status >= 200 && answer->http_status < 300;
    if (!served || strcmp(code, "success") != 0 || verdict->failed_count > 0)
        judge_refusal(answer, status, failed, verdict);
}
