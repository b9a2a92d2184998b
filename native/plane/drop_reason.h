// Every reason for which a packet or a datagram is not passed on. Each has a counter.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace guise {

enum class DropReason : uint8_t {
  kNone,
  kTruncated,         // shorter than its headers say
  kNotIp,             // neither IPv4 nor IPv6
  kNotTcp,            // ICMP, UDP, … on the device
  kFragment,          // an IP fragment: TCP with DF is never fragmented by an honest peer
  kBadHeader,         // header lengths that contradict each other, IPv4 addresses in an IPv6 header
  kBadChecksum,       // IP or TCP checksum wrong
  kEventsFull,        // the control plane is too slow for what arrives
  kHeldFull,          // more first segments than the queue of a flow in set-up takes
  kPendingFull,       // more first datagrams than the queue of an application takes
  kAbandoned,         // still waited when its flow or its application was forgotten
  kApplicationsFull,  // more applications than allowed
  kOversize,          // a datagram larger than one segment can carry
  kEmptyDatagram,     // a UDP datagram of 0 bytes: on the wire it would be a bare ACK
  kDeviceRefused,     // write to the device failed
  kBackendRefused,    // send to the UDP endpoint failed: nobody listens there
  kUdpSendFailed,     // any other failed UDP send
  kNoFlow,            // sent by JavaScript on a flow that is gone
  kSendQueueFull,     // sent by JavaScript faster than the device takes it
  kOutOfWindow,       // a number that the peer of the flow would not send now
  kBadAck,            // acknowledges what was never sent, or nothing at all
  kStranger,          // neither a SYN, nor of a flow, nor with a cookie of ours
  kSynLimit,          // a SYN that came while more segments waited than were read
  kChallengeLimit,    // wanted an ACK as answer too soon after another
  kFlowsFull,         // opens a connection although as many as allowed are open
  kSourceFull,        // … although its address has as many as allowed
  kCount,
};

inline constexpr std::array<std::string_view, static_cast<size_t>(DropReason::kCount)> kDropReasonNames = {
    "none",          "truncated",     "notIp",         "notTcp",         "fragment",      "badHeader",
    "badChecksum",   "eventsFull",    "heldFull",      "pendingFull",    "abandoned",     "applicationsFull",
    "oversize",      "emptyDatagram", "deviceRefused", "backendRefused", "udpSendFailed", "noFlow",
    "sendQueueFull", "outOfWindow",   "badAck",        "stranger",       "synLimit",      "challengeLimit",
    "flowsFull",     "sourceFull",
};

}  // namespace guise
