#include "host/routes.h"

#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <sys/socket.h>

#include <cerrno>
#include <string_view>
#include <vector>

#include "host/netlink.h"
#include "io/socket_address.h"

namespace guise {
namespace {

uint32_t number_of(std::span<const uint8_t> bytes) {
  uint32_t number = 0;
  if (bytes.size() >= sizeof number) std::memcpy(&number, bytes.data(), sizeof number);
  return number;
}

std::span<const uint8_t> bytes_of(const Address& address) {
  return address.is_v4() ? std::span(address.v4(), 4) : std::span<const uint8_t>(address.bytes);
}

Address address_of(std::span<const uint8_t> bytes) {
  if (bytes.size() == 4) return Address::from_v4(bytes.data());
  return bytes.size() == 16 ? Address::from_v6(bytes.data()) : Address();
}

// The route of packets with a mark by an interface, 0 for none and any. 0, or -errno.
int find_route(const Address& remote, uint32_t mark, uint32_t by, Departure& out) {
  rtmsg message{};
  message.rtm_family = static_cast<uint8_t>(family_of(remote));
  message.rtm_dst_len = remote.is_v4() ? 32 : 128;
  NetlinkQuestion question(RTM_GETROUTE, 0, message);
  question.add(RTA_DST, bytes_of(remote));
  if (mark != 0) question.add(RTA_MARK, mark);
  if (by != 0) question.add(RTA_OIF, by);
  return question.ask([&](const NetlinkAnswer& answer) {
    out.interface = number_of(answer.attribute(sizeof(rtmsg), RTA_OIF));
    const auto gateway = answer.attribute(sizeof(rtmsg), RTA_GATEWAY);
    out.has_gateway = !gateway.empty();
    out.next_hop = gateway.empty() ? remote : address_of(gateway);
  });
}

// The interface that a route leads to; 0 for none.
uint32_t route(const Address& remote, uint32_t mark) {
  Departure found;
  return find_route(remote, mark, 0, found) ? 0 : found.interface;
}

// A neighbour that is being asked for has not answered yet; the kernel asks 3 times, a second apart.
bool is_silent(const Address& neighbour, uint32_t interface) {
  ndmsg message{};
  message.ndm_family = static_cast<uint8_t>(family_of(neighbour));
  message.ndm_ifindex = static_cast<int>(interface);
  NetlinkQuestion question(RTM_GETNEIGH, 0, message);
  question.add(NDA_DST, bytes_of(neighbour));
  bool silent = false;
  const int error = question.ask([&silent](const NetlinkAnswer& answer) {
    silent = (answer.body<ndmsg>().ndm_state & (NUD_INCOMPLETE | NUD_FAILED)) != 0;
  });
  return error == 0 && silent;
}

// wireguard-go's interface is a TUN.
bool is_tunnel(uint32_t interface) {
  ifinfomsg message{};
  message.ifi_index = static_cast<int>(interface);
  NetlinkQuestion question(RTM_GETLINK, 0, message);
  bool tunnel = false;
  const int error = question.ask([&tunnel](const NetlinkAnswer& answer) {
    const auto kind = NetlinkAnswer::find(answer.attribute(sizeof(ifinfomsg), IFLA_LINKINFO), IFLA_INFO_KIND);
    const std::string_view name(reinterpret_cast<const char*>(kind.data()), kind.size());
    tunnel = name.starts_with("wireguard") || name.starts_with("tun");
  });
  return error == 0 && tunnel;
}

// The marks of rules that are for packets without them.
std::vector<uint32_t> exempted_marks(int family) {
  fib_rule_hdr message{};
  message.family = static_cast<uint8_t>(family);
  NetlinkQuestion question(RTM_GETRULE, NLM_F_DUMP, message);
  std::vector<uint32_t> marks;
  const int error = question.ask([&marks](const NetlinkAnswer& answer) {
    if (!(answer.body<fib_rule_hdr>().flags & FIB_RULE_INVERT)) return;
    if (const uint32_t mark = number_of(answer.attribute(sizeof(fib_rule_hdr), FRA_FWMARK))) marks.push_back(mark);
  });
  if (error) marks.clear();
  return marks;
}

}  // namespace

int find_departure(const Address& remote, uint32_t mark, uint32_t interface, Departure& out) {
  out = {};
  if (const int error = find_route(remote, mark, interface, out)) return error;
  char name[IFNAMSIZ]{};
  if (::if_indextoname(out.interface, name)) out.name = name;
  out.neighbour_silent = is_silent(out.next_hop, out.interface);
  return 0;
}

uint32_t interface_past_tunnels(const Address& remote) {
  const uint32_t usual = route(remote, 0);
  if (usual == 0 || !is_tunnel(usual)) return 0;
  for (const uint32_t mark : exempted_marks(family_of(remote))) {
    const uint32_t marked = route(remote, mark);
    if (marked != 0 && marked != usual && !is_tunnel(marked)) return marked;
  }
  return 0;
}

int host_route(const Endpoint& remote, Route& out) {
  const int family = family_of(remote.address);
  // Connecting it asks the routes, and sends nothing.
  const UniqueFd socket(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_storage to{};
  const socklen_t size = to_sockaddr(remote, family, to);
  if (socket.get() < 0 || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), size) < 0) return -errno;
  out.source = local_endpoint(socket.get()).address;
  return route_mtu(socket.get(), family, out.mtu);
}

}  // namespace guise
