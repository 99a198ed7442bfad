#include "proxy/backend/replication_report.h"

#include <string>

#include <doctest/doctest.h>

#include "common/resp.h"
#include "proxy/backend/wait_for_replicas.h"

using namespace pikaproxy;

namespace {

ReplicationReport report_of(const std::string& text) {
  const auto report = parse_replication(resp::bulk(text));
  REQUIRE(report.has_value());
  return *report;
}

ReplicationReport master(uint64_t offset, std::vector<ReplicationReport::Replica> replicas) {
  ReplicationReport report;
  report.is_master = true;
  report.offset = offset;
  report.replicas = std::move(replicas);
  return report;
}

}  // namespace

TEST_SUITE("proxy/replication_report") {
  TEST_CASE("a Redis master tells its place and those of its replicas") {
    const ReplicationReport report = report_of(
        "# Replication\r\nrole:master\r\nconnected_slaves:2\r\n"
        "slave0:ip=127.0.0.1,port=7001,state=online,offset=90,lag=0\r\n"
        "slave1:ip=127.0.0.1,port=7002,state=wait_bgsave,offset=0,lag=0\r\n"
        "master_failover_state:no-failover\r\nmaster_repl_offset:114\r\nrepl_backlog_size:9\r\n");
    CHECK(report.is_master);
    CHECK(report.offset == 114);
    REQUIRE(report.replicas.size() == 2);
    CHECK(report.replicas[0].is_online);
    CHECK(report.replicas[0].offset == 90);
    CHECK_FALSE(report.replicas[1].is_online);
  }

  TEST_CASE("a Redis replica tells its place and how it stands with its master") {
    const ReplicationReport report = report_of(
        "role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:7001\r\nmaster_link_status:up\r\nmaster_"
        "last_io_seconds_ago:3\r\n"
        "slave_read_repl_offset:80\r\nslave_repl_offset:77\r\nslave_priority:100\r\n"
        "connected_slaves:0\r\nmaster_replid:abc\r\nmaster_repl_offset:77\r\n");
    CHECK_FALSE(report.is_master);
    CHECK(report.link_up);
    CHECK(report.offset == 77);
    CHECK(report.master == "10.0.0.1:7001");
    CHECK(report.replication_id == "abc");
    const ReplicationReport alone = report_of(
        "role:slave\r\nmaster_link_status:down\r\nmaster_last_io_seconds_ago:-1\r\n"
        "slave_repl_offset:77\r\n");
    CHECK_FALSE(alone.link_up);
  }

  TEST_CASE("Pika counts in files, and its replicas by how far they are behind") {
    const auto pika = [](const std::string& lag) {
      return report_of("# Replication(MASTER)\r\nrole:master\r\nconnected_slaves:1\r\nslave0:" +
                       std::string("ip=127.0.0.1,port=9221,conn_fd=49,lag=") + lag +
                       "\r\ndb0:binlog_offset=2 3216,safety_purge=none\r\nslave_repl_offset:1\r\n");
    };
    const uint64_t place = (uint64_t{2} << 32) + 3216;
    CHECK(pika("(db0:0)").offset == place);
    CHECK(pika("(db0:0)").applies_later);
    CHECK(pika("(db0:0)").replicas.at(0).offset == place);
    CHECK(pika("(db0:216)").replicas.at(0).offset == place - 216);
    CHECK(pika("(db0:4000)").replicas.at(0).offset == 0);
    CHECK_FALSE(pika("(db0:not syncing)").replicas.at(0).is_online);
  }

  TEST_CASE("what is no such report is none") {
    CHECK_FALSE(parse_replication("").has_value());
    CHECK_FALSE(parse_replication("-ERR nothing\r\n").has_value());
    CHECK_FALSE(parse_replication(resp::bulk("")).has_value());
    CHECK_FALSE(parse_replication(resp::bulk("role:master\r\n")).has_value());
    CHECK_FALSE(parse_replication(resp::bulk("master_repl_offset:7\r\n")).has_value());
  }
}

TEST_SUITE("proxy/wait_for_replicas") {
  TEST_CASE("a replica counts once it has got to where its master was at first") {
    ReplicaCount count({0}, true);
    CHECK(count.acknowledged() == 0);
    count.note(0, master(100, {{true, 90}, {true, 100}, {false, 100}}));
    CHECK(count.acknowledged() == 1);
    count.note(0, master(500, {{true, 100}, {true, 101}}));
    CHECK(count.acknowledged() == 2);
    count.note(0, master(500, {{true, 99}}));
    CHECK(count.acknowledged() == 0);
  }

  TEST_CASE("of several groups the one with fewest replicas counts, when all have been heard") {
    ReplicaCount count({3, 5}, true);
    count.note(0, master(10, {{true, 10}, {true, 10}}));
    CHECK(count.acknowledged() == 0);
    count.note(1, master(7, {{true, 7}}));
    CHECK(count.acknowledged() == 1);
  }

  TEST_CASE("who has written nothing counts every replica that is online") {
    ReplicaCount count({0}, false);
    count.note(0, master(100, {{true, 5}, {false, 100}}));
    CHECK(count.acknowledged() == 1);
  }
}
