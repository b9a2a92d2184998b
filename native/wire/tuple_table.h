// A hash table from Tuple to T: open addressing, linear probing, no tombstones.
//
// Each worker has its own and is its only user, so a look-up takes no lock.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "wire/tuple.h"

namespace guise {

// T is a smart pointer to something with a member `tuple`; an empty T marks a free slot.
template <typename T>
class TupleTable {
 public:
  explicit TupleTable(uint64_t key) : key_(key), slots_(kInitialSlots) {}

  [[nodiscard]] size_t size() const { return size_; }

  // The entry, or null.
  [[nodiscard]] typename T::element_type* find(const Tuple& tuple) const {
    const uint64_t hash = tuple.hash(key_);
    for (size_t at = hash & mask(); slots_[at].value; at = (at + 1) & mask()) {
      if (slots_[at].hash == hash && slots_[at].value->tuple == tuple) return slots_[at].value.get();
    }
    return nullptr;
  }

  // Calls `take` with each entry.
  template <typename Take>
  void each(Take take) const {
    for (const Slot& slot : slots_) {
      if (slot.value) take(*slot.value);
    }
  }

  // Puts an entry in; one of the same tuple is replaced.
  void insert(T value) {
    erase(value->tuple);
    if ((size_ + 1) * 4 > slots_.size() * 3) grow();
    place({value->tuple.hash(key_), std::move(value)});
    ++size_;
  }

  // Takes an entry out; an empty T when there is none.
  T erase(const Tuple& tuple) {
    const uint64_t hash = tuple.hash(key_);
    size_t at = hash & mask();
    while (slots_[at].value && !(slots_[at].hash == hash && slots_[at].value->tuple == tuple)) {
      at = (at + 1) & mask();
    }
    T found = std::move(slots_[at].value);
    if (!found) return found;
    slots_[at].value = nullptr;
    --size_;
    // Close the gap: whatever could have been placed in it moves up (Knuth, TAOCP 6.4, algorithm R).
    for (size_t next = (at + 1) & mask(); slots_[next].value; next = (next + 1) & mask()) {
      const size_t home = slots_[next].hash & mask();
      if (((next - home) & mask()) >= ((next - at) & mask())) {
        slots_[at] = std::move(slots_[next]);
        slots_[next].value = nullptr;
        at = next;
      }
    }
    return found;
  }

 private:
  static constexpr size_t kInitialSlots = 64;
  struct Slot {
    uint64_t hash = 0;
    T value;
  };

  [[nodiscard]] size_t mask() const { return slots_.size() - 1; }

  void place(Slot slot) {
    size_t at = slot.hash & mask();
    while (slots_[at].value) at = (at + 1) & mask();
    slots_[at] = std::move(slot);
  }

  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (Slot& slot : old) {
      if (slot.value) place(std::move(slot));
    }
  }

  uint64_t key_;
  std::vector<Slot> slots_;
  size_t size_ = 0;
};

}  // namespace guise
