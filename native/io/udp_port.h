// A UDP socket with the batching offloads of the kernel, and the applications that it serves.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "io/segment_run.h"
#include "io/unique_fd.h"
#include "plane/counters.h"
#include "wire/tuple.h"

namespace guise {

struct Application;

// Whom to send to through a port: empty on a connected one.
struct UdpTarget {
  alignas(sockaddr_in6) uint8_t address[sizeof(sockaddr_in6)]{};
  socklen_t address_size = 0;
  alignas(cmsghdr) uint8_t source[CMSG_SPACE(sizeof(in6_pktinfo))]{};  // control message: leave from this address
  size_t source_size = 0;

  UdpTarget() = default;
  // `application.local` is the address that the application talked to; `family` is that of the socket, see
  // UdpPort::family.
  UdpTarget(const Tuple& application, int family);
};

class UdpPort : public std::enable_shared_from_this<UdpPort> {
 public:
  // UDP_SEGMENT's limits (net/ipv4/udp.c): 64 segments on kernels before 6.9, 65 507 bytes of payload.
  static constexpr size_t kMaxSegments = 64;
  static constexpr size_t kMaxBytes = 65507;

  UdpPort(UniqueFd fd, bool is_connected, bool segmentation, const CounterSlab& counters)
      : connected(is_connected), fd_(std::move(fd)), segmentation_(segmentation), counters_(counters) {
    port = local().port;
  }

  // An unconnected socket bound to `local`; `shared` makes it one of a REUSEPORT group. 0 or -errno.
  [[nodiscard]] static int bind(const Endpoint& local, bool shared, bool offload, UniqueFd& out, const char*& syscall);
  // A socket on a free port, connected to `remote`. 0 or -errno.
  [[nodiscard]] static int connect(const Endpoint& remote, bool offload, UniqueFd& out, const char*& syscall);

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] Endpoint local() const;
  // AF_INET, or AF_INET6, which may carry IPv4 in its mapped form too.
  [[nodiscard]] int family() const;

  // Sends the run's datagrams; any thread may call it. Failures are counted, never fatal.
  void send(const UdpTarget& target, SegmentRun& run);

  const bool connected;
  uint16_t port = 0;                        // that it is bound to
  uint32_t listener = 0;                    // id of the listener that it belongs to; 0 on a connected one
  Application* only_application = nullptr;  // of a connected port
  bool closed = false;                      // taken out of its worker's epoll set

 private:
  int send_once(const UdpTarget& target, iovec* vectors, size_t count, size_t segment_size);
  void send_each(const UdpTarget& target, SegmentRun& run);
  void count_failure(int error, size_t datagrams);

  UniqueFd fd_;
  std::atomic<bool> segmentation_;
  const CounterSlab& counters_;
};

}  // namespace guise
