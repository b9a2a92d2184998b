// The way out of a packet port: a packet with headers of ours leaves, with or without a VirtioNetHeader.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "netstack/port_device.h"
#include "netstack/row.h"
#include "wire/headers.h"

namespace guise {

// Turns the pseudo-header's sum in the field at `at` of `head` into the checksum of `head` and what follows. `head` has
// an even number of bytes.
void complete_checksum(std::span<uint8_t> head, std::span<const iovec> rest, size_t at);

class PacketSink {
 public:
  // Bytes that have to be free in front of an IP header.
  static constexpr size_t kRoom = sizeof(VirtioNetHeader);
  static constexpr size_t kNoChecksum = SIZE_MAX;

  struct Packet {
    uint8_t* ip;  // all headers, with kRoom in front
    size_t header_size;
    size_t ip_size;  // of them the IP header, with extension headers
    iovec* vectors;  // vectors[0] is for the headers, the others have what is behind them
    size_t vector_count;
    // Of a checksum that is to be made: where it is behind the IP header, a field that holds the pseudo-header's sum.
    size_t checksum_at = kNoChecksum;
    size_t segment_size = 0;  // of a super-segment: bytes of payload of each segment but the last
  };

  PacketSink(PortDevice& device, row::Counters& counters) : device_(device), counters_(counters) {}

  // 0 or -errno. -EINVAL of a super-segment: the kernel takes none.
  [[nodiscard]] int write(const Packet& packet);
  // Counts a packet that was not taken. Returns what it is given.
  int refuse(int error) {
    ++counters_.refused;
    return error;
  }
  void count_fallback() { ++counters_.segmentation_fallbacks; }

 private:
  PortDevice& device_;
  row::Counters& counters_;
};

}  // namespace guise
