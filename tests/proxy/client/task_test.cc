#include "proxy/client/task.h"

#include <random>
#include <string>

#include <doctest/doctest.h>

using namespace pikaproxy;

TEST_SUITE("proxy/task") {
  TEST_CASE("kept bytes are what was appended, and the pool knows those outside of the object") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    BlockPool pool;
    KeptBytes kept;
    for (int round = 0; round < 100; ++round) {
      std::string expected;
      for (unsigned pieces = random() % 20; pieces > 0; --pieces) {
        const std::string piece(1 + random() % 200, static_cast<char>('a' + random() % 26));
        kept.append(pool, piece);
        expected += piece;
        REQUIRE(kept.view() == expected);
        REQUIRE(kept.size() == expected.size());
        REQUIRE((pool.bytes_in_use() == 0 || pool.bytes_in_use() >= expected.size()));
        REQUIRE(pool.bytes_in_use() <= 3 * expected.size());
      }
      kept.clear(pool);
      REQUIRE(kept.view() == "");
      REQUIRE(pool.bytes_in_use() == 0);
    }
  }

  TEST_CASE("a small reply needs no memory of its own") {
    BlockPool pool;
    KeptBytes kept;
    kept.append(pool, std::string(96, 'x'));
    CHECK(pool.bytes_in_use() == 0);
    kept.append(pool, "y");
    CHECK(pool.bytes_in_use() > 0);
    kept.clear(pool);
  }

  TEST_CASE("a task that comes from the pool again is as new") {
    BlockPool blocks;
    TaskPool pool;
    Task* task = pool.take();
    task->reply.append(blocks, std::string(1000, 'x'));
    task->done = task->streaming = task->silent = true;
    task->sent = task->server_time = 5;
    pool.give_back(task, blocks);
    CHECK(blocks.bytes_in_use() == 0);
    Task* again = pool.take();
    CHECK(again == task);
    CHECK(again->reply.size() == 0);
    CHECK(!again->done);
    CHECK(!again->streaming);
    CHECK(!again->silent);
    CHECK(again->sent == 0);
    CHECK(again->server_time == 0);
    CHECK(again->client == nullptr);
    CHECK(again->gathering == nullptr);
    CHECK(again->backend == nullptr);
    pool.give_back(again, blocks);
  }

  TEST_CASE("a task is in two queues at once, in each at its own place") {
    Task first, second;
    ClientTaskQueue of_client;
    BackendTaskQueue of_backend;
    of_client.push(&first);
    of_client.push(&second);
    of_backend.push(&second);
    of_backend.push(&first);
    CHECK(of_client.size() == 2);
    CHECK(of_client.front() == &first);
    CHECK(of_backend.pop() == &second);
    CHECK(of_backend.pop() == &first);
    CHECK(of_backend.empty());
    of_backend.push(&first);
    CHECK(of_backend.front() == &first);
    CHECK(of_client.pop() == &first);
    CHECK(of_client.pop() == &second);
    CHECK(of_client.empty());
    CHECK(of_client.size() == 0);
  }

  TEST_CASE("only the first bytes of a request are kept for SLOWLOG") {
    Task task;
    task.set_prefix("GET k");
    CHECK(std::string_view(task.prefix, task.prefix_size) == "GET k");
    task.set_prefix(std::string(500, 'x'));
    CHECK(task.prefix_size == sizeof task.prefix);
    task.set_prefix("");
    CHECK(task.prefix_size == 0);
  }
}
