// Every reason for which a packet or a datagram is not passed on. Each has a counter.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "wire/segment.h"

namespace guise {

enum class DropReason : uint8_t {
  kNone,
  kTruncated,           // see ParseError
  kNotIp,               // …
  kNotTcp,              // …
  kFragment,            // a fragment that no honest host sends
  kBadHeader,           // …
  kBadChecksum,         // …
  kEventsFull,          // JavaScript is too slow for what arrives
  kHeldFull,            // more first segments than the queue of a flow in set-up takes
  kPendingFull,         // more first datagrams than the queue of an application takes
  kAbandoned,           // still waited when its flow or its application was forgotten
  kApplicationsFull,    // more applications than allowed
  kOversize,            // a datagram larger than one segment can carry
  kEmptyDatagram,       // a UDP datagram of 0 bytes: on the wire it would be a bare ACK
  kDeviceRefused,       // write to the device failed
  kBackendRefused,      // the UDP endpoint takes none: nobody listens there, or there is no way to it
  kUdpSendFailed,       // any other failed UDP send
  kNoFlow,              // sent by JavaScript on a flow that is gone
  kSendQueueFull,       // sent by JavaScript faster than the device takes it
  kOutOfWindow,         // a number that the peer of the flow would not send now
  kBadAck,              // acknowledges what was never sent, or nothing at all
  kStranger,            // neither a SYN, nor of a flow, nor with a cookie of ours
  kSynLimit,            // a SYN that came while more segments waited than were read
  kChallengeLimit,      // wanted an ACK as answer too soon after another
  kFlowsFull,           // opens a connection although as many as allowed are open
  kSourceFull,          // … although its address has as many as allowed
  kApplicationGone,     // came on a flow whose application is gone, or whose UDP listener was closed
  kFinData,             // came with a FIN: neither guise nor phantun sends any
  kDeviceOverrun,       // came faster than it was read, so that the kernel's ring for it was full
  kNotLocal,            // for an address that is not this host's: it forwards for others
  kFragmentOverlap,     // fragments of one packet that contradict each other
  kFragmentLate,        // … whose rest did not come in time
  kFragmentCrowded,     // … that made room for others, or are too many
  kApplicationRefused,  // the application that it is for takes none: it has ended
  kPathMtu,             // a datagram larger than what the path carries in one packet, where it cannot be cut
  kIcmpForged,          // an ICMP error that quotes nothing that is under way
  kCount,
};

inline constexpr std::array<std::string_view, static_cast<size_t>(DropReason::kCount)> kDropReasonNames = {
    "none",
    "truncated",
    "notIp",
    "notTcp",
    "fragment",
    "badHeader",
    "badChecksum",
    "eventsFull",
    "heldFull",
    "pendingFull",
    "abandoned",
    "applicationsFull",
    "oversize",
    "emptyDatagram",
    "deviceRefused",
    "backendRefused",
    "udpSendFailed",
    "noFlow",
    "sendQueueFull",
    "outOfWindow",
    "badAck",
    "stranger",
    "synLimit",
    "challengeLimit",
    "flowsFull",
    "sourceFull",
    "applicationGone",
    "finData",
    "deviceOverrun",
    "notLocal",
    "fragmentOverlap",
    "fragmentLate",
    "fragmentCrowded",
    "applicationRefused",
    "pathMtu",
    "icmpForged",
};

[[nodiscard]] inline DropReason drop_reason_of(ParseError error) {
  switch (error) {
    case ParseError::kNone:
      return DropReason::kNone;
    case ParseError::kTruncated:
      return DropReason::kTruncated;
    case ParseError::kNotIp:
      return DropReason::kNotIp;
    case ParseError::kNotTcp:
      return DropReason::kNotTcp;
    case ParseError::kFragment:
      return DropReason::kFragment;
    case ParseError::kBadHeader:
      return DropReason::kBadHeader;
    case ParseError::kBadChecksum:
      return DropReason::kBadChecksum;
  }
  return DropReason::kNone;
}

}  // namespace guise
