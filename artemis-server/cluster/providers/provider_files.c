/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/providers/provider_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "artemis-core/config/config_problem.h"
#include "artemis-core/config/config_value.h"
#include "artemis-server/cluster/providers/provider_http.h"
#include "artemis-server/tls/credential_check.h"

enum { AUTHORITIES_READ_BYTES = 65536 };

/* The check in progress. */
struct check {
    const struct config *config;
    struct text *warnings;
    char *problem; /* CREDENTIALS_PROBLEM_BYTES */
};

static enum error fail(const struct check *check, enum error error, const char *key,
                       const char *path, const char *reason)
{
    snprintf(check->problem, CREDENTIALS_PROBLEM_BYTES, "%s: %s: %s", key, path, reason);
    return error;
}

/* --- one file --------------------------------------------------------------------------------- */

typedef enum error file_check(const struct check *check, const char *key, const char *path);

/* The file has one line. On failure `secret` is empty. */
static enum error read_secret(const struct check *check, const char *key, const char *path,
                              char secret[PROVIDER_HTTP_SECRET_BYTES])
{
    char problem[PROVIDER_HTTP_PROBLEM_BYTES]; /* "PATH: REASON" */
    if (provider_http_read_secret(path, secret, problem))
        return ERR_NONE;
    explicit_bzero(secret, PROVIDER_HTTP_SECRET_BYTES);
    snprintf(check->problem, CREDENTIALS_PROBLEM_BYTES, "%s: %.440s", key, problem);
    text_drop_partial(check->problem);
    return ERR_INVALID_FIELD;
}

/* The mode of a key of a listener is checked in the same way. */
static void warn_if_exposed(const struct check *check, const char *key, const char *path)
{
    struct stat status;
    if (stat(path, &status) == 0 && status.st_mode & (S_IWGRP | S_IRWXO))
        text_printf(check->warnings,
                    "%s: %s can be read or changed by other users; run chmod 600\n", key, path);
}

static enum error check_secret(const struct check *check, const char *key, const char *path)
{
    char secret[PROVIDER_HTTP_SECRET_BYTES];
    enum error error = read_secret(check, key, path, secret);
    explicit_bzero(secret, sizeof(secret));
    if (!error)
        warn_if_exposed(check, key, path);
    return error;
}

static enum error check_user(const struct check *check, const char *key, const char *path)
{
    char secret[PROVIDER_HTTP_SECRET_BYTES];
    enum error error = read_secret(check, key, path, secret);
    const char *colon = strchr(secret, ':');
    if (!error && (!colon || colon == secret || !text_is_utf8(slice_of(secret))))
        error = fail(check, ERR_INVALID_FIELD, key, path, "must have one line like USER:PASSWORD");
    if (!error)
        warn_if_exposed(check, key, path);
    explicit_bzero(secret, sizeof(secret));
    return error;
}

/* A token that the kubelet replaces has the mode that the pod gets. */
static enum error check_account_token(const struct check *check, const char *key, const char *path)
{
    char secret[PROVIDER_HTTP_SECRET_BYTES];
    enum error error = read_secret(check, key, path, secret);
    explicit_bzero(secret, sizeof(secret));
    return error;
}

static enum error check_namespace(const struct check *check, const char *key, const char *path)
{
    char name[PROVIDER_HTTP_SECRET_BYTES];
    enum error error = read_secret(check, key, path, name);
    if (!error && !config_value_is_label(name))
        error = fail(check, ERR_INVALID_FIELD, key, path, "it has no name of a namespace");
    return error;
}

static enum error check_authorities(const struct check *check, const char *key, const char *path)
{
    static const char mark[] = "-----BEGIN ";
    char content[AUTHORITIES_READ_BYTES];
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool is_open = fd >= 0 && fstat(fd, &status) == 0;
    bool is_regular = is_open && S_ISREG(status.st_mode);
    ssize_t size = is_regular ? read(fd, content, sizeof(content)) : -1;
    const char *reason = size < 0 ? strerror(errno) : NULL;
    if (is_open && !is_regular)
        reason = "it is not a regular file";
    if (fd >= 0)
        close(fd);
    if (reason)
        return fail(check, ERR_SYSTEM, key, path, reason);
    if (size == 0)
        return fail(check, ERR_INVALID_FIELD, key, path, "it is empty");
    if (!memmem(content, (size_t)size, mark, sizeof(mark) - 1))
        return fail(check, ERR_INVALID_FIELD, key, path, "it is not a PEM file");
    return ERR_NONE;
}

/* --- the files of the settings ---------------------------------------------------------------- */

#define FILE_OF(section, name)                                                                     \
    "cluster." #section "." #name, offsetof(struct config, cluster.section.name)

static const struct {
    const char *provider, *key;
    size_t offset;
    file_check *check;
} files[] = {
    {"etcd", FILE_OF(etcd, credentials_file), check_user},
    {"etcd", FILE_OF(etcd, token_file), check_secret},
    {"etcd", FILE_OF(etcd, ca), check_authorities},
    {"consul", FILE_OF(consul, token_file), check_secret},
    {"consul", FILE_OF(consul, ca), check_authorities},
};

static const char *path_at(const struct config *config, size_t offset)
{
    return (const char *)config + offset;
}

static enum error check_files(const struct check *check)
{
    enum error error = ERR_NONE;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && !error; i++) {
        const char *path = path_at(check->config, files[i].offset);
        if (path[0] && config_has_provider(check->config, files[i].provider))
            error = files[i].check(check, files[i].key, path);
    }
    return error;
}

static const struct {
    const char *provider;
    struct {
        const char *key;
        size_t offset;
    } files[CREDENTIAL_FILES];
} certificates[] = {
    {"etcd", {{FILE_OF(etcd, cert)}, {FILE_OF(etcd, key)}, {FILE_OF(etcd, ca)}}},
    {"consul", {{FILE_OF(consul, cert)}, {FILE_OF(consul, key)}, {FILE_OF(consul, ca)}}},
};

static enum error check_certificates(const struct check *check, uint64_t wall_ms)
{
    enum error error = ERR_NONE;
    for (size_t i = 0; i < sizeof(certificates) / sizeof(certificates[0]) && !error; i++) {
        struct credential_source source = {.min_version = check->config->tls.min_version};
        for (enum credential_file file = 0; file < CREDENTIAL_FILES; file++) {
            source.keys[file] = certificates[i].files[file].key;
            source.paths[file] = path_at(check->config, certificates[i].files[file].offset);
        }
        if (source.paths[CREDENTIAL_CERT][0] &&
            config_has_provider(check->config, certificates[i].provider))
            error = credential_check_source(&source, wall_ms, check->warnings, check->problem);
    }
    return error;
}

static enum error check_account_files(const struct check *check, const char *key,
                                      const char *folder, bool has_namespace)
{
    static const struct {
        const char *name;
        file_check *check;
    } account_files[] = {{"token", check_account_token},
                         {"ca.crt", check_authorities},
                         {"namespace", check_namespace}}; /* last: may be left out */
    size_t count = sizeof(account_files) / sizeof(account_files[0]);
    enum error error = ERR_NONE;
    if (has_namespace)
        count--;
    for (size_t i = 0; i < count && !error; i++) {
        char path[CONFIG_TEXT_BYTES + 16];
        snprintf(path, sizeof(path), "%s/%s", folder, account_files[i].name);
        error = account_files[i].check(check, key, path);
    }
    return error;
}

static enum error check_account(const struct check *check)
{
    static const char key[] = "cluster.kubernetes.account_dir";
    const char *folder = check->config->cluster.kubernetes.account_dir;
    const char *service = check->config->cluster.kubernetes.service;
    bool has_namespace = strchr(service, '/');
    bool is_default = strcmp(config_source_of(check->config, key), "default") == 0;
    if (!config_has_provider(check->config, "kubernetes"))
        return ERR_NONE;
    if (!folder[0] && !has_namespace)
        return fail(check, ERR_INVALID_FIELD, "cluster.kubernetes.service", service,
                    "must be NAMESPACE/NAME while cluster.kubernetes.account_dir is empty");
    if (!folder[0] || (is_default && access(folder, F_OK) != 0))
        return ERR_NONE;
    return check_account_files(check, key, folder, has_namespace);
}

enum error provider_files_check(const struct config *config, uint64_t wall_ms,
                                struct text *warnings, char problem[CREDENTIALS_PROBLEM_BYTES])
{
    const struct check check = {config, warnings, problem};
    if (!config->cluster.enabled)
        return ERR_NONE;
    enum error error = check_files(&check);
    if (!error)
        error = check_certificates(&check, wall_ms);
    return error ? error : check_account(&check);
}
