// IP and TCP header of a segment, by a row of what is to leave. No system call, no allocation.
#pragma once

#include <cstddef>
#include <cstdint>

#include "wire/segment.h"

namespace guise {

// What differs between the segments of one row.
struct RowSegment {
  uint32_t seq;
  uint8_t flags;
  uint16_t identification;  // of IPv4; 0 for none
  size_t payload_size;
};

// Bytes of the options that a row asks for, as far as there is room.
[[nodiscard]] size_t options_size(const int32_t* row);

// Writes the headers to `to`, kMaxHeaders bytes at most; the checksum field gets the pseudo-header's sum, as of
// SegmentHeader::write(). The bytes written.
size_t write_row_header(uint8_t* to, const SegmentHeader& header, const int32_t* row, const RowSegment& segment);

}  // namespace guise
