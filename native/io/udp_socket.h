// A UDP socket with the batching offloads of the kernel, in both directions.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "io/segment_run.h"
#include "io/socket_address.h"
#include "io/unique_fd.h"
#include "wire/tuple.h"

namespace guise {

// Whom to send to through a socket: empty on a connected one.
struct UdpTarget {
  alignas(sockaddr_in6) uint8_t address[sizeof(sockaddr_in6)]{};
  socklen_t address_size = 0;
  alignas(cmsghdr) uint8_t source[CMSG_SPACE(sizeof(in6_pktinfo))]{};  // control message: leave from this address
  size_t source_size = 0;

  UdpTarget() = default;
  // `ends.local` is the address to send from, `ends.remote` where to; `family` is that of the socket, see
  // UdpSocket::family.
  UdpTarget(const Tuple& ends, int family);
};

// Messages that were received together. Each is one datagram, or more that UDP_GRO merged. Valid until the next are.
class UdpBatch {
 public:
  // Takes `most` messages at a time; fewer, `most_large`, while they are large, so that they are still in the cache
  // when they are sent.
  UdpBatch(size_t most, size_t most_large);

  [[nodiscard]] std::span<const uint8_t> bytes(size_t message) const {
    return {&buffers_[message * kMessageSize], messages_[message].msg_len};
  }
  // Bytes of each of its datagrams but the last.
  [[nodiscard]] size_t segment_size(size_t message) const;
  [[nodiscard]] Endpoint source(size_t message) const;
  // The address that it was sent to; known on a socket that is not connected.
  [[nodiscard]] Address destination(size_t message) const;

 private:
  friend class UdpSocket;
  static constexpr size_t kMessageSize = 65536;  // UDP_GRO merges up to 64 KiB
  static constexpr size_t kLargeMessage = 4096;  // more than any datagram of a link: merged
  // Room for what a socket of ours asks for: IPV6_PKTINFO and UDP_GRO.
  static constexpr size_t kControlSize = 128;
  struct alignas(cmsghdr) Control {
    uint8_t bytes[kControlSize];
  };

  void prepare();

  const size_t most_, most_large_;
  size_t next_ = most_;  // messages to receive at a time now
  std::unique_ptr<uint8_t[]> buffers_;
  std::vector<Control> control_;
  std::vector<sockaddr_storage> sources_;
  std::vector<iovec> vectors_;
  std::vector<mmsghdr> messages_;
};

// Whether an error of a UDP socket says that there is no way to the other end, or nobody at it; what it says of a
// datagram itself is none.
[[nodiscard]] bool is_refusal(int error);

// What a send did, in datagrams.
struct Sent {
  uint32_t refused = 0;    // is_refusal(error)
  uint32_t failed = 0;     // for another reason
  int error = 0;           // of the last that was refused: an errno
  bool fell_back = false;  // the kernel has refused UDP_SEGMENT: from now on datagrams leave one by one
};

// An ICMP error about a datagram that had left.
struct UdpError {
  int error = 0;    // an errno
  Endpoint remote;  // whom it was for
  Address local;    // where it was sent from; known on a socket that is not connected
};

class UdpSocket {
 public:
  // UDP_SEGMENT's limits (net/ipv4/udp.c): 64 segments on kernels before 6.9, 65 507 bytes of payload.
  static constexpr size_t kMaxSegments = 64;
  static constexpr size_t kMaxBytes = 65507;

  struct Options {
    bool offload = true;        // UDP_GRO and UDP_SEGMENT
    bool shared = false;        // one of a REUSEPORT group
    uint32_t buffer_bytes = 0;  // of the kernel's, each way
  };

  UdpSocket(UniqueFd fd, bool segmentation) : fd_(std::move(fd)), segmentation_(segmentation) {}

  // An unconnected socket bound to `local`. 0, or -errno and the call that failed.
  [[nodiscard]] static int bind(const Endpoint& local, const Options& options, UniqueFd& out, const char*& syscall);
  // A socket on a free port, connected to `remote`. 0, or -errno and the call that failed.
  [[nodiscard]] static int connect(const Endpoint& remote, const Options& options, UniqueFd& out, const char*& syscall);

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] Endpoint local() const;
  // AF_INET, or AF_INET6, which may carry IPv4 in its mapped form too.
  [[nodiscard]] int family() const;

  // Receives what waits, at most one batch. The number of messages. An error that an ICMP message has reported stops
  // nothing: a backend that is down closes nothing.
  [[nodiscard]] size_t receive(UdpBatch& batch);

  // The next error that an ICMP message has reported. False when there is none.
  [[nodiscard]] bool take_error(UdpError& error);
  // Datagrams of the last send: as many as such an error speaks of.
  [[nodiscard]] uint32_t last_sent() const { return last_sent_.load(std::memory_order_relaxed); }

  // Sends the run's datagrams; an empty run is one of 0 bytes. Any thread may call it.
  [[nodiscard]] Sent send(const UdpTarget& target, SegmentRun& run);

 private:
  int send_once(const UdpTarget& target, iovec* vectors, size_t count, size_t segment_size);
  Sent send_each(const UdpTarget& target, const SegmentRun& run);

  const UniqueFd fd_;
  std::atomic<bool> segmentation_;  // any thread turns it off, none on
  std::atomic<uint32_t> last_sent_{1};
};

}  // namespace guise
