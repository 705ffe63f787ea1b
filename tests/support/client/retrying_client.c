/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/client/retrying_client.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NODES_MAX = 8,
    URL_BYTES = 64,
    BODY_BYTES = 1 << 20,
    TIMEOUT_MS = 10000,
    REFRESH_REQUESTS = 5, /* the list is read once in so many requests */
};

struct retrying_client {
    CURL *curl;
    struct curl_slist *headers;
    char urls[NODES_MAX][URL_BYTES];
    size_t count;
    size_t current;
    size_t requests, retries;
    bool follows_cluster, needs_refresh;
    char problem[512];
    size_t size; /* of the body */
    char body[BODY_BYTES];
};

struct retrying_client *retrying_client_new(uint16_t port, bool follows_cluster)
{
    struct retrying_client *client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    client->curl = curl_easy_init();
    client->headers = curl_slist_append(NULL, "Content-Type: application/json");
    snprintf(client->urls[0], URL_BYTES, "http://127.0.0.1:%u", port);
    client->count = 1;
    client->follows_cluster = follows_cluster;
    if (client->curl && client->headers)
        return client;
    retrying_client_free(client);
    return NULL;
}

void retrying_client_free(struct retrying_client *client)
{
    if (!client)
        return;
    curl_easy_cleanup(client->curl);
    curl_slist_free_all(client->headers);
    free(client);
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    struct retrying_client *client = context;
    size_t more = size * count;
    if (more >= BODY_BYTES - client->size)
        return 0;
    memcpy(client->body + client->size, bytes, more);
    client->size += more;
    client->body[client->size] = '\0';
    return more;
}

static void note_problem(struct retrying_client *client, const char *path, const char *text)
{
    size_t size = strlen(client->problem);
    snprintf(client->problem + size, sizeof client->problem - size, "%s%s: %.120s; ",
             client->urls[client->current], path, text);
}

/* Whether the current node has served the request. */
static bool call_current(struct retrying_client *client, const char *path, const char *body)
{
    char url[URL_BYTES + 256];
    char text[160];
    long status = 0;
    CURL *curl = client->curl;
    curl_easy_reset(curl);
    snprintf(url, sizeof url, "%s%s", client->urls[client->current], path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, client->headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, client);
    if (body)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    client->size = 0;
    client->body[0] = '\0';
    CURLcode code = curl_easy_perform(curl);
    if (code) {
        note_problem(client, path, curl_easy_strerror(code));
        return false;
    }
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status < 500)
        return true;
    snprintf(text, sizeof text, "status %ld: %.100s", status, client->body);
    note_problem(client, path, text);
    return false;
}

/* Reads the list of the nodes that are up. Without a response the list stays. */
static void refresh(struct retrying_client *client)
{
    if (!call_current(client, "/api/cluster/up-discovery-nodes", NULL))
        return;
    char urls[NODES_MAX][URL_BYTES];
    size_t count = 0;
    size_t current = 0;
    json_t *root = json_loads(client->body, 0, NULL);
    const json_t *nodes = json_object_get(root, "nodes");
    for (size_t i = 0; i < json_array_size(nodes) && count < NODES_MAX; i++) {
        const char *url = json_string_value(json_object_get(json_array_get(nodes, i), "url"));
        if (!url || strlen(url) >= URL_BYTES)
            continue;
        if (strcmp(url, client->urls[client->current]) == 0)
            current = count;
        snprintf(urls[count++], URL_BYTES, "%s", url);
    }
    json_decref(root);
    if (count == 0)
        return;
    memcpy(client->urls, urls, sizeof urls);
    client->count = count;
    client->current = current;
}

const char *retrying_client_send(struct retrying_client *client, const char *path, const char *body)
{
    bool is_due = client->needs_refresh || ++client->requests % REFRESH_REQUESTS == 0;
    if (client->follows_cluster && is_due)
        refresh(client);
    client->needs_refresh = false;
    client->problem[0] = '\0';
    for (size_t tried = 0; tried < client->count; tried++) {
        if (call_current(client, path, body))
            return client->body;
        client->current = (client->current + 1) % client->count;
        client->retries++;
        client->needs_refresh = true;
    }
    return NULL;
}

size_t retrying_client_retries(const struct retrying_client *client)
{
    return client->retries;
}

const char *retrying_client_problem(const struct retrying_client *client)
{
    return client->problem;
}
