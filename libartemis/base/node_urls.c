/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/base/node_urls.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void node_urls_add_option(struct node_urls *list, char *url, bool is_loopback)
{
    assert(list->count == list->option_count && list->count < SERVERS_MAX);
    list->each[list->count].url = url;
    list->each[list->count].is_loopback = is_loopback;
    list->option_count = ++list->count;
}

/* The number of the server; list->count: there is none. */
static size_t find(const struct node_urls *list, const char *url)
{
    size_t i = 0;
    while (i < list->count &&
           (list->each[i].use == SERVER_GONE || strcmp(list->each[i].url, url) != 0))
        i++;
    return i;
}

/* A number that no server has; SERVER_NUMBERS_MAX: there is none. */
static size_t find_free(const struct node_urls *list, const bool was_free[SERVER_NUMBERS_MAX])
{
    size_t i = list->option_count;
    while (i < SERVER_NUMBERS_MAX &&
           !(was_free[i] && (i >= list->count || list->each[i].use == SERVER_GONE)))
        i++;
    return i;
}

/* Adds a node that is new. False: there is no number or no memory. */
static bool add(struct node_urls *list, const char *url, bool is_loopback,
                const bool was_free[SERVER_NUMBERS_MAX])
{
    size_t number = find_free(list, was_free);
    char *copy = number < SERVER_NUMBERS_MAX ? strdup(url) : NULL;
    if (!copy)
        return false;
    if (number >= list->count)
        list->count = number + 1;
    free(list->each[number].url);
    list->each[number].url = copy;
    list->each[number].is_loopback = is_loopback;
    list->each[number].use = SERVER_NODE;
    return true;
}

static bool is_secure(const char *url)
{
    return strncmp(url, "https://", 8) == 0;
}

static bool names(const struct server_nodes *nodes, const char *url)
{
    size_t i = 0;
    while (i < nodes->count && strcmp(nodes->items[i].url, url) != 0)
        i++;
    return i < nodes->count;
}

static void mark_named(struct node_urls *list, const struct server_nodes *nodes)
{
    bool is_named[SERVER_NUMBERS_MAX + 1] = {false};
    for (size_t i = 0; i < nodes->count; i++)
        is_named[find(list, nodes->items[i].url)] = true;
    for (size_t i = 0; i < list->count; i++) {
        enum server_use otherwise = i < list->option_count ? SERVER_OPTION : SERVER_GONE;
        list->each[i].use = is_named[i] ? SERVER_NODE : otherwise;
    }
}

bool node_urls_update(struct node_urls *list, size_t source, const struct server_nodes *nodes,
                      const bool is_busy[SERVER_NUMBERS_MAX], size_t *added)
{
    bool was_free[SERVER_NUMBERS_MAX];
    if (!names(nodes, list->each[source].url))
        return false;
    bool secure = is_secure(list->each[source].url);
    for (size_t i = 0; i < SERVER_NUMBERS_MAX; i++)
        was_free[i] = i >= list->count || (list->each[i].use == SERVER_GONE && !is_busy[i]);
    mark_named(list, nodes);
    *added = 0;
    for (size_t i = 0; i < nodes->count; i++) {
        const char *url = nodes->items[i].url;
        if (nodes->items[i].is_up && (!secure || is_secure(url)) && find(list, url) == list->count)
            *added += add(list, url, nodes->items[i].is_loopback, was_free);
    }
    return true;
}

void node_urls_free(struct node_urls *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->each[i].url);
    *list = (struct node_urls){0};
}
