#include "proxy/io/event_loop.h"

#include <atomic>
#include <functional>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>

#include "proxy/io/stream.h"

using namespace pikaproxy;

namespace {

// One end of a socket pair in a loop; the other end is the test's.
class Peer : public Stream {
 public:
  explicit Peer(EventLoop& loop, Order order = Order::kFirst) : Stream(loop, order) {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    other_ = fds[1];
    REQUIRE(attach(fds[0]));
  }
  ~Peer() override {
    ::close(other_);
    if (destroyed != nullptr) *destroyed = true;
  }

  using Stream::close;
  using Stream::Order;
  using Stream::send;
  using Stream::send_large;
  using Stream::set_reading;

  // The other end.
  int other() const noexcept { return other_; }
  void write_other(std::string_view text) {
    REQUIRE(::send(other_, text.data(), text.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(text.size()));
  }
  // What the other end has got by now.
  std::string read_other() {
    std::string out;
    char bytes[65536];
    for (;;) {
      const ssize_t got = ::recv(other_, bytes, sizeof bytes, 0);
      if (got <= 0) return out;
      out.append(bytes, static_cast<size_t>(got));
    }
  }

  std::string received;
  std::vector<int> ends;
  int sent_calls = 0;
  Peer* relay_to = nullptr;  // The next relay_bytes go there.
  uint64_t relay_bytes = 0;
  uint64_t relayed = 0;
  std::function<void(std::string_view)> when_data;
  std::function<void(int)> when_end;
  std::function<void()> when_sent;
  bool* destroyed = nullptr;

 private:
  void on_data(std::string_view bytes) override {
    received += bytes;
    if (when_data) when_data(bytes);
  }
  Stream* relay_target(uint64_t& bytes) override {
    bytes = relay_bytes;
    return relay_to != nullptr && bytes > 0 && relay_to->can_send_at_once() ? relay_to : nullptr;
  }
  void on_relayed(uint64_t bytes) override {
    relay_bytes -= bytes;
    relayed += bytes;
  }
  void on_end(int error) override {
    ends.push_back(error);
    if (when_end) when_end(error);
  }
  void on_sent() override {
    ++sent_calls;
    if (when_sent) when_sent();
  }

  int other_ = -1;
};

// Runs the loop on this thread until it stops itself; a loop that hangs ends by a timer and fails.
void run(EventLoop& loop) {
  bool in_time = true;
  const auto guard = loop.add_timer(20'000'000, [&] {
    in_time = false;
    loop.stop();
  });
  loop.run();
  loop.cancel_timer(guard);
  CHECK(in_time);
}

}  // namespace

TEST_SUITE("proxy/event_loop") {
  TEST_CASE("work posted by several threads runs once, on the loop's thread, in each one's order") {
    EventLoop loop;
    constexpr int kThreads = 4, kItems = 5000;
    std::vector<int> seen[kThreads];
    std::atomic<int> wrong_thread{0};
    int left = kThreads * kItems;
    const auto self = std::this_thread::get_id();
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kItems; ++i) {
          loop.post([&, t, i] {
            if (std::this_thread::get_id() != self) ++wrong_thread;
            seen[t].push_back(i);
            if (--left == 0) loop.stop();
          });
        }
      });
    }
    run(loop);
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong_thread == 0);
    for (const auto& items : seen) {
      REQUIRE(items.size() == kItems);
      for (int i = 0; i < kItems; ++i) REQUIRE(items[i] == i);
    }
  }

  TEST_CASE("work may post more work, which runs too") {
    EventLoop loop;
    int depth = 0;
    std::function<void()> work = [&] {
      if (++depth == 100) {
        loop.stop();
      } else {
        loop.post(work);
      }
    };
    loop.post(work);
    run(loop);
    CHECK(depth == 100);
  }

  TEST_CASE("a loop that was stopped before it ran returns, and what was posted has run") {
    EventLoop loop;
    bool ran = false;
    loop.post([&] { ran = true; });
    loop.stop();
    loop.run();
    CHECK(ran);
  }

  TEST_CASE("another thread can stop a loop that waits") {
    EventLoop loop;
    std::thread other([&] { loop.stop(); });
    run(loop);
    other.join();
    CHECK(true);
  }

  TEST_CASE("timers run in the order of their times, equal ones in the order they were set") {
    EventLoop loop;
    std::string order;
    loop.add_timer(3000, [&] { order += 'd'; });
    loop.add_timer(1000, [&] { order += 'a'; });
    loop.add_timer(2000, [&] { order += 'b'; });
    loop.add_timer(2000, [&] { order += 'c'; });
    loop.add_timer(4000, [&] {
      order += 'e';
      loop.stop();
    });
    run(loop);
    CHECK(order == "abcde");
  }

  TEST_CASE("a timer never runs before its time") {
    EventLoop loop;
    const Ticks set_at = loop.now();
    Ticks ran_at = 0;
    loop.add_timer(2500, [&] {
      ran_at = loop.now();
      loop.stop();
    });
    run(loop);
    CHECK(ran_at - set_at >= 2500);
  }

  TEST_CASE("a cancelled timer does not run, not even when another of its turn cancels it") {
    EventLoop loop;
    std::string order;
    const auto early = loop.add_timer(0, [&] { order += 'x'; });
    loop.cancel_timer(early);
    loop.cancel_timer(early);
    EventLoop::TimerId later;
    loop.add_timer(0, [&] {
      order += 'a';
      loop.cancel_timer(later);
    });
    later = loop.add_timer(0, [&] { order += 'y'; });
    loop.add_timer(0, [&] {
      order += 'b';
      loop.stop();
    });
    run(loop);
    CHECK(order == "ab");
  }

  TEST_CASE("a timer may set timers and cancel itself") {
    EventLoop loop;
    int runs = 0;
    EventLoop::TimerId id;
    std::function<void()> work = [&] {
      loop.cancel_timer(id);
      if (++runs == 5) {
        loop.stop();
      } else {
        id = loop.add_timer(100, work);
      }
    };
    id = loop.add_timer(100, work);
    run(loop);
    CHECK(runs == 5);
  }

  TEST_CASE("the end of a turn comes before its writes") {
    EventLoop loop;
    Peer peer(loop);
    bool at_end = false;
    loop.set_turn_end([&] {
      if (at_end) return;
      at_end = true;
      peer.send("hello");
      CHECK(peer.read_other() == "");
      loop.stop();
    });
    loop.post([] {});
    run(loop);
    CHECK(at_end);
    CHECK(peer.read_other() == "hello");
  }

  TEST_CASE("turns are counted") {
    EventLoop loop;
    loop.post([&] { loop.stop(); });
    run(loop);
    CHECK(loop.turns() >= 1);
  }
}

TEST_SUITE("proxy/stream") {
  TEST_CASE("what the other end writes arrives, what is sent in one turn leaves in one write") {
    EventLoop loop;
    Peer peer(loop);
    peer.write_other("ping");
    peer.when_data = [&](std::string_view) {
      peer.send("po");
      peer.send("ng");
    };
    peer.when_sent = [&] { loop.stop(); };
    run(loop);
    CHECK(peer.received == "ping");
    CHECK(peer.read_other() == "pong");
    CHECK(peer.sent_calls == 1);
    CHECK(peer.output_bytes() == 0);
    CHECK(loop.pool().bytes_in_use() == 0);
  }

  TEST_CASE("more than the kernel takes is written as the other end reads") {
    EventLoop loop;
    Peer peer(loop);
    std::string expected, got;
    for (int i = 0; i < 300; ++i) {
      expected += std::string(10'000, static_cast<char>('a' + i % 26));
    }
    loop.post([&] {
      for (size_t at = 0; at < expected.size(); at += 7777) {
        peer.send(std::string_view(expected).substr(at, 7777));
      }
    });
    std::function<void()> read = [&] {
      got += peer.read_other();
      if (got.size() == expected.size()) {
        loop.stop();
      } else {
        loop.add_timer(100, read);
      }
    };
    loop.add_timer(100, read);
    run(loop);
    CHECK((got == expected));
    CHECK(loop.pool().bytes_in_use() == 0);
  }

  TEST_CASE("large pieces that are sent at once keep their place between small ones") {
    EventLoop loop;
    Peer peer(loop);
    std::string expected, got;
    loop.post([&] {
      for (int i = 0; i < 100; ++i) {
        const std::string piece(i % 3 == 0 ? 100'000 : 10, static_cast<char>('a' + i % 26));
        expected += piece;
        peer.send_large(piece);
      }
    });
    std::function<void()> read = [&] {
      got += peer.read_other();
      if (!expected.empty() && got.size() == expected.size()) {
        loop.stop();
      } else {
        loop.add_timer(100, read);
      }
    };
    loop.add_timer(100, read);
    run(loop);
    CHECK((got == expected));
  }

  TEST_CASE("streams that come last are written after all others of the turn") {
    EventLoop loop;
    Peer last(loop, Peer::Order::kLast), first(loop), second(loop);
    std::string order;
    last.when_sent = [&] { order += 'c'; };
    first.when_sent = [&] { order += 'a'; };
    second.when_sent = [&] { order += 'b'; };
    loop.post([&] {
      for (Peer* peer : {&last, &first, &second}) peer->send("x");
      loop.stop();
    });
    run(loop);
    CHECK(order.size() == 3);
    CHECK(order.back() == 'c');
  }

  TEST_CASE("a stream that is not read from leaves the bytes to the kernel") {
    EventLoop loop;
    Peer peer(loop);
    peer.set_reading(false);
    peer.write_other("held");
    loop.add_timer(1000, [&] {
      CHECK(peer.received == "");
      peer.set_reading(true);
    });
    peer.when_data = [&](std::string_view) { loop.stop(); };
    run(loop);
    CHECK(peer.received == "held");
  }

  TEST_CASE("after the other end has finished sending it can still be written to") {
    EventLoop loop;
    Peer peer(loop);
    peer.write_other("last words");
    ::shutdown(peer.other(), SHUT_WR);
    peer.when_end = [&](int) { peer.send("answer"); };
    peer.when_sent = [&] { loop.stop(); };
    run(loop);
    CHECK(peer.received == "last words");
    CHECK(peer.ends == std::vector<int>{0});
    CHECK(peer.read_other() == "answer");
  }

  TEST_CASE("a write to an end that is gone ends the stream with an error, and the process lives") {
    EventLoop loop;
    Peer peer(loop);
    loop.post([&] {
      ::shutdown(peer.other(), SHUT_RDWR);
      peer.send("nobody reads this");
    });
    peer.when_end = [&](int error) {
      if (error == 0) return;
      peer.close();
      loop.stop();
    };
    run(loop);
    CHECK(peer.ends.back() != 0);
    CHECK(peer.output_bytes() == 0);
    CHECK(loop.pool().bytes_in_use() == 0);
  }

  TEST_CASE("a stream that another closes in the same turn hears nothing more") {
    EventLoop loop;
    Peer first(loop), second(loop);
    first.write_other("a");
    second.write_other("b");
    first.when_data = [&](std::string_view) { second.close(); };
    second.when_data = [&](std::string_view) { first.close(); };
    loop.add_timer(1000, [&] { loop.stop(); });
    run(loop);
    CHECK(first.received.size() + second.received.size() == 1);
  }

  TEST_CASE("a stream destroyed later is closed at once and lives to the end of the turn") {
    EventLoop loop;
    bool destroyed = false;
    auto owned = std::make_unique<Peer>(loop);
    Peer* peer = owned.get();
    peer->destroyed = &destroyed;
    loop.post([&] {
      peer->send("never written");
      loop.destroy_later(std::move(owned));
      CHECK(!peer->is_open());
      CHECK(!destroyed);
      loop.stop();
    });
    run(loop);
    CHECK(destroyed);
    CHECK(loop.pool().bytes_in_use() == 0);
  }

  TEST_CASE("a failing write may close streams that still wait for theirs") {
    EventLoop loop;
    Peer first(loop), second(loop), third(loop);
    loop.post([&] {
      for (Peer* peer : {&first, &second, &third}) peer->send("x");
      ::shutdown(second.other(), SHUT_RDWR);
    });
    second.when_end = [&](int error) {
      if (error == 0) return;
      for (Peer* peer : {&first, &second, &third}) peer->close();
      loop.stop();
    };
    run(loop);
    CHECK(loop.pool().bytes_in_use() == 0);
  }

  TEST_CASE("relayed bytes arrive in order between what is sent before and after them") {
    // More than the receiver's socket takes at once, so part of it waits in memory.
    for (const size_t size : {size_t{1}, size_t{70'000}, size_t{3'000'000}}) {
      CAPTURE(size);
      EventLoop loop;
      Peer source(loop), target(loop);
      std::string body(size, '\0');
      for (size_t i = 0; i < size; ++i) body[i] = static_cast<char>('a' + i % 23);
      const std::string tail = "tail";
      source.relay_to = &target;
      source.relay_bytes = size;
      source.when_data = [&](std::string_view bytes) { target.send(bytes); };
      target.send("head");
      std::thread writer([&] {
        const std::string all = body + tail;
        for (size_t at = 0; at < all.size();) {
          const ssize_t sent =
              ::send(source.other(), all.data() + at, all.size() - at, MSG_NOSIGNAL);
          if (sent > 0) at += static_cast<size_t>(sent);
        }
      });
      std::string got;
      const std::string expected = "head" + body + tail;
      std::function<void()> collect = [&] {
        got += target.read_other();
        if (got.size() >= expected.size()) {
          loop.stop();
        } else {
          loop.add_timer(100, collect);
        }
      };
      loop.add_timer(0, collect);
      run(loop);
      writer.join();
      CHECK(got == expected);
      // Some may have gone through memory, while the target's socket was full or "head" not yet
      // out.
      CHECK(source.relayed + source.received.size() == size + tail.size());
      if (size > 1) CHECK(source.relayed > 0);
    }
  }

  TEST_CASE("bytes relayed to a peer that has gone are taken, and its end is told") {
    EventLoop loop;
    Peer source(loop), target(loop);
    source.relay_to = &target;
    source.relay_bytes = 50'000;
    ::shutdown(target.other(), SHUT_RDWR);
    target.when_end = [&](int) {
      target.close();
      source.relay_to = nullptr;
    };
    source.write_other(std::string(50'000, 'x') + "y");
    source.when_data = [&](std::string_view) {
      if (source.relayed + source.received.size() == 50'001) loop.stop();
    };
    run(loop);
    CHECK(source.received.back() == 'y');
    CHECK(target.ends.size() == 1);
  }
}
