/* SPDX-License-Identifier: Apache-2.0
 *
 * credentials - the certificate, the private key and the trusted authorities of a TLS endpoint.
 *
 * They are read from PEM files and checked as a whole: the key fits the certificate, and the
 * certificate is valid now. Credentials are immutable and reference-counted; connections that use
 * old ones keep them. Any thread may use them.
 *
 * libcurl with GnuTLS reads certificates by their path, for each new connection. Credentials
 * therefore have paths of their own (/proc/self/fd/N) to what was checked, so that a file that is
 * replaced by a damaged one affects no connection.
 */
#pragma once

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stdint.h>

#include "artemis-core/base/error.h"
#include "artemis-core/config/config.h"

enum { CREDENTIALS_PROBLEM_BYTES = 512 };

enum credential_file { CREDENTIAL_CERT, CREDENTIAL_KEY, CREDENTIAL_CA, CREDENTIAL_FILES };

/* Where credentials come from. Borrowed texts. */
struct credential_source {
    const char *keys[CREDENTIAL_FILES];  /* the settings, for messages: "tls.cert" */
    const char *paths[CREDENTIAL_FILES]; /* of the authorities "": none are trusted */
    enum tls_version min_version;
};

/* Where those of a listener come from; false: it is not open, or plain. Texts of the settings. */
bool credential_source_of(const struct config *config, enum config_listener listener,
                          struct credential_source *out);

struct credentials;

/* Reads and checks the files; wall_ms is the time now. On failure *problem names setting, file and
 * reason. ERR_INVALID_FIELD (content), ERR_SYSTEM (cannot be read), ERR_NO_MEMORY. */
MUST_USE enum error credentials_load(const struct credential_source *source, uint64_t wall_ms,
                                     struct credentials **out,
                                     char problem[CREDENTIALS_PROBLEM_BYTES]);
struct credentials *credentials_ref(struct credentials *credentials);
void credentials_unref(struct credentials *credentials); /* accepts NULL */

/* For sessions of GnuTLS; borrowed. */
gnutls_certificate_credentials_t credentials_x509(const struct credentials *credentials);
gnutls_priority_t credentials_priority(const struct credentials *credentials);
/* The path at which libcurl reads what was checked. */
const char *credentials_path(const struct credentials *credentials, enum credential_file file);
/* When the first certificate of the chain expires; wall clock. */
uint64_t credentials_expiry_ms(const struct credentials *credentials);
/* Whether users other than the owner and the group of the key file may read it, or others than the
 * owner may write it. */
bool credentials_key_is_exposed(const struct credentials *credentials);
