#include "dashboard/mover/pika_keys.h"

#include "common/text.h"

namespace pikaproxy {

std::array<Args, kPikaQuestions> pika_questions(const std::string& key) {
  return {Args{"CACHE", "DEL", key}, {"TYPE", key}, {"PTTL", key}};
}

std::string pika_type(const Reply* answers) {
  const Reply& type = answers[kPikaType];
  const Reply& ttl = answers[kPikaTtl];
  if (type.is_error() || ttl.is_error()) return {};
  // Streams have no such time: 0, as keys that have never been there.
  if (type.text == "streams") return "stream";
  // -2: deleted or expired.
  if (ttl.is_integer(-2) || ttl.is_integer(0)) return "none";
  return type.text;
}

Result<std::vector<std::string>> present_keys(ServerLink& link, bool is_pika,
                                              std::vector<std::string> keys,
                                              std::chrono::milliseconds timeout) {
  const auto refusal = [&](std::string_view command, const Reply& reply) {
    return Error{"Server " + link.server().address.to_string() + " refuses " +
                 std::string(command) + " (" + printable(reply.text) + "): allow it to its user."};
  };
  std::vector<std::string> there;
  std::vector<Reply> replies;
  // The keys of which the answer to one number decides, and that command.
  std::vector<std::string> counted = std::move(keys);
  std::string command = "EXISTS";
  if (is_pika) {
    std::erase_if(counted, is_unfit_for_pika);
    for (const std::string& key : counted) {
      for (const Args& question : pika_questions(key)) link.add(question);
    }
    if (!link.exchange(replies, timeout)) return Error{link.error()};
    std::vector<std::string> streams;
    for (size_t i = 0; i < counted.size(); ++i) {
      const Reply* const answers = &replies[i * kPikaQuestions];
      const std::string type = pika_type(answers);
      if (type.empty()) return refusal("TYPE or PTTL", answers[kPikaType]);
      if (type == "stream") {
        streams.push_back(std::move(counted[i]));
      } else if (type != "none") {
        there.push_back(std::move(counted[i]));
      }
    }
    counted = std::move(streams);
    command = "XLEN";
  }
  for (const std::string& key : counted) link.add({command, key});
  if (!link.exchange(replies, timeout)) return Error{link.error()};
  for (size_t i = 0; i < counted.size(); ++i) {
    // Of a stream that has never been there, Pika's XLEN is an error.
    if (!is_pika && replies[i].kind != Reply::Kind::kInteger) return refusal(command, replies[i]);
    if (replies[i].integer > 0) there.push_back(std::move(counted[i]));
  }
  return there;
}

}  // namespace pikaproxy
