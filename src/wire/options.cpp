#include "wire/options.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <locale>
#include <optional>
#include <sstream>

#include "types/amount.hpp"

namespace redislock::wire {
namespace {

error bad(std::string message) { return {errc::configuration, std::move(message)}; }

int hex_value(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// RFC 3986 section 2.1; nullopt where a '%' is not followed by two hexadecimal digits.
std::optional<std::string> percent_decode(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        if (i + 2 >= text.size()) return std::nullopt;
        const int high = hex_value(text[i + 1]);
        const int low = hex_value(text[i + 2]);
        if (high < 0 || low < 0) return std::nullopt;
        out += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return out;
}

result<nanos> parse_seconds(std::string_view name, std::string_view text) {
    // Not strtod: in the locale of an application "2.5" may not be a number. from_chars is too new for
    // libc++.
    std::istringstream in{std::string(text)};
    in.imbue(std::locale::classic());
    double value = 0;
    in >> std::noskipws >> value;
    if (in.fail() || in.peek() != std::istringstream::traits_type::eof() || !std::isfinite(value) ||
        value <= 0 || value > 1e6) {
        return bad(std::string(name) + " must be a number of seconds above 0, like 2.5");
    }
    return static_cast<nanos>(value * static_cast<double>(second));
}

result<bool> parse_bool(std::string_view name, std::string_view text) {
    if (text == "true" || text == "True" || text == "1" || text == "yes") return true;
    if (text == "false" || text == "False" || text == "0" || text == "no") return false;
    return bad(std::string(name) + " must be true or false");
}

result<done> set_db(options& target, std::string_view text) {
    const auto value = parse_integer(text);
    if (!value || *value < 0 || *value > 1'000'000)
        return bad("db must be a number from 0, like /0 at the end of the URL");
    target.db = *value;
    return done{};
}

result<done> set_port(options& target, std::string_view text) {
    const auto value = parse_integer(text);
    if (!value || *value < 1 || *value > 65535) return bad("port must be a number from 1 to 65535");
    target.port = static_cast<std::uint16_t>(*value);
    return done{};
}

result<done> set_cert_reqs(options& target, std::string_view text) {
    if (text == "required") target.tls.verify_peer = true;
    else if (text == "none") target.tls.verify_peer = false;
    else return bad("ssl_cert_reqs must be 'required' or 'none'");
    return done{};
}

result<done> set_connections(options& target, std::string_view text) {
    const auto value = parse_integer(text);
    if (!value || *value < 1 || *value > 10'000)
        return bad("max_connections must be a number from 1 to 10000");
    target.max_connections = static_cast<std::uint32_t>(*value);
    return done{};
}

result<done> set_client_name(options& target, std::string_view text) {
    for (char c : text) {
        if (c < '!' || c > '~') return bad("client_name must be printable ASCII without spaces");
    }
    target.client_name = text;
    return done{};
}

struct text_option {
    std::string_view name;
    std::string& (*field)(options&);
};

constexpr std::array<text_option, 6> text_options{{
    {"username", [](options& o) -> std::string& { return o.username; }},
    {"password", [](options& o) -> std::string& { return o.password; }},
    {"ssl_ca_certs", [](options& o) -> std::string& { return o.tls.ca_certs; }},
    {"ssl_ca_path", [](options& o) -> std::string& { return o.tls.ca_path; }},
    {"ssl_certfile", [](options& o) -> std::string& { return o.tls.certfile; }},
    {"ssl_keyfile", [](options& o) -> std::string& { return o.tls.keyfile; }},
}};

result<done> apply_query(options& target, std::string_view query) {
    while (!query.empty()) {
        const auto end = query.find('&');
        const auto pair = query.substr(0, end);
        query = end == std::string_view::npos ? std::string_view{} : query.substr(end + 1);
        if (pair.empty()) continue;
        const auto equals = pair.find('=');
        const auto name = pair.substr(0, equals);
        const auto value =
            percent_decode(equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1));
        if (!value)
            return bad("the URL's parameter '" + std::string(name) +
                       "' has a '%' that is not followed by two hexadecimal digits");
        if (auto set = set_option(target, name, *value); !set) return set;
    }
    return done{};
}

result<done> apply_credentials(options& target, std::string_view text) {
    const auto colon = text.find(':');
    const auto user = percent_decode(text.substr(0, colon));
    const auto password =
        percent_decode(colon == std::string_view::npos ? std::string_view{} : text.substr(colon + 1));
    if (!user || !password) {
        return bad(
            "the URL's user name or password has a '%' that is not followed by two hexadecimal digits; write "
            "'%' as %25");
    }
    target.username = *user;
    target.password = *password;
    return done{};
}

result<done> apply_host(options& target, std::string_view text) {
    std::string_view host = text;
    std::string_view port;
    if (!text.empty() && text.front() == '[') {  // an IPv6 address, RFC 3986 section 3.2.2
        const auto close = text.find(']');
        if (close == std::string_view::npos) return bad("the URL's IPv6 address lacks its closing ']'");
        host = text.substr(1, close - 1);
        const auto rest = text.substr(close + 1);
        if (!rest.empty()) {
            if (rest.front() != ':') return bad("the URL has text after the ']' that is no ':port'");
            port = rest;
        }
    } else if (const auto colon = text.find(':'); colon != std::string_view::npos) {
        host = text.substr(0, colon);
        port = text.substr(colon);
    }
    const auto decoded = percent_decode(host);
    if (!decoded) return bad("the URL's host has a '%' that is not followed by two hexadecimal digits");
    for (char c : *decoded) {
        if (c <= ' ' || c == 127) return bad("the URL's host holds a space or a control character");
    }
    if (!decoded->empty()) target.host = *decoded;
    if (port.empty()) return done{};
    return set_port(target, port.substr(1));
}

result<done> apply_authority(options& target, std::string_view rest) {
    const auto slash = rest.find('/');
    const auto authority = rest.substr(0, slash);
    const auto path = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
    std::string_view host = authority;
    if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
        if (auto set = apply_credentials(target, authority.substr(0, at)); !set) return set;
        host = authority.substr(at + 1);
    }
    if (auto set = apply_host(target, host); !set) return set;
    if (path.empty()) return done{};
    return set_db(target, path);
}

result<done> apply_path(options& target, std::string_view rest) {
    std::string_view path = rest;
    if (const auto at = rest.find('@'); at != std::string_view::npos && at < rest.find('/')) {
        if (auto set = apply_credentials(target, rest.substr(0, at)); !set) return set;
        path = rest.substr(at + 1);
    }
    const auto decoded = percent_decode(path);
    if (!decoded) return bad("the URL's path has a '%' that is not followed by two hexadecimal digits");
    if (target.scheme == scheme::unix_socket && (decoded->empty() || decoded->front() != '/')) {
        return bad("a unix socket needs an absolute path: unix:///run/redis.sock");
    }
    if (target.scheme == scheme::unix_socket && decoded->size() > 103) {
        return bad("the unix socket's path is longer than 103 bytes, more than the system takes");
    }
    target.path = *decoded;
    return done{};
}

result<done> apply_location(options& target, std::string_view rest) {
    if (target.scheme == scheme::unix_socket || target.scheme == scheme::memory)
        return apply_path(target, rest);
    return apply_authority(target, rest);
}

constexpr std::array<std::pair<std::string_view, scheme>, 4> schemes{{{"redis://", scheme::tcp},
                                                                      {"rediss://", scheme::tls},
                                                                      {"unix://", scheme::unix_socket},
                                                                      {"memory://", scheme::memory}}};

std::string_view scheme_prefix(scheme which) noexcept {
    return schemes[static_cast<std::size_t>(which)].first;
}

}  // namespace

result<done> set_option(options& target, std::string_view name, std::string_view value) {
    const bool plain = target.scheme == scheme::tcp || target.scheme == scheme::unix_socket;
    if (plain && name.starts_with("ssl_")) {
        return bad(std::string(name) +
                   " is an option of TLS, which the URL does not ask for; write rediss:// at its head");
    }
    for (const auto& option : text_options) {
        if (option.name == name) {
            option.field(target) = value;
            return done{};
        }
    }
    if (name == "db") return set_db(target, value);
    if (name == "client_name") return set_client_name(target, value);
    if (name == "max_connections") return set_connections(target, value);
    if (name == "ssl_cert_reqs") return set_cert_reqs(target, value);
    if (name == "ssl_check_hostname") {
        auto parsed = parse_bool(name, value);
        if (!parsed) return parsed.error();
        target.tls.check_hostname = *parsed;
        return done{};
    }
    if (name == "timeout" || name == "connect_timeout") {
        auto parsed = parse_seconds(name, value);
        if (!parsed) return parsed.error();
        (name == "timeout" ? target.timeout : target.connect_timeout) = *parsed;
        return done{};
    }
    return bad("unknown option '" + std::string(name) +
               "'; known are timeout, connect_timeout, username, password, db, client_name, max_connections, "
               "ssl_ca_certs, ssl_ca_path, ssl_certfile, ssl_keyfile, ssl_cert_reqs and ssl_check_hostname");
}

result<options> parse_url(std::string_view url) {
    options target;
    if (url.empty()) return bad("the URL is empty; write redis://host:6379/0, unix:///path or memory://");
    std::string_view rest = url;
    bool known = false;
    for (const auto& [prefix, which] : schemes) {
        if (rest.starts_with(prefix)) {
            target.scheme = which;
            rest.remove_prefix(prefix.size());
            known = true;
            break;
        }
    }
    if (!known && rest.find("://") != std::string_view::npos) {
        return bad("the URL's scheme must be redis, rediss, unix or memory, like redis://host:6379/0");
    }
    if (!known && rest.front() == '/') return bad("a unix socket is named like this: unix:///run/redis.sock");
    if (const auto fragment = rest.find('#'); fragment != std::string_view::npos) {
        return bad("the URL holds a '#'; write it as %23");
    }
    const auto question = rest.find('?');
    const auto query = question == std::string_view::npos ? std::string_view{} : rest.substr(question + 1);
    if (auto set = apply_location(target, rest.substr(0, question)); !set) return set.error();
    if (auto set = apply_query(target, query); !set) {
        if (query.find('@') == std::string_view::npos) return set.error();
        // What was taken for a parameter may be the rest of a password, and is not repeated.
        return bad(
            "the URL has a wrong parameter after its '?'; in a user name or password write '?' as %3F");
    }
    return target;
}

std::string options::redacted() const {
    std::string text(scheme_prefix(scheme));
    if (scheme == wire::scheme::memory) return text + path;
    if (!username.empty() || !password.empty()) {
        text += username;
        if (!password.empty()) text += ":***";
        text += '@';
    }
    if (scheme == wire::scheme::unix_socket)
        return text + path + (db != 0 ? "?db=" + std::to_string(db) : "");
    text += host.find(':') == std::string::npos ? host : "[" + host + "]";
    text += ':' + std::to_string(port);
    return text + '/' + std::to_string(db);
}

}  // namespace redislock::wire
