// The kernel as a server: what the stacks of the netstack race do on a TUN, on sockets and with one thread.
#pragma once

#include <memory>
#include <vector>

#include "pattern.h"
#include "stream_socket.h"

namespace streams {

enum class Service { kSink, kSource, kEcho };

// The services' ports, one after the other.
constexpr uint16_t kFirstPort = 7001;
constexpr Service kServices[] = {Service::kSink, Service::kSource, Service::kEcho};

struct Served {
  int fd = -1;
  Service service = Service::kSink;
  bool listens = false;
  bool intact = true;
  uint64_t position = 0;         // bytes of the stream so far
  uint64_t wanted = 0;           // of a source
  std::vector<uint8_t> waiting;  // of a request, or what an echo could not send yet
  uint32_t events = EPOLLIN;
};

class Server {
 public:
  Server(const SocketAddress& first, const std::string& congestion) : buffer_(256 << 10) {
    SocketAddress address = first;
    for (const Service service : kServices) {
      auto listener = std::make_unique<Served>();
      listener->fd = open_stream(address.storage.ss_family, SOCK_NONBLOCK);
      listener->service = service;
      listener->listens = true;
      set_option(listener->fd, SOL_SOCKET, SO_REUSEADDR, 1);
      set_congestion(listener->fd, congestion);
      traffic::bind_socket(listener->fd, address);
      if (::listen(listener->fd, 4096) < 0) fail(std::string("listen: ") + std::strerror(errno));
      poller_.add(listener->fd, EPOLLIN, listener.get());
      listeners_.push_back(std::move(listener));
      next_port(address);
    }
  }

  void run() {
    while (!stopping) {
      poller_.wait(100, [&](uint32_t, void* data) {
        auto* served = static_cast<Served*>(data);
        if (served->listens) return accept_all(*served);
        if (!serve(*served)) {
          ::close(served->fd);
          delete served;
        }
      });
    }
  }

 private:
  static void next_port(SocketAddress& address) {
    auto& port = reinterpret_cast<sockaddr_in&>(address.storage).sin_port;  // at the same place for IPv6
    port = htons(static_cast<uint16_t>(ntohs(port) + 1));
  }

  void accept_all(const Served& listener) {
    int fd;
    while ((fd = ::accept4(listener.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
      set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
      auto* served = new Served;
      served->fd = fd;
      served->service = listener.service;
      poller_.add(fd, EPOLLIN, served);
    }
  }

  // Whether it goes on.
  bool serve(Served& served) {
    switch (served.service) {
      case Service::kSink:
        return sink(served);
      case Service::kSource:
        return source(served);
      case Service::kEcho:
        return echo(served);
    }
    return false;
  }

  // Bytes read; 0 at the end of the stream; -1 when there are none, -2 when it is broken.
  ssize_t read(const Served& served) {
    const ssize_t got = ::recv(served.fd, buffer_.data(), buffer_.size(), 0);
    return got >= 0 ? got : errno == EAGAIN ? -1 : -2;
  }

  bool sink(Served& served) {
    const ssize_t got = read(served);
    if (got == -1) return true;
    if (got > 0) {
      const auto size = static_cast<size_t>(got);
      served.intact = served.intact && pattern_.matches(served.position, buffer_.data(), size);
      if (served.intact) served.position += size;
      return true;
    }
    if (got == 0) (void)!::send(served.fd, &served.position, sizeof served.position, MSG_NOSIGNAL);
    return false;
  }

  bool source(Served& served) {
    if (served.wanted == 0) {
      const ssize_t got = read(served);
      if (got == -1) return true;
      if (got <= 0) return false;
      served.waiting.insert(served.waiting.end(), buffer_.begin(), buffer_.begin() + got);
      if (served.waiting.size() < sizeof served.wanted) return true;
      std::memcpy(&served.wanted, served.waiting.data(), sizeof served.wanted);
    }
    while (served.position < served.wanted) {
      const size_t size = std::min<uint64_t>(Pattern::kMost, served.wanted - served.position);
      const ssize_t sent = ::send(served.fd, pattern_.at(served.position), size, MSG_NOSIGNAL);
      if (sent < 0) return errno == EAGAIN && wait_for(served, EPOLLOUT);
      served.position += static_cast<uint64_t>(sent);
    }
    return false;
  }

  bool echo(Served& served) {
    if (served.waiting.empty()) {
      const ssize_t got = read(served);
      if (got == -1) return true;
      if (got <= 0) return false;
      served.waiting.assign(buffer_.begin(), buffer_.begin() + got);
    }
    const ssize_t sent = ::send(served.fd, served.waiting.data(), served.waiting.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return false;
    if (sent > 0) served.waiting.erase(served.waiting.begin(), served.waiting.begin() + sent);
    return wait_for(served, served.waiting.empty() ? EPOLLIN : EPOLLOUT);
  }

  bool wait_for(Served& served, uint32_t events) {
    if (served.events != events) poller_.change(served.fd, events, &served);
    served.events = events;
    return true;
  }

  Pattern pattern_;
  Poller poller_;
  std::vector<uint8_t> buffer_;
  std::vector<std::unique_ptr<Served>> listeners_;
};

}  // namespace streams
