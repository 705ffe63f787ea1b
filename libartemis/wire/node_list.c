/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/wire/node_list.h"

#include "libartemis/base/url.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static bool is_up(const json_t *item)
{
    const char *status = json_string_value(json_object_get(item, "status"));
    return status && (strcmp(status, "up") == 0 || strcmp(status, "starting") == 0);
}

static enum error read_node(const json_t *item, struct server_nodes *nodes)
{
    bool is_loopback = false;
    char *url = NULL;
    const char *fault;
    const char *text = json_string_value(json_object_get(item, "url"));
    if (!text)
        return ERR_NONE;
    enum error error = url_read(text, &url, &is_loopback, &fault);
    if (error)
        return error == ERR_NO_MEMORY ? error : ERR_NONE;
    size_t size = strlen(url) + 1;
    if (size <= SERVER_URL_BYTES) {
        memcpy(nodes->items[nodes->count].url, url, size);
        nodes->items[nodes->count].is_loopback = is_loopback;
        nodes->items[nodes->count].is_up = is_up(item);
        nodes->count++;
    }
    free(url);
    return ERR_NONE;
}

/* Nodes beyond the limit are left out. */
static enum error on_node(void *context, struct slice text)
{
    struct node_list *list = context;
    json_error_t problem;
    if (list->nodes.count == SERVER_NODES_MAX)
        return ERR_NONE;
    json_t *item = json_loadb(text.data, text.size, 0, &problem);
    if (!item)
        return json_error_code(&problem) == json_error_out_of_memory ? ERR_NO_MEMORY
                                                                     : ERR_INVALID_JSON;
    enum error error = read_node(item, &list->nodes);
    json_decref(item);
    return error;
}

void node_list_start(struct wire_reader *reader, struct node_list *list)
{
    static const char *const lists[] = {"nodes", NULL};
    *list = (struct node_list){0};
    *reader = (struct wire_reader){.lists = {.lists = lists, .on_item = on_node, .context = list},
                                   .result = &list->result};
}
