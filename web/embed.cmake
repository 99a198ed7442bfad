# Writes the files of DIST as assembler data (DATA) and the table of them (TABLE), which is what
# dashboard/web/web_assets.h declares. DIST empty: an empty table.

set(data ".section .rodata\n")
set(externs "")
set(rows "")
set(index 0)
if(DIST)
  file(GLOB_RECURSE files RELATIVE ${DIST} ${DIST}/*)
  list(SORT files)
  foreach(file IN LISTS files)
    if(file MATCHES "\\.gz$")
      continue()
    endif()
    file(SHA256 ${DIST}/${file} hash)
    string(SUBSTRING ${hash} 0 16 hash)
    set(views "")
    foreach(ending IN ITEMS "" ".gz")
      if(EXISTS ${DIST}/${file}${ending})
        set(name "pikaproxy_web_${index}")
        math(EXPR index "${index} + 1")
        string(APPEND data
               ".balign 16\n.globl ${name}, ${name}_end\n${name}:\n.incbin \"${DIST}/${file}${ending}\"\n${name}_end:\n")
        string(APPEND externs "extern const char ${name}[], ${name}_end[];\n")
        list(APPEND views "view(${name}, ${name}_end)")
      else()
        list(APPEND views "{}")
      endif()
    endforeach()
    list(JOIN views ", " views)
    string(APPEND rows "      {\"/${file}\", \"\\\"${hash}\\\"\", ${views}},\n")
  endforeach()
endif()
string(APPEND data ".section .note.GNU-stack,\"\",%progbits\n")
file(WRITE ${DATA} "${data}")

if(rows)
  set(body "  static const WebAsset kAssets[] = {\n${rows}  };\n  return kAssets;")
  set(view "std::string_view view(const char* begin, const char* end) { return {begin, static_cast<size_t>(end - begin)}; }\n")
else()
  set(body "  return {};")
  set(view "")
endif()
file(WRITE ${TABLE} "// Made by web/embed.cmake.
#include \"dashboard/web/web_assets.h\"

extern \"C\" {
${externs}}

namespace pikaproxy {
namespace {
${view}}  // namespace

std::span<const WebAsset> web_assets() noexcept {
${body}
}

}  // namespace pikaproxy
")
