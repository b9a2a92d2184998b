// Where IP packets come from and go to, one a read and a write: the descriptor of a TUN (descriptor_device.h), or the
// links of the host themselves (link_device.h).
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>

#include "io/route.h"
#include "io/segment_filter.h"
#include "io/segment_run.h"
#include "wire/segment.h"
#include "wire/way.h"

namespace guise {

// A packet that was read.
struct Packet {
  std::span<const uint8_t> bytes;  // without what precedes the IP header; may be empty
  VirtioNetHeader offload;
  bool has_offload = false;  // `offload` came with it
  Way way;                   // not known on a device without links

  [[nodiscard]] const VirtioNetHeader* offload_or_null() const { return has_offload ? &offload : nullptr; }
};

// What a write did.
struct Written {
  int error = 0;           // 0, or the last -errno
  uint32_t writes = 0;     // system calls
  uint32_t refused = 0;    // segments that did not leave
  bool fell_back = false;  // the kernel has refused a super-segment: from now on segments leave one by one
  bool way_lost = false;   // the link is gone or down: it went where the kernel's routes lead
};

// How much is read before other descriptors of a worker have their turn.
struct BatchLimits {
  size_t packets;
  size_t bytes;  // at least kLargestRead
};

class PacketDevice {
 public:
  enum class Read : uint8_t {
    kPacket,
    kNone,  // no packet waits
    kFull,  // the batch takes no more
    kGone,  // the interface was deleted, or the other end of a socketpair closed
  };

  PacketDevice(const PacketDevice&) = delete;
  PacketDevice& operator=(const PacketDevice&) = delete;
  virtual ~PacketDevice() = default;

  // What to wait for.
  [[nodiscard]] virtual std::span<const int> descriptors() const = 0;
  // Whether a packet waits, where that is seen without asking the kernel: then descriptors need to tell only of the
  // first that comes behind a silence (EPOLLET). The thread that reads.
  [[nodiscard]] virtual bool waits() { return false; }
  [[nodiscard]] virtual bool sees_what_waits() const { return false; }

  // Begins a batch: what was read before is not valid any more. One thread.
  virtual void begin() = 0;
  // Reads the next packet of the batch. One thread.
  [[nodiscard]] virtual Read read(Packet& packet) = 0;
  // Packets that the kernel has dropped since the last call, because they were not read in time. One thread.
  [[nodiscard]] virtual uint64_t take_overruns() { return 0; }

  // Which segments are ours: the others are not read. Where all are, there is nothing to choose. 0, or -errno and the
  // call that failed. Any thread, one at a time.
  [[nodiscard]] virtual int pass(const SegmentInterests&, const char*&) { return 0; }
  // How the kernel would send to `remote`, by `interface` (0: by any), by which from now on leaves what goes by the
  // kernel's routes to this family. 0 or -errno. One thread at a time.
  [[nodiscard]] virtual int route_to(const Endpoint&, uint32_t, Route&) const { return -EOPNOTSUPP; }
  // Bytes of the largest IP packet that leaves this way; SIZE_MAX where that is not known.
  [[nodiscard]] virtual size_t mtu_of(Way) const { return SIZE_MAX; }
  // Whether a packet that is not of a known flow may be for somebody else: a host's links carry others' too.
  [[nodiscard]] virtual bool is_shared() const { return false; }

  // Writes the run's datagrams as segments from `seq` on: as one super-segment where the kernel cuts them,
  // else one by one. `push` sets PSH on the last. Any thread may call it.
  [[nodiscard]] Written write_run(Way way, const SegmentHeader& header, uint32_t seq, uint32_t ack, bool push,
                                  SegmentRun& run);

  // Writes one segment; `payload` may be empty. Any thread may call it.
  [[nodiscard]] Written write_segment(Way way, const SegmentHeader& header, uint32_t seq, uint32_t ack, uint8_t flags,
                                      std::span<const uint8_t> options, std::span<const uint8_t> payload);

  // Writes one IPv4 segment in fragments of at most `mtu` bytes, 68 at least, which may be cut again on the way
  // (RFC 791). Any thread may call it.
  [[nodiscard]] Written write_fragments(Way way, const SegmentHeader& header, uint32_t seq, uint32_t ack, uint8_t flags,
                                        std::span<const uint8_t> payload, size_t mtu);

 protected:
  // One packet to write. vectors[0] is for the headers, the others have the payload.
  struct Outgoing {
    Way way;
    const SegmentHeader& header;
    uint8_t* ip;         // IP and TCP header, with kRoom bytes in front of them that are free
    size_t header_size;  // of both
    iovec* vectors;
    size_t vector_count;
    size_t segment_size;       // of a super-segment: bytes of each datagram but the last; else 0
    bool is_fragment = false;  // its checksum is there, and not of it alone

    [[nodiscard]] size_t ip_size() const { return header.ip_size(); }
    // What asks the kernel for the checksum, and to cut it; 0 for none of both. `in_front` is what precedes the IP
    // header.
    [[nodiscard]] VirtioNetHeader offload(size_t in_front) const;
    // Turns the pseudo-header sum in the checksum field into the checksum of the whole segment.
    void complete_checksum() const;
  };
  static constexpr size_t kRoom = sizeof(VirtioNetHeader) + 14;  // an Ethernet header

  explicit PacketDevice(bool segmentation) : segmentation_(segmentation) {}

  // 0 or -errno. -EINVAL of a super-segment: the kernel cuts none.
  [[nodiscard]] virtual int write(const Outgoing& packet) = 0;
  // Whether the kernel cuts super-segments that go this way.
  [[nodiscard]] virtual bool cuts(Way way) const = 0;
  // Whether an error of write() says that the way leads nowhere any more.
  [[nodiscard]] virtual bool is_lost(Way way, int error) const = 0;

 private:
  // Writes a packet and, when its way has turned out to be lost, writes it once more, by the kernel's routes. 0 or
  // -errno.
  template <typename Make>
  int write_or_reroute(Way& way, Written& written, Make make);
  int write_one(Way& way, const SegmentHeader& header, uint32_t seq, uint32_t ack, uint8_t flags,
                std::span<const uint8_t> options, std::span<const uint8_t> payload, Written& written);

  std::atomic<bool> segmentation_;  // any thread turns it off, none on
};

// Bytes of the largest packet with what may precede it.
inline constexpr size_t kLargestRead = sizeof(VirtioNetHeader) + kMaxPacket;

}  // namespace guise
