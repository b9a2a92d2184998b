// What routers and hosts say of a segment that they have not passed on: ICMP (RFC 792) and ICMPv6 (RFC 4443) errors.
// No system call, no allocation.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "wire/tuple.h"
#include "wire/virtio_net.h"

namespace guise {

struct IcmpError {
  enum class Kind : uint8_t {
    kTooBig = 1,       // it does not fit the next link, and must not be cut
    kUnreachable = 2,  // any other reason why it goes no further
  };
  Kind kind{};
  uint8_t code = 0;  // as it stands there: what it means depends on the family (RFC 1812 §5.2.7.1; RFC 4443 §3.1)
  uint32_t mtu = 0;  // of kTooBig: bytes of the largest packet that fits; 0 from routers older than RFC 1191
  Address from;      // who says it
  Tuple tuple;       // of the quoted segment: local is where it came from
  uint32_t seq = 0;  // … its number
};

// Reads an IP packet that is an error about a TCP segment with no extension headers, which is what we send. `offload`
// is the header in front of it, or null. Nothing when it is none, or damaged.
[[nodiscard]] std::optional<IcmpError> parse_icmp_error(std::span<const uint8_t> packet,
                                                        const VirtioNetHeader* offload);

}  // namespace guise
