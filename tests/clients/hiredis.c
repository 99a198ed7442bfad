// What applications do with hiredis, through the proxy.   hiredis HOST PORT PASSWORD_PORT

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int passed = 0;
static int failed = 0;

static void check(int ok, const char* what) {
  if (ok) {
    ++passed;
  } else {
    ++failed;
    printf("FAILED: %s\n", what);
  }
}

static redisContext* connected(const char* host, int port) {
  redisContext* context = redisConnect(host, port);
  if (context == NULL || context->err != 0) {
    printf("no connection: %s\n", context != NULL ? context->errstr : "no memory");
    exit(1);
  }
  return context;
}

// Frees the reply.
static void expect_text(redisReply* reply, int type, const char* text, const char* what) {
  check(reply != NULL && reply->type == type && strncmp(reply->str, text, strlen(text)) == 0, what);
  freeReplyObject(reply);
}

static void expect_integer(redisReply* reply, long long value, const char* what) {
  check(reply != NULL && reply->type == REDIS_REPLY_INTEGER && reply->integer == value, what);
  freeReplyObject(reply);
}

static void values(redisContext* c) {
  expect_text(redisCommand(c, "SET %s %b", "k", "a\0b", (size_t)3), REDIS_REPLY_STATUS, "OK", "SET of binary data");
  redisReply* reply = redisCommand(c, "GET k");
  check(reply->len == 3 && memcmp(reply->str, "a\0b", 3) == 0, "GET of binary data");
  freeReplyObject(reply);
  reply = redisCommand(c, "MGET k none k");
  check(reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 && reply->element[1]->type == REDIS_REPLY_NIL,
        "MGET with a nil");
  freeReplyObject(reply);
  expect_integer(redisCommand(c, "INCRBY n %d", 41), 41, "INCRBY");
  expect_text(redisCommand(c, "LPUSH k x"), REDIS_REPLY_ERROR, "WRONGTYPE", "an error of a server");
  expect_text(redisCommand(c, "RENAME k other"), REDIS_REPLY_ERROR, "CROSSSLOT", "keys in two slots");
  reply = redisCommand(c, "EVAL %s 1 %s", "return {1,{2,'three'}}", "k");
  check(reply->elements == 2 && reply->element[1]->elements == 2, "nested arrays");
  freeReplyObject(reply);
}

static void pipelines(redisContext* c) {
  enum { kCount = 10000 };
  int good = 0;
  for (int i = 0; i < kCount; ++i) redisAppendCommand(c, "SET p%d %d", i, i);
  for (int i = 0; i < kCount; ++i) redisAppendCommand(c, "GET p%d", i);
  for (int i = 0; i < 2 * kCount; ++i) {
    redisReply* reply = NULL;
    if (redisGetReply(c, (void**)&reply) != REDIS_OK) break;
    good += i < kCount ? reply->type == REDIS_REPLY_STATUS : atoi(reply->str) == i - kCount;
    freeReplyObject(reply);
  }
  check(good == 2 * kCount, "a pipeline of 20,000 requests over all groups");
}

static void transactions(redisContext* c) {
  freeReplyObject(redisCommand(c, "WATCH {t}a"));
  freeReplyObject(redisCommand(c, "MULTI"));
  expect_text(redisCommand(c, "SET {t}a 1"), REDIS_REPLY_STATUS, "QUEUED", "a queued request");
  freeReplyObject(redisCommand(c, "INCR {t}a"));
  redisReply* reply = redisCommand(c, "EXEC");
  check(reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[1]->integer == 2, "EXEC");
  freeReplyObject(reply);
}

static void connections(redisContext* c, const char* host, int port, int password_port) {
  freeReplyObject(redisCommand(c, "SELECT 3"));
  freeReplyObject(redisCommand(c, "SET only there"));
  check(redisReconnect(c) == REDIS_OK, "redisReconnect");
  redisReply* reply = redisCommand(c, "GET only");
  check(reply->type == REDIS_REPLY_NIL, "a new connection is in database 0");
  freeReplyObject(reply);

  redisContext* other = connected(host, port);
  const struct timeval soon = {0, 100000};
  check(redisSetTimeout(other, soon) == REDIS_OK, "redisSetTimeout");
  reply = redisCommand(other, "BLPOP none 5");
  check(reply == NULL && other->err == REDIS_ERR_IO, "a time-out of the client ends its wait");
  redisFree(other);

  other = connected(host, password_port);
  expect_text(redisCommand(other, "PING"), REDIS_REPLY_ERROR, "NOAUTH", "no password");
  expect_text(redisCommand(other, "AUTH wrong"), REDIS_REPLY_ERROR, "WRONGPASS", "a wrong password");
  expect_text(redisCommand(other, "AUTH app secret2"), REDIS_REPLY_STATUS, "OK", "a user and a password");
  expect_text(redisCommand(other, "PING"), REDIS_REPLY_STATUS, "PONG", "PING");
  expect_text(redisCommand(other, "QUIT"), REDIS_REPLY_STATUS, "OK", "QUIT");
  check(redisCommand(other, "PING") == NULL, "the connection is closed then");
  redisFree(other);
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  redisContext* c = connected(argv[1], atoi(argv[2]));
  freeReplyObject(redisCommand(c, "FLUSHALL"));
  values(c);
  pipelines(c);
  transactions(c);
  connections(c, argv[1], atoi(argv[2]), atoi(argv[3]));
  redisFree(c);
  printf("hiredis %d.%d.%d\n%d passed, %d failed\n", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH, passed, failed);
  return failed > 0;
}
