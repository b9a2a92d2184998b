// What one worker tells JavaScript: records in a buffer that both sides see, handed over by swapping two of them.
//
// Two kinds of events, in one order. What comes from outside at any rate (datagrams, segments of strangers, openings)
// is lost when the buffer is full, and the caller counts it. What JavaScript must hear of (control events) never is:
// when the buffer is full it waits behind it, and nothing overtakes it. That is bounded by what it speaks of: a flow is
// attached once, an application and a device come and go once, and of a flow's repeated RSTs and FINs one of each
// waits.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <mutex>
#include <set>
#include <span>

#include "plane/mapped_memory.h"
#include "wire/segment.h"

namespace guise {

enum class EventType : uint8_t {
  kSegment = 1,   // a segment of no flow, which is for JavaScript to answer: options, then payload; detail is its TTL
                  // and kForeignWindow
  kDatagram = 2,  // payload on a flow that JavaScript reads
  kApplication = 3,  // control. A new application: id, detail is its listener's; the tuple has the UDP endpoints
  kAttached = 4,     // control. The owner of a flow has it in its table: no more segments of it come as unknown
  kDeviceGone = 5,   // control. The interface was deleted, or the other end of the descriptor closed
  kOpening = 6,      // the ACK that brings a cookie back, or data behind it: detail is what its SYN said, see below
  kFlowEnd = 7,      // control. The RST or the FIN of a flow's peer; seq is that of the RST or FIN itself
  kAddresses = 9,    // control. The host has got an address, or lost one
  kLargeSent = 10,   // control. A datagram of the size in seq left, larger than what PathLimit.watched says
  kAnswer = 11,      // of a flow: the peer has had a probe; seq is its token, ack the bytes of the payload that came
  kIcmpError = 12,   // an error that quotes a segment of the tuple, of a flow or id 0: flags is its kind, seq the
                     // quoted number, ack the MTU; the payload is its code, then the address of who says it
  kRecut = 13,       // control. Segments of a flow are cut or joined on the way: a probe came in another size
  kApplicationGone = 8,  // control. A flow was spliced to an application that is gone: what comes on it is dropped
  kRefused = 14,  // the UDP side of a flow takes no datagrams: seq is the errno that says why; 0 when it is heard again
  kUnsent = 15,   // a segment of no flow did not leave this host: seq is the errno
  kAwake = 16,    // control. A datagram left on a flow, the first since Engine::watch_sending
};

// EventRecord::detail of a segment, beside its TTL, and of an opening: its window is none that guise or phantun sends.
inline constexpr uint32_t kForeignWindow = 1 << 8;

// EventRecord::detail of an opening: three bits, and in the upper half the MSS, 0 where the SYN had none.
inline constexpr uint32_t kOpeningPhantun = 1, kOpeningScaled = 2, kOpeningMssShift = 16;

// The fixed part of a record. Little-endian, records are 8-aligned. The binding exports the layout.
struct EventRecord {
  uint32_t size = 0;  // of the whole record with padding
  EventType type{};
  uint8_t flags = 0;  // TCP flags
  uint8_t worker = 0;
  uint8_t options_size = 0;
  uint32_t id = 0;  // flow or application, 0 = none
  uint32_t seq = 0;
  uint32_t ack = 0;
  uint32_t payload_size = 0;
  uint16_t local_port = 0;
  uint16_t remote_port = 0;
  uint32_t detail = 0;  // of a flow: FlowCounters.generation, since its id may be another's when the event is read
  uint8_t local_address[16]{};
  uint8_t remote_address[16]{};
  uint64_t way = 0;  // of a segment or an opening: how it came, see Way

  void set_tuple(const Tuple& tuple) {
    std::memcpy(local_address, tuple.local.address.bytes.data(), 16);
    std::memcpy(remote_address, tuple.remote.address.bytes.data(), 16);
    local_port = tuple.local.port;
    remote_port = tuple.remote.port;
  }
};
static_assert(sizeof(EventRecord) == 72);

class EventQueue {
 public:
  // Two buffers of half of `memory` each. Both sides may keep it.
  explicit EventQueue(MappedMemory memory) : memory_(std::move(memory)), buffer_size_(memory_.size() / 2) {}

  [[nodiscard]] uint8_t* memory() const { return memory_.data(); }
  [[nodiscard]] size_t memory_size() const { return memory_.size(); }

  // Appends a record. Returns false when it does not fit; `wake` is set when JavaScript has nothing pending yet.
  [[nodiscard]] bool push(EventRecord record, std::span<const uint8_t> options, std::span<const uint8_t> payload,
                          bool& wake) {
    const size_t size = (sizeof record + options.size() + payload.size() + 7) & ~size_t{7};
    record.size = static_cast<uint32_t>(size);
    record.options_size = static_cast<uint8_t>(options.size());
    record.payload_size = static_cast<uint32_t>(payload.size());
    const std::lock_guard lock(mutex_);
    if (used_ + size > limit_) return false;
    uint8_t* at = memory_.data() + active_ * buffer_size_ + used_;
    std::memcpy(at, &record, sizeof record);
    if (!options.empty()) std::memcpy(at + sizeof record, options.data(), options.size());
    if (!payload.empty()) std::memcpy(at + sizeof record + options.size(), payload.data(), payload.size());
    wake = used_ == 0;
    used_ += size;
    return true;
  }

  // Appends a control event, always. `wake` as above.
  void push_control(EventRecord record, bool& wake) {
    record.size = sizeof record;
    const std::lock_guard lock(mutex_);
    wake = used_ == 0;  // then nothing waits behind the buffer either
    if (used_ + sizeof record <= limit_) return append(record);
    if (record.type == EventType::kFlowEnd && !waiting_ends_.insert(end_of(record)).second) return;
    control_.push_back(record);
    limit_ = 0;
  }

  struct Swapped {
    size_t offset = 0;  // where the records begin
    size_t size = 0;    // their bytes
    bool more = false;  // as much again waits already: call again, soon
  };

  // Hands the filled buffer to JavaScript until the next call.
  Swapped swap() {
    const std::lock_guard lock(mutex_);
    Swapped swapped{active_ * buffer_size_, used_, false};
    if (used_ > 0) active_ ^= 1;
    used_ = 0;
    if (limit_ == 0) swapped.more = refill();
    return swapped;
  }

 private:
  using End = std::array<uint32_t, 3>;  // flow, generation, flags

  static End end_of(const EventRecord& record) {
    return {record.id, record.detail, record.flags & uint32_t{kRst | kFin}};
  }

  // Moves what waits behind the buffer into it. Whether there was any.
  bool refill() {
    for (; !control_.empty() && used_ + sizeof(EventRecord) <= buffer_size_; control_.pop_front()) {
      if (control_.front().type == EventType::kFlowEnd) waiting_ends_.erase(end_of(control_.front()));
      append(control_.front());
    }
    if (control_.empty()) limit_ = buffer_size_;
    return used_ > 0;
  }

  void append(const EventRecord& record) {
    std::memcpy(memory_.data() + active_ * buffer_size_ + used_, &record, sizeof record);
    used_ += sizeof record;
  }

  std::mutex mutex_;  // of all below, and of the buffer that is being filled
  const MappedMemory memory_;
  const size_t buffer_size_;
  size_t active_ = 0;
  size_t used_ = 0;
  size_t limit_ = buffer_size_;      // of used_: 0 while anything waits behind the buffer
  std::deque<EventRecord> control_;  // behind the buffer
  std::set<End> waiting_ends_;       // those among them
};

}  // namespace guise
