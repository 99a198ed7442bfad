#include "proxy/client/transaction.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "common/request_parser.h"

using namespace pikaproxy;

namespace {

constexpr RequestLimits kLimits{1 << 20, 1 << 20, true};

// Queues a request as the dispatcher does, with these arguments as its keys.
void queue(Transaction& transaction, const std::string& raw, const std::vector<uint32_t>& keys) {
  RequestParser parser;
  RequestProgress progress;
  REQUIRE(parser.parse(raw, progress, kLimits) == RequestParser::Status::kRequest);
  transaction.queue(raw, parser.args(), keys);
}

// Names of the requests in a block.
std::vector<std::string> requests_in(std::string_view block) {
  std::vector<std::string> names;
  while (!block.empty()) {
    RequestParser parser;
    RequestProgress progress;
    REQUIRE(parser.parse(block, progress, kLimits) == RequestParser::Status::kRequest);
    names.emplace_back(parser.args()[0]);
    block.remove_prefix(parser.size());
  }
  return names;
}

}  // namespace

TEST_SUITE("proxy/transaction") {
  TEST_CASE("the block has the requests in their order between MULTI and EXEC") {
    BlockPool pool;
    Transaction transaction(pool);
    queue(transaction, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nv\r\nv2\r\n", {1});
    queue(transaction, "*1\r\n$4\r\nPING\r\n", {});
    queue(transaction, "*3\r\n$4\r\nMGET\r\n$1\r\na\r\n$0\r\n\r\n", {1, 2});
    CHECK(transaction.size() == 3);
    CHECK(transaction.has_keys());
    CHECK(transaction.first_key() == "k");
    const std::string_view block = transaction.finish();
    CHECK(requests_in(block) == std::vector<std::string>{"MULTI", "SET", "PING", "MGET", "EXEC"});
    CHECK(transaction.keys() == std::vector<std::string_view>{"k", "a", ""});
    for (const std::string_view key : transaction.keys()) {
      CHECK(key.data() >= block.data());
      CHECK(key.data() + key.size() <= block.data() + block.size());
    }
  }

  TEST_CASE("its bytes count as long as it exists") {
    BlockPool pool;
    {
      Transaction transaction(pool);
      queue(transaction, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", {1});
      CHECK(pool.bytes_in_use() == transaction.bytes());
      transaction.finish();
      CHECK(pool.bytes_in_use() == transaction.bytes());
    }
    CHECK(pool.bytes_in_use() == 0);
  }

  TEST_CASE("one error is enough for it to fail") {
    BlockPool pool;
    Transaction transaction(pool);
    CHECK_FALSE(transaction.has_failed());
    transaction.fail();
    queue(transaction, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", {1});
    CHECK(transaction.has_failed());
  }
}
