#include "proxy/worker_manager.h"

#include <condition_variable>
#include <deque>
#include <fcntl.h>
#include <future>
#include <optional>
#include <sys/socket.h>

#include <doctest/doctest.h>

#include "common/resp.h"
#include "common/slot.h"
#include "tests/proxy/scripted_server.h"

using namespace pikaproxy;

namespace {

constexpr std::chrono::seconds kLimit(20);

template <typename Condition>
void wait_until(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + kLimit;
  while (!condition()) {
    REQUIRE(std::chrono::steady_clock::now() < end);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

// A client's end of a connection to the proxy.
class TestClient {
 public:
  explicit TestClient(WorkerManager& manager) {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    fd_ = fds[0];
    const timeval limit{kLimit.count(), 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    REQUIRE(::fcntl(fds[1], F_SETFL, O_NONBLOCK) == 0);
    REQUIRE(manager.add_client(fds[1]));
  }
  ~TestClient() { ::close(fd_); }
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  void send(const std::vector<std::string>& words) {
    std::string out;
    resp::append_array(out, static_cast<int64_t>(words.size()));
    for (const std::string& word : words) resp::append_bulk(out, word);
    REQUIRE(::send(fd_, out.data(), out.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(out.size()));
  }
  // The next reply as it comes.
  std::string read() {
    ReplyFramer framer;
    std::string reply;
    for (;;) {
      uint64_t size = 0;
      const auto status = framer.feed(rest_, size);
      REQUIRE(status != ReplyFramer::Status::kError);
      reply += rest_.substr(0, size);
      rest_.erase(0, size);
      if (status == ReplyFramer::Status::kComplete) return reply;
      char bytes[4096];
      const ssize_t got = ::recv(fd_, bytes, sizeof bytes, 0);
      REQUIRE(got > 0);
      rest_.append(bytes, static_cast<size_t>(got));
    }
  }
  std::string call(const std::vector<std::string>& words) {
    send(words);
    return read();
  }

 private:
  int fd_ = -1;
  std::string rest_;
};

// What a caller of install() is told.
class Told {
 public:
  ProxyControl::Installed callback() {
    return [state = state_](Result<uint64_t> result) {
      const std::lock_guard lock(state->mutex);
      ++state->times;
      state->text = result ? std::to_string(*result) : result.error();
      state->changed.notify_all();
    };
  }
  bool is_told() const {
    const std::lock_guard lock(state_->mutex);
    return state_->times > 0;
  }
  // The epoch, or the error.
  std::string wait() const {
    std::unique_lock lock(state_->mutex);
    REQUIRE(state_->changed.wait_for(lock, kLimit, [&] { return state_->times > 0; }));
    CHECK(state_->times == 1);
    return state_->text;
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    int times = 0;
    std::string text;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// Keeps questions until the test answers them, as if a thread of its own did.
class TestMover : public KeyMover {
 public:
  struct Question {
    SlotId slot;
    uint32_t db;
    std::vector<std::string> keys;
    Done done;
  };
  void move(SlotId slot, uint32_t db, std::vector<std::string> keys, Done done) override {
    const std::lock_guard lock(mutex_);
    questions_.push_back({slot, db, std::move(keys), std::move(done)});
  }
  Question next() {
    wait_until([&] {
      const std::lock_guard lock(mutex_);
      return !questions_.empty();
    });
    const std::lock_guard lock(mutex_);
    Question question = std::move(questions_.front());
    questions_.pop_front();
    return question;
  }

 private:
  std::mutex mutex_;
  std::deque<Question> questions_;
};

// Two servers a and b, and a proxy in front of them.
struct Cluster {
  explicit Cluster(std::function<void(Config&)> edit = {}) {
    Config config;
    config.proxy.workers = 2;
    config.backend.request_timeout = Milliseconds(60'000);
    config.backend.reconnect_min = config.backend.reconnect_max = Milliseconds(5);
    config.proxy.hold_timeout = Milliseconds(60'000);
    if (edit) edit(config);
    manager.emplace(config, make_topology(config, 1).value());
    manager->set_mover(&mover);
    manager->start();
  }

  std::shared_ptr<SlotTable> table(uint64_t epoch, SlotState state = SlotState::kNormal,
                                   const std::string& key = "k") {
    auto table = std::make_shared<SlotTable>();
    table->epoch = epoch;
    table->groups = {{1, "a", a.address(), "", "", {}}, {2, "b", b.address(), "", "", {}}};
    table->slots.fill({SlotState::kNormal, 0, SlotEntry::kNone});
    table->slots[slot_of(key)] = {state, 0,
                                  state == SlotState::kMigrating ? uint16_t{1} : SlotEntry::kNone};
    return table;
  }
  // Gives the slot of `key` to b.
  std::shared_ptr<SlotTable> moved(uint64_t epoch, const std::string& key = "k") {
    auto moved = table(epoch);
    moved->slots[slot_of(key)].group = 1;
    return moved;
  }
  Told install(std::shared_ptr<const SlotTable> table) {
    Told told;
    manager->install(std::move(table), told.callback());
    return told;
  }
  uint64_t held() {
    uint64_t held = 0;
    for (const auto& worker : manager->workers()) {
      held += std::as_const(*worker).stats().held_requests.get();
    }
    return held;
  }
  void wait_for_held(uint64_t count) {
    wait_until([&] { return held() == count; });
  }

  ScriptedServer a;
  ScriptedServer b;
  TestMover mover;
  std::optional<WorkerManager> manager;
};

}  // namespace

TEST_SUITE("proxy/worker_manager") {
  TEST_CASE("a table is acknowledged when all workers run it, and again when it comes again") {
    Cluster cluster;
    CHECK(cluster.manager->epoch() == 0);
    CHECK(cluster.install(cluster.table(5)).wait() == "5");
    CHECK(cluster.manager->epoch() == 5);
    CHECK(cluster.install(cluster.table(5)).wait() == "5");
    TestClient client(*cluster.manager);
    CHECK(client.call({"SET", "k", "v"}) == "+OK\r\n");
    CHECK(cluster.a.value("k") == "v");
    CHECK(cluster.install(cluster.moved(6)).wait() == "6");
    CHECK(client.call({"GET", "k"}) == "$-1\r\n");
    CHECK(cluster.b.count("GET") == 1);
  }

  TEST_CASE("older tables, other ones with the same epoch and impossible ones are refused") {
    Cluster cluster;
    CHECK(cluster.install(cluster.table(5)).wait() == "5");
    CHECK(cluster.install(cluster.table(4)).wait() ==
          "table 4 is older than table 5, which is in force");
    CHECK(cluster.install(cluster.moved(5)).wait() == "another table with epoch 5 is in force");
    auto wrong = cluster.table(6);
    wrong->slots[7].group = 2;
    CHECK(cluster.install(wrong).wait() == "slot 7 names a group that the table does not have");
    wrong = cluster.table(6);
    wrong->slots[7] = {SlotState::kMigrating, 0, 0};
    CHECK(cluster.install(wrong).wait() == "slot 7 migrates to the group it is in");
    CHECK(cluster.manager->epoch() == 5);
  }

  TEST_CASE("a proxy that is no slot proxy follows no table") {
    Cluster cluster([](Config& config) { config.proxy.router = RouterKind::kKetama; });
    CHECK(cluster.install(cluster.table(5)).wait() ==
          "this proxy follows no slot table: its proxy.router is not \"slot\"");
  }

  TEST_CASE("a locked slot is acknowledged when what was sent before has been answered") {
    Cluster cluster;
    REQUIRE(cluster.install(cluster.table(1)).wait() == "1");
    cluster.a.keep_back("SET");
    TestClient client(*cluster.manager);
    client.send({"SET", "k", "v"});
    wait_until([&] { return cluster.a.owes_replies(); });
    const Told locked = cluster.install(cluster.table(2, SlotState::kLocked));
    wait_until([&] { return cluster.manager->epoch() == 2; });
    SUBCASE("once it has") {
      client.send({"GET", "k"});
      cluster.wait_for_held(1);
      CHECK_FALSE(locked.is_told());
      const Told again = cluster.install(cluster.table(2, SlotState::kLocked));
      cluster.a.keep_back("");
      CHECK(locked.wait() == "2");
      CHECK(again.wait() == "2");
      CHECK(client.read() == "+OK\r\n");
      CHECK(cluster.a.count("GET") == 0);
      cluster.b.set("k", "from b");
      CHECK(cluster.install(cluster.moved(3)).wait() == "3");
      CHECK(client.read() == "$6\r\nfrom b\r\n");
    }
    SUBCASE("or never, if a newer table comes first") {
      CHECK_FALSE(locked.is_told());
      const Told open = cluster.install(cluster.table(3));
      CHECK(locked.wait() == "table 2 was superseded by table 3 while it waited for server " +
                                 cluster.a.address().to_string() + " of group a");
      CHECK(open.wait() == "3");
      cluster.a.keep_back("");
      CHECK(client.read() == "+OK\r\n");
    }
    SUBCASE("or never, if the proxy ends") {
      CHECK_FALSE(locked.is_told());
      cluster.manager->stop();
      CHECK(locked.wait() == "the proxy is ending");
      CHECK(cluster.install(cluster.table(3)).wait() == "the proxy is ending");
    }
  }

  TEST_CASE("a request given up does not run after its slot has drained, or after a newer one") {
    Cluster cluster([](Config& config) { config.backend.request_timeout = Milliseconds(200); });
    SUBCASE("killed by its id") {}
    SUBCASE("killed by its address, where there are no ids") {
      cluster.a.answer("CLIENT ID", "-ERR unknown\r\n");
    }
    REQUIRE(cluster.install(cluster.table(1)).wait() == "1");
    TestClient client(*cluster.manager);
    // A database of its own: a connection that nothing but these requests needs.
    REQUIRE(client.call({"SELECT", "3"}) == "+OK\r\n");
    REQUIRE(client.call({"SET", "k", "old"}) == "+OK\r\n");
    cluster.a.stall();
    CHECK(client.call({"SET", "k", "late"}).starts_with("-ERR server "));
    CHECK(client.call({"SET", "k", "new"}) == "+OK\r\n");
    CHECK(cluster.a.killed() == 1);
    cluster.a.stall();
    CHECK(client.call({"SET", "k", "late"}).starts_with("-ERR server "));
    CHECK(cluster.install(cluster.table(2, SlotState::kLocked)).wait() == "2");
    CHECK(cluster.a.killed() == 2);
    cluster.a.go_on();
    REQUIRE(cluster.install(cluster.table(3)).wait() == "3");
    CHECK(client.call({"GET", "k"}) == "$3\r\nnew\r\n");
    CHECK(cluster.a.count("SET") == 2);
  }

  TEST_CASE("a server without ids may have a killed connection's request still running") {
    Cluster cluster([](Config& config) { config.backend.request_timeout = Milliseconds(200); });
    cluster.a.answer("CLIENT ID", "-ERR unknown\r\n");
    cluster.a.finish_slowly(true);
    REQUIRE(cluster.install(cluster.table(1)).wait() == "1");
    TestClient client(*cluster.manager);
    REQUIRE(client.call({"SET", "k", "old"}) == "+OK\r\n");
    cluster.a.stall();
    CHECK(client.call({"SET", "k", "late"}).starts_with("-ERR server "));
    // Killed, and unknown to the server, which goes on with others. Its socket is still open.
    CHECK(client.call({"GET", "k"}) == "$3\r\nold\r\n");
    const Told locked = cluster.install(cluster.table(2, SlotState::kLocked));
    wait_until([&] { return cluster.manager->epoch() == 2; });
    // Turns enough for an acknowledgement that should not come.
    for (int i = 0; i < 100; ++i) REQUIRE(client.call({"GET", "other"}) == "$-1\r\n");
    CHECK_FALSE(locked.is_told());
    cluster.a.finish_slowly(false);
    CHECK(locked.wait() == "2");
  }

  TEST_CASE("a locked slot is not acknowledged while its server hangs") {
    Cluster cluster([](Config& config) {
      config.backend.request_timeout = Milliseconds(200);
      config.backend.connect_timeout = Milliseconds(50);
    });
    REQUIRE(cluster.install(cluster.table(1)).wait() == "1");
    TestClient client(*cluster.manager);
    REQUIRE(client.call({"GET", "k"}) == "$-1\r\n");
    cluster.a.hang(true);
    CHECK(client.call({"SET", "k", "v"}).starts_with("-ERR server "));
    const Told locked = cluster.install(cluster.table(2, SlotState::kLocked));
    wait_until([&] { return !cluster.manager->not_ready_reason().empty(); });
    CHECK_FALSE(locked.is_told());
    cluster.a.hang(false);
    CHECK(locked.wait() == "2");
  }

  TEST_CASE("where nothing can be killed, time has to pass") {
    Cluster cluster([](Config& config) {
      config.backend.request_timeout = Milliseconds(200);
      config.backend.connect_timeout = Milliseconds(100);
    });
    cluster.a.answer("CLIENT KILL", "-NOPERM no\r\n");
    REQUIRE(cluster.install(cluster.table(1)).wait() == "1");
    TestClient client(*cluster.manager);
    REQUIRE(client.call({"GET", "k"}) == "$-1\r\n");
    cluster.a.hang(true);
    CHECK(client.call({"SET", "k", "late"}).starts_with("-ERR server "));
    const Told locked = cluster.install(cluster.table(2, SlotState::kLocked));
    cluster.a.hang(false);
    CHECK(locked.wait() == "2");
  }

  TEST_CASE("a server that leaves the table is waited for until nothing of it can run") {
    Cluster cluster;
    REQUIRE(cluster.install(cluster.table(1)).wait() == "1");
    cluster.a.keep_back("SET");
    TestClient client(*cluster.manager);
    client.send({"SET", "k", "v"});
    wait_until([&] { return cluster.a.owes_replies(); });
    // The group has another server now: the old one's connection is retired.
    auto table = cluster.table(2, SlotState::kLocked);
    table->groups[0].master = cluster.b.address();
    const Told locked = cluster.install(table);
    wait_until([&] { return cluster.manager->epoch() == 2; });
    CHECK_FALSE(locked.is_told());
    cluster.a.keep_back("");
    CHECK(locked.wait() == "2");
    CHECK(client.read() == "+OK\r\n");
  }

  TEST_CASE("a request for a migrating slot goes to the target when its key was moved") {
    Cluster cluster;
    REQUIRE(cluster.install(cluster.table(1, SlotState::kMigrating)).wait() == "1");
    cluster.b.set("k", "v");
    TestClient client(*cluster.manager);
    SUBCASE("and later ones go at once") {
      client.send({"GET", "k"});
      client.send({"SET", "k", "w"});
      client.send({"PING"});
      const auto question = cluster.mover.next();
      CHECK(question.slot == slot_of("k"));
      CHECK(question.keys == std::vector<std::string>{"k"});
      CHECK(cluster.b.count("GET") == 0);
      question.done({true, ""});
      CHECK(client.read() == "$1\r\nv\r\n");
      CHECK(client.read() == "+OK\r\n");
      CHECK(client.read() == "+PONG\r\n");
      CHECK(client.call({"GET", "k"}) == "$1\r\nw\r\n");
      CHECK(cluster.a.count("GET") == 0);
    }
    SUBCASE("in the database that it was asked in, for which a later SELECT waits") {
      client.send({"GET", "k"});
      client.send({"SELECT", "5"});
      client.send({"GET", "k"});
      const auto question = cluster.mover.next();
      CHECK(question.db == 0);
      question.done({true, ""});
      const auto other = cluster.mover.next();
      CHECK(other.db == 5);
      other.done({true, ""});
      CHECK(client.read() == "$1\r\nv\r\n");
      CHECK(client.read() == "+OK\r\n");
      CHECK(client.read() == "$1\r\nv\r\n");
    }
    SUBCASE("or is refused with the mover's words") {
      client.send({"GET", "k"});
      cluster.mover.next().done({false, "TRYAGAIN the target is full"});
      CHECK(client.read() == "-TRYAGAIN the target is full\r\n");
      CHECK(cluster.b.count("GET") == 0);
    }
    SUBCASE("and a large one as well") {
      const std::string value(300'000, 'x');
      client.send({"SET", "k", value});
      cluster.mover.next().done({true, ""});
      CHECK(client.read() == "+OK\r\n");
      CHECK(cluster.b.value("k") == value);
    }
  }

  TEST_CASE("a request with keys of several slots waits as a whole, and its client with it") {
    Cluster cluster;
    REQUIRE(cluster.install(cluster.table(1, SlotState::kMigrating)).wait() == "1");
    TestClient client(*cluster.manager);
    client.send({"MSET", "k", "1", "other", "2"});
    client.send({"GET", "other"});
    const auto question = cluster.mover.next();
    CHECK(question.keys == std::vector<std::string>{"k"});
    TestClient second(*cluster.manager);
    CHECK(second.call({"GET", "other"}) == "$-1\r\n");
    question.done({true, ""});
    CHECK(client.read() == "+OK\r\n");
    CHECK(client.read() == "$1\r\n2\r\n");
    CHECK(cluster.b.value("k") == "1");
    CHECK(cluster.a.value("other") == "2");
  }

  TEST_CASE("held requests are bounded in time and in bytes") {
    Cluster cluster([](Config& config) {
      config.proxy.hold_timeout = Milliseconds(300);
      config.proxy.hold_max = 10'000;
    });
    REQUIRE(cluster.install(cluster.table(1, SlotState::kLocked)).wait() == "1");
    TestClient client(*cluster.manager);
    const std::string slot = std::to_string(slot_of("k"));
    CHECK(client.call({"SET", "k", std::string(20'000, 'x')}) ==
          "-TRYAGAIN slot " + slot +
              " is moving to another group, and as many requests as may wait do so "
              "(proxy.hold_max); try again\r\n");
    CHECK(client.call({"GET", "k"}) ==
          "-TRYAGAIN slot " + slot +
              " is locked, and was not open again within 300 ms (proxy.hold_timeout); try "
              "again\r\n");
    CHECK(cluster.a.seen().empty());
    CHECK(client.call({"GET", "other"}) == "$-1\r\n");
    wait_until([&] { return cluster.manager->queued_bytes() == 0; });
  }

  TEST_CASE("a client that leaves takes its held requests with it") {
    Cluster cluster;
    REQUIRE(cluster.install(cluster.table(1, SlotState::kLocked)).wait() == "1");
    {
      TestClient client(*cluster.manager);
      client.send({"SET", "k", "v"});
      client.send({"MSET", "k", "v", "other", "w"});
      cluster.wait_for_held(2);
      TestClient killer(*cluster.manager);
      CHECK(killer.call({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"}) == ":1\r\n");
    }
    cluster.wait_for_held(0);
    wait_until([&] { return cluster.manager->queued_bytes() == 0; });
    CHECK(cluster.install(cluster.table(2)).wait() == "2");
    TestClient client(*cluster.manager);
    CHECK(client.call({"GET", "k"}) == "$-1\r\n");
    CHECK(cluster.a.count("SET") + cluster.a.count("MSET") == 0);
  }

  TEST_CASE("FLUSHALL goes round twice while slots move") {
    Cluster cluster;
    REQUIRE(cluster.install(cluster.table(1)).wait() == "1");
    TestClient client(*cluster.manager);
    CHECK(client.call({"FLUSHALL"}) == "+OK\r\n");
    CHECK(cluster.a.count("FLUSHALL") == 1);
    CHECK(cluster.b.count("FLUSHALL") == 0);
    REQUIRE(cluster.install(cluster.table(2, SlotState::kMigrating)).wait() == "2");
    CHECK(client.call({"FLUSHALL"}) == "+OK\r\n");
    CHECK(cluster.a.count("FLUSHALL") == 3);
    CHECK(cluster.b.count("FLUSHALL") == 2);
    SUBCASE("also if they began to while it was on its way") {
      REQUIRE(cluster.install(cluster.table(3, SlotState::kLocked)).wait() == "3");
      cluster.a.keep_back("FLUSHALL");
      client.send({"FLUSHALL"});
      wait_until([&] { return cluster.a.owes_replies(); });
      REQUIRE(cluster.install(cluster.moved(4)).wait() == "4");
      cluster.b.set("k", "moved meanwhile");
      cluster.a.keep_back("");
      CHECK(client.read() == "+OK\r\n");
      CHECK(cluster.b.value("k") == "");
    }
  }

  TEST_CASE("an unassigned slot is refused, also for what was held before") {
    Cluster cluster;
    REQUIRE(cluster.install(cluster.table(1, SlotState::kLocked)).wait() == "1");
    TestClient client(*cluster.manager);
    client.send({"GET", "k"});
    cluster.wait_for_held(1);
    auto table = cluster.table(2);
    table->slots[slot_of("k")] = SlotEntry();
    REQUIRE(cluster.install(table).wait() == "2");
    const std::string refusal =
        "-CLUSTERDOWN slot " + std::to_string(slot_of("k")) + " is not assigned\r\n";
    CHECK(client.read() == refusal);
    CHECK(client.call({"GET", "k"}) == refusal);
    CHECK(client.call({"MGET", "k", "other"}) == refusal);
  }

  TEST_CASE("a mover may answer after the proxy's end") {
    std::optional<TestMover::Question> question;
    {
      Cluster cluster;
      REQUIRE(cluster.install(cluster.table(1, SlotState::kMigrating)).wait() == "1");
      TestClient client(*cluster.manager);
      client.send({"GET", "k"});
      question = cluster.mover.next();
    }
    question->done({true, ""});
  }

  TEST_CASE("its metrics tell of slots and held requests") {
    Cluster cluster;
    REQUIRE(cluster.install(cluster.table(7, SlotState::kMigrating)).wait() == "7");
    TestClient client(*cluster.manager);
    client.send({"GET", "k"});
    const auto question = cluster.mover.next();
    cluster.wait_for_held(1);
    const std::string page = cluster.manager->metrics();
    for (const std::string_view line :
         {"\npikaproxy_slot_table_epoch 7\n", "\npikaproxy_slots{state=\"migrating\"} 1\n",
          "\npikaproxy_slots{state=\"normal\"} 1023\n", "\npikaproxy_held_requests 1\n",
          "\npikaproxy_key_moves_total 1\n", "\npikaproxy_key_moves_failed_total 0\n"}) {
      CAPTURE(line);
      CHECK(page.find(line) != std::string::npos);
    }
    question.done({false, "TRYAGAIN later"});
    CHECK(client.read() == "-TRYAGAIN later\r\n");
    CHECK(cluster.manager->metrics().find("\npikaproxy_key_moves_failed_total 1\n") !=
          std::string::npos);
  }
}
