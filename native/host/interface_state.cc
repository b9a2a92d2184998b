#include "host/interface_state.h"

#include <linux/if_link.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>

#include "host/netlink.h"
#include "io/socket_address.h"
#include "wire/bytes.h"

namespace guise {
namespace {

uint32_t number_of(std::span<const uint8_t> bytes) {
  return bytes.size() >= sizeof(uint32_t) ? read_at<uint32_t>(bytes.data()) : 0;
}

}  // namespace

int is_set_up(const std::string& interface, uint32_t mtu, const Address& peer) {
  const unsigned index = ::if_nametoindex(interface.c_str());
  if (index == 0) return errno == ENODEV ? 0 : -errno;

  ifinfomsg link{};
  link.ifi_index = static_cast<int>(index);
  bool up = false;
  NetlinkQuestion about_link(RTM_GETLINK, 0, link);
  const int error = about_link.ask([&](const NetlinkAnswer& answer) {
    up = (answer.body<ifinfomsg>().ifi_flags & IFF_UP) != 0 &&
         number_of(answer.attribute(sizeof(ifinfomsg), IFLA_MTU)) == mtu;
  });
  if (error || !up) return error;

  rtmsg route{};
  route.rtm_family = static_cast<uint8_t>(family_of(peer));
  route.rtm_dst_len = peer.is_v4() ? 32 : 128;
  bool leads = false;
  NetlinkQuestion about_route(RTM_GETROUTE, 0, route);
  about_route.add(RTA_DST, peer.is_v4() ? std::span(peer.v4(), 4) : std::span<const uint8_t>(peer.bytes));
  const int refused = about_route.ask(
      [&](const NetlinkAnswer& answer) { leads = number_of(answer.attribute(sizeof(rtmsg), RTA_OIF)) == index; });
  // There is no route at all: the kernel answers so.
  if (refused == -ENETUNREACH || refused == -EHOSTUNREACH) return 0;
  return refused ? refused : leads;
}

}  // namespace guise
