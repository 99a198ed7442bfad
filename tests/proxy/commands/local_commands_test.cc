#include "proxy/commands/local_commands.h"

#include <set>
#include <string>

#include <doctest/doctest.h>

#include "common/reply_framer.h"

using namespace pikaproxy;

TEST_SUITE("proxy/local_commands") {
  TEST_CASE("every command that the proxy answers itself has a handler") {
    size_t local = 0;
    for (size_t index = 0; index < command_count(); ++index) {
      const Command& command = command_at(index);
      if (command.action != CommandAction::kLocal) continue;
      // A container is only reached without a subcommand, if its arity allows that.
      if (!command.subcommands.empty() && !arity_fits(command, 1)) continue;
      ++local;
      CAPTURE(command.name);
      CHECK(has_local_handler(command));
    }
    CHECK(local > 30);
  }

  TEST_CASE("every handler belongs to a command that the proxy answers itself, and to one only") {
    std::set<std::string_view> names;
    for (const auto entries : local_entries()) {
      for (const LocalEntry& entry : entries) {
        CAPTURE(entry.name);
        CHECK(names.insert(entry.name).second);
        const bool has_code = entry.handler != nullptr;
        CHECK(has_code);
        bool found = false;
        for (size_t index = 0; index < command_count(); ++index) {
          const Command& command = command_at(index);
          if (command.name != entry.name) continue;
          found = true;
          CHECK(command.action == CommandAction::kLocal);
        }
        CHECK(found);
      }
    }
  }

  TEST_CASE("a help text is an array of its lines and what Redis puts around them") {
    const std::string reply = help_reply("CLIENT", {"GETNAME", "    The name."});
    ReplyCursor cursor(reply);
    REQUIRE(cursor.enter() == 5);
    CHECK(reply_text(cursor.next()) == "CLIENT <subcommand> [<arg> ...]. Subcommands are:");
    CHECK(reply_text(cursor.next()) == "GETNAME");
    CHECK(reply_text(cursor.next()) == "    The name.");
    CHECK(reply_text(cursor.next()) == "HELP");
    CHECK(reply_text(cursor.next()) == "    Print this text.");
    CHECK(cursor.at_end());
  }
}
