// What was put in at one end, so that nothing else may come out at the other: each datagram once, whole, from a source
// that may lead there, and never behind a later one of the same source.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

class Ledger {
 public:
  // `source` is below 64.
  void put(unsigned source, std::span<const uint8_t> datagram) {
    entries_[{datagram.begin(), datagram.end()}].push_back({source, ++count_, false});
  }

  // Takes one out that came from one of `sources`, a bit each. False when there is none, or none in order.
  [[nodiscard]] bool take(uint64_t sources, unsigned sink, std::span<const uint8_t> datagram) {
    auto& alike = entries_[{datagram.begin(), datagram.end()}];
    for (Entry& entry : alike) {
      if (entry.taken || !(sources >> entry.source & 1)) continue;
      entry.taken = true;
      if (alike.size() > 1) return true;  // which of them it was cannot be told
      return std::exchange(last_[{entry.source, sink}], entry.index) < entry.index;
    }
    return false;
  }

 private:
  struct Entry {
    unsigned source;
    size_t index;  // in the order of put(), from 1 on
    bool taken;
  };
  std::map<std::vector<uint8_t>, std::vector<Entry>> entries_;
  std::map<std::pair<unsigned, unsigned>, size_t> last_;  // by source and sink: the last that was taken
  size_t count_ = 0;
};
