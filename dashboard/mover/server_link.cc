#include "dashboard/mover/server_link.h"

#include <arpa/inet.h>
#include <cstring>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/resp.h"
#include "common/text.h"
#include "dashboard/mover/client_list.h"

namespace pikaproxy {
namespace {

constexpr size_t kReceiveBytes = 64 * 1024;

std::chrono::milliseconds left_until(ServerLink::Clock::time_point deadline) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - ServerLink::Clock::now());
  return std::max(left, std::chrono::milliseconds(0));
}

Reply to_reply(const redisReply& from) {
  Reply reply;
  switch (from.type) {
    case REDIS_REPLY_STATUS:
      reply.kind = Reply::Kind::kStatus;
      reply.text.assign(from.str, from.len);
      break;
    case REDIS_REPLY_ERROR:
      reply.kind = Reply::Kind::kError;
      reply.text.assign(from.str, from.len);
      break;
    case REDIS_REPLY_STRING:
      reply.kind = Reply::Kind::kBulk;
      reply.text.assign(from.str, from.len);
      break;
    case REDIS_REPLY_INTEGER:
      reply.kind = Reply::Kind::kInteger;
      reply.integer = from.integer;
      break;
    case REDIS_REPLY_ARRAY:
      reply.kind = Reply::Kind::kArray;
      reply.elements.reserve(from.elements);
      for (size_t i = 0; i < from.elements; ++i) {
        reply.elements.push_back(to_reply(*from.element[i]));
      }
      break;
    default:
      reply.kind = Reply::Kind::kNil;
  }
  return reply;
}

// "ip:port" of our end, as Redis and Pika write addresses of IPv4; empty for others.
std::string local_addr(int fd) {
  sockaddr_in addr{};
  socklen_t size = sizeof addr;
  char text[INET_ADDRSTRLEN] = {};
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&addr), &size) != 0 ||
      addr.sin_family != AF_INET || !::inet_ntop(AF_INET, &addr.sin_addr, text, sizeof text)) {
    return {};
  }
  return std::string(text) + ":" + std::to_string(ntohs(addr.sin_port));
}

struct AddrInfoDeleter {
  void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};

}  // namespace

bool Reply::is_unknown_command() const noexcept {
  // Redis: "ERR unknown command 'x', with args ..."; Pika: "ERR unknown command "x"".
  return is_error() && text.find("unknown command") != std::string::npos;
}

void ServerLink::ReaderDeleter::operator()(redisReader* reader) const noexcept {
  ::redisReaderFree(reader);
}

ServerLink::ServerLink(ServerAccess server, std::string name, StopSignal* stop)
    : server_(std::move(server)),
      name_(std::move(name)),
      stop_(stop),
      reader_(::redisReaderCreate()) {}

ServerLink::~ServerLink() = default;

Result<std::unique_ptr<ServerLink>> ServerLink::connect(const ServerAccess& server,
                                                        const std::string& name,
                                                        std::chrono::milliseconds timeout,
                                                        StopSignal* stop) {
  std::unique_ptr<ServerLink> link(new ServerLink(server, name, stop));
  const auto deadline = Clock::now() + timeout;
  if (!link->open(deadline) || !link->log_in(left_until(deadline)) ||
      !link->identify(left_until(deadline))) {
    return Error{link->error()};
  }
  return link;
}

bool ServerLink::open(Clock::time_point deadline) {
  if (server_.address.is_unix()) {
    sockaddr_un addr{};
    addr.sun_family = AF_UNIX;
    if (server_.address.path.size() >= sizeof addr.sun_path) return fail("has too long a path");
    std::memcpy(addr.sun_path, server_.address.path.data(), server_.address.path.size());
    socket_ = FileDescriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket_.is_open() ||
        ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&addr), sizeof addr) != 0) {
      return fail(std::string("cannot be connected to: ") + std::strerror(errno));
    }
    return true;
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(server_.address.port);
  const int rc = ::getaddrinfo(server_.address.host.c_str(), port.c_str(), &hints, &found);
  if (rc != 0) return fail(std::string("cannot be resolved: ") + ::gai_strerror(rc));
  const std::unique_ptr<addrinfo, AddrInfoDeleter> list(found);
  std::string reason = "has no address";
  for (const addrinfo* at = found; at; at = at->ai_next) {
    socket_ = FileDescriptor(
        ::socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, at->ai_protocol));
    if (!socket_.is_open()) {
      reason = std::strerror(errno);
      continue;
    }
    if (::connect(socket_.get(), at->ai_addr, at->ai_addrlen) != 0) {
      if (errno != EINPROGRESS) {
        reason = std::strerror(errno);
        continue;
      }
      if (wait(POLLOUT, deadline) == 0) {
        if (stop_ && stop_->is_raised()) return fail("was given up: shutting down");
        reason = "no answer in time";
        continue;
      }
      int error = 0;
      socklen_t size = sizeof error;
      ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) {
        reason = std::strerror(error);
        continue;
      }
    }
    const int on = 1;
    ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    return true;
  }
  return fail("cannot be connected to: " + reason);
}

bool ServerLink::log_in(std::chrono::milliseconds timeout) {
  if (server_.password.empty()) return true;
  // With two arguments: Pika takes anything as the one argument of AUTH.
  const std::string user = server_.user.empty() ? "default" : server_.user;
  Reply reply = call({"AUTH", user, server_.password}, timeout);
  if (!broken_ && reply.is_error() && user == "default" && !reply.text.starts_with("WRONGPASS")) {
    // Before Redis 6, AUTH has one argument.
    reply = call({"AUTH", server_.password}, timeout);
  }
  if (broken_) return false;
  // A password too many does no harm.
  if (reply.is_ok() || reply.text.find("no password is set") != std::string::npos ||
      reply.text.find("without any password configured") != std::string::npos) {
    return true;
  }
  return fail("refuses our login (" + printable(reply.text) + "): check its user and password");
}

bool ServerLink::identify(std::chrono::milliseconds timeout) {
  if (name_.empty()) return true;
  call({"CLIENT", "SETNAME", name_}, timeout);
  const Reply id = broken_ ? Reply() : call({"CLIENT", "ID"}, timeout);
  if (broken_) return false;
  if (id.kind == Reply::Kind::kInteger) {
    client_id_ = id.integer;
    return true;
  }
  if (id.text.starts_with("NOAUTH") || id.text.starts_with("ERR NOAUTH")) {
    return fail("wants a password: give its group one");
  }
  if (id.text.starts_with("LOADING")) return fail("is loading its data: wait until it is done");
  // Pika and servers before Redis 5 have no CLIENT ID.
  const Reply list = call({"CLIENT", "LIST"}, timeout);
  if (broken_) return false;
  // Pika lists neither names nor ids: nothing but our address, unless that is translated on the
  // way.
  const std::string addr = local_addr(socket_.get());
  for (const ClientListEntry& entry : parse_client_list(list.text)) {
    if (entry.name != name_ && (!entry.name.empty() || entry.addr != addr)) continue;
    client_id_ = entry.id;
    client_addr_ = entry.addr;
  }
  return true;
}

bool ServerLink::fail(std::string_view what) {
  broken_ = true;
  if (error_.empty())
    error_ = "Server " + server_.address.to_string() + " " + std::string(what) + ".";
  return false;
}

void ServerLink::begin(size_t args) {
  resp::append_array(output_, static_cast<int64_t>(args));
  ++added_;
}

void ServerLink::arg(std::string_view value) {
  resp::append_bulk(output_, value);
}

void ServerLink::add(const Args& args) {
  begin(args.size());
  for (const std::string& value : args) arg(value);
}

short ServerLink::wait(short events, Clock::time_point deadline) {
  while (true) {
    pollfd polled[2] = {{socket_.get(), events, 0}, {stop_ ? stop_->fd() : -1, POLLIN, 0}};
    const int ready = ::poll(polled, 2, static_cast<int>(left_until(deadline).count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0 || polled[1].revents != 0) return 0;
    return polled[0].revents;
  }
}

bool ServerLink::receive() {
  char bytes[kReceiveBytes];
  while (true) {
    const ssize_t size = ::recv(socket_.get(), bytes, sizeof bytes, 0);
    if (size > 0) {
      if (::redisReaderFeed(reader_.get(), bytes, static_cast<size_t>(size)) != REDIS_OK) {
        return fail("answers what is not the Redis protocol");
      }
      // Else there is probably no more.
      if (static_cast<size_t>(size) == sizeof bytes) continue;
      return true;
    }
    closed_ = size == 0 || (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK);
    if (size == 0) return fail("closed our connection");
    if (errno == EINTR) continue;
    if (!closed_) return true;
    return fail(std::string("lost our connection: ") + std::strerror(errno));
  }
}

int ServerLink::take(Reply& reply) {
  void* raw = nullptr;
  if (::redisReaderGetReply(reader_.get(), &raw) != REDIS_OK) {
    fail("answers what is not the Redis protocol");
    return -1;
  }
  if (!raw) return 0;
  const auto parsed = static_cast<redisReply*>(raw);
  reply = to_reply(*parsed);
  ::freeReplyObject(parsed);
  --unanswered_;
  return 1;
}

bool ServerLink::exchange(std::vector<Reply>& replies, std::chrono::milliseconds timeout) {
  replies.clear();
  if (broken_) return false;
  replies.reserve(added_);
  unanswered_ += added_;
  const size_t expected = added_;
  added_ = 0;
  size_t sent = 0;
  const auto deadline = Clock::now() + timeout;
  while (replies.size() < expected) {
    // Writes as much as fits, reads in between: a long pipeline never waits for itself.
    while (sent < output_.size()) {
      const ssize_t size =
          ::send(socket_.get(), output_.data() + sent, output_.size() - sent, MSG_NOSIGNAL);
      if (size > 0) {
        sent += static_cast<size_t>(size);
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        break;
      } else if (errno != EINTR) {
        return fail(std::string("lost our connection: ") + std::strerror(errno));
      }
    }
    const bool writing = sent < output_.size();
    const short ready = wait(static_cast<short>(POLLIN | (writing ? POLLOUT : 0)), deadline);
    if (ready == 0) {
      return fail(stop_ && stop_->is_raised() ? "was given up: shutting down"
                                              : "does not answer in time");
    }
    if ((ready & ~POLLOUT) != 0 && !receive()) return false;
    Reply reply;
    int taken = 0;
    while (replies.size() < expected && (taken = take(reply)) == 1) {
      replies.push_back(std::move(reply));
    }
    if (taken < 0) return false;
  }
  output_.clear();
  if (output_.capacity() > (1u << 20)) output_.shrink_to_fit();
  last_use_ = Clock::now();
  return true;
}

Reply ServerLink::call(const Args& args, std::chrono::milliseconds timeout) {
  add(args);
  std::vector<Reply> replies;
  if (exchange(replies, timeout)) return std::move(replies.front());
  Reply failed;
  failed.kind = Reply::Kind::kError;
  failed.text = "LINK " + error_;
  return failed;
}

bool ServerLink::select(uint32_t db, std::chrono::milliseconds timeout) {
  if (db == db_) return !broken_;
  const Reply reply = call({"SELECT", std::to_string(db)}, timeout);
  if (broken_) return false;
  if (!reply.is_ok()) {
    error_ = "Server " + server_.address.to_string() + " refuses SELECT " + std::to_string(db) +
             " (" + printable(reply.text) + "): give both ends as many databases.";
    return false;
  }
  db_ = db;
  return true;
}

bool ServerLink::drain(std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  Reply reply;
  bool is_understood = true;
  while (!closed_ && (unanswered_ > 0 || !is_understood)) {
    const int taken = is_understood ? take(reply) : 0;
    if (taken < 0) is_understood = false;
    if (taken == 1) continue;
    if (wait(POLLIN, deadline) == 0) return false;
    if (!receive()) is_understood = false;
  }
  return true;
}

std::string ServerLink::peer_ip() const {
  sockaddr_storage addr{};
  socklen_t size = sizeof addr;
  if (::getpeername(socket_.get(), reinterpret_cast<sockaddr*>(&addr), &size) != 0) return {};
  char text[INET6_ADDRSTRLEN] = {};
  if (addr.ss_family == AF_INET) {
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(addr).sin_addr, text, sizeof text);
  } else if (addr.ss_family == AF_INET6) {
    ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(addr).sin6_addr, text,
                sizeof text);
  }
  return text;
}

}  // namespace pikaproxy
