# One PRIVATE options target for every target of ours: warnings, sanitizers and
# the include root. Users of the libraries do not inherit the warnings.
add_library(quantserve_options INTERFACE)
target_compile_options(quantserve_options INTERFACE
  -Wall -Wextra -Wpedantic -Wnon-virtual-dtor
  -Wimplicit-fallthrough)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(quantserve_options INTERFACE -Wshadow=compatible-local)
  # gcc 12 reports these for inlined code of the standard library, Abseil and
  # LibTorch, at -O1 or -O2 (GCC bugs 105329, 105562); they hide the warnings
  # that matter.
  target_compile_options(quantserve_options INTERFACE
    -Wno-restrict -Wno-maybe-uninitialized -Wno-stringop-overflow)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(quantserve_options INTERFACE
    -Wthread-safety -Werror=thread-safety)
endif()
if(QUANTSERVE_WERROR)
  target_compile_options(quantserve_options INTERFACE -Werror)
endif()
target_include_directories(quantserve_options INTERFACE
  "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}/generated")
if(QUANTSERVE_SANITIZE)
  # Everything of ours, executables included, gets the same sanitizers.
  add_compile_options(-fsanitize=${QUANTSERVE_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${QUANTSERVE_SANITIZE})
  if(QUANTSERVE_SANITIZE MATCHES "undefined")
    # LibTorch and gRPC are built without RTTI symbols that -fsanitize=vptr wants.
    add_compile_options(-fno-sanitize=vptr -fno-sanitize-recover=all)
  endif()
endif()

# quantserve_library(NAME SOURCES ... DEPS ... PRIVATE_DEPS ...)
# A static library of one room. DEPS are the rungs below it that its headers
# show; PRIVATE_DEPS are seen by its sources only.
function(quantserve_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name}
    PUBLIC ${ARG_DEPS}
    PRIVATE quantserve_options ${ARG_PRIVATE_DEPS})
endfunction()

# quantserve_executable(NAME SOURCES ... DEPS ...)
function(quantserve_executable name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE quantserve_options ${ARG_DEPS})
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
endfunction()
