// The options of a TCP header (RFC 9293 §3.2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace guise {

enum class TcpOption : uint8_t { kEnd = 0, kNoOperation = 1, kSackPermitted = 4 };

// Whether `wanted` is among them. What is behind an option with a length that cannot be is not read.
[[nodiscard]] inline bool has_option(std::span<const uint8_t> options, TcpOption wanted) {
  for (size_t at = 0; at < options.size();) {
    const auto kind = static_cast<TcpOption>(options[at]);
    if (kind == wanted) return true;
    if (kind == TcpOption::kEnd) return false;
    const bool single = kind == TcpOption::kNoOperation;
    const size_t length = single ? 1 : at + 1 < options.size() ? options[at + 1] : 0;
    if (length < (single ? 1 : 2)) return false;
    at += length;
  }
  return false;
}

}  // namespace guise
