/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/tls/credential_store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "artemis-server/log.h"

enum { DAY_MS = 24 * 60 * 60 * 1000, NO_DAY = -1, RETRY_MS = 60 * 1000 };

/* What distinguishes a file from its successor. */
struct file_mark {
    dev_t device;
    ino_t number;
    off_t size;
    struct timespec changed;
};

struct credential_store {
    struct credential_source source;
    struct file_mark marks[CREDENTIAL_FILES]; /* at the last attempt */
    uint64_t attempted_ms;                    /* the last attempt */
    int64_t warned_day;                       /* since the epoch */
    struct {
        pthread_mutex_t lock;
        struct credentials *credentials;
        uint64_t reloads, failures;
        bool is_failing;
    } _shared;
};

static void read_marks(const struct credential_source *source,
                       struct file_mark marks[CREDENTIAL_FILES])
{
    struct stat status;
    for (enum credential_file file = 0; file < CREDENTIAL_FILES; file++) {
        memset(&marks[file], 0, sizeof(marks[file])); /* with the padding: it is compared */
        if (!source->paths[file][0] || stat(source->paths[file], &status) != 0)
            continue;
        marks[file].device = status.st_dev;
        marks[file].number = status.st_ino;
        marks[file].size = status.st_size;
        marks[file].changed = status.st_mtim;
    }
}

static void warn_of_exposed_key(const struct credential_store *store,
                                const struct credentials *credentials)
{
    if (credentials_key_is_exposed(credentials))
        log_event(LOG_LEVEL_WARN, "other users can read or change the private key; run chmod 600",
                  LOG_TEXT("setting", store->source.keys[CREDENTIAL_KEY]),
                  LOG_TEXT("file", store->source.paths[CREDENTIAL_KEY]));
}

enum error credential_store_open(const struct credential_source *source, struct moment now,
                                 struct credential_store **out,
                                 char problem[CREDENTIALS_PROBLEM_BYTES])
{
    struct credential_store *store = calloc(1, sizeof(*store));
    snprintf(problem, CREDENTIALS_PROBLEM_BYTES, "out of memory");
    if (!store)
        return ERR_NO_MEMORY;
    store->source = *source;
    store->warned_day = NO_DAY;
    read_marks(source, store->marks);
    enum error error = credentials_load(source, now.wall_ms, &store->_shared.credentials, problem);
    if (error) {
        free(store);
        return error;
    }
    pthread_mutex_init(&store->_shared.lock, NULL);
    warn_of_exposed_key(store, store->_shared.credentials);
    *out = store;
    return ERR_NONE;
}

void credential_store_close(struct credential_store *store)
{
    if (!store)
        return;
    credentials_unref(store->_shared.credentials);
    pthread_mutex_destroy(&store->_shared.lock);
    free(store);
}

struct credentials *credential_store_get(struct credential_store *store)
{
    pthread_mutex_lock(&store->_shared.lock);
    struct credentials *credentials = credentials_ref(store->_shared.credentials);
    pthread_mutex_unlock(&store->_shared.lock);
    return credentials;
}

static int64_t days_left(const struct credentials *credentials, struct moment now)
{
    int64_t left_ms = (int64_t)credentials_expiry_ms(credentials) - (int64_t)now.wall_ms;
    return left_ms / DAY_MS - (left_ms < 0);
}

bool credential_store_is_failing(struct credential_store *store)
{
    if (!store)
        return false;
    pthread_mutex_lock(&store->_shared.lock);
    bool is_failing = store->_shared.is_failing;
    pthread_mutex_unlock(&store->_shared.lock);
    return is_failing;
}

struct credential_status credential_store_status(struct credential_store *store, struct moment now)
{
    pthread_mutex_lock(&store->_shared.lock);
    struct credential_status status = {
        .expiry_days = days_left(store->_shared.credentials, now),
        .reloads = store->_shared.reloads,
        .failures = store->_shared.failures,
        .is_failing = store->_shared.is_failing,
    };
    pthread_mutex_unlock(&store->_shared.lock);
    return status;
}

static void reload(struct credential_store *store, struct moment now)
{
    char problem[CREDENTIALS_PROBLEM_BYTES] = "";
    struct credentials *loaded = NULL;
    store->attempted_ms = now.mono_ms;
    enum error error = credentials_load(&store->source, now.wall_ms, &loaded, problem);
    pthread_mutex_lock(&store->_shared.lock);
    struct credentials *replaced = NULL;
    if (!error) {
        replaced = store->_shared.credentials;
        store->_shared.credentials = loaded;
    }
    store->_shared.reloads += !error;
    store->_shared.failures += error != ERR_NONE;
    store->_shared.is_failing = error != ERR_NONE;
    pthread_mutex_unlock(&store->_shared.lock);
    credentials_unref(replaced);
    if (error) {
        log_event(
            LOG_LEVEL_ERROR, "certificate was not reloaded; new connections get the earlier one",
            LOG_TEXT("setting", store->source.keys[CREDENTIAL_CERT]), LOG_TEXT("reason", problem));
        return;
    }
    log_event(LOG_LEVEL_INFO, "certificate reloaded",
              LOG_TEXT("setting", store->source.keys[CREDENTIAL_CERT]),
              LOG_TEXT("file", store->source.paths[CREDENTIAL_CERT]),
              LOG_NUMBER("expires_in_days", (uint64_t)days_left(loaded, now)));
    warn_of_exposed_key(store, loaded);
}

static void warn_of_expiry(struct credential_store *store, struct moment now)
{
    int64_t left = credential_store_status(store, now).expiry_days;
    int64_t today = (int64_t)now.wall_ms / DAY_MS;
    if (left >= EXPIRY_WARNING_DAYS || today == store->warned_day)
        return;
    store->warned_day = today;
    log_event(left < 0 ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN,
              left < 0 ? "certificate has expired; replace its file"
                       : "certificate expires soon; replace its file",
              LOG_TEXT("setting", store->source.keys[CREDENTIAL_CERT]),
              LOG_TEXT("file", store->source.paths[CREDENTIAL_CERT]),
              LOG_NUMBER("expires_in_days", left < 0 ? 0 : (uint64_t)left));
}

void credential_store_check(struct credential_store *store, bool force, struct moment now)
{
    struct file_mark marks[CREDENTIAL_FILES];
    if (!store)
        return;
    read_marks(&store->source, marks);
    bool retries = store->_shared.is_failing && now.mono_ms >= store->attempted_ms + RETRY_MS;
    if (force || retries || memcmp(marks, store->marks, sizeof(marks)) != 0) {
        memcpy(store->marks, marks, sizeof(marks));
        reload(store, now);
    }
    warn_of_expiry(store, now);
}
