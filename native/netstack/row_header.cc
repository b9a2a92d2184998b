#include "netstack/row_header.h"

#include <algorithm>
#include <cstring>

#include "netstack/row.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/tcp_options.h"

namespace guise {
namespace {

using namespace row;

constexpr size_t kMostOptions = 40;  // RFC 9293 §3.1
constexpr size_t kMssSize = 4, kPaddedScale = 4, kPaddedTimestamps = 12, kPaddedSackPermitted = 4, kSackHead = 4,
                 kSackBlock = 8;

size_t sack_blocks(const int32_t* row, size_t used) {
  const auto asked = static_cast<size_t>(row[out::kOptions] >> option::kSackCountShift & 0xf);
  const size_t room = used + kSackHead < kMostOptions ? (kMostOptions - used - kSackHead) / kSackBlock : 0;
  return std::min({asked, room, kMostSackBlocks});
}

// Of all but SACK blocks.
size_t fixed_size(int32_t options) {
  size_t size = 0;
  if (options & option::kMss) size += kMssSize;
  // SACK permitted takes the place of the two bytes that pad timestamps.
  if (options & option::kTimestamps) {
    size += kPaddedTimestamps;
  } else if (options & option::kSackPermitted) {
    size += kPaddedSackPermitted;
  }
  if (options & option::kScale) size += kPaddedScale;
  return size;
}

uint8_t* put(uint8_t* at, std::initializer_list<uint8_t> bytes) { return std::ranges::copy(bytes, at).out; }

uint8_t* put32(uint8_t* at, int32_t word) {
  write32(at, static_cast<uint32_t>(word));
  return at + 4;
}

// In the order of Linux (net/ipv4/tcp_output.c, tcp_options_write), by which stacks are known.
size_t write_options(uint8_t* begin, const int32_t* row) {
  using namespace tcp_option;
  const int32_t options = row[out::kOptions];
  uint8_t* at = begin;
  if (options & option::kMss) {
    at = put(at, {tcp_option::kMss, kMssSize});
    write16(at, static_cast<uint16_t>(row[out::kMss]));
    at += 2;
  }
  const bool sack_permitted = options & option::kSackPermitted;
  if (sack_permitted) {
    if (!(options & option::kTimestamps)) at = put(at, {kNoOperation, kNoOperation});
    at = put(at, {kSackPermitted, 2});
  }
  if (options & option::kTimestamps) {
    if (!sack_permitted) at = put(at, {kNoOperation, kNoOperation});
    at = put(at, {kTimestamps, 10});
    at = put32(at, row[out::kTimestamp]);
    at = put32(at, row[out::kTimestampEcho]);
  }
  if (options & option::kScale) {
    at = put(at, {kNoOperation, kWindowScale, 3, static_cast<uint8_t>(row[out::kMss] >> kScaleShift)});
  }
  if (const size_t blocks = sack_blocks(row, static_cast<size_t>(at - begin))) {
    at = put(at, {kNoOperation, kNoOperation, kSack, static_cast<uint8_t>(2 + kSackBlock * blocks)});
    for (size_t i = 0; i < 2 * blocks; ++i) at = put32(at, row[out::kSack + i]);
  }
  return static_cast<size_t>(at - begin);
}

// Gives the IP header what SegmentHeader has no place for: the ECN field, and of IPv4 the identification.
void mark(uint8_t* ip, uint8_t ecn, uint16_t identification) {
  if (ip[0] >> 4 == 6) {
    ip[ipv6::kTrafficClass] |= static_cast<uint8_t>(ecn << 4);
    return;
  }
  ip[ipv4::kTypeOfService] |= ecn;
  write16(ip + ipv4::kIdentification, identification);
  // Both were 0 in the sum that is there (RFC 1624).
  ChecksumSum sum;
  sum.add_word(static_cast<uint16_t>(~read_at<uint16_t>(ip + ipv4::kChecksum)));
  sum.add_word(static_cast<uint16_t>(ecn << 8));
  sum.add_word(read_at<uint16_t>(ip + ipv4::kIdentification));
  const uint16_t checksum = sum.checksum();
  std::memcpy(ip + ipv4::kChecksum, &checksum, sizeof checksum);
}

}  // namespace

size_t options_size(const int32_t* row) {
  const size_t size = fixed_size(row[out::kOptions]);
  const size_t blocks = sack_blocks(row, size);
  return size + (blocks > 0 ? kSackHead + kSackBlock * blocks : 0);
}

size_t write_row_header(uint8_t* to, const SegmentHeader& header, const int32_t* row, const RowSegment& segment) {
  uint8_t options[kMostOptions];
  const size_t size = write_options(options, row);
  const size_t written = header.write(to, segment.seq, static_cast<uint32_t>(row[out::kAck]), segment.flags,
                                      {options, size}, segment.payload_size);
  write16(to + header.ip_size() + tcp::kWindow, static_cast<uint16_t>(row[out::kWindow]));
  mark(to, row[out::kFlags] >> kEcnShift & fact::kEcnMask, segment.identification);
  return written;
}

}  // namespace guise
