// A device as TypeScript has it: packets come as rows and leave by rows. One thread's, and no packet allocates, but
// fragments and those in memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "netstack/datagram_writer.h"
#include "netstack/flow_table.h"
#include "netstack/packet_sink.h"
#include "netstack/port_device.h"
#include "netstack/row.h"
#include "netstack/row_parser.h"
#include "netstack/segment_writer.h"
#include "wire/reassembly.h"

namespace guise {

// What a port shares with JavaScript; it may outlive the port.
struct PortMemory {
  explicit PortMemory(size_t rows) : incoming(rows * row::kWords), outgoing(row::kOutgoingRows * row::kWords) {}

  [[nodiscard]] int32_t* incoming_row(size_t index) { return &incoming[index * row::kWords]; }
  [[nodiscard]] const int32_t* outgoing_row(size_t index) const { return &outgoing[index * row::kWords]; }

  std::vector<int32_t> incoming, outgoing;
  row::State state;
  row::Counters counters;
};

class PacketPort {
 public:
  // What a slab has to have behind the place of the next packet: the largest, with what precedes it.
  static constexpr size_t kReadRoom = 65'600;

  // Random bits.
  struct Keys {
    std::array<uint64_t, 2> hash, identification;
    uint64_t flows, fragments;
  };

  struct Options {
    std::unique_ptr<PortDevice> device;
    bool segmentation = false;  // the device takes super-segments
    size_t mtu = 0;             // bytes of the largest packet to write
    size_t rows = 0;            // of a batch
    Reassembly::Limits fragments{};
    Keys keys{};
  };

  explicit PacketPort(Options options);
  PacketPort(const PacketPort&) = delete;
  PacketPort& operator=(const PacketPort&) = delete;
  ~PacketPort() = default;

  [[nodiscard]] const std::shared_ptr<PortMemory>& memory() const { return memory_; }
  void set_mtu(size_t mtu) { memory_->state.mtu = static_cast<int32_t>(mtu); }
  [[nodiscard]] size_t mtu() const { return static_cast<size_t>(memory_->state.mtu); }
  // Rows of the batch that was read last.
  [[nodiscard]] size_t rows() const { return count_; }

  // Reads a batch into `slab` from `at` on. The rows that it filled, or -errno when the device is gone.
  [[nodiscard]] int read(std::span<uint8_t> slab, size_t at);

  // Writes segments without payload by the first rows that leave. Those that did not leave.
  [[nodiscard]] int write_segments(size_t count);
  // By one row of those that leave: see SegmentWriter::write_data(). -EBADF where the row's flow is none.
  [[nodiscard]] int64_t write_data(size_t row, ChunkSource& source, size_t size, size_t segment_size);
  // Answers a TCP packet of the batch by the first row that leaves. 0 or -errno.
  [[nodiscard]] int answer(size_t index);

  // The number of a new flow, -1 where the tuple has one.
  int attach(uint8_t protocol, const Tuple& tuple);
  int attach_row(size_t index);
  void detach(int32_t flow);
  // The number of a tuple's flow, -1 for none.
  [[nodiscard]] int find(uint8_t protocol, const Tuple& tuple) const { return flows_.find(protocol, tuple); }
  // Null where there is none.
  [[nodiscard]] const PortFlow* flow(int32_t id) const { return flows_.at(id); }

  [[nodiscard]] int32_t hash(const Tuple& tuple, uint32_t word) const;
  [[nodiscard]] int32_t hash_row(size_t index, uint32_t word) const { return hash(packets_[index].tuple, word); }

  // Writes a datagram, in packets of at most `mtu` bytes. 0 or -errno.
  [[nodiscard]] int write_udp(const Tuple& tuple, std::span<const uint8_t> payload, size_t mtu);

  struct Packet {
    uint8_t protocol;
    Address local, remote;  // of one version
    std::span<const uint8_t> payload;
    uint8_t hop_limit;
    size_t checksum_at;  // in the payload; PacketSink::kNoChecksum: none
  };
  [[nodiscard]] int write_packet(const Packet& packet);

 private:
  // What is known of a packet of the batch beside its row.
  struct Known {
    uint8_t protocol;  // TCP's or UDP's number, or 0
    Tuple tuple;
  };

  [[nodiscard]] size_t take(std::span<uint8_t> slab, size_t at, size_t size, const VirtioNetHeader* offload);
  [[nodiscard]] Parsed put_together(std::span<uint8_t> packet, int32_t* row, Tuple& tuple);
  void count_lost();
  void rename(uint8_t protocol, const Tuple& tuple, int32_t flow);
  [[nodiscard]] uint32_t next_identification(const Address& local, const Address& remote);

  const std::unique_ptr<PortDevice> device_;
  const std::shared_ptr<PortMemory> memory_;
  const Keys keys_;
  FlowTable flows_;
  Reassembly reassembly_;
  PacketSink sink_;
  SegmentWriter segments_;
  std::vector<Known> packets_;
  size_t count_ = 0;
  uint32_t identification_ = 0;
  std::vector<uint8_t> scratch_;
};

}  // namespace guise
