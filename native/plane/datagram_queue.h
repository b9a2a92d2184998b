// Datagrams that wait, in order. An empty queue is two pointers and a number: most flows never need more.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "plane/counters.h"

namespace guise {

using Datagram = std::vector<uint8_t>;

class DatagramQueue {
 public:
  // `counters` has the bytes of all queues together, of all threads, and what still waits when one goes.
  explicit DatagramQueue(EngineCounters& counters) : counters_(counters) {}
  DatagramQueue(const DatagramQueue&) = delete;
  DatagramQueue& operator=(const DatagramQueue&) = delete;
  ~DatagramQueue() { abandon(); }

  [[nodiscard]] bool empty() const { return !waiting_; }
  [[nodiscard]] size_t bytes() const { return bytes_; }
  [[nodiscard]] uint64_t total() const {
    return std::atomic_ref(counters_.waiting_bytes).load(std::memory_order_relaxed);
  }
  [[nodiscard]] const Datagram& front() const { return waiting_->front(); }

  void push(std::span<const uint8_t> datagram) {
    if (!waiting_) waiting_ = std::make_unique<std::deque<Datagram>>();
    waiting_->emplace_back(datagram.begin(), datagram.end());
    bytes_ += datagram.size();
    add_to_total(datagram.size());
  }

  void pop() {
    bytes_ -= waiting_->front().size();
    add_to_total(0 - waiting_->front().size());
    waiting_->pop_front();
    if (waiting_->empty()) waiting_.reset();
  }

  // Nobody sends them any more.
  void abandon() {
    if (!waiting_) return;
    add_to_total(0 - bytes_);
    count(counters_.dropped[static_cast<size_t>(DropReason::kAbandoned)], waiting_->size());
    waiting_.reset();
    bytes_ = 0;
  }

 private:
  // Wraps around to subtract.
  void add_to_total(uint64_t bytes) { count(counters_.waiting_bytes, bytes); }

  EngineCounters& counters_;
  std::unique_ptr<std::deque<Datagram>> waiting_;
  size_t bytes_ = 0;
};

}  // namespace guise
