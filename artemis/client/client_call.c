/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/client/client_call.h"

#include "artemis/client/client_url.h"
#include "artemis/terminal/client_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_URL "http://127.0.0.1:8080"

#define FAILED_SHOWN_MAX 10

/* --- servers ---------------------------------------------------------------------------------- */

static const char *server_list(const struct client_args *args)
{
    const char *option = client_args_text(args, "server");
    const char *environment = getenv("ARTEMIS_URL");
    if (option)
        return option;
    return environment && *environment ? environment : DEFAULT_URL;
}

void client_call_set_no_memory(struct client_result *result)
{
    *result = (struct client_result){.response.transfer = CLIENT_TRANSFER_NO_MEMORY};
    client_response_evaluate(&result->response, "the server", &result->outcome, &result->root);
}

static void set_bad_address(const char *list, struct client_outcome *outcome)
{
    const char *shown = strchr(list, '@') ? "(not shown, since it may hold a password)" : list;
    *outcome = (struct client_outcome){.exit_code = CLIENT_USAGE};
    snprintf(outcome->message, sizeof outcome->message, "not a server address: %s",
             *shown ? shown : "(empty)");
    snprintf(outcome->hint, sizeof outcome->hint,
             "give --server or ARTEMIS_URL as http://HOST:PORT or HOST:PORT, separated by commas");
}

/* Fills the outcome of `result` on failure. */
static enum error read_servers(const struct client_args *args, struct client_servers *servers,
                               struct client_result *result)
{
    const char *list = server_list(args);
    enum error error = client_servers_read(servers, list);
    if (error == ERR_NO_MEMORY)
        client_call_set_no_memory(result);
    else if (error)
        set_bad_address(list, &result->outcome);
    return error;
}

int client_call_servers(const struct client_args *args, struct client_servers *servers)
{
    struct client_result result = {0};
    if (!read_servers(args, servers, &result))
        return CLIENT_DONE;
    client_text_print_error(stderr, result.outcome.hint, "%s", result.outcome.message);
    return (int)result.outcome.exit_code;
}

/* --- calls ------------------------------------------------------------------------------------ */

static void call_server(const struct client_args *args, const struct client_url *url,
                        const struct client_request *request, struct client_result *result)
{
    client_http_send(url, request, client_args_number(args, "timeout"), &result->response);
    client_response_evaluate(&result->response, url->shown, &result->outcome, &result->root);
    client_response_require(result->root, request->data, url->shown, &result->outcome);
}

void client_call(const struct client_args *args, const struct client_request *request,
                 struct client_result *result)
{
    struct client_servers servers;
    struct text messages = {0}; /* of all servers */
    *result = (struct client_result){0};
    if (read_servers(args, &servers, result))
        return;
    for (size_t i = 0; i < servers.count; i++) {
        client_result_free(result);
        result->server = i;
        call_server(args, &servers.urls[i], request, result);
        if (result->outcome.exit_code != CLIENT_UNREACHABLE)
            break;
        text_printf(&messages, "%s%s", i > 0 ? "; " : "", result->outcome.message);
    }
    if (result->outcome.exit_code == CLIENT_UNREACHABLE && !text_failed(&messages))
        snprintf(result->outcome.message, sizeof result->outcome.message, "%s",
                 text_string(&messages));
    text_free(&messages);
    client_servers_free(&servers);
}

void client_call_again(const struct client_args *args, const struct client_result *previous,
                       const struct client_request *request, struct client_result *result)
{
    struct client_servers servers;
    *result = (struct client_result){.server = previous->server};
    if (read_servers(args, &servers, result))
        return;
    call_server(args, &servers.urls[previous->server], request, result);
    client_servers_free(&servers);
}

void client_call_post(const struct client_args *args, const char *path, json_t *body,
                      struct client_result *result)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (!text) {
        client_call_set_no_memory(result);
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

/* --- refused items  */

static void print_failed(const json_t *item, FILE *out)
{
    const json_t *instance = client_response_field(item, "instance"); /* the Java prefix */
    const json_t *key = instance ? instance : item;
    const char *message = client_response_text(item, "error_message");
    fputs("  ", out);
    client_text_print(out, client_response_text(key, "service_id"), 0);
    fputc('/', out);
    client_text_print(out, client_response_text(key, "instance_id"), 0);
    fputs(": ", out);
    client_text_print(out, *message ? message : client_response_text(item, "error_code"), 0);
    fputc('\n', out);
}

void client_call_print_failed(const json_t *failed, FILE *out)
{
    size_t count = json_array_size(failed);
    for (size_t i = 0; i < count && i < FAILED_SHOWN_MAX; i++)
        print_failed(json_array_get(failed, i), out);
    if (count > FAILED_SHOWN_MAX)
        fprintf(out, "  and %zu more\n", count - FAILED_SHOWN_MAX);
}

/* --- report ----------------------------------------------------------------------------------- */

int client_call_report(const struct client_args *args, const struct client_result *result)
{
    const struct client_outcome *outcome = &result->outcome;
    if (client_args_has(args, "json") && result->root)
        client_text_print_json(stdout, result->response.body.data, result->response.body.size);
    if (outcome->exit_code == CLIENT_DONE)
        return CLIENT_DONE;
    client_text_print_error(stderr, *outcome->hint ? outcome->hint : NULL, "%s", outcome->message);
    if (outcome->failed_count > 1)
        client_call_print_failed(client_response_failed(result->root), stderr);
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
