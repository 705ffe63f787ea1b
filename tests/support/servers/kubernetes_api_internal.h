/* SPDX-License-Identifier: Apache-2.0
 *
 * kubernetes_api_internal - what the files of kubernetes_api share.
 */
#pragma once

#include <jansson.h>
#include <microhttpd.h>

#include "tests/support/servers/kubernetes_api.h"

struct api_kind {
    const char *group, *path, *label, *list;
};

extern const struct api_kind api_kinds[API_KINDS];

struct api_change {
    uint64_t revision;
    enum kubernetes_api_kind kind;
    char *line;   /* the event */
    char *labels; /* of the object: "name=value" */
};

/* A Status. */
json_t *api_status(unsigned code, const char *reason, const char *message);
enum MHD_Result api_respond_status(struct MHD_Connection *connection, unsigned code,
                                   const char *reason);
/* Of the query; NULL: there is none. */
const char *api_argument(struct MHD_Connection *connection, const char *name);
enum MHD_Result api_respond_watch(struct kubernetes_api *api, struct MHD_Connection *connection,
                                  enum kubernetes_api_kind kind);
/* Waits for a change, or a moment. The lock is held. */
void api_wait_for_change(struct kubernetes_api *api);
