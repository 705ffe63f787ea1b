/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/toml.h"

#include <algorithm>
#include <cstdio>
#include <new>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace
{

/* toml++ 3.3 takes some malformed texts for mistakes of its own. Its assertions throw here, since a
 * typing error in a file is no reason to abort. */
struct stumble {
};

[[noreturn]] void stumbled()
{
    throw stumble{};
}

} // namespace

#undef NDEBUG /* under which toml++ would run on into undefined behaviour */
#define TOML_ASSERT(expr)      ((expr) ? void() : stumbled())
#define TOML_HEADER_ONLY       1
#define TOML_EXCEPTIONS        1
#define TOML_ENABLE_FORMATTERS 0
#define TOML_MAX_NESTED_VALUES 16
#include <toml++/toml.h>

namespace
{

/* toml++ bounds how deep values nest, but not how many parts a key has, and frees what it has read
 * recursively: a key of a million parts would end the stack. Nobody writes so many dots in a row.
 */
constexpr unsigned KEY_DOTS_MAX = 250;

struct refusal {
    toml::source_position where;
    std::string sentence;
};

struct leaf {
    std::string key;
    const toml::node *node;
};

void refuse_endless_keys(std::string_view text)
{
    unsigned dots = 0;
    unsigned line = 1;
    for (char c : text) {
        if (c == '.' && ++dots > KEY_DOTS_MAX)
            throw refusal{{line, 1}, "tables nested too deep"};
        if (std::string_view("\n=,{}[]").find(c) != std::string_view::npos)
            dots = 0;
        line += c == '\n';
    }
}

bool stumbles(std::string_view text)
{
    try {
        toml::table ignored = toml::parse(text);
    } catch (const stumble &) {
        return true;
    } catch (const toml::parse_error &) {
    }
    return false;
}

/* The first byte that makes the reader stumble, found by halving: all longer texts stumble, too. */
toml::source_position where_it_stumbles(std::string_view text)
{
    size_t fine = 0;
    for (size_t bad = text.size(); bad - fine > 1;) {
        size_t middle = fine + (bad - fine) / 2;
        (stumbles(text.substr(0, middle)) ? bad : fine) = middle;
    }
    std::string_view before = text.substr(0, fine);
    auto line = 1 + std::count(before.begin(), before.end(), '\n');
    size_t start = before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1;
    return {static_cast<toml::source_index>(line),
            static_cast<toml::source_index>(fine - start + 1)};
}

toml::table parsed(std::string_view text)
{
    try {
        return toml::parse(text);
    } catch (const stumble &) {
        throw refusal{where_it_stumbles(text), "this is not TOML"};
    }
}

std::string shown_key(std::string_view key)
{
    constexpr std::string_view bare =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    if (!key.empty() && key.find_first_not_of(bare) == std::string_view::npos)
        return std::string(key);
    std::string quoted = "\"";
    for (char c : key)
        quoted += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    return quoted + '"';
}

void collect(const toml::table &table, const std::string &prefix, int depth,
             std::vector<leaf> &leaves)
{
    for (const auto &[key, node] : table) {
        const toml::table *inner = node.as_table();
        std::string name = prefix + shown_key(key.str());
        if (!inner || inner->empty())
            leaves.push_back({name, &node});
        else if (depth == TOML_DEPTH_MAX)
            throw refusal{key.source().begin, "tables nested too deep"};
        else
            collect(*inner, name + ".", depth + 1, leaves);
    }
}

const char *lend(const toml::value<std::string> &text)
{
    if (text.get().find('\0') != std::string::npos)
        throw refusal{text.source().begin, "a text must not hold a zero byte"};
    return text.get().c_str();
}

std::string described(const toml::node &node)
{
    std::ostringstream out;
    if (const auto *number = node.as_floating_point())
        out << "the number " << number->get();
    else if (const auto *date = node.as_date())
        out << "the date " << date->get();
    else if (const auto *time = node.as_time())
        out << "the time " << time->get();
    else if (const auto *date_time = node.as_date_time())
        out << "the date " << date_time->get();
    else
        out << "a list of other than texts";
    return out.str();
}

/* What the value points to lives in the node, in `items` or in `other`. */
toml_value value_of(const toml::node &node, std::vector<const char *> &items, std::string &other)
{
    toml_value value = {};
    if (const auto *text = node.as_string()) {
        value.type = TOML_TYPE_TEXT;
        value.text = lend(*text);
    } else if (const auto *integer = node.as_integer()) {
        value.type = TOML_TYPE_INTEGER;
        value.integer = integer->get();
    } else if (const auto *boolean = node.as_boolean()) {
        value.type = TOML_TYPE_BOOLEAN;
        value.boolean = boolean->get();
    } else if (const auto *array = node.as_array();
               array && (array->empty() || array->is_homogeneous<std::string>())) {
        for (const auto &item : *array)
            items.push_back(lend(*item.as_string()));
        value.type = TOML_TYPE_LIST;
        value.items = items.data();
        value.count = items.size();
    } else if (node.is_table()) {
        value.type = TOML_TYPE_TABLE;
    } else {
        other = described(node);
        value.type = TOML_TYPE_OTHER;
        value.text = other.c_str();
    }
    return value;
}

error visit_all(const toml::table &root, toml_visit *visit, void *context)
{
    std::vector<leaf> leaves;
    collect(root, "", 1, leaves);
    std::stable_sort(leaves.begin(), leaves.end(), [](const leaf &a, const leaf &b) {
        return a.node->source().begin < b.node->source().begin;
    });
    for (const leaf &leaf : leaves) {
        std::vector<const char *> items;
        std::string other;
        toml_value value = value_of(*leaf.node, items, other);
        error code = visit(context, leaf.key.c_str(), &value, leaf.node->source().begin.line);
        if (code != ERR_NONE)
            return code;
    }
    return ERR_NONE;
}

} // namespace

error toml_read(const char *name, slice text, toml_visit *visit, void *context, char *message,
                size_t message_size)
{
    auto refuse = [&](const toml::source_position &where, std::string_view sentence) {
        std::snprintf(message, message_size, "%s:%u:%u: %.*s", name, where.line, where.column,
                      static_cast<int>(sentence.size()), sentence.data());
        return ERR_INVALID_FIELD;
    };
    const std::string_view document(text.data, text.size);
    try {
        refuse_endless_keys(document);
        return visit_all(parsed(document), visit, context);
    } catch (const toml::parse_error &e) {
        return refuse(e.source().begin, e.description());
    } catch (const refusal &e) {
        return refuse(e.where, e.sentence);
    } catch (const std::bad_alloc &) {
        std::snprintf(message, message_size, "%s: out of memory", name);
        return ERR_NO_MEMORY;
    } catch (...) {
        std::snprintf(message, message_size, "%s: cannot be read as TOML", name);
        return ERR_SYSTEM;
    }
}
