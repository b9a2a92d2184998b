#include "netstack/segment_writer.h"

#include <algorithm>
#include <cerrno>

#include "netstack/row.h"
#include "netstack/row_header.h"
#include "wire/cut.h"

namespace guise {
namespace {

// FIN and PSH belong to the last segment, CWR to the first: one reduction is told of once (RFC 3168 §6.1.2).
uint8_t flags_of(const int32_t* row, bool first, bool last) {
  auto flags = static_cast<uint8_t>(row[row::out::kFlags]);
  if (!first) flags &= static_cast<uint8_t>(~kCwr);
  if (!last) flags &= static_cast<uint8_t>(~(kFin | kPsh));
  return flags;
}

}  // namespace

int SegmentWriter::write_bare(const SegmentHeader& header, uint16_t identification, const int32_t* row) {
  uint8_t headers[PacketSink::kRoom + kMaxHeaders];
  uint8_t* ip = headers + PacketSink::kRoom;
  const size_t size = write_row_header(ip, header, row,
                                       {.seq = static_cast<uint32_t>(row[row::out::kSeq]),
                                        .flags = static_cast<uint8_t>(row[row::out::kFlags]),
                                        .identification = identification,
                                        .payload_size = 0});
  iovec vectors[1];
  const int error = sink_.write({.ip = ip,
                                 .header_size = size,
                                 .ip_size = header.ip_size(),
                                 .vectors = vectors,
                                 .vector_count = 1,
                                 .checksum_at = tcp::kChecksum});
  return error ? sink_.refuse(error) : 0;
}

int64_t SegmentWriter::write_data(PortFlow& flow, const int32_t* row, ChunkSource& source, size_t size,
                                  size_t segment_size) {
  const size_t room = kMaxPacket - flow.header.size() - options_size(row);
  if (segment_size > room) return -EMSGSIZE;
  const size_t most = room - room % segment_size;  // of a super-segment
  Data data{.flow = flow, .row = row, .size = size, .segment_size = segment_size};
  std::span<const uint8_t> chunk;
  int error = 0;
  while (error == 0 && data.sent < size) {
    error = gather(source, chunk, std::min(most, size - data.sent)) ? write_gathered(data) : -EINVAL;
  }
  return data.sent > 0 ? static_cast<int64_t>(data.sent) : error;
}

// `chunk`: what is left of the chunk before.
bool SegmentWriter::gather(ChunkSource& source, std::span<const uint8_t>& chunk, size_t size) {
  payload_.clear();
  while (payload_.bytes() < size) {
    if (chunk.empty()) {
      if (!source.next(chunk)) return false;
      continue;
    }
    const size_t part = std::min(chunk.size(), size - payload_.bytes());
    payload_.add(chunk.first(part));
    chunk = chunk.subspan(part);
  }
  return true;
}

// 0 or -errno.
int SegmentWriter::write_gathered(Data& data) {
  const size_t size = payload_.bytes();
  int error = write_pieces(data, segmentation_ ? size : data.segment_size);
  if (error == -EINVAL && segmentation_ && size > data.segment_size) {
    // Some kernels refuse super-segments on a TUN (6.6.44 and other stables): cut them here from now on.
    segmentation_ = false;
    sink_.count_fallback();
    payload_.rewind();
    error = write_pieces(data, data.segment_size);
  }
  return error ? sink_.refuse(error) : 0;
}

// Writes what is gathered, a packet for each `piece` bytes of it. 0, or the first -errno.
int SegmentWriter::write_pieces(Data& data, size_t piece) {
  const SegmentHeader& header = data.flow.header;
  const auto seq = static_cast<uint32_t>(data.row[row::out::kSeq]);
  uint8_t headers[PacketSink::kRoom + kMaxHeaders];
  uint8_t* ip = headers + PacketSink::kRoom;
  iovec vectors[1 + Payload::kMostVectors];
  const size_t end = data.sent + payload_.bytes();
  while (data.sent < end) {
    const size_t size = std::min(piece, end - data.sent);
    const uint8_t flags = flags_of(data.row, data.sent == 0, data.sent + size == data.size);
    const size_t header_size = write_row_header(ip, header, data.row,
                                                {.seq = seq + static_cast<uint32_t>(data.sent),
                                                 .flags = flags,
                                                 .identification = data.flow.identification,
                                                 .payload_size = size});
    const size_t count = payload_.take(size, vectors + 1);
    const int error = sink_.write({.ip = ip,
                                   .header_size = header_size,
                                   .ip_size = header.ip_size(),
                                   .vectors = vectors,
                                   .vector_count = 1 + count,
                                   .checksum_at = tcp::kChecksum,
                                   .segment_size = size > data.segment_size ? data.segment_size : 0});
    if (error) return error;
    data.sent += size;
    data.flow.identification += static_cast<uint16_t>(datagrams_in(size, data.segment_size));
  }
  return 0;
}

}  // namespace guise
