// The options of a SYN (RFC 9293 §3.2, RFC 7323 §2, RFC 2018 §2). src/wire/syn_options.ts reads a SYN-ACK's by the same
// rules.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "wire/bytes.h"

namespace guise {

namespace tcp_option {
inline constexpr uint8_t kEnd = 0, kNoOperation = 1, kMss = 2, kWindowScale = 3, kSackPermitted = 4, kSack = 5,
                         kTimestamps = 8;
}  // namespace tcp_option

struct SynOptions {
  bool scaled = false;  // windows behind the handshake are scaled, if the answer has the option too
  bool sack_permitted = false;
  uint16_t mss = 0;  // bytes of payload that the sender takes in one segment, 0 where it does not say
};

// What is behind an option with a length that cannot be is not read; what has a length other than its own says nothing.
// Linux and its connection tracker read so too (net/ipv4/tcp_input.c, tcp_parse_options; tcp_options in
// net/netfilter/nf_conntrack_proto_tcp.c). Of several MSS options the least counts: it holds for any reader.
[[nodiscard]] inline SynOptions parse_syn_options(std::span<const uint8_t> options) {
  using namespace tcp_option;
  SynOptions found;
  for (size_t at = 0; at < options.size() && options[at] != kEnd;) {
    const uint8_t kind = options[at];
    if (kind == kNoOperation) {
      ++at;
      continue;
    }
    const size_t length = at + 1 < options.size() ? options[at + 1] : 0;
    if (length < 2 || length > options.size() - at) break;
    if (kind == kWindowScale && length == 3) found.scaled = true;
    if (kind == kSackPermitted && length == 2) found.sack_permitted = true;
    if (kind == kMss && length == 4) {
      const auto mss = read16(&options[at + 2]);
      if (mss != 0) found.mss = found.mss == 0 ? mss : std::min(found.mss, mss);
    }
    at += length;
  }
  return found;
}

// Lowers the MSS that stands in front of a SYN's options.
inline void limit_mss(std::span<uint8_t> options, size_t most) {
  if (options.size() < 4 || options[0] != tcp_option::kMss) return;
  if (read16(&options[2]) > most) write16(&options[2], static_cast<uint16_t>(most));
}

}  // namespace guise
