// The flows that are attached to a port: TCP and UDP, by number and by tuple. One thread's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "wire/segment.h"
#include "wire/tuple.h"
#include "wire/tuple_table.h"

namespace guise {

struct PortFlow {
  Tuple tuple;
  int32_t id;
  uint8_t protocol;
  uint16_t identification;  // of the next IPv4 packet
  SegmentHeader header;     // of its segments; of UDP not used
};

class FlowTable {
 public:
  // `key`: an outsider who chooses addresses and ports cannot choose the bucket.
  explicit FlowTable(uint64_t key) : tables_{Table(key), Table(~key)} {}

  // -1 where there is none. `protocol` is TCP's or UDP's number.
  [[nodiscard]] int32_t find(uint8_t protocol, const Tuple& tuple) const {
    const PortFlow* flow = tables_[protocol == kProtocolUdp].find(tuple);
    return flow ? flow->id : -1;
  }

  // Null where there is none. Any number.
  [[nodiscard]] PortFlow* at(int32_t id) const {
    return id >= 0 && static_cast<size_t>(id) < by_id_.size() ? by_id_[static_cast<size_t>(id)] : nullptr;
  }

  // The number of a new flow, -1 where the tuple has one. `identification`: where those of its packets begin.
  int32_t add(uint8_t protocol, const Tuple& tuple, uint16_t identification) {
    Table& table = tables_[protocol == kProtocolUdp];
    if (table.find(tuple)) return -1;
    const int32_t id = free_id();
    auto flow = std::make_unique<PortFlow>(PortFlow{tuple, id, protocol, identification, SegmentHeader(tuple)});
    by_id_[static_cast<size_t>(id)] = flow.get();
    table.insert(std::move(flow));
    return id;
  }

  void remove(const PortFlow& flow) {
    by_id_[static_cast<size_t>(flow.id)] = nullptr;
    free_.push_back(flow.id);
    tables_[flow.protocol == kProtocolUdp].erase(Tuple(flow.tuple));
  }

 private:
  using Table = TupleTable<std::unique_ptr<PortFlow>>;

  int32_t free_id() {
    if (free_.empty()) {
      by_id_.push_back(nullptr);
      return static_cast<int32_t>(by_id_.size()) - 1;
    }
    const int32_t id = free_.back();
    free_.pop_back();
    return id;
  }

  std::array<Table, 2> tables_;  // of TCP and of UDP
  std::vector<PortFlow*> by_id_;
  std::vector<int32_t> free_;
};

}  // namespace guise
