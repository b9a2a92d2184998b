#include "io/link_device.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "io/clock.h"
#include "io/socket_address.h"

namespace guise {
namespace {

constexpr uint32_t kLinkHeader = 16;  // room in front of the IP header in a frame, and more than Ethernet takes

// Frames for what a link carries, for a few such that were merged, and for as many as can be; and their part of the
// memory, in eighths. A plain sender's datagrams leave 3 or 4 at a time.
struct Size {
  uint32_t frame;
  uint32_t share;
};
constexpr std::array<Size, LinkSockets::kSizes> kSizes{{
    {2048, 1},
    {16384, 3},
    {TPACKET_ALIGN(ReceiveRing::kFrameHead + kLinkHeader + kMaxPacket), 4},
}};
// Bytes of the largest packet, with the link's header, that a frame of a size holds.
constexpr uint32_t capacity(size_t size) { return kSizes[size].frame - ReceiveRing::kFrameHead; }

int open_socket(int family, int type, int protocol, UniqueFd& out, const char*& syscall) {
  syscall = "socket";
  out = UniqueFd(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
  return out.get() < 0 ? -errno : 0;
}

int set(int fd, int level, int option, const void* value, socklen_t size) {
  return ::setsockopt(fd, level, option, value, size) < 0 ? -errno : 0;
}

// Applies what the user says of routes.
int choose_routes(const UniqueFd& out, const LinkSockets::Options& options, const char*& syscall) {
  if (options.mark != 0) {
    syscall = "SO_MARK";
    if (const int error = set(out.get(), SOL_SOCKET, SO_MARK, &options.mark, sizeof options.mark)) return error;
  }
  if (!options.interface.empty()) {
    syscall = "SO_BINDTODEVICE";
    const auto size = static_cast<socklen_t>(options.interface.size());
    if (const int error = set(out.get(), SOL_SOCKET, SO_BINDTODEVICE, options.interface.data(), size)) return error;
  }
  return 0;
}

int open_routed(int family, const LinkSockets::Options& options, UniqueFd& raw, UniqueFd& route, const char*& syscall) {
  if (const int error = open_socket(family, SOCK_RAW, IPPROTO_RAW, raw, syscall)) return error;
  if (const int error = open_socket(family, SOCK_DGRAM, 0, route, syscall)) return error;
  if (const int error = choose_routes(raw, options, syscall)) return error;
  return choose_routes(route, options, syscall);
}

// SO_BINDTODEVICE of a socket; empty for none.
std::string bound_interface(const UniqueFd& socket) {
  char name[IFNAMSIZ]{};
  socklen_t size = sizeof name;
  return ::getsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, name, &size) < 0 ? "" : name;
}

int send_message(int fd, msghdr& message) {
  ssize_t sent;
  do {
    sent = ::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : 0;
}

// As far as the host allows: beyond net.core.wmem_max it takes CAP_NET_ADMIN.
void widen_send_buffer(int fd, uint32_t bytes) {
  const int size = static_cast<int>(bytes);
  if (set(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0) {
    (void)set(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);  // less is only slower
  }
}

int open_packet(std::array<UniqueFd, LinkSockets::kSizes>& out, const char*& syscall) {
  for (UniqueFd& socket : out) {
    if (const int error = open_socket(AF_PACKET, SOCK_RAW, 0, socket, syscall)) return error;
  }
  return 0;
}

// Joins the group, or makes one that nobody else on the host has (4.13, PACKET_FANOUT_FLAG_UNIQUEID).
int join_fanout(int fd, int& group) {
  int mode = PACKET_FANOUT_HASH << 16;
  mode |= group < 0 ? PACKET_FANOUT_FLAG_UNIQUEID << 16 : group;
  if (const int error = set(fd, SOL_PACKET, PACKET_FANOUT, &mode, sizeof mode)) return error;
  socklen_t size = sizeof mode;
  if (::getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &mode, &size) < 0) return -errno;
  group = mode & 0xffff;
  return 0;
}

}  // namespace

int LinkSockets::open(const Options& options, LinkSockets& out, const char*& syscall) {
  LinkSockets opened;
  if (const int error = open_socket(AF_PACKET, SOCK_RAW, 0, opened.send, syscall)) return error;
  if (const int error = open_packet(opened.receive4, syscall)) return error;
  if (const int error = open_routed(AF_INET, options, opened.raw4, opened.route4, syscall)) return error;
  if (options.ipv6) {
    if (const int error = open_packet(opened.receive6, syscall)) return error;
    if (const int error = open_routed(AF_INET6, options, opened.raw6, opened.route6, syscall)) return error;
  }
  out = std::move(opened);
  return 0;
}

LinkDevice::LinkDevice(LinkSockets sockets, const Options& options, std::shared_ptr<LinkGroup> group)
    : PacketDevice(options.segmentation),
      options_(options),
      families_{{{.number = AF_INET, .sockets = std::move(sockets.receive4), .rings = {}},
                 {.number = AF_INET6, .sockets = std::move(sockets.receive6), .rings = {}}}},
      sockets_(std::move(sockets)),
      interface_(bound_interface(sockets_.route4)),
      group_(std::move(group)) {}

int LinkDevice::create(LinkSockets sockets, const Options& options, std::shared_ptr<LinkGroup> group,
                       std::unique_ptr<LinkDevice>& out, const char*& syscall) {
  std::unique_ptr<LinkDevice> device(new LinkDevice(std::move(sockets), options, std::move(group)));
  const int send = device->sockets_.send.get();
  const int one = 1;
  syscall = "PACKET_VNET_HDR";
  if (const int error = set(send, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one)) return error;
  widen_send_buffer(send, options.send_bytes);
  for (const Family& family : device->families_) {
    for (const UniqueFd& socket : family.sockets) {
      if (socket.get() < 0) continue;
      // Nothing passes until pass() says what: what came before would be of anybody.
      syscall = "SO_ATTACH_FILTER";
      if (const int error = attach_filter(socket.get(), closed_filter())) return error;
      device->descriptors_.push_back(socket.get());
    }
  }
  // Hardly anybody has only IPv6: whoever opens the first connection does not wait for these.
  if (const int error = device->open_rings(device->families_.front(), syscall)) return error;
  out = std::move(device);
  return 0;
}

int LinkDevice::open_rings(Family& family, const char*& syscall) {
  const uint16_t protocol = family.number == AF_INET ? ETH_P_IP : ETH_P_IPV6;
  int* fanout = &group_->fanouts[family.number == AF_INET ? 0 : LinkSockets::kSizes];
  for (size_t i = 0; i < LinkSockets::kSizes; ++i) {
    const uint32_t frames = std::max(1u, options_.ring_bytes / 8 * kSizes[i].share / kSizes[i].frame);
    const ReceiveRing::Shape shape{.frame_size = kSizes[i].frame, .frames = frames};
    if (const int error = ReceiveRing::create(std::move(family.sockets[i]), shape, family.rings[i], syscall))
      return error;
  }
  // Before anything can come: whoever reads is told once that something has.
  family.open.store(true, std::memory_order_release);
  for (ReceiveRing& ring : family.rings) {
    if (const int error = ring.bind(protocol, syscall)) return error;
    if (!options_.fanout) continue;
    syscall = "PACKET_FANOUT";
    if (const int error = join_fanout(ring.fd(), *fanout++)) return error;
  }
  return 0;
}

int LinkDevice::pass(const SegmentInterests& interests, const char*& syscall) {
  syscall = "SO_ATTACH_FILTER";
  for (Family& family : families_) {
    if (!family.open && (!interests.concern(family.number) || family.sockets.front().get() < 0)) continue;
    uint32_t least = 0;
    for (size_t i = 0; i < LinkSockets::kSizes; ++i) {
      const int fd = family.open ? family.rings[i].fd() : family.sockets[i].get();
      const uint32_t most = i + 1 < LinkSockets::kSizes ? capacity(i) : UINT32_MAX;
      const FilterScope scope{family.number, least, most};
      int error = attach_filter(fd, segment_filter(interests, scope));
      // Larger than a socket may have (net.core.optmem_max): the engine looks at each segment again.
      if (error == -ENOMEM) error = attach_filter(fd, wide_filter(scope));
      if (error) return error;
      least = most + 1;
    }
    if (family.open) continue;
    if (const int error = open_rings(family, syscall)) return error;
  }
  return 0;
}

// The kernel puts packets into the rings one after the other: when one is seen, all that came before it are there too.
// So the rings are looked at twice.
ReceiveRing* LinkDevice::Family::next() {
  const auto waits = [](const ReceiveRing& ring) { return ring.waits(); };
  if (std::ranges::none_of(rings, waits)) return nullptr;
  ReceiveRing* first = nullptr;
  for (ReceiveRing& ring : rings) {
    if (ring.waits() && (!first || ring.time() < first->time())) first = &ring;
  }
  return first;
}

bool LinkDevice::waits() {
  return std::ranges::any_of(families_, [](const Family& family) {
    return family.open.load(std::memory_order_acquire) &&
           std::ranges::any_of(family.rings, [](const ReceiveRing& ring) { return ring.waits(); });
  });
}

void LinkDevice::begin() {
  packets_ = bytes_ = 0;
  for (Family& family : families_) {
    if (!family.open.load(std::memory_order_acquire)) continue;
    for (ReceiveRing& ring : family.rings) ring.release();
  }
}

PacketDevice::Read LinkDevice::read(Packet& packet) {
  if (packets_ == options_.limits.packets || bytes_ + kLargestRead > options_.limits.bytes) return Read::kFull;
  for (Family& family : families_) {
    if (!family.open.load(std::memory_order_acquire)) continue;
    for (ReceiveRing* ring; (ring = family.next());) {
      const ReceiveRing::Frame frame = ring->take();
      if (frame.losing) overruns_ += ring->overruns();
      ++packets_;
      bytes_ += frame.packet.size();
      // Of what others are sent, and of what we send ourselves, nothing is ours.
      if (frame.address->sll_pkttype != PACKET_HOST) {
        if (packets_ == options_.limits.packets) return Read::kFull;
        continue;
      }
      packet.bytes = frame.packet;
      packet.offload = frame.offload;
      packet.has_offload = true;
      packet.way = way_of(frame);
      return Read::kPacket;
    }
  }
  return Read::kNone;
}

Way LinkDevice::way_of(const ReceiveRing::Frame& frame) {
  const sockaddr_ll& from = *frame.address;
  const bool ethernet = from.sll_hatype == ARPHRD_ETHER || from.sll_hatype == ARPHRD_LOOPBACK;
  Link link{.interface = from.sll_ifindex, .ethernet = ethernet, .own = {}};
  LinkAddress neighbour{};
  if (ethernet && frame.link_header_size == ETH_HLEN) {
    std::memcpy(link.own.data(), frame.link_header, ETH_ALEN);
    std::memcpy(neighbour.data(), frame.link_header + ETH_ALEN, ETH_ALEN);
  } else if (from.sll_hatype != ARPHRD_NONE) {
    return {};  // a link header that we do not know: by the kernel's routes
  }
  if (!group_->links.has(last_link_) || !(group_->links.at(last_link_) == link))
    last_link_ = group_->links.number_of(link);
  return last_link_ == 0 ? Way() : Way(last_link_, neighbour);
}

// A UDP socket that is connected has asked the routes, and sent nothing. Connected again it would keep its address: it
// is let go first (net/ipv4/datagram.c, __ip4_datagram_connect), which unbinds it from its interface (net/ipv4/udp.c,
// __udp_disconnect). To bind one that is not bound takes no right (5.7).
int LinkDevice::route_to(const Endpoint& remote, uint32_t interface, Route& out) const {
  const bool v4 = remote.address.is_v4();
  const UniqueFd& socket = v4 ? sockets_.route4 : sockets_.route6;
  if (socket.get() < 0) return -EAFNOSUPPORT;
  // Takes no right, and can be taken back, both unlike SO_BINDTODEVICE.
  const uint32_t index = htonl(interface);
  for (const UniqueFd* chosen : {&socket, v4 ? &sockets_.raw4 : &sockets_.raw6}) {
    const int error = v4 ? set(chosen->get(), IPPROTO_IP, IP_UNICAST_IF, &index, sizeof index)
                         : set(chosen->get(), IPPROTO_IPV6, IPV6_UNICAST_IF, &index, sizeof index);
    if (error) return error;
  }
  sockaddr_storage to{};
  const socklen_t size = to_sockaddr(remote, family_of(remote.address), to);
  const sockaddr nowhere{.sa_family = AF_UNSPEC, .sa_data = {}};
  (void)::connect(socket.get(), &nowhere, sizeof nowhere);
  if (!interface_.empty()) {
    const auto length = static_cast<socklen_t>(interface_.size());
    if (const int error = set(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, interface_.data(), length)) return error;
  }
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), size) < 0) return -errno;
  out.source = local_endpoint(socket.get()).address;
  return route_mtu(socket.get(), family_of(remote.address), out.mtu);
}

bool LinkDevice::is_lost(Way way, int error) const {
  return way.known() && (error == -ENXIO || error == -ENODEV || error == -ENETDOWN);
}

int LinkDevice::write(const Outgoing& packet) {
  return group_->links.has(packet.way.link()) ? write_to_link(packet) : write_by_route(packet);
}

// It may be changed: the kernel is asked once a second.
size_t LinkDevice::mtu_of_link(uint16_t link) const {
  std::atomic<uint64_t>& note = group_->links.note(link);  // the second, and the MTU in its low 32 bits
  const uint64_t known = note.load(std::memory_order_relaxed);
  const uint64_t second = coarse_milliseconds() / 1000;
  if (known != 0 && known >> 32 == second) return known & UINT32_MAX;
  ifreq request{};
  request.ifr_ifindex = group_->links.at(link).interface;
  const int socket = sockets_.raw4.get();
  if (::ioctl(socket, SIOCGIFNAME, &request) < 0 || ::ioctl(socket, SIOCGIFMTU, &request) < 0) return SIZE_MAX;
  const auto mtu = static_cast<uint32_t>(request.ifr_mtu);
  note.store(second << 32 | mtu, std::memory_order_relaxed);
  return mtu;
}

int LinkDevice::write_to_link(const Outgoing& packet) const {
  // Of a super-segment the kernel cuts segments of any size (net/packet/af_packet.c, packet_snd): it is looked at here.
  if (packet.segment_size > 0 && packet.header_size + packet.segment_size > mtu_of_link(packet.way.link()))
    return -EMSGSIZE;
  const Link& link = group_->links.at(packet.way.link());
  const uint16_t protocol = htons(packet.ip_size() == ipv4::kHeader ? ETH_P_IP : ETH_P_IPV6);
  uint8_t* begin = packet.ip;
  if (link.ethernet) {
    begin -= ETH_HLEN;
    const LinkAddress neighbour = packet.way.neighbour();
    std::memcpy(begin, neighbour.data(), ETH_ALEN);
    std::memcpy(begin + ETH_ALEN, link.own.data(), ETH_ALEN);
    std::memcpy(begin + size_t{2} * ETH_ALEN, &protocol, sizeof protocol);
  }
  const VirtioNetHeader offload = packet.offload(static_cast<size_t>(packet.ip - begin));
  begin -= sizeof offload;
  std::memcpy(begin, &offload, sizeof offload);
  packet.vectors[0] = {begin, static_cast<size_t>(packet.ip - begin) + packet.header_size};

  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_protocol = protocol;
  to.sll_ifindex = link.interface;
  msghdr message{};
  message.msg_name = &to;
  message.msg_namelen = sizeof to;
  message.msg_iov = packet.vectors;
  message.msg_iovlen = packet.vector_count;
  const int socket = sockets_.send.get();
  const int error = send_message(socket, message);
  if (error != -EAGAIN) return error;
  // Its buffer is full: the link is slower than we are, as it is for any program that sends.
  pollfd room{.fd = socket, .events = POLLOUT, .revents = 0};
  (void)::poll(&room, 1, options_.send_wait);
  return send_message(socket, message);
}

int LinkDevice::write_by_route(const Outgoing& packet) const {
  packet.complete_checksum();
  packet.vectors[0] = {packet.ip, packet.header_size};
  const Address remote = packet.header.destination();
  const UniqueFd& socket = remote.is_v4() ? sockets_.raw4 : sockets_.raw6;
  if (socket.get() < 0) return -EAFNOSUPPORT;
  sockaddr_storage to{};
  msghdr message{};
  message.msg_name = &to;
  message.msg_namelen = to_sockaddr({remote, 0}, family_of(remote), to);
  message.msg_iov = packet.vectors;
  message.msg_iovlen = packet.vector_count;
  return send_message(socket.get(), message);
}

}  // namespace guise
