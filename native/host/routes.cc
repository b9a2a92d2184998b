#include "host/routes.h"

#include <linux/fib_rules.h>
#include <linux/if_link.h>
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

// The interface that a route leads to; 0 for none.
uint32_t route(const Address& remote, uint32_t mark) {
  const bool v4 = remote.is_v4();
  rtmsg message{};
  message.rtm_family = static_cast<uint8_t>(family_of(remote));
  message.rtm_dst_len = v4 ? 32 : 128;
  NetlinkQuestion question(RTM_GETROUTE, 0, message);
  question.add(RTA_DST, v4 ? std::span(remote.v4(), 4) : std::span<const uint8_t>(remote.bytes));
  if (mark != 0) question.add(RTA_MARK, mark);
  uint32_t interface = 0;
  const int error = question.ask(
      [&interface](const NetlinkAnswer& answer) { interface = number_of(answer.attribute(sizeof(rtmsg), RTA_OIF)); });
  return error ? 0 : interface;
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
