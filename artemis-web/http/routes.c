/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/http/routes.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int by_path(const void *path, const void *route)
{
    return strcmp(path, ((const struct route *)route)->path);
}

/* A request may name its target as an absolute http:// address (RFC 9112, 3.2.2). */
static const char *without_authority(const char *target)
{
    static const char scheme[] = "http://";
    if (*target == '/' || strncasecmp(target, scheme, strlen(scheme)) != 0)
        return target;
    target += strlen(scheme);
    return target + strcspn(target, "/");
}

/* A prefix of the Java clients and the one it stands for. */
struct alias {
    const char *java;
    const char *ours;
};

static const struct alias aliases[] = {{"/artemis/api/", "/api/"}, {"/artemis/websocket/", "/ws/"}};

bool route_is_websocket(const struct route *route)
{
    return strncmp(route->path, "/ws", strlen("/ws")) == 0;
}

const struct route *route_find(const struct route_table *table, const char *path, bool *java)
{
    static const char suffix[] = ".json";
    struct slice prefix = {"", 0};
    path = without_authority(path);
    *java = strncmp(path, "/artemis/", strlen("/artemis/")) == 0;
    for (size_t i = 0; *java && i < sizeof(aliases) / sizeof(aliases[0]); i++) {
        if (strncmp(path, aliases[i].java, strlen(aliases[i].java)) != 0)
            continue;
        prefix = slice_of(aliases[i].ours);
        path += strlen(aliases[i].java);
        break;
    }
    size_t size = strlen(path);
    if (size > strlen(suffix) && strcmp(path + size - strlen(suffix), suffix) == 0)
        size -= strlen(suffix);
    if (prefix.size + size >= ROUTE_PATH_BYTES)
        return NULL;
    char canonical[ROUTE_PATH_BYTES];
    memcpy(canonical, prefix.data, prefix.size);
    memcpy(canonical + prefix.size, path, size);
    canonical[prefix.size + size] = '\0';
    return bsearch(canonical, table->routes, table->count, sizeof(table->routes[0]), by_path);
}

size_t route_index(const struct route_table *table, const struct route *route)
{
    return route ? (size_t)(route - table->routes) : table->count;
}

const char *const *route_names(const struct route_table *table)
{
    static const char *names[ROUTES_MAX];
    for (size_t i = 0; i < table->count && !names[i]; i++)
        names[i] = table->routes[i].name;
    return names;
}
