#include "proxy/io/byte_queue.h"

#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

#include <doctest/doctest.h>

using namespace pikaproxy;

namespace {

// What a gathered write would see, at most `count` pieces at once.
std::string contents(const ByteQueue& queue, int count = 1000) {
  iovec pieces[1000];
  std::string out;
  const int filled = queue.pieces(pieces, count);
  REQUIRE(filled <= count);
  for (int i = 0; i < filled; ++i) {
    REQUIRE(pieces[i].iov_len > 0);
    out.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
  }
  return out;
}

char* heap_copy(std::string_view text) {
  auto* memory = static_cast<char*>(std::malloc(text.size()));
  std::memcpy(memory, text.data(), text.size());
  return memory;
}

}  // namespace

TEST_SUITE("proxy/byte_queue") {
  TEST_CASE("bytes come out in the order in which they went in") {
    BlockPool pool;
    ByteQueue queue;
    CHECK(queue.empty());
    queue.append(pool, "hello ");
    queue.append(pool, "world");
    CHECK(queue.bytes() == 11);
    CHECK(contents(queue) == "hello world");
    queue.consume(pool, 6);
    CHECK(contents(queue) == "world");
    queue.append(pool, "!");
    queue.consume(pool, 6);
    CHECK(queue.empty());
    CHECK(pool.bytes_in_use() == 0);
  }

  TEST_CASE("a small queue takes a small block, a large piece one of its own") {
    BlockPool pool;
    ByteQueue queue;
    queue.append(pool, "x");
    CHECK(pool.bytes_in_use() < 1024);
    queue.append(pool, std::string(100'000, 'y'));
    CHECK(queue.bytes() == 100'001);
    CHECK(pool.bytes_in_use() >= 100'000);
    CHECK(pool.bytes_in_use() < 102'000);
    queue.clear(pool);
    CHECK(queue.empty());
    CHECK(pool.bytes_in_use() == 0);
  }

  TEST_CASE("memory that was taken over is sent as it is and left as it is") {
    BlockPool pool;
    ByteQueue queue;
    queue.append(pool, "before ");
    char* memory = heap_copy("[taken] still in use by its former owner");
    queue.adopt(pool, memory, 1, 6, 40);
    queue.append(pool, " after");
    CHECK(contents(queue) == "before taken after");
    CHECK(std::string_view(memory, 40) == "[taken] still in use by its former owner");
    queue.clear(pool);
    CHECK(pool.bytes_in_use() == 0);
  }

  TEST_CASE("taken over memory counts with all of its capacity") {
    BlockPool pool;
    ByteQueue queue;
    queue.adopt(pool, static_cast<char*>(std::calloc(1, 5000)), 0, 10, 5000);
    CHECK(queue.bytes() == 10);
    CHECK(pool.bytes_in_use() == 5000);
    queue.consume(pool, 10);
    CHECK(pool.bytes_in_use() == 0);
  }

  TEST_CASE("a spliced queue is empty, its bytes are behind the other's") {
    BlockPool pool;
    ByteQueue queue, other;
    queue.splice(other);
    CHECK(queue.empty());
    other.append(pool, "b");
    queue.splice(other);
    CHECK(contents(queue) == "b");
    CHECK(other.empty());
    other.append(pool, "c");
    queue.append(pool, "a");
    queue.splice(other);
    queue.append(pool, "d");
    CHECK(contents(queue) == "bacd");
    queue.consume(pool, 4);
    CHECK(pool.bytes_in_use() == 0);
  }

  TEST_CASE("no more pieces are filled in than there is room for") {
    BlockPool pool;
    ByteQueue queue;
    for (const char* text : {"a", "b", "c"}) queue.adopt(pool, heap_copy(text), 0, 1, 1);
    CHECK(contents(queue, 2) == "ab");
    CHECK(contents(queue, 0) == "");
    queue.clear(pool);
  }

  TEST_CASE("an empty piece is nothing") {
    BlockPool pool;
    ByteQueue queue;
    queue.append(pool, "");
    CHECK(queue.empty());
    CHECK(pool.bytes_in_use() == 0);
    queue.append(pool, "a");
    queue.append(pool, "");
    queue.consume(pool, 0);
    CHECK(contents(queue) == "a");
    queue.clear(pool);
  }

  TEST_CASE("what lies in no block is counted too") {
    BlockPool pool;
    pool.add_bytes(100);
    CHECK(pool.bytes_in_use() == 100);
    pool.remove_bytes(100);
    CHECK(pool.bytes_in_use() == 0);
  }

  TEST_CASE("more blocks can be given back than are kept") {
    BlockPool pool;
    ByteQueue queue;
    const std::string text(10'000, 'x');
    for (int i = 0; i < 2000; ++i) queue.append(pool, text);
    CHECK(queue.bytes() == 20'000'000);
    queue.clear(pool);
    CHECK(pool.bytes_in_use() == 0);
  }

  TEST_CASE("random appends, splices and writes keep every byte and give all memory back") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    BlockPool pool;
    for (int round = 0; round < 50; ++round) {
      ByteQueue queues[2];
      std::string expected[2];
      for (int step = 0; step < 200; ++step) {
        const unsigned which = random() % 2;
        ByteQueue& queue = queues[which];
        std::string& bytes = expected[which];
        switch (random() % 6) {
          case 0:
          case 1: {
            const size_t largest = random() % 10 == 0 ? 40'000 : 600;
            const std::string text(random() % largest, static_cast<char>('a' + random() % 26));
            queue.append(pool, text);
            bytes += text;
            break;
          }
          case 2: {
            const std::string text(1 + random() % 50, static_cast<char>('A' + random() % 26));
            const size_t begin = random() % text.size();
            const size_t end = begin + 1 + random() % (text.size() - begin);
            queue.adopt(pool, heap_copy(text), begin, end, text.size());
            bytes += text.substr(begin, end - begin);
            break;
          }
          case 3: {
            queue.splice(queues[1 - which]);
            bytes += expected[1 - which];
            expected[1 - which].clear();
            break;
          }
          default: {
            const size_t written = random() % (bytes.size() + 1);
            queue.consume(pool, written);
            bytes.erase(0, written);
          }
        }
        REQUIRE(queue.bytes() == bytes.size());
        REQUIRE(queue.empty() == bytes.empty());
        REQUIRE(contents(queue) == bytes);
        REQUIRE(pool.bytes_in_use() >= queues[0].bytes() + queues[1].bytes());
      }
      for (ByteQueue& queue : queues) queue.clear(pool);
      REQUIRE(pool.bytes_in_use() == 0);
    }
  }
}
