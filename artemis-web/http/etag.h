/* SPDX-License-Identifier: Apache-2.0
 *
 * etag - entity tags of cached responses: "EPOCH-REVISION", or "EPOCH-REVISION-gzip" for the gzip
 * form, as the forms of a response differ in bytes (RFC 9110, 8.8.3.3).
 *
 * Revisions of two nodes, or of two lifetimes of one node, overlap; the epoch distinguishes them.
 * Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { ETAG_BYTES = 64 };

/* `epoch` has at most 32 bytes. */
void etag_write(char out[ETAG_BYTES], const char *epoch, uint64_t revision, bool is_gzip);
/* Writes the weak tag of a revision, for a response that brings a client up to it. */
void etag_write_weak(char out[ETAG_BYTES], const char *epoch, uint64_t revision);
/* Whether the value of If-None-Match is "*" or names this revision of this epoch: in either form,
 * weak or strong. */
bool etag_matches(const char *if_none_match, const char *epoch, uint64_t revision);
