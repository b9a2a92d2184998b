// What one worker tells JavaScript: records in a buffer that both sides see, handed over by swapping two of them.
//
// A full buffer drops the record and counts it: nothing that arrives can make memory grow.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <mutex>
#include <new>
#include <span>

#include "wire/tuple.h"

namespace guise {

enum class EventType : uint8_t {
  kSegment = 1,      // a control segment, or any segment of an unknown tuple: options, then payload
  kDatagram = 2,     // payload on a flow that JavaScript reads
  kApplication = 3,  // a new application: id, detail is its listener's; the tuple is that of the UDP endpoints
  kAttached = 4,     // the owner of a flow has it in its table: no more segments of it come as unknown
  kDeviceGone = 5,   // the interface was deleted, or the other end of the descriptor closed
  kOpening = 6,      // the ACK that brings a cookie back, or data behind it: detail is 1 for a SYN of phantun's kind
};

// The fixed part of a record; src/native/engine.ts mirrors it. Little-endian, records are 8-aligned.
struct EventRecord {
  uint32_t size = 0;  // of the whole record with padding
  EventType type{};
  uint8_t flags = 0;  // TCP flags
  uint8_t worker = 0;
  uint8_t options_size = 0;
  uint32_t id = 0;  // flow or peer, 0 = none
  uint32_t seq = 0;
  uint32_t ack = 0;
  uint32_t payload_size = 0;
  uint16_t local_port = 0;
  uint16_t remote_port = 0;
  uint32_t detail = 0;  // of a flow: FlowCounters.life, since its id may be another's when the event is read
  uint8_t local_address[16]{};
  uint8_t remote_address[16]{};

  void set_tuple(const Tuple& tuple) {
    std::memcpy(local_address, tuple.local.address.bytes.data(), 16);
    std::memcpy(remote_address, tuple.remote.address.bytes.data(), 16);
    local_port = tuple.local.port;
    remote_port = tuple.remote.port;
  }
};
static_assert(sizeof(EventRecord) == 64);

class EventQueue {
 public:
  static constexpr size_t kBufferSize = 2 << 20;

  EventQueue()
      : memory_(static_cast<uint8_t*>(::mmap(nullptr, 2 * kBufferSize, PROT_READ | PROT_WRITE,
                                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
  }
  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;
  ~EventQueue() { ::munmap(memory_, 2 * kBufferSize); }

  [[nodiscard]] uint8_t* memory() const { return memory_; }

  // Appends a record. Returns false when it does not fit; `wake` is set when JavaScript has nothing pending yet.
  bool push(EventRecord record, std::span<const uint8_t> options, std::span<const uint8_t> payload, bool& wake) {
    const size_t size = (sizeof record + options.size() + payload.size() + 7) & ~size_t{7};
    record.size = static_cast<uint32_t>(size);
    record.options_size = static_cast<uint8_t>(options.size());
    record.payload_size = static_cast<uint32_t>(payload.size());
    const std::lock_guard lock(mutex_);
    if (used_ + size > kBufferSize) return false;
    uint8_t* at = memory_ + active_ * kBufferSize + used_;
    std::memcpy(at, &record, sizeof record);
    if (!options.empty()) std::memcpy(at + sizeof record, options.data(), options.size());
    if (!payload.empty()) std::memcpy(at + sizeof record + options.size(), payload.data(), payload.size());
    wake = used_ == 0;
    used_ += size;
    return true;
  }

  // Hands the filled buffer to JavaScript until the next call. Returns its bytes; `offset` is where they begin.
  size_t swap(size_t& offset) {
    const std::lock_guard lock(mutex_);
    const size_t used = used_;
    offset = active_ * kBufferSize;
    if (used > 0) active_ ^= 1;
    used_ = 0;
    return used;
  }

 private:
  std::mutex mutex_;
  uint8_t* memory_;
  size_t active_ = 0;
  size_t used_ = 0;
};

}  // namespace guise
