#include "types/keys.hpp"

namespace redislock {
namespace {

constexpr std::string_view placeholder = "{user}";
constexpr std::string_view unsafe_in_adopted{"{}\r\n\0", 5};

bool must_encode(char c) noexcept {
    return c == '{' || c == '}' || c == '%' || c == '\r' || c == '\n' || c == '\0';
}

void append_encoded(std::string& out, std::string_view text) {
    static constexpr char hex[] = "0123456789ABCDEF";
    for (char c : text) {
        if (must_encode(c)) {
            const auto byte = static_cast<unsigned char>(c);
            out += '%';
            out += hex[byte >> 4U];
            out += hex[byte & 15U];
        } else {
            out += c;
        }
    }
}

std::string join(std::string_view stem, std::string_view rest) {
    std::string name;
    name.reserve(stem.size() + rest.size());
    return name.append(stem).append(rest);
}

// What Redis Cluster hashes: the text between the first '{' and the next '}', if not empty.
// https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags
bool has_hash_tag(std::string_view key) noexcept {
    const auto open = key.find('{');
    if (open == std::string_view::npos) return false;
    const auto close = key.find('}', open + 1);
    return close != std::string_view::npos && close > open + 1;
}

account_keys with_side_keys(std::string balance, std::string_view stem) {
    return {std::move(balance), join(stem, ":history"), join(stem, ":lock"), join(stem, ":once:")};
}

}  // namespace

std::string account_keys::record(std::string_view idempotency_key) const {
    return join(once, idempotency_key);
}

std::string stock_keys::record(std::string_view order_id) const { return join(orders, order_id); }

std::string side_key(std::string_view name, std::string_view what) {
    // "x" and "{x}" must not share one.
    if (has_hash_tag(name)) return join(join(name, ":redislock:t:"), what);
    return join(join("{", name), join("}:redislock:", what));
}

result<key_scheme> key_scheme::make(std::string_view prefix, std::string_view balance_template) {
    key_scheme scheme;
    if (prefix.find_first_of("{}") != std::string_view::npos) {
        return {errc::configuration,
                "prefix must not contain braces: they mark the hash tag, which is the user"};
    }
    scheme.prefix_ = prefix;
    if (balance_template.empty()) return scheme;
    const auto at = balance_template.find(placeholder);
    if (at == std::string_view::npos ||
        balance_template.find(placeholder, at + placeholder.size()) != std::string_view::npos) {
        return {errc::configuration, "balance_key must contain {user} exactly once, like 'acct:{user}:bal'"};
    }
    scheme.before_ = balance_template.substr(0, at);
    scheme.after_ = balance_template.substr(at + placeholder.size());
    scheme.adopts_ = true;
    const std::string sample = scheme.before_ + "user" + scheme.after_;
    if (sample.find_first_of("{}") != std::string::npos && !has_hash_tag(sample)) {
        return {errc::configuration,
                "balance_key's braces besides {user} must form a hash tag, like 'acct:{{user}}:bal'"};
    }
    return scheme;
}

std::string key_scheme::tag_of(std::string_view name) const {
    std::string stem;
    stem.reserve(prefix_.size() + name.size() + 3);
    if (!prefix_.empty()) stem.append(prefix_).append(":");
    stem += '{';
    append_encoded(stem, name);
    stem += '}';
    return stem;
}

result<stock_keys> key_scheme::stock_of(std::string_view sku) const {
    if (sku.empty()) return {errc::invalid_argument, "sku must not be empty"};
    const std::string stem = tag_of(sku);
    const std::string level = join(stem, ":stock");
    return stock_keys{level,
                      join(level, ":holds"),
                      join(level, ":buyers"),
                      join(stem, ":outbox"),
                      join(level, ":lock"),
                      join(level, ":order:")};
}

result<account_keys> key_scheme::keys_of(std::string_view user) const {
    if (user.empty()) return {errc::invalid_argument, "user must not be empty"};
    if (!adopts_) {
        const std::string stem = tag_of(user);
        return with_side_keys(join(stem, ":balance"), stem);
    }
    if (user.find_first_of(unsafe_in_adopted) != std::string_view::npos) {
        return {errc::invalid_argument,
                "user must not contain braces, CR, LF or NUL where balance_key names existing keys"};
    }
    std::string balance = before_;
    balance += user;
    balance += after_;
    if (!has_hash_tag(balance)) return with_side_keys(balance, "{" + balance + "}");
    // Under a tag that all users share, "alice:history" could be both a side key and a user's balance.
    if (has_hash_tag(before_)) return with_side_keys(balance, "redislock:" + balance);
    return with_side_keys(balance, balance);
}

}  // namespace redislock
