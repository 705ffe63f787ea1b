/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/call/call_response.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define REFUSED_CERTIFICATE                                                                        \
    "try again; or the server refuses --cert, or needs it: its log has the reason"
#define WRONG_ADDRESS "check the address in --server or ARTEMIS_URL"

static const struct transfer {
    enum exit_code exit_code;
    bool retryable;
    bool detailed;       /* append the message of libcurl */
    const char *message; /* format with one %s, the address */
    const char *hint;
} transfers[TRANSFER_COUNT] = {
    [TRANSFER_NO_HOST] = {EXIT_UNREACHABLE, true, false, "the host name of %s cannot be resolved",
                          "check --server or ARTEMIS_URL, and the name service"},
    [TRANSFER_NO_PROXY] = {EXIT_UNREACHABLE, true, true,
                           "cannot connect to %s; a proxy may have refused the connection",
                           "check http_proxy and https_proxy, or set no_proxy"},
    [TRANSFER_NO_LISTENER] = {EXIT_UNREACHABLE, true, false, "no server listens at %s",
                              "start a server: artemis server; or name another with --server or "
                              "ARTEMIS_URL"},
    [TRANSFER_TIMED_OUT] = {EXIT_UNREACHABLE, true, false, "%s did not respond in time",
                            "try again, or name another node with --server or ARTEMIS_URL"},
    [TRANSFER_NO_TLS] = {EXIT_UNREACHABLE, false, true, "cannot make a TLS connection to %s",
                         "the server may use plain http: name it with http://; or --cert and --key "
                         "do not fit"},
    [TRANSFER_NOT_TRUSTED] = {EXIT_UNREACHABLE, false, true, "the certificate of %s is not trusted",
                              "name its authority with --cacert or ARTEMIS_CACERT, and the server "
                              "by a name in its certificate"},
    [TRANSFER_NOT_HTTP] = {EXIT_UNREACHABLE, false, false, "%s does not respond with HTTP",
                           WRONG_ADDRESS},
    [TRANSFER_TOO_LARGE] = {EXIT_UNREACHABLE, false, false, "the response of %s is too large",
                            WRONG_ADDRESS},
    [TRANSFER_INTERRUPTED] = {EXIT_UNREACHABLE, true, true, "the connection to %s was interrupted",
                              "try again"},
    [TRANSFER_NO_MEMORY] = {EXIT_REFUSED, false, false, "out of memory during the call to %s", ""},
};

static const struct reason {
    const char *reason;
    const char *hint;
    bool retryable; /* append the time to wait to the hint */
} reasons[] = {
    {"instance-not-found", "check the region, zone and group of the instance", false},
    {"service-not-found", "list the services: artemis services", false},
    {"stale-revision", "send a revision above the stored one, or none", false},
    {"invalid-json", "the body must be one JSON object: {\"instances\":[{...}]}", false},
    {"too-large", "send less in one request", false},
    {"no-such-path",
     "check address and path in --server or ARTEMIS_URL; the server may be older than this artemis",
     false},
    {"no-token", "give a token: --token-file FILE, or ARTEMIS_TOKEN_FILE", false},
    {"invalid-token", "check the secret in --token-file or ARTEMIS_TOKEN_FILE", false},
    {"token-expired", "make another one: artemis token new --help", false},
    {"node-blocked", "unblock the node: artemis cluster unblock --help", false},
    {"no-permission", "use a token that may do this; see the roles: artemis token --help", false},
    {"over-limit", "try again", true},
    {"over-client-limit", "try again", true},
    {"over-quota", "unregister what is not needed, or ask for a higher quota", false},
    {"not-ready", "try again", true},
    {"draining", "name another node with --server or ARTEMIS_URL, or try again", true},
};

/* --- fields ----------------------------------------------------------------------------------- */

json_t *call_response_field(const json_t *object, const char *name)
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

const char *call_response_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(call_response_field(object, name));
    return text ? text : "";
}

json_t *call_response_failed(const json_t *root)
{
    json_t *failed = call_response_field(root, "failed_instances");
    if (json_array_size(failed) == 0)
        failed = call_response_field(root, "failed_instance_keys");
    return json_array_size(failed) > 0 ? failed : NULL;
}

/* --- outcome ---------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void set_message(struct call_outcome *outcome,
                                                              const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(outcome->message, sizeof outcome->message, format, arguments);
    va_end(arguments);
}

static void set_hint(struct call_outcome *outcome, const char *hint)
{
    snprintf(outcome->hint, sizeof outcome->hint, "%s", hint);
}

static void evaluate_failed_transfer(const struct call_response *response, const char *shown,
                                     struct call_outcome *outcome)
{
    const struct transfer *transfer = &transfers[response->transfer];
    outcome->exit_code = transfer->exit_code;
    outcome->retryable = transfer->retryable;
    int length = snprintf(outcome->message, sizeof outcome->message, transfer->message, shown);
    if (transfer->detailed && *response->detail && length > 0 &&
        (size_t)length < sizeof outcome->message)
        snprintf(outcome->message + length, sizeof outcome->message - (size_t)length, " (%s)",
                 response->detail);
    /* With TLS 1.3 the server refuses a certificate after the handshake of the client. */
    bool is_refused =
        response->transfer == TRANSFER_INTERRUPTED && strncmp(shown, "https:", 6) == 0;
    set_hint(outcome, is_refused ? REFUSED_CERTIFICATE : transfer->hint);
}

static void add_wait(struct call_outcome *outcome, unsigned retry_after_secs)
{
    size_t length = strlen(outcome->hint);
    char *end = outcome->hint + length;
    size_t size = sizeof outcome->hint - length;
    if (retry_after_secs > 0)
        snprintf(end, size, " in %u s", retry_after_secs);
    else
        snprintf(end, size, " in a moment");
}

/* A response of another server, or of a gateway in front of Artemis. */
static void evaluate_foreign_response(const struct call_response *response, const char *shown,
                                      struct call_outcome *outcome)
{
    outcome->exit_code = EXIT_UNREACHABLE;
    if (response->location[0]) {
        set_message(outcome, "%s redirects to %s", shown, response->location);
        set_hint(outcome, "use the target address in --server or ARTEMIS_URL");
        return;
    }
    if (response->http_status >= 502 && response->http_status <= 504) {
        outcome->retryable = true;
        set_message(outcome, "%s is a gateway that cannot reach its server (HTTP %d)", shown,
                    response->http_status);
        set_hint(outcome, "try again");
        add_wait(outcome, response->retry_after_secs);
        return;
    }
    set_message(outcome, "%s is not an Artemis server (HTTP %d)", shown, response->http_status);
    set_hint(outcome, WRONG_ADDRESS);
}

/* Sets the hint for the reason of an error. */
static void set_hint_for_reason(struct call_outcome *outcome, const char *reason,
                                const struct call_response *response)
{
    outcome->retryable = response->http_status == 503 || response->http_status == 429;
    set_hint(outcome, outcome->retryable ? "try again" : "");
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (strcmp(reasons[i].reason, reason) == 0) {
            set_hint(outcome, reasons[i].hint);
            outcome->retryable = reasons[i].retryable;
        }
    if (outcome->retryable)
        add_wait(outcome, response->retry_after_secs);
}

static void evaluate_error(const struct call_response *response, const json_t *status,
                           const json_t *failed, struct call_outcome *outcome)
{
    const json_t *item = outcome->failed_count == 1 ? json_array_get(failed, 0) : NULL;
    const char *message = call_response_text(item, "error_message");
    const char *reason = call_response_text(item, "reason");
    if (!*message)
        message = call_response_text(status, "error_message");
    if (!*message)
        message = call_response_text(status, "message"); /* the Java prefix */
    if (!*reason)
        reason = call_response_text(status, "reason");

    outcome->exit_code = EXIT_REFUSED;
    set_hint_for_reason(outcome, reason, response);
    if (outcome->failed_count > 1)
        set_message(outcome, "%zu items were refused", outcome->failed_count);
    else if (*message)
        set_message(outcome, "%s", message);
    else
        set_message(outcome, "refused with HTTP %d %s", response->http_status,
                    call_response_text(status, "error_code"));
}

/* The response of a lookup with a strategy has `success`, `message` and `reason` in place of
 * `response_status`; one of an older server has no `reason`. */
static void evaluate_lookup(const json_t *root, bool success, struct call_outcome *outcome)
{
    const char *message = call_response_text(root, "message");
    if (success)
        return;
    outcome->exit_code = EXIT_REFUSED;
    set_message(outcome, "%s", *message ? message : "the lookup found no instance");
    if (strcmp(call_response_text(root, "reason"), "service-not-found") == 0)
        set_hint(outcome, "list the services: artemis services");
    else
        set_hint(outcome, "list the instances: artemis service NAME --all");
}

void call_response_evaluate(const struct call_response *response, const char *shown,
                            struct call_outcome *outcome, json_t **root)
{
    *outcome = (struct call_outcome){.exit_code = EXIT_DONE};
    *root = NULL;
    if (response->transfer != TRANSFER_DONE) {
        evaluate_failed_transfer(response, shown, outcome);
        return;
    }
    json_error_t error;
    *root = json_loadb(response->body.data ? response->body.data : "", response->body.size,
                       JSON_ALLOW_NUL, &error);
    if (!*root && json_error_code(&error) == json_error_out_of_memory) {
        struct call_response lost = {.transfer = TRANSFER_NO_MEMORY};
        evaluate_failed_transfer(&lost, shown, outcome);
        return;
    }
    const json_t *status = call_response_field(*root, "response_status");
    const char *code = call_response_text(status, "error_code");
    const json_t *success = call_response_field(*root, "success");
    if (!*code && json_is_boolean(success)) {
        evaluate_lookup(*root, json_is_true(success), outcome);
        return;
    }
    if (!*code) {
        evaluate_foreign_response(response, shown, outcome);
        return;
    }
    const json_t *failed = call_response_failed(*root);
    outcome->failed_count = json_array_size(failed);
    bool served = response->http_status >= 200 && response->http_status < 300;
    if (!served || strcmp(code, "success") != 0 || outcome->failed_count > 0)
        evaluate_error(response, status, failed, outcome);
}

/* The value at a path such as "service.instances"; NULL when a part is absent. */
static const json_t *value_at(const json_t *root, const char *path)
{
    char name[64];
    while (root && *path) {
        size_t length = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)length, path);
        root = call_response_field(root, name);
        path += length + (path[length] == '.');
    }
    return root;
}

void call_response_require(const json_t *root, const char *path, const char *shown,
                           struct call_outcome *outcome)
{
    if (!path || outcome->exit_code != EXIT_DONE)
        return;
    const json_t *value = value_at(root, path);
    if (json_is_array(value) || json_is_object(value))
        return;
    outcome->exit_code = EXIT_UNREACHABLE;
    set_message(outcome, "%s sent a response without %s", shown, path);
    set_hint(outcome, WRONG_ADDRESS);
}
