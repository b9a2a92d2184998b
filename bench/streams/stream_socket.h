// TCP sockets of the kernel.
#pragma once

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include <atomic>

#include "../traffic/flags.h"

namespace streams {

using traffic::fail;
using traffic::Flags;
using traffic::get;
using traffic::now_ns;
using traffic::parse_address;
using traffic::SocketAddress;

inline std::atomic<bool> stopping{false};

inline double seconds_since(uint64_t begin) { return static_cast<double>(now_ns() - begin) * 1e-9; }

inline int open_stream(int family, int flags = 0) {
  const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  if (fd < 0) fail(std::string("socket: ") + std::strerror(errno));
  return fd;
}

inline void set_option(int fd, int level, int name, int value) {
  if (::setsockopt(fd, level, name, &value, sizeof value) < 0) fail(std::string("setsockopt: ") + std::strerror(errno));
}

// `name` as in net.ipv4.tcp_available_congestion_control; empty: the system's default.
inline void set_congestion(int fd, const std::string& name) {
  if (name.empty()) return;
  if (::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), static_cast<socklen_t>(name.size())) < 0)
    fail("congestion control " + name + ": " + std::strerror(errno));
}

// Seconds after which a blocking call has waited long enough.
inline void set_patience(int fd, double seconds) {
  const timeval timeout{static_cast<time_t>(seconds), 0};
  (void)::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  (void)::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
}

inline int connect_stream(const SocketAddress& address, const std::string& congestion, double patience) {
  const int fd = open_stream(address.storage.ss_family);
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_congestion(fd, congestion);
  set_patience(fd, patience);
  traffic::connect_socket(fd, address);
  return fd;
}

// A RST, not a FIN, when it is closed.
inline void close_at_once(int fd) {
  const linger now{1, 0};
  (void)::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  ::close(fd);
}

// As many descriptors as this process may have.
inline void raise_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

// epoll, with a pointer or a number for each descriptor.
class Poller {
 public:
  Poller() : fd_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (fd_ < 0) fail("no epoll");
  }
  ~Poller() { ::close(fd_); }
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  void add(int fd, uint32_t events, void* data) { control(EPOLL_CTL_ADD, fd, events, data); }
  void change(int fd, uint32_t events, void* data) { control(EPOLL_CTL_MOD, fd, events, data); }

  // Calls `ready` with events and data of each descriptor that is ready within `milliseconds`.
  template <typename Ready>
  void wait(int milliseconds, Ready ready) {
    epoll_event events[128];
    const int count = ::epoll_wait(fd_, events, 128, milliseconds);
    for (int i = 0; i < count; ++i) ready(events[i].events, events[i].data.ptr);
  }

 private:
  void control(int operation, int fd, uint32_t events, void* data) const {
    epoll_event event{events, {.ptr = data}};
    if (::epoll_ctl(fd_, operation, fd, &event) < 0) fail(std::string("epoll_ctl: ") + std::strerror(errno));
  }

  int fd_;
};

}  // namespace streams
