# Every dependency of the project, from the distribution. An official LibTorch
# archive is found through CMAKE_PREFIX_PATH.
find_package(Threads REQUIRED)
find_package(absl REQUIRED)
find_package(nlohmann_json REQUIRED)
# Found by hand: Debian's dnnl-config.cmake asks for OpenCL headers that its own
# package does not depend on.
find_path(QUANTSERVE_DNNL_INCLUDE_DIR oneapi/dnnl/dnnl.hpp REQUIRED)
find_library(QUANTSERVE_DNNL_LIBRARY dnnl REQUIRED)
if(NOT TARGET DNNL::dnnl)
  add_library(DNNL::dnnl UNKNOWN IMPORTED)
  set_target_properties(DNNL::dnnl PROPERTIES
    IMPORTED_LOCATION "${QUANTSERVE_DNNL_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${QUANTSERVE_DNNL_INCLUDE_DIR}")
endif()
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(prometheus-cpp REQUIRED)
find_package(spdlog REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(PkgConfig REQUIRED)
pkg_check_modules(libzip REQUIRED IMPORTED_TARGET libzip)
pkg_check_modules(turbojpeg REQUIRED IMPORTED_TARGET libturbojpeg)
find_package(PNG REQUIRED)
if(QUANTSERVE_WITH_TORCH)
  find_package(Torch REQUIRED)
  # A target of our own, so that LibTorch's global flags stay with its users.
  add_library(quantserve_libtorch INTERFACE)
  target_include_directories(quantserve_libtorch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
  target_link_libraries(quantserve_libtorch INTERFACE ${TORCH_LIBRARIES})
  separate_arguments(quantserve_torch_flags UNIX_COMMAND "${TORCH_CXX_FLAGS}")
  target_compile_options(quantserve_libtorch INTERFACE ${quantserve_torch_flags})
endif()
if(QUANTSERVE_WITH_GRPC)
  find_package(Protobuf REQUIRED)
  find_package(gRPC REQUIRED)
  find_path(QUANTSERVE_STB_INCLUDE_DIR stb/stb_image.h REQUIRED)  # quantctl
endif()
if(BUILD_TESTING OR NOT DEFINED BUILD_TESTING)
  find_package(GTest REQUIRED)
  find_package(benchmark REQUIRED)
endif()
