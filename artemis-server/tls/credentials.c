/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/tls/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/x509.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "artemis-core/base/text.h"

enum { FILE_BYTES_MAX = 1024 * 1024, PATH_BYTES = 32, MS_PER_SEC = 1000 };

struct credentials {
    _Atomic uint32_t references;
    gnutls_certificate_credentials_t x509;
    gnutls_priority_t priority;
    uint64_t expiry_ms;
    bool key_is_exposed;
    int files[CREDENTIAL_FILES]; /* in memory; -1: none */
    char paths[CREDENTIAL_FILES][PATH_BYTES];
};

/* The files while they are being read. */
struct loading {
    const struct credential_source *source;
    struct text files[CREDENTIAL_FILES];
    mode_t modes[CREDENTIAL_FILES];
    char *problem;
};

bool credential_source_of(const struct config *config, enum config_listener listener,
                          struct credential_source *out)
{
    bool is_for_peers = listener == CONFIG_LISTENER_PEER;
    const struct credential_source sources[] = {
        {
            .keys = {"tls.cert", "tls.key", "tls.client_ca"},
            .paths = {config->tls.cert, config->tls.key, config->tls.client_ca},
            .min_version = config->tls.min_version,
        },
        {
            .keys = {"cluster.tls.cert", "cluster.tls.key", "cluster.tls.ca"},
            .paths = {config->cluster.tls.cert, config->cluster.tls.key, config->cluster.tls.ca},
            .min_version = config->tls.min_version,
        },
    };
    if (!config_listener_address(config, listener)[0] || !config_listener_has_tls(config, listener))
        return false;
    *out = sources[is_for_peers];
    return true;
}

__attribute__((format(printf, 4, 5))) static enum error fail(const struct loading *loading,
                                                             enum error error,
                                                             enum credential_file file,
                                                             const char *format, ...)
{
    char reason[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    snprintf(loading->problem, CREDENTIALS_PROBLEM_BYTES, "%s: %s: %s", loading->source->keys[file],
             loading->source->paths[file], reason);
    return error;
}

/* --- files ------------------------------------------------------------------------------------ */

static enum error read_open_file(struct loading *loading, enum credential_file file, int fd)
{
    struct stat status;
    struct text *content = &loading->files[file];
    if (fstat(fd, &status) != 0)
        return fail(loading, ERR_SYSTEM, file, "%s", strerror(errno));
    if (!S_ISREG(status.st_mode))
        return fail(loading, ERR_SYSTEM, file, "is not a regular file");
    loading->modes[file] = status.st_mode;
    for (;;) {
        char *to = text_reserve(content, BUFSIZ);
        if (!to)
            return fail(loading, ERR_NO_MEMORY, file, "out of memory");
        ssize_t got = read(fd, to, BUFSIZ);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(loading, ERR_SYSTEM, file, "%s", strerror(errno));
        if (got == 0)
            return ERR_NONE;
        content->size += (size_t)got;
        if (content->size > FILE_BYTES_MAX)
            return fail(loading, ERR_INVALID_FIELD, file, "is larger than 1 MiB");
    }
}

static enum error read_file(struct loading *loading, enum credential_file file)
{
    const char *path = loading->source->paths[file];
    if (!path[0])
        return ERR_NONE;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail(loading, ERR_SYSTEM, file, "%s", strerror(errno));
    enum error error = read_open_file(loading, file, fd);
    close(fd);
    return error;
}

static gnutls_datum_t datum_of(const struct text *content)
{
    return (gnutls_datum_t){.data = (unsigned char *)content->data,
                            .size = (unsigned)content->size};
}

/* --- content ---------------------------------------------------------------------------------- */

static enum error set_key(struct credentials *credentials, const struct loading *loading)
{
    gnutls_datum_t cert = datum_of(&loading->files[CREDENTIAL_CERT]);
    gnutls_datum_t key = datum_of(&loading->files[CREDENTIAL_KEY]);
    int code =
        gnutls_certificate_set_x509_key_mem(credentials->x509, &cert, &key, GNUTLS_X509_FMT_PEM);
    if (code >= 0)
        return ERR_NONE;
    if (code == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
        return fail(loading, ERR_INVALID_FIELD, CREDENTIAL_KEY, "does not fit the certificate %s",
                    loading->source->paths[CREDENTIAL_CERT]);
    /* The message of GnuTLS does not say in which file; a certificate alone does. */
    gnutls_x509_crt_t *chain = NULL;
    unsigned count = 0;
    bool has_cert =
        gnutls_x509_crt_list_import2(&chain, &count, &cert, GNUTLS_X509_FMT_PEM, 0) >= 0;
    for (unsigned i = 0; has_cert && i < count; i++)
        gnutls_x509_crt_deinit(chain[i]);
    if (has_cert)
        gnutls_free(chain);
    return fail(loading, ERR_INVALID_FIELD, has_cert ? CREDENTIAL_KEY : CREDENTIAL_CERT,
                "cannot be used: %s", gnutls_strerror(code));
}

static enum error set_authorities(struct credentials *credentials, const struct loading *loading)
{
    gnutls_datum_t authorities = datum_of(&loading->files[CREDENTIAL_CA]);
    if (!loading->source->paths[CREDENTIAL_CA][0])
        return ERR_NONE;
    int count =
        gnutls_certificate_set_x509_trust_mem(credentials->x509, &authorities, GNUTLS_X509_FMT_PEM);
    if (count < 0)
        return fail(loading, ERR_INVALID_FIELD, CREDENTIAL_CA, "cannot be used: %s",
                    gnutls_strerror(count));
    return count > 0 ? ERR_NONE
                     : fail(loading, ERR_INVALID_FIELD, CREDENTIAL_CA, "has no certificate");
}

static void write_day(time_t when, char out[16])
{
    struct tm day;
    if (!gmtime_r(&when, &day) || strftime(out, 16, "%Y-%m-%d", &day) == 0)
        snprintf(out, 16, "?");
}

static enum error check_dates(struct credentials *credentials, const struct loading *loading,
                              const gnutls_x509_crt_t *chain, unsigned count, uint64_t wall_ms)
{
    char day[16];
    uint64_t now_secs = wall_ms / MS_PER_SEC;
    credentials->expiry_ms = UINT64_MAX;
    for (unsigned i = 0; i < count; i++) {
        time_t from = gnutls_x509_crt_get_activation_time(chain[i]);
        time_t until = gnutls_x509_crt_get_expiration_time(chain[i]);
        write_day((uint64_t)from > now_secs ? from : until, day);
        if ((uint64_t)from > now_secs)
            return fail(loading, ERR_INVALID_FIELD, CREDENTIAL_CERT, "is valid from %s on", day);
        if ((uint64_t)until <= now_secs)
            return fail(loading, ERR_INVALID_FIELD, CREDENTIAL_CERT, "expired on %s", day);
        if ((uint64_t)until < credentials->expiry_ms / MS_PER_SEC)
            credentials->expiry_ms = (uint64_t)until * MS_PER_SEC;
    }
    return ERR_NONE;
}

static enum error check_chain(struct credentials *credentials, const struct loading *loading,
                              uint64_t wall_ms)
{
    gnutls_x509_crt_t *chain = NULL;
    unsigned count = 0;
    int code = gnutls_certificate_get_x509_crt(credentials->x509, 0, &chain, &count);
    if (code < 0)
        return fail(loading, ERR_INVALID_FIELD, CREDENTIAL_CERT, "cannot be used: %s",
                    gnutls_strerror(code));
    enum error error = check_dates(credentials, loading, chain, count, wall_ms);
    for (unsigned i = 0; i < count; i++)
        gnutls_x509_crt_deinit(chain[i]);
    gnutls_free(chain);
    return error;
}

/* --- copies for libcurl ----------------------------------------------------------------------- */

static bool write_all(int fd, const struct text *content)
{
    for (size_t at = 0; at < content->size;) {
        ssize_t written = write(fd, content->data + at, content->size - at);
        if (written < 0 && errno != EINTR)
            return false;
        at += written > 0 ? (size_t)written : 0;
    }
    return true;
}

static enum error copy_files(struct credentials *credentials, const struct loading *loading)
{
    for (enum credential_file file = 0; file < CREDENTIAL_FILES; file++) {
        if (!loading->source->paths[file][0])
            continue;
        int fd = memfd_create("credentials", MFD_CLOEXEC);
        credentials->files[file] = fd;
        if (fd < 0 || !write_all(fd, &loading->files[file]) || fchmod(fd, S_IRUSR) != 0)
            return fail(loading, ERR_SYSTEM, file, "cannot be copied: %s", strerror(errno));
        snprintf(credentials->paths[file], PATH_BYTES, "/proc/self/fd/%d", fd);
    }
    return ERR_NONE;
}

/* --- life ------------------------------------------------------------------------------------- */

/* Forward secrecy and authenticated encryption alone, the fastest cipher first. */
#define CIPHERS                                                                                    \
    ":-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"    \
    ":-MAC-ALL:+AEAD:%SERVER_PRECEDENCE"

static enum error fill(struct credentials *credentials, struct loading *loading, uint64_t wall_ms)
{
    static const char *const priorities[] = {
        [TLS_VERSION_1_2] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2" CIPHERS,
        [TLS_VERSION_1_3] = "NORMAL:-VERS-ALL:+VERS-TLS1.3" CIPHERS,
    };
    if (gnutls_certificate_allocate_credentials(&credentials->x509) != GNUTLS_E_SUCCESS ||
        gnutls_priority_init(&credentials->priority, priorities[loading->source->min_version],
                             NULL) != GNUTLS_E_SUCCESS)
        return fail(loading, ERR_NO_MEMORY, CREDENTIAL_CERT, "out of memory");
    enum error error = ERR_NONE;
    for (enum credential_file file = 0; file < CREDENTIAL_FILES && !error; file++)
        error = read_file(loading, file);
    credentials->key_is_exposed = loading->modes[CREDENTIAL_KEY] & (S_IWGRP | S_IRWXO);
    if (!error)
        error = set_key(credentials, loading);
    if (!error)
        error = set_authorities(credentials, loading);
    if (!error)
        error = check_chain(credentials, loading, wall_ms);
    return error ? error : copy_files(credentials, loading);
}

enum error credentials_load(const struct credential_source *source, uint64_t wall_ms,
                            struct credentials **out, char problem[CREDENTIALS_PROBLEM_BYTES])
{
    struct loading loading = {.source = source, .problem = problem};
    struct credentials *credentials = calloc(1, sizeof(*credentials));
    if (!credentials)
        return fail(&loading, ERR_NO_MEMORY, CREDENTIAL_CERT, "out of memory");
    atomic_init(&credentials->references, 1);
    for (enum credential_file file = 0; file < CREDENTIAL_FILES; file++)
        credentials->files[file] = -1;
    enum error error = fill(credentials, &loading, wall_ms);
    if (loading.files[CREDENTIAL_KEY].data)
        explicit_bzero(loading.files[CREDENTIAL_KEY].data, loading.files[CREDENTIAL_KEY].size);
    for (enum credential_file file = 0; file < CREDENTIAL_FILES; file++)
        text_free(&loading.files[file]);
    if (error) {
        credentials_unref(credentials);
        return error;
    }
    *out = credentials;
    return ERR_NONE;
}

struct credentials *credentials_ref(struct credentials *credentials)
{
    atomic_fetch_add_explicit(&credentials->references, 1, memory_order_relaxed);
    return credentials;
}

void credentials_unref(struct credentials *credentials)
{
    if (!credentials ||
        atomic_fetch_sub_explicit(&credentials->references, 1, memory_order_acq_rel) > 1)
        return;
    for (enum credential_file file = 0; file < CREDENTIAL_FILES; file++)
        if (credentials->files[file] >= 0)
            close(credentials->files[file]);
    if (credentials->priority)
        gnutls_priority_deinit(credentials->priority);
    if (credentials->x509)
        gnutls_certificate_free_credentials(credentials->x509);
    free(credentials);
}

gnutls_certificate_credentials_t credentials_x509(const struct credentials *credentials)
{
    return credentials->x509;
}

gnutls_priority_t credentials_priority(const struct credentials *credentials)
{
    return credentials->priority;
}

const char *credentials_path(const struct credentials *credentials, enum credential_file file)
{
    return credentials->paths[file];
}

uint64_t credentials_expiry_ms(const struct credentials *credentials)
{
    return credentials->expiry_ms;
}

bool credentials_key_is_exposed(const struct credentials *credentials)
{
    return credentials->key_is_exposed;
}
