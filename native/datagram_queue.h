// Datagrams that wait, in order. An empty queue is two pointers and a number: most flows never need more.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

namespace guise {

using Datagram = std::vector<uint8_t>;

class DatagramQueue {
 public:
  // `total` counts the bytes of all queues together, of all threads.
  explicit DatagramQueue(uint64_t& total) : total_(total) {}
  DatagramQueue(const DatagramQueue&) = delete;
  DatagramQueue& operator=(const DatagramQueue&) = delete;
  ~DatagramQueue() {
    if (bytes_ > 0) add_to_total(0 - bytes_);
  }

  [[nodiscard]] bool empty() const { return !waiting_; }
  [[nodiscard]] size_t bytes() const { return bytes_; }
  [[nodiscard]] uint64_t total() const { return std::atomic_ref(total_).load(std::memory_order_relaxed); }
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

 private:
  // Wraps around to subtract.
  void add_to_total(uint64_t bytes) { std::atomic_ref(total_).fetch_add(bytes, std::memory_order_relaxed); }

  uint64_t& total_;
  std::unique_ptr<std::deque<Datagram>> waiting_;
  size_t bytes_ = 0;
};

}  // namespace guise
