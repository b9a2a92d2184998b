// The links of this host, without a device of ours: segments are taken where they come in, before netfilter, and sent
// where they leave, behind it (packet(7)). The kernel's own TCP sees them too: whoever uses this holds the ports, see
// host/held_port.h.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/links.h"
#include "io/packet_device.h"
#include "io/receive_ring.h"
#include "io/segment_filter.h"
#include "io/unique_fd.h"

namespace guise {

// What a LinkDevice needs of the kernel. To open it takes CAP_NET_RAW, to use it nothing.
struct LinkSockets {
  // Packet sockets, SOCK_RAW, bound to nothing: one to send, and for each family one for each size of packets.
  static constexpr size_t kSizes = 3;
  UniqueFd send;
  std::array<UniqueFd, kSizes> receive4, receive6;  // those of IPv6 may be missing
  // Raw sockets, IPPROTO_RAW: what they send goes where the kernel's routes lead.
  UniqueFd raw4, raw6;
  // UDP sockets that send nothing: connecting one asks the routes for the source address.
  UniqueFd route4, route6;

  // Calls `take` with each, in the order in which they are handed over: those of IPv6 last.
  static constexpr size_t kLeast = kSizes + 3, kMost = 2 * kSizes + 5;
  template <typename Take>
  void each(Take take) {
    take(send);
    for (UniqueFd& socket : receive4) take(socket);
    for (UniqueFd* socket : {&raw4, &route4}) take(*socket);
    for (UniqueFd& socket : receive6) take(socket);
    for (UniqueFd* socket : {&raw6, &route6}) take(*socket);
  }

  struct Options {
    bool ipv6 = true;
    uint32_t mark = 0;      // SO_MARK of what leaves by routes; 0 for none
    std::string interface;  // SO_BINDTODEVICE of the same; empty for none
  };
  // 0, or -errno and the call that failed.
  [[nodiscard]] static int open(const Options& options, LinkSockets& out, const char*& syscall);
};

// What all devices of an engine share.
struct LinkGroup {
  Links links;
  // Where packets are shared out between devices: a group for each kind of ring (PACKET_FANOUT), -1 before the first.
  std::array<int, 2 * LinkSockets::kSizes> fanouts{-1, -1, -1, -1, -1, -1};
};

class LinkDevice final : public PacketDevice {
 public:
  struct Options {
    bool segmentation = true;
    BatchLimits limits;
    uint32_t ring_bytes = 0;  // of the kernel's, for what comes of one family
    uint32_t send_bytes = 0;  // of the send socket's buffer, as far as the host allows
    int send_wait = 0;        // milliseconds that a packet may wait for room in it
    bool fanout = false;      // the packets are shared out between the devices of the group
  };

  // 0, or -errno and the call that failed.
  [[nodiscard]] static int create(LinkSockets sockets, const Options& options, std::shared_ptr<LinkGroup> group,
                                  std::unique_ptr<LinkDevice>& out, const char*& syscall);

  [[nodiscard]] std::span<const int> descriptors() const override { return descriptors_; }
  [[nodiscard]] bool waits() override;
  [[nodiscard]] bool sees_what_waits() const override { return true; }
  void begin() override;
  [[nodiscard]] Read read(Packet& packet) override;
  [[nodiscard]] uint64_t take_overruns() override { return std::exchange(overruns_, 0); }
  [[nodiscard]] int pass(const SegmentInterests& interests, const char*& syscall) override;
  [[nodiscard]] int route_to(const Endpoint& remote, uint32_t interface, Route& out) const override;
  [[nodiscard]] size_t mtu_of(Way way) const override {
    return group_->links.has(way.link()) ? mtu_of_link(way.link()) : SIZE_MAX;
  }
  [[nodiscard]] bool is_shared() const override { return true; }

 protected:
  [[nodiscard]] int write(const Outgoing& packet) override;
  [[nodiscard]] bool cuts(Way way) const override { return way.known(); }
  [[nodiscard]] bool is_lost(Way way, int error) const override;

 private:
  // What comes of one family: rings of frames of three sizes, since a frame takes its whole size whatever is in it.
  struct Family {
    int number;                                         // AF_INET or AF_INET6
    std::array<UniqueFd, LinkSockets::kSizes> sockets;  // until something of it is to be read
    std::array<ReceiveRing, LinkSockets::kSizes> rings;
    std::atomic<bool> open{false};  // the rings are there; the thread that reads them waits for it
    // The ring that has the packet which came first, or null.
    [[nodiscard]] ReceiveRing* next();
  };

  LinkDevice(LinkSockets sockets, const Options& options, std::shared_ptr<LinkGroup> group);
  [[nodiscard]] int open_rings(Family& family, const char*& syscall);
  // The way back to where a frame came from.
  [[nodiscard]] Way way_of(const ReceiveRing::Frame& frame);
  // Bytes of the largest IP packet that a link carries.
  [[nodiscard]] size_t mtu_of_link(uint16_t link) const;
  [[nodiscard]] int write_to_link(const Outgoing& packet) const;
  [[nodiscard]] int write_by_route(const Outgoing& packet) const;

  const Options options_;
  std::array<Family, 2> families_;
  const LinkSockets sockets_;    // without those of the families
  const std::string interface_;  // that those of routes are bound to; empty for none
  const std::shared_ptr<LinkGroup> group_;
  std::vector<int> descriptors_;
  size_t packets_ = 0, bytes_ = 0;  // of the batch
  uint64_t overruns_ = 0;
  uint16_t last_link_ = 0;  // most packets come over the same one
};

}  // namespace guise
