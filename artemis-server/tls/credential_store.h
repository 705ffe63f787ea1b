/* SPDX-License-Identifier: Apache-2.0
 *
 * credential_store - the current credentials of a TLS endpoint, read again when their files change.
 *
 * Connections take the credentials when they start, so that a reload ends none. Files that cannot
 * be used change nothing: the earlier credentials stay, and the failure is logged and counted. They
 * are read again when a file changes once more, and every minute: a certificate may become valid.
 *
 * One thread at a time opens, checks and closes a store; any thread may get credentials and status.
 */
#pragma once

#include "artemis-core/model/hlc.h"
#include "artemis-server/tls/credentials.h"

enum { CREDENTIAL_CHECK_SECS = 5, EXPIRY_WARNING_DAYS = 14 };

struct credential_store;

struct credential_status {
    int64_t expiry_days; /* whole days until the certificate expires; negative: it has expired */
    uint64_t reloads, failures;
    bool is_failing; /* the last reload has failed */
};

/* Loads the credentials. The settings must outlive the store. Fails as credentials_load. */
MUST_USE enum error credential_store_open(const struct credential_source *source, struct moment now,
                                          struct credential_store **out,
                                          char problem[CREDENTIALS_PROBLEM_BYTES]);
void credential_store_close(struct credential_store *store); /* accepts NULL */

/* Loads the credentials again if a file has changed since the last attempt, a minute after an
 * attempt that failed, or with `force`. Warns once a day of a certificate that expires soon. Takes
 * NULL. */
void credential_store_check(struct credential_store *store, bool force, struct moment now);

/* A reference. */
struct credentials *credential_store_get(struct credential_store *store);
/* Whether the last reload has failed. Accepts NULL. */
bool credential_store_is_failing(struct credential_store *store);
struct credential_status credential_store_status(struct credential_store *store, struct moment now);
