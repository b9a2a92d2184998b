// One fake TCP connection that is established: its numbers, its headers, where its datagrams go.
//
// Whose a field is stands beside it. "The owner" is the worker that sends on the flow; "a reader" is any worker that
// takes a segment of it from its device: the kernel decides which, and for a while there may be two.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>

#include "plane/ack_pace.h"
#include "plane/counters.h"
#include "plane/datagram_queue.h"
#include "plane/policy.h"
#include "plane/udp_port.h"
#include "plane/verdict.h"
#include "wire/segment.h"

namespace guise {

// Where received datagrams go.
enum class Delivery : uint8_t {
  kHeld,        // nowhere yet: queued, bounded
  kJavaScript,  // as events
  kSpliced,     // to a UDP endpoint
  kDropped,     // nowhere any more: its application is gone
};

// A note that asks for an answer, or a pair of them, one behind the other.
struct Probe {
  uint32_t token = 0;     // of the first; the second has the next
  uint16_t size = 0;      // bytes of its payload, Note::kSize at least
  uint16_t span = 0;      // how far before what the peer has to acknowledge it begins: as far as it reaches at least
  bool fragment = false;  // cut as datagrams of its size are; never a pair
  bool pair = false;
};

// How datagrams leave that are larger than what the path carries in one packet.
struct PathLimit {
  uint32_t payload = 0;           // bytes of the largest datagram that leaves in one packet
  bool fragments = false;         // larger ones leave in fragments of that size (IPv4 only); else they are dropped
  uint32_t watched = UINT32_MAX;  // kLargeSent says once when a larger one than this is sent; UINT32_MAX for never

  // Bytes of the largest datagram of which there is nothing to say.
  [[nodiscard]] uint32_t usual() const { return std::min(payload, watched); }
};

// Shared by the tables of all workers: whoever comes last frees it.
struct Flow : std::enable_shared_from_this<Flow> {
  struct Options {
    Tuple tuple;
    uint16_t owner = 0;
    uint32_t send_next = 0;
    uint32_t receive_next = 0;
    uint32_t max_payload = 0;
    bool push = false;
    bool limit_initial_window = false;  // until the peer's first segment
    bool scaled = true;                 // windows are, in both directions
    bool acknowledges = true;           // the peer does, by bytes and by time: phantun only with data of its own
    Way way;
  };

  // `id` and its counters are nobody else's.
  Flow(const Options& options, uint32_t with_id, const CounterSlab& slab, const Policy& with_policy)
      : tuple(options.tuple),
        header(options.tuple, options.scaled ? kWindow : kUnscaledWindow),
        id(with_id),
        owner(options.owner),
        generation(static_cast<uint32_t>(slab.flow(with_id).generation) + 1),
        max_payload(options.max_payload),
        push(options.push),
        scaled(options.scaled),
        acknowledges(options.acknowledges),
        policy(with_policy),
        counters(slab.flow(with_id)),
        path_limit{.payload = options.max_payload},
        usual_size(path_limit.usual()),
        window_open(options.scaled && !options.limit_initial_window),
        acks(with_policy, options.scaled, options.receive_next),
        challenged_at(0u - with_policy.challenge_interval),
        held(slab.engine()),
        unsent(slab.engine()),
        window_base(options.send_next),
        progress_send_next(options.send_next),
        way_(options.way.word()) {
    begin_counters(options);
  }

  // Nobody changes these.
  const Tuple tuple;
  const SegmentHeader header;
  const uint32_t id;          // its place in the counter slab
  const uint16_t owner;       // the worker that sends on it, and whose device queue it uses
  const uint32_t generation;  // FlowCounters.generation from its begin on
  const size_t max_payload;   // bytes of the largest datagram, in fragments or not
  const bool push;            // PSH on the last segment of a batch; phantun sends none
  const bool scaled;          // windows are, so that they are never reached once the path has seen one
  const bool acknowledges;    // the peer does, by bytes and by time
  const Policy& policy;

  // SND.NXT, RCV.NXT and ACK numbers are kept in them and nowhere else. Atomic, each by the rule of its method below.
  FlowCounters& counters;

  // The owner's, by set_path_limit.
  PathLimit path_limit;
  uint32_t usual_size;  // of path_limit
  // The owner's to change, a reader's to read: the number of the last note, and before the first none that there is.
  std::atomic<uint64_t> note_sequence{UINT64_MAX};

  // A reader's, by exchange: the one that changes it does what follows.
  std::atomic<bool> window_open;  // the path knows the peer's first scaled window, see Uplink::release
  AckPace acks;
  std::atomic<bool> first_ack_sent{false};
  std::atomic<bool> ack_due{false}, ack_wanted{false};
  std::atomic<bool> recut_said{false};
  // A reader's, by compare-exchange: when it was last challenged, in milliseconds of a steady clock.
  std::atomic<uint32_t> challenged_at;
  // A reader's: where what is outside of the window would go on, and how many datagrams came in a row. Two readers at
  // once make the row look shorter, never longer than both have seen.
  std::atomic<uint32_t> stray_next{0};
  std::atomic<uint32_t> strays{0};

  // The owner's to change, before `delivery` says that readers may use them.
  std::shared_ptr<UdpPort> port;  // where datagrams go; shared, because any reader sends through it
  UdpTarget target;
  std::atomic<Delivery> delivery{Delivery::kHeld};  // the owner's to change

  std::mutex held_mutex;  // taken only while delivery is kHeld
  DatagramQueue held;     // of whoever has the mutex

  // A reader's or the owner's, by exchange: why the UDP side takes no datagrams, an errno; 0 while it does, as far as
  // is known.
  std::atomic<int> refused{0};

  // The owner's: whose datagrams it carries. Each of the two forgets the other before it goes.
  Application* application = nullptr;
  // The owner's: from JavaScript, behind a window that is closed.
  DatagramQueue unsent;
  // The owner's: the highest number that is taken for acknowledged, from which what is in flight counts.
  uint32_t window_base;
  // The owner's to set when datagrams wait behind the window, a reader's to take when it may have moved: both by
  // exchange, so that each sees what the other did before.
  std::atomic<bool> waits{false};
  // The owner's: the ACK number and SND.NXT when the peer was last found to acknowledge, and when that was.
  uint32_t progress_ack = 0, progress_send_next = 0, progress_at = 0;
  uint8_t unanswered = 0;  // bare ACKs since then
  // The owner's: whether it is among those that wait, and since when, in milliseconds of a steady clock.
  bool stalled = false;
  // The JavaScript thread's to set, the owner's to take: kAwake is to tell of the next datagram that leaves.
  std::atomic<bool> asleep{false};
  uint32_t stalled_since = 0;

  // The JavaScript thread's: spliced to an application or endpoint, now or before.
  bool spliced = false;
  // Added to by the JavaScript thread, taken from by the owner: bytes that were given and have not left yet.
  std::atomic<size_t> posted_bytes{0};

  [[nodiscard]] uint32_t send_next() const { return number(counters.send_next); }
  [[nodiscard]] FlowNumbers numbers() const {
    return {send_next(), number(counters.receive_next), number(counters.peer_ack)};
  }

  // The owner's.
  void set_path_limit(const PathLimit& limit) {
    path_limit = limit;
    usual_size = limit.usual();
  }

  // Any thread's: whether a segment with this number may be on its way, that of a note too.
  [[nodiscard]] bool is_under_way(uint32_t seq) const {
    const FlowNumbers now = numbers();
    return seq - now.peer_ack < now.send_next - now.peer_ack || seq == note_sequence.load(std::memory_order_relaxed);
  }

  // The owner's: whether the peer takes notes. A server does not know the connection before it has answered: it would
  // take the note for a first datagram.
  [[nodiscard]] bool takes_notes() const {
    return acknowledges &&
           (window_open.load(std::memory_order_relaxed) || read_counter(counters.received_segments) > 0);
  }

  // A reader's. The last one, not the highest: phantun answers a probe by what it said last, and goes back with it.
  void take_ack(uint32_t ack) { set(counters.peer_ack, ack); }

  // A reader's, or the owner's for JavaScript: takes the numbers of a segment that ends at `end`, by compare-exchange.
  // Late segments do not move RCV.NXT back.
  void advance(uint32_t end) {
    std::atomic_ref next(counters.receive_next);
    uint64_t seen = next.load(std::memory_order_relaxed);
    while (ahead(end, static_cast<uint32_t>(seen)) > 0 &&
           !next.compare_exchange_weak(seen, end, std::memory_order_relaxed)) {
    }
  }

  // Any thread's: how its segments leave.
  [[nodiscard]] Way way() const { return Way(way_.load(std::memory_order_relaxed)); }

  // A reader's: the way that a segment came is the way back, when its numbers are those of somebody who sees the
  // connection: a stranger must not lead it elsewhere.
  void learn_way(const SegmentView& segment, const FlowNumbers& before) {
    if (!segment.way.known() || segment.way == way()) return;
    const auto distance = static_cast<uint32_t>(std::abs(int64_t{ahead(segment.seq, before.receive_next)}));
    if (distance < policy.fin_late_window) way_.store(segment.way.word(), std::memory_order_relaxed);
  }

  // Any thread's: a way that has turned out to lead nowhere; the kernel's routes are asked from now on.
  void forget_way(Way lost) {
    uint64_t word = lost.word();
    way_.compare_exchange_strong(word, 0, std::memory_order_relaxed);
  }

  // A reader's, for a stray that is believed: wherever RCV.NXT was.
  void set_receive_next(uint32_t next) { set(counters.receive_next, next); }

  // A reader's. After an outage the peer may have sent more than a window. Whether this datagram outside of it is the
  // last of enough in a row, each of which acknowledges what only somebody who sees the connection knows. A RST carries
  // none.
  [[nodiscard]] bool believes_stray(const SegmentView& segment) {
    if (segment.flags & kRst || !acknowledges_what_was_sent(segment.ack, numbers(), policy.fin_late_window))
      return false;
    const bool in_a_row = segment.seq == stray_next.load(std::memory_order_relaxed);
    const auto datagrams = static_cast<uint32_t>(segment.datagrams());
    const uint32_t before = in_a_row ? strays.load(std::memory_order_relaxed) : 0;
    strays.store(before + datagrams, std::memory_order_relaxed);
    stray_next.store(segment.seq + static_cast<uint32_t>(segment.payload.size()), std::memory_order_relaxed);
    return before + datagrams > policy.believed_strays;
  }

  // A reader's: whether to answer a segment that asks for an ACK, `now` in milliseconds of a steady clock.
  [[nodiscard]] bool may_challenge(uint32_t now) {
    uint32_t before = challenged_at.load(std::memory_order_relaxed);
    return now - before >= policy.challenge_interval &&
           challenged_at.compare_exchange_strong(before, now, std::memory_order_relaxed);
  }

  // The owner's: whether `bytes` may leave before the window moves. One datagram always may.
  [[nodiscard]] bool has_window(size_t bytes) {
    if (window_open.load(std::memory_order_relaxed)) return true;
    const uint32_t acknowledged = number(counters.peer_ack), next = send_next();
    if (ahead(acknowledged, window_base) > 0) window_base = acknowledged;
    return next == window_base || ahead(next + static_cast<uint32_t>(bytes), window_base + policy.unscaled_window) <= 0;
  }

  // A reader's or the owner's: the ACK number to send now.
  [[nodiscard]] uint32_t acknowledge() {
    const uint32_t next = number(counters.receive_next);
    set(counters.ack_sent, next);
    return next;
  }

  [[nodiscard]] uint32_t unacknowledged() const { return number(counters.receive_next) - number(counters.ack_sent); }

  // The owner's: takes `bytes` of sequence space; returns where they begin.
  [[nodiscard]] uint32_t take_sequence(size_t bytes) {
    const uint32_t seq = send_next();
    set(counters.send_next, static_cast<uint32_t>(seq + bytes));
    return seq;
  }

 private:
  std::atomic<uint64_t> way_;  // see Way: a reader's to learn, any thread's to forget

  static uint32_t number(uint64_t& counter) { return static_cast<uint32_t>(read_counter(counter)); }
  static void set(uint64_t& counter, uint32_t value) {
    std::atomic_ref(counter).store(value, std::memory_order_relaxed);
  }

  // The JavaScript thread's, before any worker knows the flow.
  void begin_counters(const Options& options) {
    const FlowCounters begin{
        .receive_next = options.receive_next,
        .peer_ack = options.send_next,
        .send_next = options.send_next,
        .ack_sent = options.receive_next,
        .generation = generation,
    };
    constexpr size_t kWords = sizeof begin / sizeof(uint64_t);
    const auto* from = reinterpret_cast<const uint64_t*>(&begin);
    auto* to = reinterpret_cast<uint64_t*>(&counters);
    for (size_t i = 0; i < kWords; ++i) std::atomic_ref(to[i]).store(from[i], std::memory_order_relaxed);
  }
};

}  // namespace guise
