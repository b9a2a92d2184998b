// Where the fields of IPv4, IPv6, TCP and UDP headers are, in bytes from the header's begin.
#pragma once

#include <cstddef>
#include <cstdint>

namespace guise {

// RFC 791 §3.1.
namespace ipv4 {
inline constexpr size_t kVersionAndLength = 0, kTypeOfService = 1, kTotalLength = 2, kIdentification = 4, kFragment = 6,
                        kTimeToLive = 8, kProtocol = 9, kChecksum = 10, kSource = 12, kDestination = 16;
inline constexpr size_t kHeader = 20;  // without options
inline constexpr uint16_t kDontFragment = 0x4000, kMoreFragments = 0x2000, kOffset = 0x1fff,
                          kMoreOrOffset = kMoreFragments | kOffset;
}  // namespace ipv4

// RFC 8200 §3.
namespace ipv6 {
inline constexpr size_t kVersion = 0, kTrafficClass = 1, kPayloadLength = 4, kNextHeader = 6, kHopLimit = 7,
                        kSource = 8, kDestination = 24;
inline constexpr size_t kHeader = 40;

// Extension headers that carry no upper layer of their own (RFC 8200 §4.1, RFC 4302), and the fragment header.
enum : uint8_t { kHopByHop = 0, kRouting = 43, kFragment = 44, kAuthentication = 51, kDestinationOptions = 60 };
// Of an extension header: what follows, its length in units, and its least size.
inline constexpr size_t kExtensionNext = 0, kExtensionLength = 1, kExtensionLeast = 8;
// Of the fragment header, from its begin: the place of the fragment, which is an offset in bytes and a flag (§4.5).
inline constexpr size_t kFragmentHeader = 8, kPlace = 2, kIdentification = 4;
inline constexpr uint16_t kOffset = 0xfff8, kMoreFragments = 1;
}  // namespace ipv6

// RFC 9293 §3.1.
namespace tcp {
inline constexpr size_t kSourcePort = 0, kDestinationPort = 2, kSequence = 4, kAcknowledgment = 8, kDataOffset = 12,
                        kFlags = 13, kWindow = 14, kChecksum = 16, kUrgent = 18;
inline constexpr size_t kHeader = 20;  // without options
}  // namespace tcp

// RFC 768.
namespace udp {
inline constexpr size_t kSourcePort = 0, kDestinationPort = 2, kLength = 4, kChecksum = 6;
inline constexpr size_t kHeader = 8;
}  // namespace udp

inline constexpr uint8_t kProtocolTcp = 6, kProtocolUdp = 17;

// RFC 792, RFC 1191 §4; RFC 4443 §2.1, §3. Both have type, code and checksum in front, and quote behind 8 bytes.
namespace icmp {
inline constexpr size_t kType = 0, kCode = 1, kChecksum = 2, kMtu4 = 6, kMtu6 = 4;
inline constexpr size_t kHeader = 8;
inline constexpr uint8_t kProtocol4 = 1, kProtocol6 = 58;
inline constexpr uint8_t kUnreachable4 = 3, kUnreachable6 = 1, kTooBig6 = 2;
inline constexpr uint8_t kFragmentationNeeded = 4;  // a code of kUnreachable4
}  // namespace icmp

}  // namespace guise
