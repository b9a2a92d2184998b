// Writes segments by rows: without payload one by one, with payload as super-segments where the kernel takes them. One
// thread's.
#pragma once

#include <cstddef>
#include <cstdint>

#include "netstack/flow_table.h"
#include "netstack/packet_sink.h"
#include "netstack/payload.h"

namespace guise {

class SegmentWriter {
 public:
  // `segmentation`: the kernel takes super-segments.
  SegmentWriter(PacketSink& sink, bool segmentation) : sink_(sink), segmentation_(segmentation) {}

  // Writes a segment without payload. 0 or -errno.
  [[nodiscard]] int write_bare(const SegmentHeader& header, uint16_t identification, const int32_t* row);

  // Writes `size` > 0 bytes of `source`, cut every `segment_size` > 0. The bytes that left, or -errno when none did:
  // -EINVAL where the source has less, -EMSGSIZE where no packet holds a segment.
  [[nodiscard]] int64_t write_data(PortFlow& flow, const int32_t* row, ChunkSource& source, size_t size,
                                   size_t segment_size);

 private:
  // What is being written.
  struct Data {
    PortFlow& flow;
    const int32_t* row;
    size_t size;
    size_t segment_size;
    size_t sent = 0;
  };

  [[nodiscard]] bool gather(ChunkSource& source, std::span<const uint8_t>& chunk, size_t size);
  [[nodiscard]] int write_gathered(Data& data);
  [[nodiscard]] int write_pieces(Data& data, size_t piece);

  PacketSink& sink_;
  bool segmentation_;
  Payload payload_;
};

}  // namespace guise
