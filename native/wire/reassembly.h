// Puts fragments of packets together, IPv4 (RFC 791) and IPv6 (RFC 8200 §4.5). No system call; the caller has the
// clock. Where packets come through the kernel's IP this is done there; a packet socket sees them before.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "wire/tuple.h"

namespace guise {

// A fragment of a packet. The views point into the fragment.
struct Fragment {
  Address source, destination;
  uint32_t identification = 0;
  uint8_t protocol = 0;             // what the packet carries; over IPv6 that of the first fragment counts
  size_t protocol_at = 0;           // where `header` names it
  uint32_t offset = 0;              // bytes of the packet's data in front of it
  bool more = false;                // it is not the last
  std::span<const uint8_t> header;  // all that precedes the header of fragments, or the data
  std::span<const uint8_t> data;    // never empty

  [[nodiscard]] uint32_t end() const { return offset + static_cast<uint32_t>(data.size()); }
};

// Of which packets.
enum class FragmentsOf : uint8_t {
  kTcp,       // with no extension headers in front of that of fragments, which is what we send
  kAnything,  // with any
};

// Reads what parse_segment() and parse_ip() find to be a fragment. Nothing where an honest host sends no such: one
// without data, one in front of others whose size is no multiple of 8, one that leads beyond the largest packet, one
// with a header that contradicts itself; and where it is of a packet that is not asked for.
[[nodiscard]] std::optional<Fragment> parse_fragment(std::span<const uint8_t> packet,
                                                     FragmentsOf of = FragmentsOf::kTcp);

// One thread's.
class Reassembly {
 public:
  struct Limits {
    uint32_t bytes;         // of all that is kept, packets that are complete included; one that is being joined twice
    uint32_t fragments;     // of one packet
    uint32_t wait4, wait6;  // milliseconds that the rest of a packet may take after the first that came of it
  };
  // Fragments that are of no use.
  struct Lost {
    uint64_t overlapping = 0;  // of packets whose fragments contradict each other
    uint64_t late = 0;         // of packets whose rest did not come in time
    uint64_t crowded = 0;      // of packets that made room for others, or have too many
  };

  // `key`: an outsider who chooses addresses and identifications cannot choose the bucket.
  Reassembly(const Limits& limits, uint64_t key) : limits_(limits), packets_(0, Hash{key}) {}
  Reassembly(const Reassembly&) = delete;
  Reassembly& operator=(const Reassembly&) = delete;
  ~Reassembly() = default;

  // Takes a fragment. The whole packet when this was all that was missing, else nothing. It is one that parse_segment()
  // or parse_ip() reads, and good until release().
  //
  // Of two packets with one identification the fragments may get mixed (RFC 4963): the checksum is found to be wrong
  // then. Taken once more, the fragment begins a packet anew, whose rest may still come.
  [[nodiscard]] std::span<const uint8_t> take(const Fragment& fragment, uint64_t now);

  // Forgets the packets that wait too long.
  void expire(uint64_t now);
  // Frees the packets that are complete.
  void release();

  [[nodiscard]] Lost take_lost() { return std::exchange(lost_, {}); }
  // Bytes that are kept.
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  // What fragments of one packet have in common.
  struct Key {
    Address source, destination;
    uint32_t identification;
    uint8_t protocol;  // of IPv4; over IPv6 fragments of one packet may name others (RFC 8200 §4.5)
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    uint64_t key;
    size_t operator()(const Key& of) const;
  };
  struct Piece {
    uint32_t offset;
    std::vector<uint8_t> data;
    [[nodiscard]] uint32_t end() const { return offset + static_cast<uint32_t>(data.size()); }
  };
  // A packet that is not complete.
  struct Packet {
    Key key;
    uint64_t since;               // its first fragment that came
    std::vector<uint8_t> header;  // of its first fragment, which names what the packet carries
    std::vector<Piece> pieces;    // in the order of their offsets, none of which overlap
    uint32_t data_size = 0;       // of all pieces
    uint32_t end = 0;             // of the last; 0 as long as it is not known
    size_t cost = 0;

    [[nodiscard]] bool complete() const { return end != 0 && data_size == end; }
  };
  using Queue = std::list<Packet>;
  enum class Fit : uint8_t { kNew, kDuplicate, kOtherPacket, kOverlap };

  // What memory a packet takes beside its fragments, and a fragment beside its data: with what containers and the
  // allocator add.
  static constexpr size_t kPacketCost = sizeof(Packet) + sizeof(Key) + 192;
  static constexpr size_t kPieceCost = 2 * sizeof(Piece) + 32;

  [[nodiscard]] static Fit fit_of(const Packet& packet, const Fragment& fragment);
  [[nodiscard]] Packet& begin(const Key& key, uint64_t now);
  void add(Packet& packet, const Fragment& fragment);
  // False when there is no room even without any packet that is not complete.
  [[nodiscard]] bool make_room(size_t bytes);
  // Joins the pieces of a packet that is in no queue any more, which is not counted from then on.
  [[nodiscard]] std::span<const uint8_t> complete(const Packet& packet);
  [[nodiscard]] Queue& queue_of(const Key& key) { return queues_[key.source.is_v4() ? 0 : 1]; }
  // Takes a packet out of its queue.
  [[nodiscard]] Queue extract(const Packet& packet);
  // Forgets a packet that is not complete. Returns how many fragments it had.
  [[nodiscard]] size_t forget(const Packet& packet);

  const Limits limits_;
  std::array<Queue, 2> queues_;  // of IPv4 and IPv6: they wait for different times. The oldest is in front.
  std::unordered_map<Key, Queue::iterator, Hash> packets_;
  std::vector<std::vector<uint8_t>> complete_;
  size_t bytes_ = 0, complete_bytes_ = 0;
  Lost lost_;
};

}  // namespace guise
