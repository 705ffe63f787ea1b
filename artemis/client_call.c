/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/client_call.h"

#include "artemis/client_text.h"
#include "artemis/client_url.h"
#include "artemis/client_view.h"

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

static void refuse_url(const char *text, enum error error, struct client_reply *reply)
{
    struct client_verdict *verdict = &reply->verdict;
    if (error == ERR_NO_MEMORY) {
        reply->answer.fate = CLIENT_NO_MEMORY;
        client_answer_judge(&reply->answer, text, verdict, &reply->root);
        return;
    }
    verdict->exit_code = CLIENT_USAGE;
    const char *shown = strchr(text, '@') ? "(not shown, since it may hold a password)" : text;
    snprintf(verdict->message, sizeof verdict->message, "this is no address of a server: %s",
             *shown ? shown : "(empty)");
    snprintf(verdict->hint, sizeof verdict->hint,
             "give --server or ARTEMIS_URL as http://HOST:PORT, or HOST:PORT");
}

void client_call(const struct client_args *args, const struct client_request *request,
                 struct client_reply *reply)
{
    *reply = (struct client_reply){0};
    struct client_url url;
    const char *server = client_call_server(args);
    enum error error = client_url_read(&url, server);
    if (error) {
        refuse_url(server, error, reply);
        return;
    }
    client_http_send(&url, request, &reply->answer);
    client_answer_judge(&reply->answer, url.shown, &reply->verdict, &reply->root);
}

void client_call_post(const struct client_args *args, const char *path, json_t *body,
                      struct client_reply *reply)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (!text) {
        *reply = (struct client_reply){.answer.fate = CLIENT_NO_MEMORY};
        client_answer_judge(&reply->answer, client_call_server(args), &reply->verdict,
                            &reply->root);
        return;
    }
    struct client_request request = {.path = path, .body = text, .size_bytes = strlen(text)};
    client_call(args, &request, reply);
    free(text);
}

void client_reply_free(struct client_reply *reply)
{
    if (!reply)
        return;
    json_decref(reply->root);
    client_http_free(&reply->answer);
    *reply = (struct client_reply){0};
}

int client_call_report(const struct client_args *args, const struct client_reply *reply)
{
    const struct client_verdict *verdict = &reply->verdict;
    if (client_args_has(args, "json") && reply->root)
        client_text_print_json(stdout, reply->answer.body.data, reply->answer.body.size);
    if (verdict->exit_code == CLIENT_DONE)
        return CLIENT_DONE;
    client_text_complain(stderr, *verdict->hint ? verdict->hint : NULL, "%s", verdict->message);
    if (verdict->failed_count > 1)
        client_view_failed(client_answer_failed(reply->root), stderr);
    return (int)verdict->exit_code;
}

bool client_call_shows(const struct client_args *args, const struct client_reply *reply)
{
    return reply->verdict.exit_code == CLIENT_DONE && !client_args_has(args, "json");
}

int client_call_no_memory(void)
{
    client_text_complain(stderr, NULL, "out of memory");
    return CLIENT_REFUSED;
}
