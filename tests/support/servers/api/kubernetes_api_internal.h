/* SPDX-License-Identifier: Apache-2.0
 *
 * kubernetes_api_internal - what the files of kubernetes_api share.
 */
#pragma once

#include "tests/support/servers/api/kubernetes_api.h"

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
enum MHD_Result api_respond_watch(struct kubernetes_api *api, struct MHD_Connection *connection,
                                  enum kubernetes_api_kind kind);
