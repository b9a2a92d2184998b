#include "netstack/ip_options.h"

#include "wire/headers.h"
#include "wire/ip.h"

namespace guise {
namespace {

// RFC 791 §3.1.
constexpr uint8_t kEnd = 0, kNoOperation = 1, kLooseRoute = 131, kStrictRoute = 137;
constexpr size_t kRoutePointer = 2;

// RFC 8200 §4.2: what the highest bits of an option ask of those who do not know it.
constexpr uint8_t kPad1 = 0;
constexpr uint8_t kActionMask = 0xc0, kSkip = 0x00, kDiscard = 0x40, kDiscardAndTell = 0x80;

// RFC 4443 §3.4.
constexpr uint8_t kErroneousField = 0, kUnknownHeader = 1, kUnknownOption = 2;

constexpr size_t kRoutingType = 2, kSegmentsLeft = 3;

using Action = ExtensionVerdict::Action;

bool is_multicast(std::span<const uint8_t> headers) { return headers[ipv6::kDestination] == 0xff; }

// The options of a hop-by-hop or destination options header, which begin `at`.
ExtensionVerdict judge_options(std::span<const uint8_t> headers, size_t at, size_t end) {
  while (at < end) {
    const uint8_t type = headers[at];
    if (type == kPad1) {
      ++at;
      continue;
    }
    if (at + 2 > end || at + 2 + headers[at + 1] > end) return {Action::kDrop};
    const uint8_t action = type & kActionMask;
    if (action != kSkip) {
      const bool tells = action == kDiscardAndTell || (action != kDiscard && !is_multicast(headers));
      if (!tells) return {Action::kDrop};
      return {Action::kTell, kUnknownOption, at};
    }
    at += 2 + size_t{headers[at + 1]};
  }
  return {};
}

}  // namespace

bool passes_ipv4_options(std::span<const uint8_t> options) {
  for (size_t at = 0; at < options.size() && options[at] != kEnd;) {
    if (options[at] == kNoOperation) {
      ++at;
      continue;
    }
    const size_t size = at + 1 < options.size() ? options[at + 1] : 0;
    if (size < 2 || size > options.size() - at) return false;
    if (options[at] == kLooseRoute || options[at] == kStrictRoute) {
      // The pointer counts from 1; beyond the option's end the route is at its end.
      if (size < 3 || options[at + kRoutePointer] <= size) return false;
    }
    at += size;
  }
  return true;
}

ExtensionVerdict judge_ipv6_extensions(std::span<const uint8_t> headers) {
  size_t next_at = ipv6::kNextHeader;
  for (size_t at = ipv6::kHeader; at < headers.size();) {
    const uint8_t number = headers[next_at];
    const size_t end = at + ipv6_extension_size(number, &headers[at]);
    if (number == ipv6::kHopByHop || number == ipv6::kDestinationOptions) {
      // Hop-by-hop options stand in front of all others, or are none (RFC 8200 §4.1).
      if (number == ipv6::kHopByHop && at != ipv6::kHeader) return {Action::kTell, kUnknownHeader, next_at};
      const ExtensionVerdict verdict = judge_options(headers, at + 2, end);
      if (verdict.action != Action::kGoOn) return verdict;
    }
    // We know no routing type; a route that is at its end is passed over (RFC 8200 §4.4).
    if (number == ipv6::kRouting && headers[at + kSegmentsLeft] != 0) {
      return {Action::kTell, kErroneousField, at + kRoutingType};
    }
    next_at = at;
    at = end;
  }
  return {};
}

}  // namespace guise
