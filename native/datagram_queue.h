// Datagrams that wait, in order and bounded. An empty one is a pointer and a number: most flows never need it.
#pragma once

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
  [[nodiscard]] bool empty() const { return !waiting_; }
  [[nodiscard]] size_t bytes() const { return bytes_; }
  [[nodiscard]] const Datagram& front() const { return waiting_->front(); }

  void push(std::span<const uint8_t> datagram) {
    if (!waiting_) waiting_ = std::make_unique<std::deque<Datagram>>();
    waiting_->emplace_back(datagram.begin(), datagram.end());
    bytes_ += datagram.size();
  }

  void pop() {
    bytes_ -= waiting_->front().size();
    waiting_->pop_front();
    if (waiting_->empty()) waiting_.reset();
  }

 private:
  std::unique_ptr<std::deque<Datagram>> waiting_;
  size_t bytes_ = 0;
};

}  // namespace guise
