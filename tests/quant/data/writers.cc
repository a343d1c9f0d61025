#include "tests/quant/data/writers.h"

#include <png.h>
#include <turbojpeg.h>
#include <unistd.h>
#include <zip.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "gtest/gtest.h"
#include "quant/data/byte_stream.h"

namespace quantserve {
namespace {

std::string LittleEndian(uint64_t value, int width) {
  std::string bytes;
  for (int i = 0; i < width; ++i) {
    bytes.push_back(static_cast<char>((value >> (8 * i)) & 0xff));
  }
  return bytes;
}

void Require(bool condition, const char* what) {
  if (!condition) throw std::runtime_error(what);
}

}  // namespace

std::string TempPath(const std::string& name) {
  // Tests run at the same time, each in a process of its own.
  const std::filesystem::path directory =
      std::filesystem::path(testing::TempDir()) /
      ("quantserve_data_test_" + std::to_string(getpid()));
  std::filesystem::create_directories(directory);
  return (directory / name).string();
}

std::string WriteTemp(const std::string& name, const std::string& bytes) {
  const std::string path = TempPath(name);
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

std::string NpyFile(const std::string& header, const std::string& data) {
  return std::string("\x93NUMPY\x01\x00", 8) + LittleEndian(header.size(), 2) +
         header + data;
}

std::string NpyHeader(const std::string& descr, const std::string& shape,
                      const std::string& fortran_order) {
  return "{'descr': '" + descr + "', 'fortran_order': " + fortran_order +
         ", 'shape': " + shape + ", }          \n";
}

std::string ZipFile(const ZipEntries& entries, bool deflate) {
  const std::string path = TempPath("writer.zip");
  int error = 0;
  zip_t* const archive =
      zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &error);
  Require(archive != nullptr, "zip_open");
  for (const auto& [name, content] : entries) {
    zip_source_t* const source =
        zip_source_buffer(archive, content.data(), content.size(), 0);
    Require(source != nullptr, "zip_source_buffer");
    const zip_int64_t index =
        zip_file_add(archive, name.c_str(), source, ZIP_FL_ENC_UTF_8);
    Require(index >= 0, "zip_file_add");
    Require(
        zip_set_file_compression(
            archive, index, deflate ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0) == 0,
        "zip_set_file_compression");
  }
  Require(zip_close(archive) == 0, "zip_close");
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::string PickleInt(int64_t value) {
  return "J" + LittleEndian(static_cast<uint64_t>(value), 4);
}

std::string PickleText(const std::string& text) {
  return "X" + LittleEndian(text.size(), 4) + text;
}

std::string PickleInts(const Shape& values) {
  std::string bytes = "(";
  for (int64_t value : values) bytes += PickleInt(value);
  return bytes + "t";
}

std::string PickleTensor(const PickledTensor& tensor) {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + PickleText("storage") +
         "ctorch\n" + tensor.storage + "\n" + PickleText(tensor.key) +
         PickleText("cpu") + PickleInt(tensor.storage_elements) + "tQ" +
         PickleInt(tensor.offset) + PickleInts(tensor.shape) +
         PickleInts(tensor.stride) + "\x89" + "ccollections\nOrderedDict\n)RtR";
}

std::string PickleFile(const std::string& body) {
  return "\x80\x02" + body + ".";
}

std::string PtFile(const std::string& pickle,
                   const std::vector<std::string>& records) {
  ZipEntries entries = {{"archive/data.pkl", pickle}};
  for (size_t i = 0; i < records.size(); ++i) {
    entries.emplace_back("archive/data/" + std::to_string(i), records[i]);
  }
  entries.emplace_back("archive/version", "3\n");
  return ZipFile(entries);
}

namespace {

std::string Gradient(int width, int height) {
  std::string rgb;
  for (int i = 0; i < width * height; ++i) {
    for (int c : {255 * (i % width) / width, 255 * i / (width * height), 90}) {
      rgb.push_back(static_cast<char>(c));
    }
  }
  return rgb;
}

}  // namespace

std::string JpegFile(int width, int height) {
  const std::string rgb = Gradient(width, height);
  const tjhandle handle = tjInitCompress();
  unsigned char* bytes = nullptr;
  unsigned long size = 0;  // NOLINT(google-runtime-int): TurboJPEG's own type
  Require(
      tjCompress2(handle, reinterpret_cast<const uint8_t*>(rgb.data()), width,
                  0, height, TJPF_RGB, &bytes, &size, TJSAMP_420, 90, 0) == 0,
      "tjCompress2");
  std::string file(reinterpret_cast<const char*>(bytes), size);
  tjFree(bytes);
  tjDestroy(handle);
  return file;
}

std::string PngFile(int width, int height) {
  const std::string rgb = Gradient(width, height);
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  image.width = width;
  image.height = height;
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string file(size, '\0');
  Require(png_image_write_to_memory(&image, file.data(), &size, 0, rgb.data(),
                                    0, nullptr) != 0,
          "png_image_write_to_memory");
  file.resize(size);
  return file;
}

absl::StatusOr<RawShard> ReadCifar10Bytes(const std::string& bytes) {
  MemoryStream stream(bytes);
  return ReadCifar10(&stream, {});
}

absl::StatusOr<RawShard> ReadNpyBytes(const std::string& bytes) {
  return ReadNpyShard(std::make_unique<MemoryStream>(bytes), {});
}

absl::StatusOr<RawShard> ReadNpzBytes(const std::string& bytes,
                                      int64_t max_bytes) {
  ReadShardOptions options;
  options.max_bytes = max_bytes;
  return ReadNpzShard(WriteTemp("bytes", bytes), options);
}

absl::StatusOr<RawShard> ReadPtBytes(const std::string& bytes,
                                     int64_t max_bytes) {
  ReadShardOptions options;
  options.max_bytes = max_bytes;
  return ReadPtShard(WriteTemp("bytes", bytes), options);
}

}  // namespace quantserve
