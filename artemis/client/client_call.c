/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/client/client_call.h"

#include "artemis/client/client_url.h"
#include "artemis/output/client_text.h"
#include "artemis/output/client_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_URL "http://127.0.0.1:8080"

const char *client_call_server(const struct client_args *args)
{
    const char *named = client_args_text(args, "server");
    if (named)
        return named;
    const char *environment = getenv("ARTEMIS_URL");
    return environment && *environment ? environment : DEFAULT_URL;
}

static void refuse_url(const char *text, enum error error, struct client_result *result)
{
    struct client_outcome *outcome = &result->outcome;
    if (error == ERR_NO_MEMORY) {
        result->response.transfer = CLIENT_TRANSFER_NO_MEMORY;
        client_response_evaluate(&result->response, text, outcome, &result->root);
        return;
    }
    outcome->exit_code = CLIENT_USAGE;
    const char *shown = strchr(text, '@') ? "(not shown, since it may hold a password)" : text;
    snprintf(outcome->message, sizeof outcome->message, "not a server address: %s",
             *shown ? shown : "(empty)");
    snprintf(outcome->hint, sizeof outcome->hint,
             "give --server or ARTEMIS_URL as http://HOST:PORT, or HOST:PORT");
}

void client_call(const struct client_args *args, const struct client_request *request,
                 struct client_result *result)
{
    *result = (struct client_result){0};
    struct client_url url;
    const char *server = client_call_server(args);
    enum error error = client_url_read(&url, server);
    if (error) {
        refuse_url(server, error, result);
        return;
    }
    client_http_send(&url, request, &result->response);
    client_response_evaluate(&result->response, url.shown, &result->outcome, &result->root);
}

void client_call_post(const struct client_args *args, const char *path, json_t *body,
                      struct client_result *result)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (!text) {
        *result = (struct client_result){.response.transfer = CLIENT_TRANSFER_NO_MEMORY};
        client_response_evaluate(&result->response, client_call_server(args), &result->outcome,
                                 &result->root);
        return;
    }
    struct client_request request = {.path = path, .body = text, .size_bytes = strlen(text)};
    client_call(args, &request, result);
    free(text);
}

void client_result_free(struct client_result *result)
{
    if (!result)
        return;
    json_decref(result->root);
    client_http_free(&result->response);
    *result = (struct client_result){0};
}

int client_call_report(const struct client_args *args, const struct client_result *result)
{
    const struct client_outcome *outcome = &result->outcome;
    if (client_args_has(args, "json") && result->root)
        client_text_print_json(stdout, result->response.body.data, result->response.body.size);
    if (outcome->exit_code == CLIENT_DONE)
        return CLIENT_DONE;
    client_text_print_error(stderr, *outcome->hint ? outcome->hint : NULL, "%s", outcome->message);
    if (outcome->failed_count > 1)
        client_view_failed(client_response_failed(result->root), stderr);
    return (int)outcome->exit_code;
}

bool client_call_prints_text(const struct client_args *args, const struct client_result *result)
{
    return result->outcome.exit_code == CLIENT_DONE && !client_args_has(args, "json");
}

int client_call_no_memory(void)
{
    client_text_print_error(stderr, NULL, "out of memory");
    return CLIENT_REFUSED;
}
