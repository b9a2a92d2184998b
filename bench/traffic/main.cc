// Load generator and sink for tests and benchmarks: one JSON line on standard output tells what came.
#include <poll.h>
#include <csignal>
#include <optional>

#include "flags.h"
#include "flood.h"
#include "receiver.h"
#include "sender.h"

namespace traffic {
namespace {

constexpr const char* kHelp =
    R"(traffic peer --bind IP:PORT | --to IP:PORT   sends, receives and judges labelled datagrams
  --count N | --seconds S   datagrams or time to send (default: send nothing)
  --size N|A-B|imix         bytes, all sizes from A to B, or 7 of 64, 4 of 576 and 1 of 1400 (default 1400)
  --rate N, --tick US       datagrams a second (default: flat out), what is due every so often (default 50)
  --flows K, --burst N      send from K sockets in turns, N datagrams each (default 1, 64)
  --warm MS                 a pause after the first datagram of each socket (default 0)
  --gso, --gro              UDP_SEGMENT when sending, UDP_GRO when receiving
  --no-verify               look at headers only
  --echo                    answer pings; judge everything else
  --from-all                take datagrams of any peer
  --idle S                  end so many seconds after the last datagram (default 2)
  --give-up S               end when none has come after so many seconds (default: wait)
traffic ping --to IP:PORT   round trips to a `peer --echo`
  --count N, --size N, --interval US (between two, default 0)
  --flows K                 from K sockets at once; each checks that it gets its own answers
  --fresh                   a new socket for each: the time to set up a flow
  --losses N                end after so many (default: never)
  --wait S                  an answer may take so many seconds (default 3)
traffic flood --to IP:PORT   segments with random numbers to a TCP port, each of another source of 10.64.0.0/10
  --kind syn|ack|rst        (default syn)
  --from IP[:PORT]          of this source instead
  --seconds S, --rate N     (default 1, flat out)
traffic relay --bind IP:PORT --to IP:PORT   passes one peer's datagrams on, as plainly as it can be done
)";

std::atomic<bool> stopping{false};

Sizes parse_sizes(const std::string& text) {
  Sizes sizes;
  sizes.imix = text == "imix";
  if (sizes.imix) return sizes;
  sizes.least = std::stoul(text);
  sizes.most = text.find('-') == std::string::npos ? sizes.least : std::stoul(text.substr(text.find('-') + 1));
  return sizes;
}

std::vector<int> connect_all(const SocketAddress& address, size_t count) {
  std::vector<int> sockets;
  for (size_t i = 0; i < count; ++i) {
    sockets.push_back(open_socket(address.storage.ss_family));
    connect_socket(sockets.back(), address);
  }
  return sockets;
}

int run_peer(const Flags& flags) {
  SendPlan plan;
  plan.sizes = parse_sizes(get(flags, "size", "1400"));
  plan.rate = std::stoull(get(flags, "rate", "0"));
  plan.tick = std::chrono::microseconds(std::stoul(get(flags, "tick", "50")));
  plan.burst = std::stoul(get(flags, "burst", "64"));
  plan.seconds = std::stod(get(flags, "seconds", "0"));
  const bool sends = flags.count("count") || flags.count("seconds");
  if (flags.count("count")) plan.count = std::stoull(flags.at("count"));
  plan.warm = std::chrono::milliseconds(std::stoul(get(flags, "warm", "0")));
  plan.gso = flags.count("gso");
  plan.verify = !flags.count("no-verify");
  ReceivePlan receive;
  receive.gro = flags.count("gro");
  receive.verify = plan.verify;
  receive.echo = flags.count("echo");
  receive.idle = std::stod(get(flags, "idle", "2"));
  const SocketAddress address = parse_address(flags.count("to") ? flags.at("to") : get(flags, "bind", ""));
  std::vector<int> sockets;
  std::atomic<bool> has_peer{false};
  if (flags.count("to")) {
    sockets = connect_all(address, std::stoul(get(flags, "flows", "1")));
    has_peer = true;
  } else {
    sockets.push_back(open_socket(address.storage.ss_family));
    bind_socket(sockets[0], address);
    receive.stick = !receive.echo && !flags.count("from-all");
  }
  const uint64_t patience = flags.count("give-up") ? std::stoull(flags.at("give-up")) * 1'000'000'000 : UINT64_MAX / 2;
  std::fprintf(stderr, "ready\n");
  std::atomic<bool> may_end{false};
  Sent sent;
  std::thread sender([&] {
    while (sends && !has_peer && !stopping) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (sends && !stopping) sent = Sender(sockets, plan).run(stopping);
    const uint64_t give_up = now_ns() + patience;
    while (!has_peer && !stopping && now_ns() < give_up) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    may_end = true;
  });
  const Received received = Receiver(sockets[0], receive).run(stopping, may_end, has_peer);
  sender.join();
  const double seconds = received.seconds();
  std::printf(
      "{\"sent\":%llu,\"sentBytes\":%llu,\"sendSeconds\":%.6f,\"received\":%llu,\"receivedBytes\":%llu,"
      "\"receiveSeconds\":%.6f,\"gbits\":%.4f,\"highest\":%llu,\"flows\":%zu,\"corrupted\":%llu,"
      "\"reordered\":%llu,\"duplicated\":%llu,\"wrongPeer\":%llu}\n",
      static_cast<unsigned long long>(sent.datagrams), static_cast<unsigned long long>(sent.bytes), sent.seconds,
      static_cast<unsigned long long>(received.datagrams), static_cast<unsigned long long>(received.bytes), seconds,
      seconds > 0 ? static_cast<double>(received.bytes) * 8e-9 / seconds : 0.0,
      static_cast<unsigned long long>(received.highest), received.flows,
      static_cast<unsigned long long>(received.corrupted), static_cast<unsigned long long>(received.reordered),
      static_cast<unsigned long long>(received.duplicated), static_cast<unsigned long long>(received.wrong_peer));
  return 0;
}

// Waits for the answer to `label`; the round trip in microseconds, or nothing. Late answers are passed over.
std::optional<double> await_answer(int fd, uint64_t label, uint64_t deadline, uint64_t& wrong) {
  static std::vector<uint8_t> buffer(65536);
  while (!stopping) {
    pollfd poll{fd, POLLIN, 0};
    const uint64_t now = now_ns();
    if (::poll(&poll, 1, now < deadline ? static_cast<int>((deadline - now) / 1'000'000) : 0) <= 0) break;
    const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0) continue;
    const Checked checked = check_datagram(buffer.data(), static_cast<size_t>(got), true);
    if (!checked.good || flow_of(checked.label) != flow_of(label))
      ++wrong;
    else if (checked.label == label)
      return static_cast<double>(now_ns() - checked.sent_at) * 1e-3;
  }
  return std::nullopt;
}

int run_ping(const Flags& flags) {
  const SocketAddress address = parse_address(get(flags, "to", ""));
  const auto count = std::stoull(get(flags, "count", "1000"));
  const auto size = std::max<size_t>(kHeader, std::stoul(get(flags, "size", "100")));
  const auto flows = std::stoul(get(flags, "flows", "1"));
  const auto interval = std::chrono::microseconds(std::stoul(get(flags, "interval", "0")));
  const auto wait = std::stoull(get(flags, "wait", "3")) * 1'000'000'000;
  std::vector<int> sockets = connect_all(address, flows);
  std::vector<double> times;
  std::vector<uint8_t> buffer(65536);
  uint64_t sent = 0, lost = 0, wrong = 0;
  const uint64_t begin = now_ns();
  const auto losses = std::stoull(get(flags, "losses", "18446744073709551615"));
  for (uint64_t round = 0; round < count && lost < losses && !stopping; ++round) {
    if (flags.count("fresh") && round > 0) {
      for (const int fd : sockets) ::close(fd);
      sockets = connect_all(address, flows);
    }
    // All flows at once, then all answers: with one flow that is a plain ping.
    for (size_t flow = 0; flow < flows; ++flow, ++sent) {
      write_datagram(buffer.data(), size, label_of(flow, round) | kWantsAnswer, now_ns(), true);
      (void)!::send(sockets[flow], buffer.data(), size, 0);
    }
    const uint64_t deadline = now_ns() + wait;
    for (size_t flow = 0; flow < flows; ++flow) {
      const uint64_t label = label_of(flow, round) | kWantsAnswer;
      const std::optional<double> time = await_answer(sockets[flow], label, deadline, wrong);
      if (time)
        times.push_back(*time);
      else
        ++lost;
    }
    if (interval.count() > 0) std::this_thread::sleep_for(interval);
  }
  const double seconds = static_cast<double>(now_ns() - begin) * 1e-9;
  std::sort(times.begin(), times.end());
  const auto percentile = [&](double p) {
    if (times.empty()) return 0.0;
    return times[std::min(times.size() - 1, static_cast<size_t>(p * static_cast<double>(times.size())))];
  };
  std::printf("{\"sent\":%llu,\"lost\":%llu,\"wrong\":%llu,\"seconds\":%.6f,\"percentiles\":[",
              static_cast<unsigned long long>(sent), static_cast<unsigned long long>(lost),
              static_cast<unsigned long long>(wrong), seconds);
  // Enough of them to draw the curve.
  const char* comma = "";
  for (const double p : {0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999, 1.0}) {
    std::printf("%s[%g,%.1f]", comma, p, percentile(p));
    comma = ",";
  }
  std::printf("],\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f}\n", percentile(0.5), percentile(0.99), percentile(0.999));
  return 0;
}

int run_relay(const Flags& flags) {
  const SocketAddress from = parse_address(get(flags, "bind", "")), to = parse_address(get(flags, "to", ""));
  const int near = open_socket(from.storage.ss_family), far = open_socket(to.storage.ss_family);
  bind_socket(near, from);
  connect_socket(far, to);
  std::fprintf(stderr, "ready\n");
  sockaddr_storage peer{};
  socklen_t peer_size = 0;
  std::vector<uint8_t> buffer(65536);
  pollfd polls[] = {{near, POLLIN, 0}, {far, POLLIN, 0}};
  while (!stopping) {
    if (::poll(polls, 2, 100) <= 0) continue;
    if (polls[0].revents) {
      peer_size = sizeof peer;
      const ssize_t got =
          ::recvfrom(near, buffer.data(), buffer.size(), MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&peer), &peer_size);
      if (got >= 0) (void)!::send(far, buffer.data(), static_cast<size_t>(got), 0);
    }
    if (polls[1].revents) {
      const ssize_t got = ::recv(far, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got >= 0) {
        (void)::sendto(near, buffer.data(), static_cast<size_t>(got), 0, reinterpret_cast<const sockaddr*>(&peer),
                       peer_size);
      }
    }
  }
  return 0;
}

int run_flood(const Flags& flags) {
  FloodPlan plan;
  const SocketAddress to = parse_address(get(flags, "to", ""));
  std::memcpy(&plan.to, &to.storage, sizeof plan.to);
  const std::string kind = get(flags, "kind", "syn");
  plan.flags = kind == "syn" ? 0x02 : kind == "ack" ? 0x10 : 0x04;
  if (flags.count("from")) {
    const std::string& from = flags.at("from");
    const SocketAddress source = parse_address(from.find(':') == std::string::npos ? from + ":0" : from);
    sockaddr_in address;
    std::memcpy(&address, &source.storage, sizeof address);
    plan.source = address.sin_addr.s_addr;
    plan.source_port = ntohs(address.sin_port);
  }
  plan.seconds = std::stod(get(flags, "seconds", "1"));
  plan.rate = std::stoull(get(flags, "rate", "0"));
  const uint64_t sent = Flood(plan).run(stopping);
  std::printf("{\"sent\":%llu}\n", static_cast<unsigned long long>(sent));
  return 0;
}

}  // namespace
}  // namespace traffic

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "--help";
  std::signal(SIGTERM, [](int) { traffic::stopping = true; });
  std::signal(SIGINT, [](int) { traffic::stopping = true; });
  if (mode == "peer") return traffic::run_peer(traffic::parse(argc, argv));
  if (mode == "relay") return traffic::run_relay(traffic::parse(argc, argv));
  if (mode == "flood") return traffic::run_flood(traffic::parse(argc, argv));
  if (mode == "ping") return traffic::run_ping(traffic::parse(argc, argv));
  std::fputs(traffic::kHelp, stdout);
  return mode == "--help" ? 0 : 2;
}
