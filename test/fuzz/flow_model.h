// What must hold of the data plane, whatever is done to it: it is told what goes in and what comes out.
//
// - No datagram comes out that did not go in for that flow: each once, unchanged, in order.
// - Every data segment out goes on where the last of its flow ended; a flow that is closed sends none.
// - Notes take no number, and nobody gets more of them than datagrams of 0 bytes.
// - ICMP errors that are told of speak of a tuple of ours.
// - Events name the generation of an id that is of their tuple; connections open with a cookie that was sent.
// - What was counted adds up: all that was received is delivered, held or counted as dropped; all that was sent is
// seen.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "../support/require.h"
#include "ledger.h"
#include "plane/engine.h"

class FlowModel {
 public:
  static constexpr uint32_t kFlows = 4;  // at the same time: fewer than tuples
  static constexpr size_t kTuples = 6;
  static constexpr size_t kApplications = 3;
  static constexpr size_t kWorkers = 2;
  static constexpr uint16_t kPort = 443;  // ours, of every tuple

  struct Connection {  // by tuple, one generation after the other
    guise::Tuple tuple;
    uint32_t id = 0;               // 0 = closed
    uint32_t receive_next = 0;     // of a segment that follows the last one in order
    uint32_t cookie = 0;           // ISN of the last SYN-ACK
    uint16_t udp_port = 0;         // of the engine, towards the backend
    std::set<uint32_t> cookies{};  // ISNs of all SYN-ACKs
    uint64_t senders = 0;          // sources whose datagrams may leave on it
    // Of the next data out, by device: the oldest generation's that may still send, then later ones'.
    std::array<std::deque<uint32_t>, kWorkers> send_next{};
  };
  struct Application {
    uint32_t id;
    size_t application;
  };

  explicit FlowModel(std::shared_ptr<guise::CounterSlab> counters) : counters_(std::move(counters)) {
    for (size_t i = 0; i < kTuples; ++i) connections[i].tuple = tuple_at(i);
  }

  std::array<Connection, kTuples> connections;
  std::vector<Application> peers;  // that the engine has told of

  [[nodiscard]] size_t index_of(const Connection& one) const { return static_cast<size_t>(&one - connections.data()); }

  // What goes in.

  // Before a flow is opened: the counters of an id are those of its next generation as soon as it begins.
  void opening() {
    for (uint32_t id = 1; id <= kFlows; ++id) before_[id] = counters_->flow(id);
  }

  void opened(Connection& one, uint32_t id, const guise::Flow::Options& options, bool read) {
    count_generation(id, before_[id]);
    REQUIRE(tuples_.emplace(std::pair(id, counters_->flow(id).generation), index_of(one)).second);
    generations_[id] = {true, read ? Fate::kDelivered : Fate::kHeld};
    one.id = id;
    one.receive_next = options.receive_next;
    one.send_next[options.owner].push_back(options.send_next);
  }

  void closed(Connection& one) {
    one.id = 0;
    one.udp_port = 0;
  }

  void spliced_to_backend(Connection& one, const std::vector<guise::Datagram>& first) {
    generations_[one.id].fate = Fate::kDelivered;
    one.senders |= bit(backend(index_of(one)));
    for (const auto& datagram : first) {
      in_.put(first_of(index_of(one)), datagram);
      ++received_;
    }
  }

  void spliced_to_nobody(const Connection& one) { generations_[one.id].fate = Fate::kUnknown; }

  void spliced_to_peer(Connection& one, const Application& peer) {
    Fate& fate = generations_[one.id].fate;
    if (fate == Fate::kHeld) fate = Fate::kUnknown;  // whether the peer is still there
    one.senders |= bit(application(peer.application));
    to_application_[peer.application] |= inbound(index_of(one));
  }

  void javascript_sends(Connection& one, std::span<const uint8_t> datagram) {
    one.senders |= bit(javascript(index_of(one)));
    out_.put(javascript(index_of(one)), datagram);
  }
  void backend_sends(const Connection& one, std::span<const uint8_t> datagram) {
    out_.put(backend(index_of(one)), datagram);
  }
  void application_sends(size_t index, std::span<const uint8_t> datagram) { out_.put(application(index), datagram); }

  // A valid segment, on the device of a worker.
  void peer_sends(const guise::SegmentView& segment, size_t worker) {
    const auto index = index_of(segment.tuple);
    if (!index || segment.flags & (guise::kSyn | guise::kRst | guise::kFin)) return;
    const auto note = guise::read_note(segment.payload);
    if (note && note->type == guise::Note::Type::kEmpty) in_.put(segments_of(*index, worker), {});
    guise::each_datagram(segment.payload, segment.segment_size,
                         [&](auto datagram) { in_.put(segments_of(*index, worker), datagram); });
  }

  // What comes out.

  void at_backend(Connection& one, std::span<const uint8_t> datagram, uint16_t from) {
    REQUIRE(in_.take(inbound(index_of(one)), kToBackend + from, datagram));  // each generation has a port of its own
    ++delivered_;
    if (one.id != 0) one.udp_port = from;
  }

  void at_application(size_t index, std::span<const uint8_t> datagram) {
    REQUIRE(in_.take(to_application_[index], kToApplication + static_cast<unsigned>(index), datagram));
    ++delivered_;
  }

  void at_peer(const guise::SegmentView& segment, size_t worker) {
    const auto index = index_of(guise::Tuple{segment.tuple.remote, segment.tuple.local});
    const bool syn_ack = segment.flags == (guise::kSyn | guise::kAck);
    if (!index) return REQUIRE(syn_ack && segment.payload.empty());  // garbage may be a SYN
    Connection& one = connections[*index];
    if (syn_ack) one.cookies.insert(one.cookie = segment.seq);
    const bool fin = segment.flags & guise::kFin;
    if (segment.payload.empty() && !fin) return;
    if (const auto note = guise::read_note(segment.payload)) {
      if (note->type == guise::Note::Type::kEmpty) ++seen_;
      return;
    }
    // What the device refused has taken its numbers nevertheless.
    const bool gaps = dropped(guise::DropReason::kDeviceRefused) > 0;
    auto& next = one.send_next[worker];
    while (!next.empty() && segment.seq != next.front() && !(gaps && next.size() == 1)) next.pop_front();
    REQUIRE(!next.empty());
    next.front() = segment.seq + static_cast<uint32_t>(segment.payload.size()) + fin;
    guise::each_datagram(segment.payload, segment.segment_size, [&](auto datagram) {
      REQUIRE(out_.take(one.senders, kToPeer + segments_of(*index, worker), datagram));
      ++seen_;
    });
  }

  void at_javascript(const guise::EventRecord& record, std::span<const uint8_t> payload) {
    using enum guise::EventType;
    const auto index = index_of(tuple_of(record));
    switch (record.type) {
      case kUnsent:
      case kSegment:
        return REQUIRE(record.id == 0);
      case kOpening:
        return REQUIRE(index && connections[*index].cookies.contains(record.ack - 1));
      case kDatagram:
        REQUIRE(index && in_.take(inbound(*index), kToJavaScript, payload));
        ++delivered_;
        break;
      case kIcmpError:
        REQUIRE(payload.size() == 17 && (record.flags == 1 || record.ack == 0));
        if (record.id == 0) return;
        break;
      case kAnswer:
      case kLargeSent:
      case kRecut:
      case kRefused:
      case kAwake:
        REQUIRE(payload.empty());
        break;
      case kAttached:
      case kFlowEnd:
      case kApplicationGone:
        break;
      default:
        REQUIRE(!"an event of a flow");
    }
    const auto whose = tuples_.find({record.id, record.detail});
    REQUIRE(index && whose != tuples_.end() && whose->second == *index);
  }

  // Nothing is under way any more.
  void settled() {
    for (Connection& one : connections) {
      if (one.id == 0) one.send_next.fill({});
    }
  }

  // Once, when nothing is under way any more.
  void check_sums() {
    using enum guise::DropReason;
    for (uint32_t id = 1; id <= kFlows; ++id) count_generation(id, counters_->flow(id));
    REQUIRE(seen_ <= sent_);
    REQUIRE(seen_ + dropped(kDeviceRefused) >= sent_);
    // A refusal is of an earlier datagram than the one that it is counted with, which may arrive.
    REQUIRE(delivered_ <= received_ + received_unknown_ + dropped(kBackendRefused) + dropped(kApplicationRefused));
    REQUIRE(delivered_ + dropped(kEventsFull) + dropped(kUdpSendFailed) + dropped(kBackendRefused) >= received_);
  }

  static guise::Tuple tuple_of(const guise::EventRecord& record) {
    return {{guise::Address::from_v6(record.local_address), record.local_port},
            {guise::Address::from_v6(record.remote_address), record.remote_port}};
  }

 private:
  // What becomes of the datagrams that a flow receives.
  enum class Fate : uint8_t { kHeld, kDelivered, kUnknown };
  struct Generation {  // by flow id
    bool used = false;
    Fate fate = Fate::kHeld;
  };

  // Sources and sinks of the ledgers.
  static unsigned segments_of(size_t tuple, size_t worker) { return static_cast<unsigned>(tuple * kWorkers + worker); }
  static unsigned first_of(size_t tuple) { return static_cast<unsigned>(kTuples * kWorkers + tuple); }
  static unsigned javascript(size_t tuple) { return static_cast<unsigned>(tuple); }
  static unsigned backend(size_t tuple) { return static_cast<unsigned>(kTuples + tuple); }
  static unsigned application(size_t index) { return static_cast<unsigned>(2 * kTuples + index); }
  static uint64_t bit(unsigned source) { return uint64_t{1} << source; }
  static uint64_t inbound(size_t tuple) {
    return bit(segments_of(tuple, 0)) | bit(segments_of(tuple, 1)) | bit(first_of(tuple));
  }
  enum : unsigned { kToJavaScript, kToPeer, kToApplication = kToPeer + kTuples * kWorkers, kToBackend = 100 };

  static guise::Tuple tuple_at(size_t index) {
    constexpr uint8_t kHere[16] = {0xfc, 0xc9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 192, 168, 201, 2};
    constexpr uint8_t kThere[16] = {0x20, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 203, 0, 113, 7};
    const auto port = static_cast<uint16_t>(40000 + index);
    if (index % 2) return {{guise::Address::from_v6(kHere), kPort}, {guise::Address::from_v6(kThere), port}};
    return {{guise::Address::from_v4(kHere + 12), kPort}, {guise::Address::from_v4(kThere + 12), port}};
  }

  [[nodiscard]] std::optional<size_t> index_of(const guise::Tuple& tuple) const {
    const auto found = std::ranges::find(connections, tuple, &Connection::tuple);
    if (found == connections.end()) return std::nullopt;
    return static_cast<size_t>(found - connections.begin());
  }

  [[nodiscard]] uint64_t dropped(guise::DropReason reason) const {
    return counters_->engine().dropped[static_cast<size_t>(reason)];
  }

  void count_generation(uint32_t id, const guise::FlowCounters& counters) {
    if (!std::exchange(generations_[id].used, false)) return;
    sent_ += counters.sent_datagrams;
    const uint64_t received = counters.received_datagrams - counters.received_drops;
    if (generations_[id].fate == Fate::kDelivered) received_ += received;
    if (generations_[id].fate == Fate::kUnknown) received_unknown_ += received;
  }

  const std::shared_ptr<guise::CounterSlab> counters_;
  std::array<guise::FlowCounters, kFlows + 1> before_{};
  std::array<Generation, kFlows + 1> generations_{};
  std::map<std::pair<uint32_t, uint64_t>, size_t> tuples_;  // by id and generation
  std::array<uint64_t, kApplications> to_application_{};    // sources whose datagrams may come out there
  Ledger in_, out_;

  // Datagrams of all generations: counted by the engine, and seen here.
  uint64_t received_ = 0, received_unknown_ = 0, sent_ = 0;
  uint64_t delivered_ = 0, seen_ = 0;
};
