/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/call/server_call.h"

#include "artemis/call/server_url.h"
#include "artemis/terminal/terminal_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_URL "http://127.0.0.1:8080"

#define FAILED_SHOWN_MAX 10

/* --- servers ---------------------------------------------------------------------------------- */

static const char *server_list(const struct args *args)
{
    const char *option = args_text(args, "server");
    const char *environment = getenv("ARTEMIS_URL");
    if (option)
        return option;
    return environment && *environment ? environment : DEFAULT_URL;
}

static void set_no_memory(struct server_call_result *result)
{
    *result = (struct server_call_result){.response.transfer = TRANSFER_NO_MEMORY};
    call_response_evaluate(&result->response, "the server", &result->outcome, &result->root);
}

static void set_usage(const char *problem, struct call_outcome *outcome)
{
    *outcome = (struct call_outcome){.exit_code = EXIT_USAGE};
    snprintf(outcome->message, sizeof outcome->message, "%s", problem);
}

static void set_bad_address(const char *list, struct call_outcome *outcome)
{
    const char *shown = strchr(list, '@') ? "(not shown, since it may hold a password)" : list;
    *outcome = (struct call_outcome){.exit_code = EXIT_USAGE};
    snprintf(outcome->message, sizeof outcome->message, "not a server address: %s",
             *shown ? shown : "(empty)");
    snprintf(outcome->hint, sizeof outcome->hint,
             "give --server or ARTEMIS_URL as URL or HOST:PORT, separated by commas");
}

/* Fills the outcome of `result` on failure. */
static enum error read_servers(const struct args *args, struct server_list *servers,
                               struct server_call_result *result)
{
    struct server_credentials credentials;
    char problem[ARGS_PROBLEM_MAX];
    const char *list = server_list(args);
    server_credentials_read(args, &credentials);
    if (!server_credentials_are_readable(&credentials, problem)) {
        set_usage(problem, &result->outcome);
        return ERR_INVALID_FIELD;
    }
    enum error error = server_list_read(servers, list, server_credentials_are_given(&credentials));
    if (error == ERR_NO_MEMORY)
        set_no_memory(result);
    else if (error)
        set_bad_address(list, &result->outcome);
    return error;
}

int server_call_servers(const struct args *args, struct server_list *servers)
{
    struct server_call_result result = {0};
    if (!read_servers(args, servers, &result))
        return EXIT_DONE;
    terminal_text_print_error(stderr, result.outcome.hint, "%s", result.outcome.message);
    return (int)result.outcome.exit_code;
}

/* --- calls ------------------------------------------------------------------------------------ */

static void set_bad_token(enum error error, const char *problem, struct server_call_result *result)
{
    if (error == ERR_NO_MEMORY) {
        set_no_memory(result);
        return;
    }
    set_usage(problem, &result->outcome);
}

void server_call_run_all(const struct args *args, const struct call_request *request,
                         const struct server_url urls[], size_t count,
                         struct server_call_result results[])
{
    struct server_credentials credentials;
    struct call_request complete = *request;
    char problem[ARGS_PROBLEM_MAX];
    char *authorization = NULL;
    struct curl_call *calls = calloc(count, sizeof *calls);
    enum error error = calls ? token_option_read(args, &authorization, problem) : ERR_NO_MEMORY;
    for (size_t i = 0; i < count && error; i++)
        set_bad_token(error, problem, &results[i]);
    if (error)
        goto out;
    server_credentials_read(args, &credentials);
    complete.credentials = &credentials;
    complete.authorization = authorization;
    for (size_t i = 0; i < count; i++)
        calls[i] = (struct curl_call){&urls[i], &complete, &results[i].response};
    curl_call_send_all(calls, count, args_number(args, "timeout"));
    for (size_t i = 0; i < count; i++) {
        struct server_call_result *result = &results[i];
        call_response_evaluate(&result->response, urls[i].shown, &result->outcome, &result->root);
        call_response_require(result->root, request->data, urls[i].shown, &result->outcome);
    }
out:
    token_option_free(authorization);
    free(calls);
}

static void call_server(const struct args *args, const struct server_url *url,
                        const struct call_request *request, struct server_call_result *result)
{
    server_call_run_all(args, request, url, 1, result);
}

void server_call_run(const struct args *args, const struct call_request *request,
                     struct server_call_result *result)
{
    struct server_list servers;
    struct text messages = {0}; /* of all servers */
    *result = (struct server_call_result){0};
    if (read_servers(args, &servers, result))
        return;
    for (size_t i = 0; i < servers.count; i++) {
        server_call_result_free(result);
        result->server = i;
        call_server(args, &servers.urls[i], request, result);
        if (result->outcome.exit_code != EXIT_UNREACHABLE)
            break;
        text_printf(&messages, "%s%s", i > 0 ? "; " : "", result->outcome.message);
    }
    if (result->outcome.exit_code == EXIT_UNREACHABLE && !text_failed(&messages))
        snprintf(result->outcome.message, sizeof result->outcome.message, "%s",
                 text_string(&messages));
    text_free(&messages);
    server_list_free(&servers);
}

void server_call_again(const struct args *args, const struct server_call_result *previous,
                       const struct call_request *request, struct server_call_result *result)
{
    struct server_list servers;
    *result = (struct server_call_result){.server = previous->server};
    if (read_servers(args, &servers, result))
        return;
    call_server(args, &servers.urls[previous->server], request, result);
    server_list_free(&servers);
}

void server_call_get(const struct args *args, struct text *path, const char *data,
                     struct server_call_result *result)
{
    const struct call_request request = {.path = text_string(path), .data = data};
    if (text_failed(path))
        set_no_memory(result);
    else
        server_call_run(args, &request, result);
    text_free(path);
}

void server_call_post(const struct args *args, const char *path, json_t *body,
                      struct server_call_result *result)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (!text) {
        set_no_memory(result);
        return;
    }
    struct call_request request = {.path = path, .body = text, .size_bytes = strlen(text)};
    server_call_run(args, &request, result);
    free(text);
}

void server_call_result_free(struct server_call_result *result)
{
    if (!result)
        return;
    json_decref(result->root);
    curl_call_free(&result->response);
    *result = (struct server_call_result){0};
}

/* --- refused items  */

static void print_failed(const json_t *item, FILE *out)
{
    const json_t *instance = call_response_field(item, "instance"); /* the Java prefix */
    const json_t *key = instance ? instance : item;
    const char *message = call_response_text(item, "error_message");
    fputs("  ", out);
    terminal_text_print(out, call_response_text(key, "service_id"), 0);
    fputc('/', out);
    terminal_text_print(out, call_response_text(key, "instance_id"), 0);
    fputs(": ", out);
    terminal_text_print(out, *message ? message : call_response_text(item, "error_code"), 0);
    fputc('\n', out);
}

void server_call_print_failed(const json_t *failed, FILE *out)
{
    size_t count = json_array_size(failed);
    for (size_t i = 0; i < count && i < FAILED_SHOWN_MAX; i++)
        print_failed(json_array_get(failed, i), out);
    if (count > FAILED_SHOWN_MAX)
        fprintf(out, "  and %zu more\n", count - FAILED_SHOWN_MAX);
}

/* --- report ----------------------------------------------------------------------------------- */

int server_call_report(const struct args *args, const struct server_call_result *result)
{
    const struct call_outcome *outcome = &result->outcome;
    if (args_has(args, "json") && result->root)
        terminal_text_print_json(stdout, result->response.body.data, result->response.body.size);
    if (outcome->exit_code == EXIT_DONE)
        return EXIT_DONE;
    terminal_text_print_error(stderr, *outcome->hint ? outcome->hint : NULL, "%s",
                              outcome->message);
    if (outcome->failed_count > 1)
        server_call_print_failed(call_response_failed(result->root), stderr);
    return (int)outcome->exit_code;
}

bool server_call_prints_text(const struct args *args, const struct server_call_result *result)
{
    return result->outcome.exit_code == EXIT_DONE && !args_has(args, "json");
}

int server_call_no_memory(void)
{
    terminal_text_print_error(stderr, NULL, "out of memory");
    return EXIT_REFUSED;
}
