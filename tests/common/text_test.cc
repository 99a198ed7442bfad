#include "common/text.h"

#include <array>
#include <string>

#include <doctest/doctest.h>

using namespace pikaproxy;

TEST_SUITE("common/text") {
  TEST_CASE("quoted text stays on one line and says where it was cut") {
    CHECK(quote("a b") == "\"a b\"");
    CHECK(quote("a\"b\\c\n\t\x01") == R"("a\"b\\c\n\t\u0001")");
    CHECK(quote(std::string(81, 'x')) == "\"" + std::string(80, 'x') + "...\"");
    // The cut falls between two characters, not inside one.
    CHECK(quote(std::string(79, 'x') + "\xC3\xA4") == "\"" + std::string(79, 'x') + "...\"");
  }

  TEST_CASE("a swap of neighbours is one edit, as people mistype") {
    CHECK(edit_distance("", "") == 0);
    CHECK(edit_distance("", "abc") == 3);
    CHECK(edit_distance("level", "levle") == 1);
    CHECK(edit_distance("kitten", "sitting") == 3);
    CHECK(edit_distance("max_client", "max_clients") == 1);
  }

  TEST_CASE("only what is near enough is suggested") {
    constexpr std::array<std::string_view, 4> kWords = {"level", "format", "file", "max_clients"};
    CHECK(closest("levl", kWords) == "level");
    CHECK(closest("formatt", kWords) == "format");
    CHECK(closest("maxclient", kWords) == "max_clients");
    CHECK(closest("something", kWords).empty());
    // Of equally near ones, the one that begins alike.
    constexpr std::array<std::string_view, 2> kHashes = {"fnv1_64", "fnv1a_64"};
    CHECK(closest("fnv1a64", kHashes) == "fnv1a_64");
    CHECK(closest("", kWords).empty());
    CHECK(closest(std::string(1000, 'l'), kWords).empty());
    CHECK(did_you_mean("levl", kWords) == " Did you mean \"level\"?");
    CHECK(did_you_mean("something", kWords).empty());
  }
}
