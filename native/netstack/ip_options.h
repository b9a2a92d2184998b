// IPv4 options and IPv6 extension headers: whether a host that is no router goes on with a packet that has them. No
// system call, no allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace guise {

// Whether the options of an IPv4 header are well formed, and none asks for a way that is not at its end (RFC 1122
// §3.2.1.8: source routes).
[[nodiscard]] bool passes_ipv4_options(std::span<const uint8_t> options);

// What is to be done with an IPv6 packet that has extension headers.
struct ExtensionVerdict {
  enum class Action : uint8_t {
    kGoOn,
    kDrop,
    kTell,  // drop it, and tell the sender by a Parameter Problem (RFC 4443 §3.4)
  };
  Action action = Action::kGoOn;
  uint8_t code = 0;  // of kTell: what is wrong,
  size_t at = 0;     // … and where in the packet
};

// `headers`: the headers of a packet that parse_ipv6() has read.
[[nodiscard]] ExtensionVerdict judge_ipv6_extensions(std::span<const uint8_t> headers);

}  // namespace guise
