#include "io/udp_socket.h"

#include <linux/errqueue.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace guise {
namespace {

// The kernel gives an error that an ICMP message has reported to whichever call comes next, and forgets it with that
// (net/core/sock.c, sock_error): the call itself has not been tried. Another may come meanwhile.
constexpr int kTries = 4;

void set(int fd, int level, int option, int value) { (void)::setsockopt(fd, level, option, &value, sizeof value); }

// Calls `take` with each control message; stops when it returns true.
template <typename Take>
void each_control_message(const msghdr& message, Take take) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(const_cast<msghdr*>(&message), header)) {
    if (take(*header)) return;
  }
}

template <typename T>
T data_of(const cmsghdr& header) {
  T data;
  std::memcpy(&data, CMSG_DATA(&header), sizeof data);
  return data;
}

// The address that a message was sent to; for what the error queue gives, the one that the datagram was sent from.
Address destination_of(const msghdr& message) {
  Address address;
  each_control_message(message, [&](const cmsghdr& header) {
    if (header.cmsg_level == IPPROTO_IP && header.cmsg_type == IP_PKTINFO) {
      const auto info = data_of<in_pktinfo>(header);
      address = Address::from_v4(reinterpret_cast<const uint8_t*>(&info.ipi_addr));
      return true;
    }
    if (header.cmsg_level == IPPROTO_IPV6 && header.cmsg_type == IPV6_PKTINFO) {
      const auto info = data_of<in6_pktinfo>(header);
      address = Address::from_v6(info.ipi6_addr.s6_addr);
      return true;
    }
    return false;
  });
  return address;
}

int open_socket(const Endpoint& endpoint, const UdpSocket::Options& options, UniqueFd& out, const char*& syscall) {
  const int family = family_of(endpoint.address);
  UniqueFd fd(::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  syscall = "socket";
  if (fd.get() < 0) return -errno;
  // FORCE goes beyond net.core.?mem_max and needs CAP_NET_ADMIN; without it the sysctl's limit is taken.
  for (const auto& [forced, plain] : {std::pair{SO_RCVBUFFORCE, SO_RCVBUF}, {SO_SNDBUFFORCE, SO_SNDBUF}}) {
    const auto size = static_cast<int>(options.buffer_bytes);
    if (::setsockopt(fd.get(), SOL_SOCKET, forced, &size, sizeof size) < 0) set(fd.get(), SOL_SOCKET, plain, size);
  }
  // A datagram larger than the link is fragmented here, not refused: the tunnel's MTU is the other side's matter.
  if (family == AF_INET) set(fd.get(), IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
  if (options.offload) set(fd.get(), SOL_UDP, UDP_GRO, 1);
  // ICMP errors are kept with whom they are about; without it an unconnected socket hears of none, and a connected one
  // of those only that are for ever (net/ipv4/udp.c, __udp4_lib_err). [::] carries IPv4 too.
  set(fd.get(), IPPROTO_IP, IP_RECVERR, 1);
  if (family == AF_INET6) set(fd.get(), IPPROTO_IPV6, IPV6_RECVERR, 1);
  out = std::move(fd);
  return 0;
}

}  // namespace

// What ICMP and ICMPv6 say of the way and its end (net/ipv4/icmp.c, icmp_err_convert; net/ipv6/icmp.c, tab_unreach),
// and what the routes and the firewall of this host do.
bool is_refusal(int error) {
  switch (error) {
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENONET:
    case ENOPROTOOPT:
    case EPROTO:
    case EOPNOTSUPP:
    case ENETDOWN:
    case EACCES:
    case EPERM:
      return true;
    default:
      return false;
  }
}

UdpTarget::UdpTarget(const Tuple& ends, int family) {
  sockaddr_storage storage{};
  address_size = to_sockaddr(ends.remote, family, storage);
  std::memcpy(address, &storage, address_size);
  auto* header = reinterpret_cast<cmsghdr*>(source);
  if (family == AF_INET) {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, ends.local.address.v4(), 4);
    header->cmsg_level = IPPROTO_IP;
    header->cmsg_type = IP_PKTINFO;
    header->cmsg_len = CMSG_LEN(sizeof info);
    std::memcpy(CMSG_DATA(header), &info, sizeof info);
    source_size = CMSG_SPACE(sizeof info);
  } else {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, ends.local.address.bytes.data(), 16);
    header->cmsg_level = IPPROTO_IPV6;
    header->cmsg_type = IPV6_PKTINFO;
    header->cmsg_len = CMSG_LEN(sizeof info);
    std::memcpy(CMSG_DATA(header), &info, sizeof info);
    source_size = CMSG_SPACE(sizeof info);
  }
}

UdpBatch::UdpBatch(size_t most, size_t most_large)
    : most_(most),
      most_large_(std::min(most, most_large)),
      buffers_(new uint8_t[most * kMessageSize]),
      control_(most),
      sources_(most),
      vectors_(most),
      messages_(most) {
  for (size_t i = 0; i < most; ++i) {
    vectors_[i] = {&buffers_[i * kMessageSize], kMessageSize};
    messages_[i].msg_hdr.msg_iov = &vectors_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
  }
}

// The kernel has written into what describes the messages.
void UdpBatch::prepare() {
  for (size_t i = 0; i < next_; ++i) {
    messages_[i].msg_hdr.msg_name = &sources_[i];
    messages_[i].msg_hdr.msg_namelen = sizeof sources_[i];
    messages_[i].msg_hdr.msg_control = control_[i].bytes;
    messages_[i].msg_hdr.msg_controllen = kControlSize;
  }
}

size_t UdpBatch::segment_size(size_t message) const {
  const size_t whole = messages_[message].msg_len;
  size_t size = whole;
  each_control_message(messages_[message].msg_hdr, [&](const cmsghdr& header) {
    if (header.cmsg_level != SOL_UDP || header.cmsg_type != UDP_GRO) return false;
    const auto merged = data_of<int>(header);
    if (merged > 0 && static_cast<size_t>(merged) < whole) size = static_cast<size_t>(merged);
    return true;
  });
  return size;
}

Endpoint UdpBatch::source(size_t message) const { return to_endpoint(sources_[message]); }

Address UdpBatch::destination(size_t message) const { return destination_of(messages_[message].msg_hdr); }

size_t UdpSocket::receive(UdpBatch& batch) {
  batch.prepare();
  int received = -1;
  for (int tries = 0; received < 0 && tries < kTries; ++tries) {
    received = ::recvmmsg(fd_.get(), batch.messages_.data(), static_cast<unsigned>(batch.next_), MSG_DONTWAIT, nullptr);
    if (received < 0 && errno == EAGAIN) break;
  }
  if (received <= 0) return 0;
  const auto messages = static_cast<size_t>(received);
  size_t total = 0;
  for (size_t i = 0; i < messages; ++i) total += batch.messages_[i].msg_len;
  batch.next_ = total / messages > UdpBatch::kLargeMessage ? batch.most_large_ : batch.most_;
  return messages;
}

bool UdpSocket::take_error(UdpError& error) {
  alignas(cmsghdr) uint8_t control[256];  // sock_extended_err with an address, and IPV6_PKTINFO
  for (;;) {
    sockaddr_storage remote{};
    msghdr message{};
    message.msg_name = &remote;
    message.msg_namelen = sizeof remote;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    if (::recvmsg(fd_.get(), &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return false;
    error = {.error = 0, .remote = to_endpoint(remote), .local = destination_of(message)};
    each_control_message(message, [&](const cmsghdr& header) {
      const bool v4 = header.cmsg_level == IPPROTO_IP && header.cmsg_type == IP_RECVERR;
      const bool v6 = header.cmsg_level == IPPROTO_IPV6 && header.cmsg_type == IPV6_RECVERR;
      if (!v4 && !v6) return false;
      const auto reported = data_of<sock_extended_err>(header);
      const bool icmp = reported.ee_origin == SO_EE_ORIGIN_ICMP || reported.ee_origin == SO_EE_ORIGIN_ICMP6;
      if (icmp) error.error = static_cast<int>(reported.ee_errno);
      return true;
    });
    if (error.error != 0) return true;
  }
}

int UdpSocket::bind(const Endpoint& local, const Options& options, UniqueFd& out, const char*& syscall) {
  UniqueFd fd;
  const int error = open_socket(local, options, fd, syscall);
  if (error) return error;
  if (options.shared) set(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
  if (local.address.is_v4()) {
    set(fd.get(), IPPROTO_IP, IP_PKTINFO, 1);
  } else {
    set(fd.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0);  // [::] is every address of the host, IPv4 too
  }
  sockaddr_storage address{};
  const socklen_t size = to_sockaddr(local, family_of(local.address), address);
  syscall = "bind";
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) < 0) return -errno;
  out = std::move(fd);
  return 0;
}

int UdpSocket::connect(const Endpoint& remote, const Options& options, UniqueFd& out, const char*& syscall) {
  UniqueFd fd;
  const int error = open_socket(remote, options, fd, syscall);
  if (error) return error;
  sockaddr_storage address{};
  const socklen_t size = to_sockaddr(remote, family_of(remote.address), address);
  syscall = "connect";
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), size) < 0) return -errno;
  out = std::move(fd);
  return 0;
}

Endpoint UdpSocket::local() const { return local_endpoint(fd_.get()); }

int UdpSocket::family() const {
  int domain = AF_INET;
  socklen_t size = sizeof domain;
  (void)::getsockopt(fd_.get(), SOL_SOCKET, SO_DOMAIN, &domain, &size);
  return domain;
}

int UdpSocket::send_once(const UdpTarget& target, iovec* vectors, size_t count, size_t segment_size) {
  alignas(cmsghdr) uint8_t control[sizeof target.source + CMSG_SPACE(sizeof(uint16_t))];
  msghdr message{};
  message.msg_iov = vectors;
  message.msg_iovlen = count;
  if (target.address_size > 0) {
    message.msg_name = const_cast<uint8_t*>(target.address);
    message.msg_namelen = target.address_size;
    std::memcpy(control, target.source, target.source_size);
  }
  size_t control_size = target.source_size;
  if (segment_size > 0) {
    auto* header = reinterpret_cast<cmsghdr*>(control + control_size);
    header->cmsg_level = SOL_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    const auto size = static_cast<uint16_t>(segment_size);
    std::memcpy(CMSG_DATA(header), &size, sizeof size);
    control_size += CMSG_SPACE(sizeof size);
  }
  if (control_size > 0) {
    message.msg_control = control;
    message.msg_controllen = control_size;
  }
  for (int tries = 1;; ++tries) {
    if (::sendmsg(fd_.get(), &message, 0) >= 0) return 0;
    if (errno == EINTR) continue;
    const int most = is_refusal(errno) ? kTries : errno == EMSGSIZE ? 2 : 1;
    if (tries >= most) return -errno;
  }
}

Sent UdpSocket::send(const UdpTarget& target, SegmentRun& run) {
  if (run.segments() > 1 && !segmentation_.load(std::memory_order_relaxed)) return send_each(target, run);
  const auto segments = static_cast<uint32_t>(std::max<size_t>(1, run.segments()));
  last_sent_.store(segments, std::memory_order_relaxed);
  const int error = send_once(target, run.vectors(), run.vector_count(), run.segments() > 1 ? run.segment_size() : 0);
  if (error == 0) return {};
  if (is_refusal(-error)) return {.refused = segments, .error = -error};
  if (segments == 1) return {.failed = 1};
  switch (error) {
    case -EIO: {  // the egress device computes no checksums: UDP_SEGMENT never works here
      const bool fell_back = segmentation_.exchange(false, std::memory_order_relaxed);
      Sent sent = send_each(target, run);
      sent.fell_back = fell_back;
      return sent;
    }
    case -EINVAL:  // datagrams larger than the egress MTU: these must be fragmented one by one
    case -EMSGSIZE:
      return send_each(target, run);
    default:
      return {.failed = segments};
  }
}

Sent UdpSocket::send_each(const UdpTarget& target, const SegmentRun& run) {
  Sent sent;
  last_sent_.store(1, std::memory_order_relaxed);
  run.each([&](std::span<const uint8_t> datagram) {
    iovec vector{const_cast<uint8_t*>(datagram.data()), datagram.size()};
    const int error = send_once(target, &vector, 1, 0);
    if (is_refusal(-error)) {
      ++sent.refused;
      sent.error = -error;
    } else if (error) {
      ++sent.failed;
    }
  });
  return sent;
}

}  // namespace guise
