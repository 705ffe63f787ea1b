/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/json/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/json/codec_internal.h"

enum {
    EXCERPT_BYTES = 64,
    NAME_BYTES = 64,
    BUDGET_BASE_BYTES = 1024 * 1024,
    BUDGET_TIMES = 16,
};

enum casing dialect_casing(enum dialect dialect)
{
    return dialect == DIALECT_SNAKE ? CASING_SNAKE : CASING_CAMEL;
}

enum dialect dialect_choose(bool java, enum name_casing names, enum casing neutral)
{
    if (java)
        return DIALECT_JAVA;
    bool camel = names == NAMES_NEUTRAL ? neutral == CASING_CAMEL : names == NAMES_CAMEL;
    return camel ? DIALECT_CAMEL : DIALECT_SNAKE;
}

/* Jansson does not report that memory ran out: it calls the body malformed, or drops a byte of a
 * text and continues. So it allocates through remembering_malloc, which records the failure. */
static _Thread_local bool out_of_memory;

/* Jansson does not limit the tree that it builds of a body: 3 bytes of `{},` become hundreds. The
 * tree of an ordinary instance takes eight times the size of its text; the budget is twice that. */
static _Thread_local size_t budget = SIZE_MAX;
static _Thread_local bool over_budget;

static void *remembering_malloc(size_t size)
{
    if (size > budget) {
        over_budget = true;
        return NULL;
    }
    void *block = malloc(size);
    if (!block)
        out_of_memory = true;
    else if (budget != SIZE_MAX)
        budget -= size;
    return block;
}

__attribute__((constructor)) static void set_allocator_of_jansson(void)
{
    json_set_alloc_funcs(remembering_malloc, free);
}

void json_excerpt(const json_t *value, char *out, size_t out_size)
{
    char *dump = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    size_t size = dump ? strlen(dump) : 0;
    size_t shown = size < EXCERPT_BYTES ? size : EXCERPT_BYTES;
    while (shown < size && shown > 0 && ((unsigned char)dump[shown] & 0xC0) == 0x80)
        shown--; /* do not split a UTF-8 sequence */
    snprintf(out, out_size, "%.*s%s", (int)shown, dump ? dump : "", shown < size ? "..." : "");
    free(dump);
}

/* Jansson quotes the text that it could not read, which may be invalid UTF-8. */
static void replace_non_ascii(char *message)
{
    for (char *c = message; *c; c++)
        if (*c < 0x20 || *c > 0x7e)
            *c = '?';
}

enum error json_read(struct slice body, size_t flags, json_t **out, char message[MESSAGE_BYTES])
{
    json_error_t why;
    out_of_memory = over_budget = false;
    budget = BUDGET_BASE_BYTES + body.size * BUDGET_TIMES;
    json_t *root = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES | flags, &why);
    budget = SIZE_MAX;
    if (out_of_memory || over_budget) {
        json_decref(root);
        snprintf(message, MESSAGE_BYTES,
                 "body: holds too many values for its %zu bytes; send fewer items at a time",
                 body.size);
        return out_of_memory ? ERR_NO_MEMORY : ERR_TOO_MANY_ITEMS;
    }
    if (!root) { /* the text of Jansson for NUL is for programmers */
        bool nul = json_error_code(&why) == json_error_null_character;
        snprintf(message, MESSAGE_BYTES, "body: %s at line %d, column %d",
                 nul ? "NUL (\\u0000) is not allowed" : why.text, why.line, why.column);
        replace_non_ascii(message);
        return ERR_INVALID_JSON;
    }
    *out = root;
    return ERR_NONE;
}

enum error document_open(struct slice body, struct document *document, char message[MESSAGE_BYTES])
{
    *document = (struct document){0};
    if (body.size == 0) {
        document->root = json_object();
        return document->root ? ERR_NONE : ERR_NO_MEMORY;
    }
    json_t *root;
    enum error error = json_read(body, 0, &root, message);
    if (error)
        return error;
    if (!json_is_object(root)) {
        char excerpt[EXCERPT_BYTES + 8];
        json_excerpt(root, excerpt, sizeof(excerpt));
        snprintf(message, MESSAGE_BYTES, "body: must be a JSON object, is %s", excerpt);
        json_decref(root);
        return ERR_INVALID_JSON;
    }
    document->root = root;
    return ERR_NONE;
}

void document_close(struct document *document)
{
    json_decref(document->root);
    *document = (struct document){0};
}

enum error document_parse(struct slice body, struct document **out, char message[MESSAGE_BYTES])
{
    struct document *document = malloc(sizeof(*document));
    if (!document)
        return ERR_NO_MEMORY;
    enum error error = document_open(body, document, message);
    if (error) {
        free(document);
        return error;
    }
    *out = document;
    return ERR_NONE;
}

void document_free(struct document *document)
{
    if (!document)
        return;
    document_close(document);
    free(document);
}

enum name_casing document_names(const struct document *document)
{
    return document->names;
}

enum error member_get(const json_t *object, const char *snake, const char *name_camel, json_t **out,
                      enum name_casing *names, char *problem, size_t problem_size)
{
    json_t *value = json_object_get(object, snake);
    bool differ = snake != name_camel && strcmp(snake, name_camel) != 0;
    if (differ && value)
        name_casing_add(names, NAMES_SNAKE);
    if (json_is_null(value))
        value = NULL;
    if (differ) {
        json_t *other = json_object_get(object, name_camel);
        if (other)
            name_casing_add(names, NAMES_CAMEL);
        if (other && !json_is_null(other)) {
            if (value) {
                snprintf(problem, problem_size, "is given twice, as %s and %s", snake, name_camel);
                return ERR_INVALID_FIELD;
            }
            value = other;
        }
    }
    *out = value;
    return ERR_NONE;
}

/* Finds a member of the root by its snake_case name. `name` gets its name in the casing of the
 * body, for messages. */
static enum error root_member(struct document *document, const char *snake, json_t **out,
                              char name[NAME_BYTES], char message[MESSAGE_BYTES])
{
    char camel_name[NAME_BYTES];
    camel_name[jw_camel(camel_name, snake)] = '\0';
    char problem[PROBLEM_BYTES];
    enum error error = member_get(document->root, snake, camel_name, out, &document->names, problem,
                                  sizeof(problem));
    snprintf(name, NAME_BYTES, "%s", document->names == NAMES_CAMEL ? camel_name : snake);
    if (error)
        snprintf(message, MESSAGE_BYTES, "%s: %s", name, problem);
    return error;
}

enum error document_text(struct document *document, const char *snake_name, struct slice *out,
                         char message[MESSAGE_BYTES])
{
    char name[NAME_BYTES];
    json_t *value;
    enum error error = root_member(document, snake_name, &value, name, message);
    if (error || !value)
        return error;
    if (!json_is_string(value)) {
        char excerpt[EXCERPT_BYTES + 8];
        json_excerpt(value, excerpt, sizeof(excerpt));
        snprintf(message, MESSAGE_BYTES, "%s: must be a string, is %s", name, excerpt);
        return ERR_INVALID_FIELD;
    }
    *out = (struct slice){json_string_value(value), json_string_length(value)};
    return ERR_NONE;
}

enum error document_u64(struct document *document, const char *snake_name, uint64_t *out,
                        char message[MESSAGE_BYTES])
{
    char name[NAME_BYTES];
    json_t *value;
    enum error error = root_member(document, snake_name, &value, name, message);
    if (error || !value)
        return error;
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        char excerpt[EXCERPT_BYTES + 8];
        json_excerpt(value, excerpt, sizeof(excerpt));
        snprintf(message, MESSAGE_BYTES, "%s: must be an integer from 0, is %s", name, excerpt);
        return ERR_INVALID_FIELD;
    }
    *out = (uint64_t)json_integer_value(value);
    return ERR_NONE;
}

enum error document_numbers(struct document *document, const char *snake_name, uint64_t highest,
                            size_t max, uint64_t *out, size_t *count, bool *given,
                            char message[MESSAGE_BYTES])
{
    char name[NAME_BYTES];
    char excerpt[EXCERPT_BYTES + 8];
    json_t *list;
    *count = 0;
    enum error error = root_member(document, snake_name, &list, name, message);
    *given = !error && list;
    if (error || !list)
        return error;
    if (!json_is_array(list)) {
        json_excerpt(list, excerpt, sizeof(excerpt));
        snprintf(message, MESSAGE_BYTES, "%s: must be a list, is %s", name, excerpt);
        return ERR_INVALID_FIELD;
    }
    if (json_array_size(list) > max) {
        snprintf(message, MESSAGE_BYTES, "%s: must be at most %zu numbers, has %zu", name, max,
                 json_array_size(list));
        return ERR_TOO_MANY_ITEMS;
    }
    for (; *count < json_array_size(list); (*count)++) {
        json_t *value = json_array_get(list, *count);
        json_int_t number = json_is_integer(value) ? json_integer_value(value) : -1;
        if (number < 0 || (uint64_t)number > highest) {
            json_excerpt(value, excerpt, sizeof(excerpt));
            snprintf(message, MESSAGE_BYTES, "%s[%zu]: must be 0 to %llu, is %s", name, *count,
                     (unsigned long long)highest, excerpt);
            return ERR_INVALID_FIELD;
        }
        out[*count] = (uint64_t)number;
    }
    return ERR_NONE;
}
