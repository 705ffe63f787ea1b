/* SPDX-License-Identifier: Apache-2.0
 *
 * query - the parameters in the query of a discovery request, read in one pass.
 *
 * Each route accepts a set of parameters; another one is refused by its name, since a filter with a
 * typing error would return what the client did not ask for. Names are compared without case, in
 * snake_case and in camelCase. `meta.KEY` is a parameter for each KEY.
 *
 * The values are borrowed from the header of the request.
 */
#pragma once

#include "artemis-core/model/instance_filter.h"
#include "artemis-web/http/request.h"

/* Those that are frequent come first: the search for a name takes less time. */
enum query_name {
    QUERY_SERVICE_ID,
    QUERY_ZONE,
    QUERY_NEAR,
    QUERY_REGION,
    QUERY_STATUS,
    QUERY_VERSION,
    QUERY_RUN,
    QUERY_WAIT,
    QUERY_DELTA,
    QUERY_STRATEGY,
    QUERY_HASH_KEY,
    QUERY_REGION_ID,
    QUERY_ZONE_ID,
    QUERY_META, /* meta.KEY */
    QUERY_NAMES,
};

struct query {
    struct slice value[QUERY_META]; /* data NULL: absent */
    struct metadata_entry metadata[FILTER_METADATA_MAX];
    size_t metadata_count;
};

/* Reads the parameters, of which `accepted` has a bit 1 << enum query_name each. Their casing
 * counts for the response. ERR_INVALID_FIELD with *message: a parameter is not accepted, is given
 * twice or is not UTF-8. */
MUST_USE enum error query_read(struct request *request, unsigned accepted, struct query *out,
                               char message[MESSAGE_BYTES]);
